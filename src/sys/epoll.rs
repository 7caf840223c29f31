//! epoll(7).

use super::descriptor::Descriptor;
use super::{Interest, check};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, RawFd};

/// A ready descriptor.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Ready(libc::epoll_event);

impl Ready {
    /// The token that it was added with.
    pub fn token(&self) -> u64 {
        self.0.u64
    }
}

/// An epoll set, close-on-exec.
#[derive(Debug)]
pub struct Epoll(Descriptor);

impl Epoll {
    /// epoll_create1(2).
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: takes no pointers.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor was just made and belongs to nobody else.
        Ok(Epoll(unsafe { Descriptor::from_raw_fd(fd) }))
    }

    /// Watches a descriptor, level-triggered, until it is closed.
    pub fn add(&self, fd: RawFd, interest: Interest, token: u64) -> io::Result<()> {
        let events = match interest {
            Interest::Readable => libc::EPOLLIN,
            Interest::Writable => libc::EPOLLOUT,
        };
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        // SAFETY: the event outlives the call.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) }).map(drop)
    }

    /// Watches it no more. Needed only for a descriptor that stays open.
    pub fn remove(&self, fd: RawFd) -> io::Result<()> {
        // SAFETY: EPOLL_CTL_DEL reads no event.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut()) }).map(drop)
    }

    /// Fills `ready` to its capacity at most with what is ready, waiting up to `timeout_ms` (-1: no limit).
    pub fn wait(&self, ready: &mut Vec<Ready>, timeout_ms: i32) -> io::Result<()> {
        ready.clear();
        let room = ready.spare_capacity_mut();
        let length = libc::c_int::try_from(room.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY: the spare capacity has room for `length` events and outlives the call.
        let count =
            check(unsafe { libc::epoll_wait(self.0.as_raw_fd(), room.as_mut_ptr().cast(), length, timeout_ms) })?;
        // SAFETY: the kernel wrote the first `count` events.
        unsafe { ready.set_len(count as usize) };
        Ok(())
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Epoll {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
