//! Connections to servers on this machine, by the path of their socket (unix(7)).

use super::check;
use super::descriptor::Descriptor;
use super::socket::Socket;
use std::io;
use std::mem::{MaybeUninit, offset_of};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A stream to the server that listens at `path`; it is connected at once or not at all. A server that has
/// too many waiting to be let in is `WouldBlock` (EAGAIN), and nothing tells when to try again.
pub fn connect(path: &Path) -> io::Result<Socket> {
    let path = path.as_os_str().as_bytes();
    // SAFETY: sockaddr_un is plain data for which all zeros is a value.
    let mut address: libc::sockaddr_un = unsafe { MaybeUninit::zeroed().assume_init() };
    // A zero byte ends the path, and there has to be room for it.
    if path.len() >= address.sun_path.len() || path.contains(&0) {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (place, byte) in address.sun_path.iter_mut().zip(path) {
        *place = *byte as libc::c_char;
    }
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: takes no pointers.
    let fd = check(unsafe { libc::socket(libc::AF_UNIX, kind, 0) })?;
    // SAFETY: the descriptor was just made and belongs to nobody else.
    let socket = Socket(unsafe { Descriptor::from_raw_fd(fd) });
    let length = offset_of!(libc::sockaddr_un, sun_path) + path.len() + 1;
    // SAFETY: the address and its length belong together and outlive the call.
    check(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length as libc::socklen_t) })?;
    Ok(socket)
}
