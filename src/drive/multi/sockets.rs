//! The descriptors that the caller watches, where the handle is driven by socket action.

use crate::drive::key::Key;
use crate::sys::Interest;
use std::collections::HashMap;
use std::os::fd::RawFd;

/// What a watched descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watched {
    /// The place of the connect that it belongs to; 0 for one of the handle's own.
    pub place: u32,
    pub key: Key,
    pub interest: Interest,
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
