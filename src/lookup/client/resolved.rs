//! Names that are asked of systemd-resolved.

use super::state::{Channel, Client, NONE, Watcher};
use crate::dns::varlink::UNAVAILABLE;
use crate::dns::walk::Event;
use crate::lookup::system::RESOLVE_SOCKET;
use crate::lookup::varlink::Asked;
use crate::race::AnsweredBy;
use std::path::Path;
use std::time::Instant;

/// How much of a reply is read at a time.
const PIECE: usize = 65_536;

impl Client {
    /// Asks systemd-resolved, over a connection of its own.
    pub(super) fn ask_resolved(&mut self, now: Instant, place: u32, tells_no_data: bool, watcher: &mut impl Watcher) {
        let Some(walking) = self.walking(place) else { return };
        walking.by = AnsweredBy::Resolved;
        let walk = &walking.walk;
        let begun = Asked::begin(Path::new(RESOLVE_SOCKET), walk.name(), walk.families(), tells_no_data, now);
        match begun {
            Ok(asked) => {
                let watched = asked.waits_for();
                self.resolved += 1;
                match self.keep(Channel::Resolved(asked, place, watched), watcher) {
                    Ok(socket) => {
                        if let Some(walking) = self.walking(place) {
                            walking.resolved = socket;
                        }
                        return;
                    }
                    Err(_) => self.resolved -= 1,
                }
                self.hand_in(now, place, Event::SourceFailed { failure: UNAVAILABLE });
            }
            Err(failure) => self.hand_in(now, place, Event::SourceFailed { failure }),
        }
    }

    /// Something has come from systemd-resolved for a lookup, or its time has passed.
    pub(super) fn resolved_ready(&mut self, now: Instant, place: u32, watcher: &mut impl Watcher) {
        let Some(socket) = self.walking(place).map(|walking| walking.resolved) else { return };
        let Some(Some(Channel::Resolved(asked, _, watched))) = self.sockets.get_mut(socket as usize) else { return };
        self.buffer.clear();
        self.buffer.reserve_exact(PIECE);
        let outcome = asked.go_on(Path::new(RESOLVE_SOCKET), now, &mut self.buffer);
        if outcome.is_none() {
            let (before, after) = (*watched, asked.waits_for());
            if before == after {
                return;
            }
            *watched = after;
            if let Some((fd, _)) = before {
                watcher.unwatch(socket, fd);
            }
            if after.is_none_or(|(fd, interest)| watcher.watch(socket, fd, interest).is_ok()) {
                return;
            }
            *watched = None;
        }
        self.close_resolved(place, watcher);
        match outcome.unwrap_or(Err(UNAVAILABLE)) {
            Ok(addresses) => self.hand_in(now, place, Event::SourceFound { addresses: &addresses, ttl: None }),
            Err(failure) => self.hand_in(now, place, Event::SourceFailed { failure }),
        }
    }

    pub(super) fn close_resolved(&mut self, place: u32, watcher: &mut impl Watcher) {
        let Some(walking) = self.walking(place) else { return };
        let socket = std::mem::replace(&mut walking.resolved, NONE);
        if socket != NONE {
            self.resolved -= 1;
            self.close(socket, watcher);
        }
    }
}
