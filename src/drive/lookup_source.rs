//! Who has answered a lookup.

use crate::lookup::Origin;
use std::net::SocketAddr;

/// Who has answered for the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupSource {
    /// hosts(5).
    Hosts,
    /// A server of resolv.conf(5), asked by this library: the one whose word counted. None where a name needed
    /// no packet, as one that cannot be a name of DNS.
    NameServer(Option<SocketAddr>),
    /// libc, on a thread; and why this library could not do what libc does by itself.
    Libc(&'static str),
    /// The function that the caller put in the place of getaddrinfo(3).
    Function,
}

impl From<Origin> for LookupSource {
    fn from(origin: Origin) -> LookupSource {
        match origin {
            Origin::Hosts => LookupSource::Hosts,
            Origin::Dns(server) => LookupSource::NameServer(server),
        }
    }
}
