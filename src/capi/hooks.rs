//! The caller's callbacks, called from the race.

use super::callbacks::{
    happy_configure_socket_fn, happy_confirm_fn, happy_release_socket_fn, happy_trace_fn, happy_userdata_free_fn,
};
use super::codes::{HAPPY_CONFIRM_LATER, HAPPY_CONFIRM_NO, HAPPY_CONFIRM_YES};
use super::trace::with_event;
use crate::drive::{Hooks, Verdict};
use crate::race::Trace;
use crate::sys::address::RawAddress;
use std::ffi::c_void;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The caller's userdata: freed by the caller's function when the last that may use it is gone.
pub(crate) struct Userdata {
    pointer: *mut c_void,
    free: happy_userdata_free_fn,
    armed: AtomicBool,
}

// SAFETY: the library only passes the pointer on; the documentation of `happy_options` says which callbacks
// are called on which thread.
unsafe impl Send for Userdata {}
// SAFETY: as above.
unsafe impl Sync for Userdata {}

impl Userdata {
    pub fn new(pointer: *mut c_void, free: happy_userdata_free_fn) -> Arc<Userdata> {
        Arc::new(Userdata { pointer, free, armed: AtomicBool::new(false) })
    }

    /// From now on it is the library's to free.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::Release);
    }
}

impl Drop for Userdata {
    fn drop(&mut self) {
        if let (true, Some(free)) = (*self.armed.get_mut(), self.free) {
            // SAFETY: the caller gave the function for this pointer, and nothing else can reach it any more.
            unsafe { free(self.pointer) };
        }
    }
}

/// What `happy_options` have to call, NULL included.
pub(crate) struct CallerHooks {
    pub configure_socket: happy_configure_socket_fn,
    pub trace: happy_trace_fn,
    pub confirm: happy_confirm_fn,
    pub release_socket: happy_release_socket_fn,
    pub userdata: Arc<Userdata>,
}

impl Hooks for CallerHooks {
    fn configure_socket(&self, fd: RawFd, address: &SocketAddr) -> Result<(), i32> {
        let Some(configure) = self.configure_socket else { return Ok(()) };
        let raw = RawAddress::from(address);
        // SAFETY: the caller's function, with the address it is documented to get, which outlives the call.
        match unsafe { configure(fd, raw.as_ptr(), raw.length(), self.userdata.pointer) } {
            0 => Ok(()),
            sys_errno @ 1.. => Err(sys_errno),
            // As a system call says it.
            _ => Err(std::io::Error::last_os_error().raw_os_error().filter(|&errno| errno > 0).unwrap_or(libc::EINVAL)),
        }
    }

    fn confirm(&self, fd: BorrowedFd<'_>, address: &SocketAddr) -> Verdict {
        let Some(confirm) = self.confirm else { return Verdict::Yes };
        let raw = RawAddress::from(address);
        // SAFETY: the caller's function, with the address it is documented to get, which outlives the call.
        match unsafe { confirm(fd.as_raw_fd(), raw.as_ptr(), raw.length(), self.userdata.pointer) } {
            HAPPY_CONFIRM_YES => Verdict::Yes,
            HAPPY_CONFIRM_LATER => Verdict::Later,
            HAPPY_CONFIRM_NO => Verdict::No(libc::ECONNABORTED),
            _ => Verdict::No(libc::EINVAL),
        }
    }

    fn release_socket(&self, fd: RawFd) {
        if let Some(release) = self.release_socket {
            // SAFETY: the caller's function, with the argument that it is documented to get.
            unsafe { release(fd, self.userdata.pointer) };
        }
    }

    fn trace(&self, began: Instant, trace: &Trace) {
        let Some(see) = self.trace else { return };
        // SAFETY: the caller's function, with an event that outlives the call.
        with_event(began, trace, |event| unsafe { see(event, self.userdata.pointer) });
    }
}
