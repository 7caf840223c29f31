//! Lookups that can be waited for, cancelled and abandoned.
//!
//! A [`Request`] is one lookup. Its owner holds the only lasting reference; the pool knows it weakly, so that
//! whoever drops the last reference frees all of it at once, its mailbox and wake-up descriptor included,
//! while a worker may still be inside libc. When it has ended, its token lies in the [`Mailbox`] it was made
//! with, and the mailbox has been woken. Nothing here waits for a worker, and no worker is ever joined or
//! killed.

mod answer;
mod ask;
mod callback;
mod client;
mod configured;
mod deadlines;
mod fork_gate;
pub(crate) mod handoff;
mod host;
mod joint;
mod list;
mod lone;
mod mailbox;
#[cfg(all(test, loom))]
mod model;
mod object;
pub mod order;
mod policy;
mod pool;
mod query;
mod queue;
mod request;
mod services;
mod source;
mod system;
mod varlink;

pub use crate::dns::gate::Reason;
pub use crate::dns::service::{ServiceQuestion, ServiceRecord, Services, Unusable};
pub use crate::race::{AnsweredBy, LookupError};
pub use answer::{Answer, Found};
pub use callback::{LookupCallback, LookupFunction};
pub use client::{Client, Delivery, Told, WalkId, Watcher};
pub use configured::by_configured_families;
pub use deadlines::Deadlines;
pub use list::AddressList;
pub use lone::look_up;
pub use mailbox::Mailbox;
pub use object::{Lookup, Refused};
pub use policy::policy;
pub use pool::{set_thread_limit, thread_limit};
pub use query::{Form, Hints, OutOfMemory, Query, QueryArgument, Rejection};
pub use request::{Request, StartError, end_idle_workers};
pub use services::{NoServices, look_up_services};
pub use source::Source;
pub use varlink::Asked;
