//! What connects the machine to the world: sockets, lookups and a way to wait.
//!
//! [`running`] carries out what a race asks for and tells it what happened; [`connect`] waits for one race
//! with poll(2) or lets a foreign scheduler wait. They hold no rule of RFC 8305: those are all in
//! [`crate::race`].
#![forbid(unsafe_code)]

mod binding;
mod blocking;
mod connect;
mod connecting;
mod dials;
mod discovery;
mod few;
mod key;
mod learning;
mod lookups;
mod multi;
mod plan;
mod reactor;
mod report;
mod running;
mod service;
mod target;

pub use binding::ServiceBinding;
pub use blocking::{ConnectError, connect, connect_with};
pub use connect::{Connect, Signals};
pub use connecting::Connecting;
pub use multi::{EventLoop, Multi, Refused};
pub use plan::{Argument, Hooks, Invalid, Options, Plan, PlanError, Verdict};
pub use report::{Report, system_call};
pub use target::Target;
