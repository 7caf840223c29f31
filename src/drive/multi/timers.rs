//! Who is told when the next turn is due.

use super::announced::{Announced, Due};
use super::handle::{EventLoop, Multi};
use super::sockets::Watched;
use crate::drive::key::Key;
use crate::lookup::Deadlines;
use crate::sys::Interest;
use std::time::{Duration, Instant};

impl<L: EventLoop> Multi<L> {
    pub(super) fn due(&self) -> Due {
        let state = self.state.borrow();
        if !state.starts.is_empty() || !state.cancelled.is_empty() || state.pacing.next().is_some() {
            return Due::Now;
        }
        self.nearest(&state.deadlines).map_or(Due::Never, Due::At)
    }

    /// The nearest deadline, be it a connect's or a lookup's.
    fn nearest(&self, deadlines: &Deadlines) -> Option<Instant> {
        // While the client is at work, a callback may ask; what it is told then is told anew afterwards.
        let of_lookups = self.client.try_borrow().ok().and_then(|client| client.deadline());
        [deadlines.nearest(), of_lookups].into_iter().flatten().min()
    }

    /// Whether a deadline has come.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.nearest(&self.state.borrow().deadlines).is_some_and(|deadline| deadline <= now)
    }

    /// The caller's timer has done its work, or the call was spurious: whatever holds now has to be told.
    pub(super) fn timer_called(&self) {
        self.announced.set(Announced { called: None, ..self.announced.get() });
    }

    /// The timer in the epoll set is readable.
    pub(super) fn timer_fired(&self) {
        self.announced.set(Announced { fired: true, ..self.announced.get() });
    }

    /// Tells whoever waits when the next turn is due. The last thing that every function does.
    pub(super) fn announce(&self, caller: &L) {
        if self.by_socket_action.get() {
            self.announce_wake_up(caller);
        }
        // The callback may add and cancel, which changes what there is to tell; twice is enough for one that does so
        // once.
        for _ in 0..2 {
            let (due, announced) = (self.due(), self.announced.get());
            if Some(due) == announced.called {
                break;
            }
            self.announced.set(Announced { called: Some(due), ..announced });
            caller.set_timer(due.milliseconds(Instant::now()));
        }
        if self.descriptor_given.get() && !self.by_socket_action.get() {
            self.arm();
        }
    }

    /// Makes the one descriptor readable when a turn is due.
    fn arm(&self) {
        let mut announced = self.announced.get();
        let deadline = match self.due() {
            Due::Now => return self.mailbox.waker().wake(),
            Due::At(deadline) => Some(deadline),
            Due::Never => None,
        };
        let wanted = match deadline {
            // A timer that fires too early costs one turn with nothing to do, and saves a system call for each deadline
            // that moves away.
            Some(deadline) => announced.timer.is_none_or(|set| deadline < set),
            None => announced.timer.is_some() && self.running() == 0,
        };
        if wanted || announced.fired {
            let after = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            // A timer that cannot be set must not be waited for: the descriptor is made readable instead, and the next
            // turn tries again.
            if self.timer.set(after.map(|after| after.max(Duration::from_nanos(1)))).is_err() {
                return self.mailbox.waker().wake();
            }
            announced = Announced { timer: deadline, fired: false, ..announced };
            self.announced.set(announced);
        }
    }

    /// The caller watches the wake-up descriptor while there are connects that could need it, so that a loop
    /// without any can end.
    fn announce_wake_up(&self, caller: &L) {
        let announced = self.announced.get();
        let wanted = self.running() > 0;
        let Some(fd) = self.mailbox.waker().existing_descriptor() else { return };
        if wanted == announced.wake_up {
            return;
        }
        self.announced.set(Announced { wake_up: wanted, ..announced });
        if wanted {
            let watched = Watched { place: 0, key: Key::WakeUp, interest: Interest::Readable };
            self.state.borrow_mut().sockets.add(fd, watched);
            caller.watch(fd, Some(Interest::Readable), L::SocketData::default());
        } else {
            let data = self.state.borrow_mut().sockets.remove(fd);
            caller.watch(fd, None, data.unwrap_or_default());
        }
    }
}
