//! Who may go to its servers now, and who waits until others have gone.

use super::state::{Client, Watcher};
use super::window::Window;
use crate::dns::Families;
use std::time::Instant;

/// systemd-resolved lets a user have 1024 connections, and serves 2048 questions at a time, of all users.
const MOST_RESOLVED: u32 = 256;

impl Client {
    /// Whether systemd-resolved is asked for as many names as it is asked for at a time.
    pub(super) fn is_resolved_full(&self) -> bool {
        self.resolved >= MOST_RESOLVED
    }

    /// Whether a lookup may go to its servers now. If not it waits, without its walk.
    pub(super) fn is_admitted(&mut self, now: Instant, place: u32) -> bool {
        let Some(walking) = self.walking(place) else { return false };
        let Some(server) = walking.walk.first_server() else { return false };
        let questions: u8 = if walking.walk.families() == Families::Both { 2 } else { 1 };
        let window = self.servers.iter().position(|(known, _)| *known == server).unwrap_or_else(|| {
            self.servers.push((server, Window::new()));
            self.servers.len() - 1
        });
        if !self.servers[window].1.admits(u32::from(questions), now) {
            self.look_again_when_open();
            self.wait_for_room(place);
            return false;
        }
        self.servers[window].1.begin(u32::from(questions), now);
        if let Some(walking) = self.walking(place) {
            (walking.window, walking.counted) = (window as u16, questions);
        }
        true
    }

    /// A lookup waits, without its walk, until those before it have gone.
    pub(super) fn wait_for_room(&mut self, place: u32) {
        if let Some(lookup) = self.lookups[place as usize].as_mut() {
            lookup.walk = None;
            self.waiting.push_back(place);
        }
    }

    /// Has those that wait looked at when a server's window opens by time alone.
    fn look_again_when_open(&mut self) {
        let opens = self.servers.iter().filter_map(|(_, window)| window.opens_at());
        self.room_at = opens.chain(self.room_at).min();
    }

    /// Lets those that wait go to their servers, as far as there is room.
    pub(super) fn admit_waiting(&mut self, now: Instant, watcher: &mut impl Watcher) {
        self.room_at = None;
        for _ in 0..self.waiting.len() {
            let Some(&place) = self.waiting.front() else { return };
            let waits = self.lookups[place as usize].as_ref().is_some_and(|lookup| lookup.walk.is_none());
            // One is always let through where nothing is under way, so that is no reason to look.
            let is_full = self.resolved >= MOST_RESOLVED || self.resolved == 0;
            if is_full && waits && !self.servers.iter().any(|(_, window)| window.admits(2, now)) {
                self.look_again_when_open();
                return;
            }
            self.waiting.pop_front();
            if waits {
                self.go_on(now, place, watcher);
            }
        }
    }
}
