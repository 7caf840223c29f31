//! What surrounds a race: who waits for its descriptors, and what it may start at this moment.

use super::key::Key;
use crate::lookup::{Mailbox, Query, Reason, ServiceQuestion, WalkId};
use crate::race::Permits;
use crate::sys::Interest;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Instant;

/// How much is in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InFlight {
    pub lookups: u32,
    pub attempts: u32,
}

/// A way to wait.
pub trait Reactor {
    /// Begins to wait for a descriptor. An error fails what it is waited for.
    fn watch(&mut self, key: Key, fd: RawFd, interest: Interest) -> io::Result<()>;
    /// Ends that; the descriptor is closed or handed over next.
    fn unwatch(&mut self, key: Key, fd: RawFd);
    /// Where answers of workers come, and the token by which the driver knows whose they are.
    fn mailbox(&self) -> (&Arc<Mailbox>, u64);
    /// Begins to look up the host of a query without a thread: its answers come to whoever drives the race.
    ///
    /// # Errors
    /// Why only libc can do it.
    fn look_up(&mut self, now: Instant, query: &Query) -> Result<WalkId, Reason>;
    /// Begins to ask for the service bindings of the host of a query; None: nobody can be asked here.
    fn look_up_services(&mut self, now: Instant, query: &Query, question: ServiceQuestion) -> Option<WalkId>;
    /// Lets go of such a lookup.
    fn abandon(&mut self, now: Instant, walk: WalkId);
    /// Whether the thread that drives has nothing else to do, and nobody can interrupt it, so that it may
    /// wait inside of a call.
    fn may_block(&self) -> bool {
        false
    }
    /// Whether somebody can answer later for an attempt that has connected.
    fn may_hold(&self) -> bool {
        true
    }
    /// What may be started besides that which this race has in flight.
    fn permits(&self, _own: InFlight) -> Permits {
        Permits::ALL
    }
}
