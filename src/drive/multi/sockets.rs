//! The descriptors that the caller watches, where the handle is driven by socket action.

use crate::race::AttemptId;
use std::collections::HashMap;
use std::os::fd::RawFd;

/// Whose a watched descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// An attempt of the connect at a place.
    Attempt { place: u32, attempt: AttemptId },
    /// The wake-up of the lookups.
    WakeUp,
}

pub(super) struct Sockets<D> {
    watched: HashMap<RawFd, (Watched, D)>,
}

impl<D: Copy + Default> Sockets<D> {
    pub fn new() -> Sockets<D> {
        Sockets { watched: HashMap::new() }
    }

    pub fn add(&mut self, fd: RawFd, whose: Watched) {
        self.watched.insert(fd, (whose, D::default()));
    }

    pub fn find(&self, fd: RawFd) -> Option<Watched> {
        self.watched.get(&fd).map(|&(whose, _)| whose)
    }

    pub fn assign(&mut self, fd: RawFd, data: D) -> bool {
        self.watched.get_mut(&fd).map(|entry| entry.1 = data).is_some()
    }

    /// Takes it out and gives the caller's data back.
    pub fn remove(&mut self, fd: RawFd) -> Option<D> {
        self.watched.remove(&fd).map(|(_, data)| data)
    }
}
