//! One turn: what is ready is handed in, what that changes is done, new connects begin.

use super::handle::{Entry, EventLoop, Multi, Refused, State, of_token, token};
use super::slots::place_of;
use super::sockets::Watched;
use crate::drive::key::Key;
use crate::drive::reactor::{InFlight, Reactor};
use crate::drive::running::Running;
use crate::lookup::{Mailbox, Query, Reason, ServiceQuestion, WalkId, Watcher};
use crate::race::{Permits, Wanted};
use crate::sys::Interest;
use crate::sys::epoll::Ready;
use crate::sys::poll::{self, PollFd};
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many connects begin in one turn, so that a dispatch does not keep its loop for long and what has ended
/// is seen in between: about 20 us each.
const STARTS: usize = 128;

/// What surrounds a connect while it is worked on.
struct Surroundings<'a, L: EventLoop> {
    multi: &'a Multi<L>,
    caller: &'a L,
    id: u64,
    place: u32,
    order: u64,
    counted: InFlight,
}

impl<L: EventLoop> Reactor for Surroundings<'_, L> {
    fn watch(&mut self, key: Key, fd: RawFd, interest: Interest) -> io::Result<()> {
        self.multi.watch(self.caller, self.place, key, fd, interest)
    }

    fn unwatch(&mut self, _key: Key, fd: RawFd) {
        self.multi.unwatch(self.caller, fd);
    }

    fn mailbox(&self) -> (&Arc<Mailbox>, u64) {
        (&self.multi.mailbox, self.id)
    }

    fn look_up(&mut self, now: Instant, query: &Query) -> Result<WalkId, Reason> {
        let mut watcher = LookupWatcher { multi: self.multi, caller: self.caller };
        self.multi.client.borrow_mut().begin(now, query, self.id, &mut watcher)
    }

    fn look_up_services(&mut self, now: Instant, query: &Query, question: ServiceQuestion) -> Option<WalkId> {
        let mut watcher = LookupWatcher { multi: self.multi, caller: self.caller };
        self.multi.client.borrow_mut().begin_services(now, query, question, self.id, &mut watcher).ok()
    }

    fn abandon(&mut self, now: Instant, walk: WalkId) {
        let mut watcher = LookupWatcher { multi: self.multi, caller: self.caller };
        self.multi.client.borrow_mut().abandon(now, walk, self.id, &mut watcher);
    }

    fn permits(&self, own: InFlight) -> Permits {
        self.multi.state.borrow().pacing.permits(self.order, own, self.counted)
    }
}

/// Who waits for the descriptors of the handle's client.
struct LookupWatcher<'a, L: EventLoop> {
    multi: &'a Multi<L>,
    caller: &'a L,
}

impl<L: EventLoop> Watcher for LookupWatcher<'_, L> {
    fn watch(&mut self, socket: u32, fd: RawFd, interest: Interest) -> io::Result<()> {
        self.multi.watch(self.caller, 0, Key::Lookup(socket), fd, interest)
    }

    fn unwatch(&mut self, _socket: u32, fd: RawFd) {
        self.multi.unwatch(self.caller, fd);
    }
}

impl<L: EventLoop> Multi<L> {
    fn watch(&self, caller: &L, place: u32, key: Key, fd: RawFd, interest: Interest) -> io::Result<()> {
        if self.by_socket_action.get() {
            self.state.borrow_mut().sockets.add(fd, Watched { place, key, interest });
            caller.watch(fd, Some(interest), L::SocketData::default());
            return Ok(());
        }
        self.set.add(fd, interest, token(place, key))
    }

    fn unwatch(&self, caller: &L, fd: RawFd) {
        if self.by_socket_action.get() {
            let data = self.state.borrow_mut().sockets.remove(fd);
            if let Some(data) = data {
                caller.watch(fd, None, data);
            }
        } else if !self.closing.get() {
            // Said even of a socket that is closed next: a child of a fork may have it open still, and then closing it
            // takes nothing out of the set. That it is not in the set (it was connected at once) is no
            // error.
            let _ = self.set.remove(fd);
        }
    }

