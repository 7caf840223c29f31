//! What surrounds a race: who waits for its descriptors, and what it may start at this moment.

use super::key::Key;
use crate::race::Permits;
use crate::sys::Interest;
use std::io;
use std::os::fd::RawFd;

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
    /// What may be started besides that which this race has in flight.
    fn permits(&self, _own: InFlight) -> Permits {
        Permits::ALL
    }
}
