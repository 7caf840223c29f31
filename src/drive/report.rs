//! What a race came to.

use super::binding::ServiceBinding;
use crate::race::{AnsweredBy, Attempt, Family, Operation, Outcome};
use std::os::fd::OwnedFd;
use std::time::Instant;

/// What a race came to, with every attempt that it made.
#[derive(Debug)]
pub struct Report<'a> {
    /// How it ended.
    pub outcome: Outcome,
    /// The winner's socket.
    pub socket: Option<OwnedFd>,
    /// In the order of their start; times count from `began`.
    pub attempts: &'a [Attempt],
    /// A family that does not answer in this network, as the history says or this race has found.
    pub unanswered: Option<Family>,
    /// When the race began: its limits count from then.
    pub began: Instant,
    /// Who has told the addresses of the host, last.
    pub answered_by: AnsweredBy,
    /// What led to the winner, where that was a binding of the service; None without one: the address is the
    /// host's own.
    pub binding: Option<&'a ServiceBinding>,
    /// Why libc was asked for the host, where this library would else have asked by itself: a sentence's
    /// part, as in "libc was asked, since nscd is running". None: libc was not asked.
    pub why_libc: Option<&'static str>,
}

/// What failed at a step of an attempt: the system call as a person writes it, or the caller's function by
/// the name of its option.
pub fn system_call(operation: Operation) -> &'static std::ffi::CStr {
    match operation {
        Operation::Socket => c"socket(2)",
        Operation::Configure => c"configure_socket",
        Operation::Bind => c"bind(2)",
        Operation::Connect => c"connect(2)",
        Operation::Wait => c"epoll_ctl(2)",
        Operation::Confirm => c"confirm",
        Operation::HandOver => c"ioctl(2)",
    }
}
