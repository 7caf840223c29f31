//! poll(2).

use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// The time until `deadline`, in milliseconds for a system call: -1 without a deadline, rounded up so that nobody wakes before it.
pub fn milliseconds_until(deadline: Option<Instant>, now: Instant) -> i32 {
    let Some(deadline) = deadline else { return -1 };
    let left = deadline.saturating_duration_since(now);
    let milliseconds = left.as_nanos().div_ceil(1_000_000);
    i32::try_from(milliseconds).unwrap_or(i32::MAX)
}

/// One descriptor to wait for.
pub type PollFd = libc::pollfd;

/// A descriptor that is waited for until it can be read.
pub fn readable(fd: RawFd) -> PollFd {
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}

/// A descriptor that is waited for until it can be written.
pub fn writable(fd: RawFd) -> PollFd {
    libc::pollfd { fd, events: libc::POLLOUT, revents: 0 }
}

/// ppoll(2) until a descriptor is ready or `limit` is over (None: no limit). Answers how many are ready; EINTR is an error like any other.
pub fn poll(fds: &mut [PollFd], limit: Option<Duration>) -> io::Result<usize> {
    let timeout = limit.map(|limit| libc::timespec {
        tv_sec: libc::time_t::try_from(limit.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: limit.subsec_nanos() as libc::c_long,
    });
    let timeout_ptr = timeout.as_ref().map_or(std::ptr::null(), |timeout| timeout as *const libc::timespec);
    // SAFETY: the array and its length belong together, the timeout is NULL or ours; all outlive the call.
    let answer = unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout_ptr, std::ptr::null()) };
    super::check(answer).map(|ready| ready as usize)
}
