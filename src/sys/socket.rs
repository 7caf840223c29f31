//! Sockets: close-on-exec and non-blocking from birth.

use super::address::{RawAddress, socket_address};
use super::check;
use super::descriptor::Descriptor;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Whether connect(2) is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connecting {
    Done,
    InProgress,
}

/// A TCP socket that is being connected, a UDP socket that hears one server only, or a connection to a server
/// on this machine ([`local`](super::local)).
#[derive(Debug)]
pub struct Socket(pub(super) Descriptor);

impl Socket {
    /// socket(2), for the family of `address`; non-blocking and close-on-exec.
    pub fn stream(address: &SocketAddr) -> io::Result<Socket> {
        Socket::open(address, libc::SOCK_STREAM, libc::IPPROTO_TCP)
    }

    /// A UDP socket that hears of every ICMP error for what it has sent (ip(7), IP_RECVERR), not of a closed
    /// port alone.
    pub fn datagram(address: &SocketAddr) -> io::Result<Socket> {
        let socket = Socket::open(address, libc::SOCK_DGRAM, 0)?;
        let option = match address {
            // What is sent to this very host is not lost on the way.
            address if address.ip().is_loopback() => return Ok(socket),
            SocketAddr::V4(_) => (libc::SOL_IP, libc::IP_RECVERR),
            SocketAddr::V6(_) => (libc::SOL_IPV6, libc::IPV6_RECVERR),
        };
        socket.switch_on(option)?;
        Ok(socket)
    }

    /// Switches an option of its level on, setsockopt(2).
    fn switch_on(&self, (level, option): (libc::c_int, libc::c_int)) -> io::Result<()> {
        let on: libc::c_int = 1;
        let length = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: the option's value and its size belong together and outlive the call.
        check(unsafe { libc::setsockopt(self.as_raw_fd(), level, option, (&raw const on).cast(), length) }).map(drop)
    }

    pub(super) fn open(address: &SocketAddr, kind: libc::c_int, protocol: libc::c_int) -> io::Result<Socket> {
        let family = if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
        // SAFETY: takes no pointers.
        let fd = check(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, protocol) })?;
        // SAFETY: the descriptor was just made and belongs to nobody else.
        Ok(Socket(unsafe { Descriptor::from_raw_fd(fd) }))
    }

    /// connect(2). EINTR on a non-blocking socket means that it goes on by itself (connect(2), POSIX).
    pub fn connect(&self, address: &SocketAddr) -> io::Result<Connecting> {
        let raw = RawAddress::from(address);
        // SAFETY: the address and its length belong together and outlive the call.
        match check(unsafe { libc::connect(self.as_raw_fd(), raw.as_ptr(), raw.length()) }) {
            Ok(_) => Ok(Connecting::Done),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EINTR)) => {
                Ok(Connecting::InProgress)
            }
            Err(error) => Err(error),
        }
    }

    /// send(2), without a signal where the peer has gone. How many bytes were taken.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        // SAFETY: the pointer and the length are those of the bytes, which outlive the call.
        let count = unsafe { libc::send(self.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
        if count == -1 { Err(io::Error::last_os_error()) } else { Ok(count as usize) }
    }

    /// recv(2), into what `buffer` has room for, which becomes its content. How many bytes came; 0 also where
    /// the peer has closed its side of a stream.
    pub fn receive(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        buffer.clear();
        let room = buffer.spare_capacity_mut();
        // SAFETY: the pointer and the length are those of the room, which outlives the call.
        let count = unsafe { libc::recv(self.as_raw_fd(), room.as_mut_ptr().cast(), room.len(), 0) };
        if count == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has written so many bytes at the beginning of the room.
        unsafe { buffer.set_len(count as usize) };
        Ok(count as usize)
    }

    /// bind(2), after SO_REUSEADDR as CRuby sets it.
    pub fn bind(&self, address: &SocketAddr) -> io::Result<()> {
        // A failure is of no consequence: bind(2) itself will say so.
        let _ = self.switch_on((libc::SOL_SOCKET, libc::SO_REUSEADDR));
        let raw = RawAddress::from(address);
        // SAFETY: the address and its length belong together and outlive the call.
        check(unsafe { libc::bind(self.as_raw_fd(), raw.as_ptr(), raw.length()) }).map(drop)
    }

    /// The pending error of the socket (SO_ERROR), which this clears; Ok when there is none.
    pub fn take_error(&self) -> io::Result<()> {
        let mut value: libc::c_int = 0;
        let mut length = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: value and length are ours, belong together and outlive the call.
        check(unsafe {
            libc::getsockopt(
                self.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ERROR,
                (&raw mut value).cast(),
                &raw mut length,
            )
        })?;
        if value == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(value)) }
    }

    /// Puts the socket into blocking mode, in one call: ioctl(FIONBIO) leaves the other flags alone.
    pub fn set_blocking(&self) -> io::Result<()> {
        let mut off: libc::c_int = 0;
        // SAFETY: FIONBIO reads one int, which outlives the call.
        check(unsafe { libc::ioctl(self.as_raw_fd(), libc::FIONBIO, &raw mut off) }).map(drop)
    }

    /// getsockname(2).
    pub fn local_address(&self) -> io::Result<Option<SocketAddr>> {
        // SAFETY: sockaddr_storage is plain data for which all zeros is a value.
        let mut storage: libc::sockaddr_storage = unsafe { MaybeUninit::zeroed().assume_init() };
        let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        // SAFETY: storage and length are ours, belong together and outlive the call.
        check(unsafe { libc::getsockname(self.as_raw_fd(), (&raw mut storage).cast(), &raw mut length) })?;
        // SAFETY: the storage is ours and larger than any length that fits it.
        Ok(unsafe { socket_address((&raw const storage).cast(), length) })
    }

    pub fn into_owned(self) -> OwnedFd {
        self.0.into()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
