//! TCP sockets: close-on-exec and non-blocking from birth.

use super::check;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// An address in the form that system calls take.
#[derive(Clone, Copy)]
pub struct RawAddress {
    storage: libc::sockaddr_storage,
    length: libc::socklen_t,
}

impl RawAddress {
    pub fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }
    pub fn length(&self) -> libc::socklen_t {
        self.length
    }
    pub fn storage(&self) -> &libc::sockaddr_storage {
        &self.storage
    }
}

impl From<&SocketAddr> for RawAddress {
    fn from(address: &SocketAddr) -> RawAddress {
        // SAFETY: sockaddr_storage is plain data for which all zeros is a value.
        let mut storage: libc::sockaddr_storage = unsafe { MaybeUninit::zeroed().assume_init() };
        let length = match address {
            SocketAddr::V4(v4) => {
                let raw = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                    sin_zero: [0; 8],
                };
                // SAFETY: sockaddr_storage is larger than sockaddr_in and aligned for it.
                unsafe { (&raw mut storage).cast::<libc::sockaddr_in>().write(raw) };
                size_of::<libc::sockaddr_in>()
            }
            SocketAddr::V6(v6) => {
                let raw = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: v6.scope_id(),
                };
                // SAFETY: sockaddr_storage is larger than sockaddr_in6 and aligned for it.
                unsafe { (&raw mut storage).cast::<libc::sockaddr_in6>().write(raw) };
                size_of::<libc::sockaddr_in6>()
            }
        };
        RawAddress { storage, length: length as libc::socklen_t }
    }
}

/// Reads an address that the system wrote; None when it is neither IPv4 nor IPv6 or too short.
///
/// # Safety
/// `address` must point to `length` readable bytes.
pub unsafe fn socket_address(address: *const libc::sockaddr, length: libc::socklen_t) -> Option<SocketAddr> {
    if address.is_null() || (length as usize) < size_of::<libc::sa_family_t>() {
        return None;
    }
    // SAFETY: the family is the first field and lies within the length just checked.
    let family = unsafe { (&raw const (*address).sa_family).read_unaligned() };
    match i32::from(family) {
        libc::AF_INET if length as usize >= size_of::<libc::sockaddr_in>() => {
            // SAFETY: the length was just checked; the address may be unaligned.
            let raw = unsafe { address.cast::<libc::sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(raw.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(raw.sin_port))))
        }
        libc::AF_INET6 if length as usize >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: the length was just checked; the address may be unaligned.
            let raw = unsafe { address.cast::<libc::sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(raw.sin6_addr.s6_addr);
            let port = u16::from_be(raw.sin6_port);
            Some(SocketAddr::V6(SocketAddrV6::new(ip, port, raw.sin6_flowinfo, raw.sin6_scope_id)))
        }
        _ => None,
    }
}

/// Whether connect(2) is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connecting {
    Done,
    InProgress,
}

/// A TCP socket that is being connected.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// socket(2), for the family of `address`; non-blocking and close-on-exec.
    pub fn stream(address: &SocketAddr) -> io::Result<Socket> {
        Socket::open(address, libc::SOCK_STREAM, libc::IPPROTO_TCP)
    }

    pub(super) fn open(address: &SocketAddr, kind: libc::c_int, protocol: libc::c_int) -> io::Result<Socket> {
        let family = if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
        // SAFETY: takes no pointers.
        let fd = check(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, protocol) })?;
        // SAFETY: the descriptor was just made and belongs to nobody else.
        Ok(Socket(unsafe { OwnedFd::from_raw_fd(fd) }))
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

    /// bind(2), after SO_REUSEADDR as CRuby sets it.
    pub fn bind(&self, address: &SocketAddr) -> io::Result<()> {
        let on: libc::c_int = 1;
        // SAFETY: the option's value and its size belong together and outlive the call. A failure is of no
        // consequence: bind(2) itself will say so.
        unsafe {
            libc::setsockopt(
                self.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_REUSEADDR,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
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
        self.0
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
