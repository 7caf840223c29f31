//! Which source address the system would use towards a destination.

use super::check;
use super::socket::Socket;
use std::mem::{MaybeUninit, size_of};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

/// Finds source addresses with one datagram socket, which is connected to one destination after the other
/// and asked for its own address. Sends nothing.
///
/// As in getaddrinfo(3) of glibc, an IPv6 socket serves IPv4 destinations too, so that a list of both
/// families takes one socket.
#[derive(Debug, Default)]
pub struct Probe {
    /// With whether it is an IPv6 socket.
    socket: Option<(Socket, bool)>,
}

impl Probe {
    /// The source address towards `destination`, None when there is no way there.
    pub fn source(&mut self, destination: &SocketAddr) -> Option<IpAddr> {
        match &self.socket {
            Some((socket, is_ipv6)) if *is_ipv6 || destination.is_ipv4() => disconnect(socket),
            _ => self.open(destination)?,
        }
        match self.connect(destination) {
            Ok(source) => source,
            // IPv6 sockets that take no IPv4 (net.ipv6.bindv6only).
            Err(libc::EAFNOSUPPORT) if destination.is_ipv4() && self.socket.as_ref().is_some_and(|(_, v6)| *v6) => {
                self.open(destination)?;
                self.connect(destination).ok()?
            }
            Err(_) => None,
        }
    }

    fn open(&mut self, destination: &SocketAddr) -> Option<()> {
        let socket = Socket::open(destination, libc::SOCK_DGRAM, 0).ok()?;
        self.socket = Some((socket, destination.is_ipv6()));
        Some(())
    }

    fn connect(&self, destination: &SocketAddr) -> Result<Option<IpAddr>, i32> {
        let Some((socket, _)) = &self.socket else { return Ok(None) };
        socket.connect(destination).map_err(|error| super::errno_of(&error))?;
        let source = socket.local_address().map_err(|error| super::errno_of(&error))?;
        Ok(source.map(|source| if destination.is_ipv4() { source.ip().to_canonical() } else { source.ip() }))
    }
}

/// connect(2) to `AF_UNSPEC`: the socket forgets its destination, and the source address chosen for it.
fn disconnect(socket: &Socket) {
    // SAFETY: sockaddr is plain data for which all zeros is a value.
    let mut nobody: libc::sockaddr = unsafe { MaybeUninit::zeroed().assume_init() };
    nobody.sa_family = libc::AF_UNSPEC as libc::sa_family_t;
    let length = size_of::<libc::sockaddr>() as libc::socklen_t;
    // A failure shows in what is asked of the socket next.
    // SAFETY: the address and its length belong together and outlive the call.
    let _ = check(unsafe { libc::connect(socket.as_raw_fd(), &raw const nobody, length) });
}