    /// Takes in what epoll_wait(2) has brought.
    pub(super) fn take_events(&self, caller: &L, ready: &[Ready]) {
        let now = Instant::now();
        for event in ready {
            match of_token(event.token()) {
                (_, Key::WakeUp) => self.take_mail(caller, now),
                (_, Key::Timer) => self.timer_fired(),
                (place, key) => self.descriptor_ready(caller, now, place, key),
            }
        }
        self.advance_touched(caller);
    }

    /// One turn with one descriptor that the caller watches.
    pub(super) fn turn_by_socket(&self, caller: &L, fd: Option<RawFd>) -> Result<(), Refused> {
        let now = Instant::now();
        match fd {
            None => self.timer_called(),
            Some(fd) => {
                let watched = self.state.borrow().sockets.find(fd);
                match watched {
                    None => return Err(Refused::Unknown),
                    Some(Watched { key: Key::WakeUp, .. }) => self.take_mail(caller, now),
                    Some(Watched { place, key, interest }) => {
                        // A spurious call must not pass for a connection: SO_ERROR is 0 while the handshake goes on,
                        // too.
                        let ready = poll::poll(&mut [PollFd::new(fd, interest)], Some(Duration::ZERO));
                        if ready.is_ok_and(|count| count > 0) {
                            self.descriptor_ready(caller, now, place, key);
                        }
                    }
                }
            }
        }
        self.advance_touched(caller);
        self.go_on(caller, Some(now));
        Ok(())
    }

    /// Everything after the events, with the deadlines up to `looked_until` (None: there is more to be looked
    /// at first). Each step stops where a callback has freed the handle.
    pub(super) fn go_on(&self, caller: &L, looked_until: Option<Instant>) {
        if let Some(now) = looked_until {
            self.expire(caller, now);
        }
        self.advance_touched(caller);
        self.begin_some(caller);
        self.end_cancelled(caller);
        self.give_permits(caller);
        self.advance_touched(caller);
        self.client.borrow_mut().end_turn();
    }

    fn take_mail(&self, caller: &L, now: Instant) {
        self.mailbox.waker().take();
        let mut tokens = Vec::new();
        self.mailbox.collect(&mut tokens);
        for token in tokens {
            self.hand_in(caller, token, |entry, _| entry.running.lookup_finished(now));
        }
    }

    fn descriptor_ready(&self, caller: &L, now: Instant, place: u32, key: Key) {
        if let Key::Lookup(socket) = key {
            let mut watcher = LookupWatcher { multi: self, caller };
            self.client.borrow_mut().ready(now, socket, &mut watcher);
            return self.deliver(caller, now);
        }
        let id = self.state.borrow().slots.id_at(place);
        if let Some(id) = id {
            self.hand_in(caller, id, |entry, around| entry.running.ready(now, key, around));
        }
    }

    /// Hands in what the client has found out.
    fn deliver(&self, caller: &L, now: Instant) {
        loop {
            let delivery = self.client.borrow_mut().next_delivery();
            let Some(delivery) = delivery else { return };
            self.hand_in(caller, delivery.owner, |entry, _| entry.running.told(now, delivery.told));
        }
    }

