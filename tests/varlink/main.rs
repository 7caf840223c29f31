//! One name asked of systemd-resolved: the JSON that is read, what its replies mean, and the connection, to a
//! server that plays it on a socket of its own.
mod json;
mod replies;
mod server;

use happysock::dns::answer::Address;
use happysock::dns::{Families, Family};
use std::net::IpAddr;

const BOTH: Families = Families::Both;
const ONLY_V6: Families = Families::Only(Family::V6);
const ONLY_V4: Families = Families::Only(Family::V4);

fn address(text: &str, scope_id: u32) -> Address {
    Address { ip: text.parse::<IpAddr>().unwrap(), scope_id }
}
