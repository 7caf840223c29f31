//! Which source address the system would use towards a destination.

use super::socket::{Connecting, Socket};
use std::net::{IpAddr, SocketAddr};

/// The source address towards `destination`, None when there is no way there. Sends nothing: a datagram
/// socket is connected and its own address is read.
pub fn source_address(destination: &SocketAddr) -> Option<IpAddr> {
    let socket = Socket::open(destination, libc::SOCK_DGRAM, 0).ok()?;
    match socket.connect(destination).ok()? {
        Connecting::Done => socket.local_address().ok()?.map(|address| address.ip()),
        Connecting::InProgress => None,
    }
}
