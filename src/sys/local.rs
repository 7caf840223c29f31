//! Stream sockets to servers on this machine (unix(7)): close-on-exec and non-blocking from birth.

use super::check;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::mem::{MaybeUninit, offset_of};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A connection to a socket that has a path.
#[derive(Debug)]
pub struct LocalStream(UnixStream);

impl LocalStream {
    /// Connects, or fails at once: a server that has too many waiting to be let in is `WouldBlock` (EAGAIN),
    /// and nothing tells when to try again.
    pub fn connect(path: &Path) -> io::Result<LocalStream> {
        let bytes = OsStr::as_bytes(path.as_os_str());
        // SAFETY: sockaddr_un is plain data for which all zeros is a value.
        let mut address: libc::sockaddr_un = unsafe { MaybeUninit::zeroed().assume_init() };
        // A zero byte ends the path.
        if bytes.len() >= address.sun_path.len() || bytes.contains(&0) {
            return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        }
        address.sun_family = libc::AF_UNIX as libc::sa_family_t;
        for (place, byte) in address.sun_path.iter_mut().zip(bytes) {
            *place = *byte as libc::c_char;
        }
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: takes no pointers.
        let fd = check(unsafe { libc::socket(libc::AF_UNIX, kind, 0) })?;
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let length = offset_of!(libc::sockaddr_un, sun_path) + bytes.len() + 1;
        // SAFETY: the address and its length belong together and outlive the call.
        check(unsafe { libc::connect(fd, (&raw const address).cast(), length as libc::socklen_t) })?;
        Ok(LocalStream(socket.into()))
    }

    /// send(2), without a signal where the server has gone. How many bytes were taken.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        // SAFETY: the pointer and the length are those of the bytes, which outlive the call.
        let count = unsafe { libc::send(self.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
        if count == -1 { Err(io::Error::last_os_error()) } else { Ok(count as usize) }
    }

    /// read(2). How many bytes came; 0: the server has closed the connection.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(buffer)
    }
}

impl AsRawFd for LocalStream {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
