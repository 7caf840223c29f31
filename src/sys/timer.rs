//! timerfd(2): a deadline as a descriptor.

use super::check;
use super::descriptor::Descriptor;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::time::Duration;

/// A one-shot timer, readable once it has fired; close-on-exec and non-blocking.
#[derive(Debug)]
pub struct Timer(Descriptor);

impl Timer {
    /// timerfd_create(2) on the monotonic clock.
    pub fn new() -> io::Result<Timer> {
        // SAFETY: takes no pointers.
        let fd = check(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK) })?;
        // SAFETY: the descriptor was just made and belongs to nobody else.
        Ok(Timer(unsafe { Descriptor::from_raw_fd(fd) }))
    }

    /// timerfd_settime(2): fires once after `after` (None: never), instead of what was set before. Setting it
    /// also takes back a firing that was not read yet.
    pub fn set(&self, after: Option<Duration>) -> io::Result<()> {
        // A value of zero would disarm it: the soonest is one nanosecond.
        let value = after.map_or(Duration::ZERO, |after| after.max(Duration::from_nanos(1)));
        let setting = libc::itimerspec {
            it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: libc::timespec {
                tv_sec: libc::time_t::try_from(value.as_secs()).unwrap_or(libc::time_t::MAX),
                tv_nsec: value.subsec_nanos() as libc::c_long,
            },
        };
        // SAFETY: the setting outlives the call; the old one is not asked for.
        check(unsafe { libc::timerfd_settime(self.0.as_raw_fd(), 0, &raw const setting, std::ptr::null_mut()) })
            .map(drop)
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
