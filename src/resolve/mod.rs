//! Lookups that can be waited for, cancelled and abandoned.
//!
//! A [`Request`] is one lookup. Its owner holds the only lasting reference; the pool knows it weakly, so that whoever drops the
//! last reference frees all of it at once, its mailbox and wake-up descriptor included, while a worker may still be inside libc.
//! When it has ended, its token lies in the [`Mailbox`] it was made with, and the mailbox has been woken. Nothing here waits for
//! a worker, and no worker is ever joined or killed.

mod addrinfo;
mod gate;
pub(crate) mod handoff;
#[cfg(target_env = "gnu")]
mod host;
mod lookup;
mod mailbox;
#[cfg(all(test, loom))]
mod model;
mod pool;
mod query;
mod queue;
mod request;

pub use addrinfo::AddressList;
pub use lookup::{Lookup, Refused};
pub use mailbox::Mailbox;
pub use pool::{end_idle_workers, set_thread_limit, thread_limit};
pub use query::{Hints, LookupCallback, LookupFunction, OutOfMemory, Query, QueryArgument, Rejection};
pub use request::{Request, StartError};

/// Why a lookup failed: the `EAI_*` code and the errno that came with it (meaningful with `EAI_SYSTEM`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupError {
    pub gai_error: i32,
    pub sys_errno: i32,
}

impl LookupError {
    /// `EAI_SYSTEM` with an errno.
    pub const fn system(sys_errno: i32) -> LookupError {
        LookupError { gai_error: libc::EAI_SYSTEM, sys_errno }
    }
}

/// What a lookup ends in.
pub type Answer = Result<AddressList, LookupError>;