    /// Lets a connect take note of something; it goes on later in the turn. One that has ended takes no
    /// notice.
    fn hand_in(&self, caller: &L, id: u64, note: impl FnOnce(&mut Entry<L::Userdata>, &mut Surroundings<'_, L>)) {
        let entry = self.state.borrow_mut().slots.take_out(id);
        let Some(mut entry) = entry else { return };
        let mut around = self.surroundings(caller, id, &entry);
        note(&mut entry, &mut around);
        let mut state = self.state.borrow_mut();
        if !std::mem::replace(&mut entry.touched, true) {
            state.touched.push(id);
        }
        if state.slots.put_back(id, entry) {
            state.cancelled.push_back(id);
        }
    }

    /// Hands in the caller's answer for an attempt.
    pub(super) fn answer_for(&self, caller: &L, id: u64, fd: RawFd, wanted: bool) {
        self.hand_in(caller, id, |entry, around| {
            entry.running.confirm(Instant::now(), fd, wanted, around);
        });
    }

    fn expire(&self, caller: &L, now: Instant) {
        self.client.borrow_mut().expire(now, &mut LookupWatcher { multi: self, caller });
        self.deliver(caller, now);
        let mut state = self.state.borrow_mut();
        let State { deadlines, slots, touched, .. } = &mut *state;
        while let Some(place) = deadlines.expired(now) {
            let Some(id) = slots.id_at(place) else { continue };
            if slots.get_mut(id).is_some_and(|entry| !std::mem::replace(&mut entry.touched, true)) {
                touched.push(id);
            }
        }
    }

    fn advance_touched(&self, caller: &L) {
        loop {
            // A name that is begun or goes on may be answered at once, and others with it.
            self.deliver(caller, Instant::now());
            let mut touched = std::mem::take(&mut self.state.borrow_mut().touched);
            if touched.is_empty() || self.closing.get() {
                return;
            }
            for id in touched.drain(..) {
                if self.closing.get() {
                    break;
                }
                self.advance(caller, id, |_| ());
            }
            let mut state = self.state.borrow_mut();
            if state.touched.is_empty() {
                state.touched = touched;
            }
        }
    }

    fn begin_some(&self, caller: &L) {
        for _ in 0..STARTS {
            let next = self.state.borrow_mut().starts.pop_front();
            let Some(id) = next.filter(|_| !self.closing.get()) else { return };
            self.advance(caller, id, |_| ());
        }
    }

    /// Gives free permits to those that have waited longest.
    fn give_permits(&self, caller: &L) {
        for _ in 0..STARTS {
            let next = self.state.borrow().pacing.next();
            let Some(id) = next.filter(|_| !self.closing.get()) else { return };
            self.advance(caller, id, |_| ());
        }
    }

    pub(super) fn end_cancelled(&self, caller: &L) {
        loop {
            let next = self.state.borrow_mut().cancelled.pop_front();
            let Some(id) = next.filter(|_| !self.closing.get()) else { return };
            self.end(caller, id);
        }
    }

    /// Ends a connect as cancelled, unless its end was decided before.
    pub(super) fn end(&self, caller: &L, id: u64) {
        self.advance(caller, id, |running| running.cancel(Instant::now()));
    }

    /// Does what a connect has to do; at its end calls `done`.
    fn advance(&self, caller: &L, id: u64, first: impl FnOnce(&mut Running)) {
        let entry = self.state.borrow_mut().slots.take_out(id);
        let Some(mut entry) = entry else { return };
        first(&mut entry.running);
        let now = Instant::now();
        let mut around = self.surroundings(caller, id, &entry);
        let finished = entry.running.advance(now, &mut around);
        let (in_flight, wanted, deadline) = if finished {
            (InFlight::default(), Wanted::default(), None)
        } else {
            (entry.running.in_flight(), entry.running.wants_permit(), entry.running.deadline())
        };
        let mut state = self.state.borrow_mut();
        state.pacing.count(entry.counted, in_flight);
        state.pacing.wait(entry.order, id, entry.waits_for, wanted);
        state.deadlines.set(place_of(id), deadline);
        entry.counted = in_flight;
        entry.waits_for = wanted;
        entry.touched = false;
        if !finished {
            if state.slots.put_back(id, entry) {
                state.cancelled.push_back(id);
            }
            return;
        }
        state.slots.vacate(id);
        if state.slots.len() == 0 {
            // What is in there was cancelled before it began.
            state.starts.clear();
        }
        drop(state);
        let Entry { mut running, userdata, .. } = *entry;
        if let Some(mut report) = running.report() {
            caller.done(id, &mut report, userdata);
        }
    }

    fn surroundings<'a>(&'a self, caller: &'a L, id: u64, entry: &Entry<L::Userdata>) -> Surroundings<'a, L> {
        Surroundings { multi: self, caller, id, place: place_of(id), order: entry.order, counted: entry.counted }
    }
}
