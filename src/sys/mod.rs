//! Every call into libc, one method a call, each error an [`std::io::Error`].

pub mod address;
pub(crate) mod atomic;
pub(crate) mod descriptor;
pub mod epoll;
pub(crate) mod file;
pub mod fork;
pub(crate) mod futex;
pub mod local;
pub(crate) mod module;
pub mod netlink;
pub mod poll;
pub(crate) mod process;
pub(crate) mod random;
pub mod route;
pub mod socket;
pub(crate) mod thread;
pub mod timer;
pub mod wake;
pub(crate) mod words;

use std::io;

/// What a descriptor is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// There is something to read, or the other side has ended (`POLLIN`, poll(2)).
    Readable,
    /// It can be written to, or connecting has ended (`POLLOUT`, poll(2)).
    Writable,
}

/// Turns the -1 of a system call into the error that errno holds.
pub(crate) fn check(answer: libc::c_int) -> io::Result<libc::c_int> {
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// Forgets the errno of the calling thread. libc's lookup functions judge some failures by an errno that they
/// have not set.
pub(crate) fn clear_errno() {
    // SAFETY: the place is the calling thread's own.
    unsafe { *libc::__errno_location() = 0 };
}

/// The errno of an error that came from a system call; EIO for one that did not.
pub(crate) fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}
