//! poll(2).

use super::Interest;
use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// The time until `deadline`, in milliseconds for a system call: -1 without a deadline, rounded up so that
/// nobody wakes before it.
pub fn milliseconds_until(deadline: Option<Instant>, now: Instant) -> i32 {
    let Some(deadline) = deadline else { return -1 };
    let left = deadline.saturating_duration_since(now);
    let milliseconds = left.as_nanos().div_ceil(1_000_000);
    i32::try_from(milliseconds).unwrap_or(i32::MAX)
}

/// One descriptor to wait for.
#[repr(transparent)]
pub struct PollFd(libc::pollfd);

impl PollFd {
    pub fn new(fd: RawFd, interest: Interest) -> PollFd {
        let events = match interest {
            Interest::Readable => libc::POLLIN,
            Interest::Writable => libc::POLLOUT,
        };
        PollFd(libc::pollfd { fd, events, revents: 0 })
    }

    /// Whether the last poll found it ready, or in an error that its next use will tell.
    pub fn is_ready(&self) -> bool {
        self.0.revents != 0
    }
}

/// ppoll(2) until a descriptor is ready or `limit` is over (None: no limit). Answers how many are ready;
/// EINTR is an error like any other.
pub fn poll(fds: &mut [PollFd], limit: Option<Duration>) -> io::Result<usize> {
    let timeout = limit.map(|limit| libc::timespec {
        tv_sec: libc::time_t::try_from(limit.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: limit.subsec_nanos() as libc::c_long,
    });
    let timeout_ptr = timeout.as_ref().map_or(std::ptr::null(), |timeout| timeout as *const libc::timespec);
    // SAFETY: the array and its length belong together, and its elements are pollfd by another name; the timeout
    // is NULL or ours; all outlive the call.
    let answer =
        unsafe { libc::ppoll(fds.as_mut_ptr().cast(), fds.len() as libc::nfds_t, timeout_ptr, std::ptr::null()) };
    super::check(answer).map(|ready| ready as usize)
}
