//! The handle: what it holds, and what its owner may call.

use super::announced::Announced;
use super::pacing::Pacing;
use super::slots::{Slots, Whereabouts};
use super::sockets::Sockets;
use crate::drive::key::{KEY_BITS, Key};
use crate::drive::plan::Plan;
use crate::drive::reactor::InFlight;
use crate::drive::report::Report;
use crate::drive::running::Running;
use crate::lookup::{Client, Deadlines, Mailbox};
use crate::race::Wanted;
use crate::sys::epoll::{Epoll, Ready};
use crate::sys::timer::Timer;
use crate::sys::{Interest, fork};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many events one epoll_wait(2) brings at most.
const BATCH: usize = 256;
/// How many full batches one dispatch takes in.
const BATCHES: usize = 16;

/// The caller, as far as the handle calls into it.
pub trait EventLoop {
    /// What [`Multi::add`] was given, to be handed back when the connect has ended.
    type Userdata;
    /// What the caller keeps with a socket that it watches.
    type SocketData: Copy + Default;

    /// A connect has ended. Its id means nothing any more.
    fn done(&self, id: u64, report: &mut Report<'_>, userdata: Self::Userdata);
    /// Watch a descriptor; None: no more, it is closed or handed over next. Called only where the handle is
    /// driven by socket action.
    fn watch(&self, fd: RawFd, interest: Option<Interest>, data: Self::SocketData);
    /// When to drive the handle again although nothing is ready, in milliseconds: 0 soon, -1 never; instead
    /// of what was said before.
    fn set_timer(&self, timeout_ms: i32);
}

/// Why a function did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The handle was made before a fork, by another process.
    Forked,
    /// Called from inside a callback of the same handle.
    Reentrant,
    /// It does not fit how the handle is driven, or that it is being freed; the text says which.
    State(&'static str),
    /// No such connect, or no such descriptor.
    Unknown,
    /// There are 16 million connects in the handle.
    Full,
}

/// A connect in its slot.
pub(super) struct Entry<U> {
    pub(super) running: Running,
    pub(super) userdata: U,
    /// It was the how manieth to be added.
    pub(super) order: u64,
    /// What it is counted with, and waits for, in the pacing.
    pub(super) counted: InFlight,
    pub(super) waits_for: Wanted,
    /// It is in the list of those that go on in this turn.
    pub(super) touched: bool,
}

/// Many connects, driven by one thread. See the module's documentation.
pub struct Multi<L: EventLoop> {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) generation: u64,
    pub(super) set: Epoll,
    pub(super) timer: Timer,
    pub(super) state: RefCell<State<L>>,
    /// What looks names up. Apart from the state: it watches and unwatches while the state may be borrowed.
    pub(super) client: RefCell<Client>,
    /// The events of one epoll_wait(2). Apart from the state: it is read while callbacks run.
    pub(super) ready: Cell<Vec<Ready>>,
    /// One of its functions runs, or one of the caller's callbacks inside it.
    pub(super) busy: Cell<bool>,
    /// It is being freed: nothing is added any more.
    pub(super) closing: Cell<bool>,
    pub(super) by_socket_action: Cell<bool>,
    /// The one descriptor was given away: it has to be readable when something is due.
    pub(super) descriptor_given: Cell<bool>,
    pub(super) announced: Cell<Announced>,
}

pub(super) struct State<L: EventLoop> {
    pub(super) slots: Slots<Entry<L::Userdata>>,
    pub(super) added: u64,
    /// Those that were added and have not begun, in order.
    pub(super) starts: VecDeque<u64>,
    /// Those that a callback has cancelled.
    pub(super) cancelled: VecDeque<u64>,
    /// Those that go on in this turn.
    pub(super) touched: Vec<u64>,
    pub(super) deadlines: Deadlines,
    pub(super) pacing: Pacing,
    pub(super) sockets: Sockets<L::SocketData>,
}

/// What a descriptor is known by in the epoll set: the place of its connect above the key. The handle's own
/// keys have no place.
pub(super) fn token(place: u32, key: Key) -> u64 {
    u64::from(place) << KEY_BITS | key.to_bits()
}

/// The place and the key of a token.
pub(super) fn of_token(token: u64) -> (u32, Key) {
    ((token >> KEY_BITS) as u32, Key::from_bits(token))
}

impl<L: EventLoop> Multi<L> {
    /// Makes a handle with its three descriptors: later, none is needed but the sockets'.
    pub fn new() -> io::Result<Multi<L>> {
        let mailbox = Mailbox::new();
        let (set, timer) = (Epoll::new()?, Timer::new()?);
        set.add(mailbox.waker().descriptor()?, Interest::Readable, token(0, Key::WakeUp))?;
        set.add(timer.as_raw_fd(), Interest::Readable, token(0, Key::Timer))?;
        Ok(Multi {
            mailbox,
            generation: fork::generation(),
            set,
            timer,
            state: RefCell::new(State {
                slots: Slots::new(),
                added: 0,
                starts: VecDeque::new(),
                cancelled: VecDeque::new(),
                touched: Vec::new(),
                deadlines: Deadlines::new(Instant::now()),
                pacing: Pacing::default(),
                sockets: Sockets::new(),
            }),
            client: RefCell::new(Client::shared()),
            ready: Cell::new(Vec::with_capacity(BATCH)),
            busy: Cell::new(false),
            closing: Cell::new(false),
            by_socket_action: Cell::new(false),
            descriptor_given: Cell::new(false),
            announced: Cell::new(Announced::NOTHING),
        })
    }

    /// Whether it belongs to another process: it was made before a fork.
    pub fn is_forked(&self) -> bool {
        self.generation != fork::generation()
    }

    /// Whether one of its functions runs, or one of the caller's callbacks inside it.
    pub fn is_busy(&self) -> bool {
        self.busy.get()
    }

    /// How many connects are in it.
    pub fn running(&self) -> usize {
        self.state.borrow().slots.len()
    }

    /// As [`Multi::running`], but for a handle that is being freed: nothing is left of that for its caller.
    fn left(&self) -> usize {
        if self.closing.get() { 0 } else { self.running() }
    }

    /// Adds a connect; its limits count from now. Nothing begins before the next turn, so `done` is never
    /// called from here; the timer callback may be, to ask for that turn.
    pub fn add(&self, caller: &L, plan: Plan, userdata: L::Userdata) -> Result<u64, Refused> {
        self.check_open()?;
        let mut state = self.state.borrow_mut();
        let State { slots, added, starts, .. } = &mut *state;
        let make = |_| {
            *added += 1;
            Box::new(Entry {
                running: Running::new(plan, Instant::now()),
                userdata,
                order: *added,
                counted: InFlight::default(),
                waits_for: Wanted::default(),
                touched: false,
            })
        };
        let id = slots.insert(make).ok_or(Refused::Full)?;
        starts.push_back(id);
        drop(state);
        if let Ok(_busy) = self.enter() {
            self.announce(caller);
        }
        Ok(id)
    }

    /// Ends a connect: its `done` is called before this returns, or, from inside a callback, before the
    /// function returns that called it (from inside the timer callback of [`Multi::add`]: in the next
    /// turn).
    pub fn cancel(&self, caller: &L, id: u64) -> Result<(), Refused> {
        self.check()?;
        let mut state = self.state.borrow_mut();
        match state.slots.find(id) {
            Whereabouts::Gone => return Err(Refused::Unknown),
            Whereabouts::Out => state.slots.cancel_when_back(id),
            Whereabouts::In => state.cancelled.push_back(id),
        }
        drop(state);
        if let Ok(_busy) = self.enter() {
            self.end_cancelled(caller);
            self.announce(caller);
        }
        Ok(())
    }

    /// Answers for an attempt that is held ([`Verdict::Later`](crate::Verdict::Later)), and does what that
    /// makes due: `done` may be called before this returns. Wanted, it wins; else it has failed, and its
    /// socket is closed. Not from inside a callback.
    pub fn confirm(&self, caller: &L, id: u64, fd: RawFd, wanted: bool) -> Result<(), Refused> {
        self.check()?;
        let _busy = self.enter()?;
        if !self.state.borrow_mut().slots.get_mut(id).is_some_and(|entry| entry.running.holds(fd)) {
            return Err(Refused::Unknown);
        }
        self.answer_for(caller, id, fd, wanted);
        self.go_on(caller, None);
        self.announce(caller);
        Ok(())
    }

    /// How many lookups may be in flight; 0: no cap. What waits for a permit does so in the order in which it
    /// was added.
    pub fn set_max_lookups(&self, caller: &L, most: u32) -> Result<(), Refused> {
        self.set_pacing(caller, |pacing| pacing.set_most_lookups(most))
    }

    /// How many attempts may be in flight; 0: no cap.
    pub fn set_max_attempts(&self, caller: &L, most: u32) -> Result<(), Refused> {
        self.set_pacing(caller, |pacing| pacing.set_most_attempts(most))
    }

    fn set_pacing(&self, caller: &L, set: impl FnOnce(&mut Pacing)) -> Result<(), Refused> {
        self.check()?;
        set(&mut self.state.borrow_mut().pacing);
        if let Ok(_busy) = self.enter() {
            self.announce(caller);
        }
        Ok(())
    }

    /// Whether the caller watches the sockets. Cannot be changed while connects are in the handle.
    pub fn drive_by_socket_action(&self, on: bool) -> Result<(), Refused> {
        self.check_idle()?;
        self.by_socket_action.set(on);
        Ok(())
    }

    /// Refuses a change of callbacks while connects are in the handle.
    pub fn check_idle(&self) -> Result<(), Refused> {
        self.check()?;
        if self.running() > 0 {
            return Err(Refused::State("to be set while no connect is in the handle"));
        }
        Ok(())
    }

    /// The one descriptor: readable whenever something is due.
    pub fn descriptor(&self, caller: &L) -> Result<RawFd, Refused> {
        self.check()?;
        self.check_driven_by(false)?;
        self.descriptor_given.set(true);
        if let Ok(_busy) = self.enter() {
            self.announce(caller);
        }
        Ok(self.set.as_raw_fd())
    }

    /// How long to wait before the next turn at most: -1 no limit, rounded up to milliseconds.
    pub fn timeout_ms(&self) -> i32 {
        self.due().milliseconds(Instant::now())
    }

    /// Does what is due, without waiting; answers how many connects are left.
    pub fn dispatch(&self, caller: &L) -> Result<usize, Refused> {
        self.wait(caller, 0)
    }

    /// Waits until something is due, for `limit_ms` at most (-1: no limit), then does it. A signal ends the
    /// wait.
    pub fn wait(&self, caller: &L, limit_ms: i32) -> Result<usize, Refused> {
        self.check()?;
        let _busy = self.enter()?;
        self.check_driven_by(false)?;
        let mut ready = self.ready.take();
        let mut timeout = match (self.timeout_ms(), limit_ms) {
            (-1, limit) => limit,
            (due, -1) => due,
            (due, limit) => due.min(limit),
        };
        // Until when everything that was ready has been looked at: no later deadline counts as passed, since
        // something that is ready may have met it.
        let mut looked_until;
        let mut batches = 0;
        loop {
            looked_until = Instant::now();
            // An error is EINTR: nothing else can be wrong with a set of our own.
            if self.set.wait(&mut ready, timeout).is_err() {
                ready.clear();
            } else if ready.is_empty() {
                looked_until += Duration::from_millis(u64::try_from(timeout).unwrap_or(0));
            }
            self.take_events(caller, &ready);
            timeout = 0;
            batches += 1;
            // A full batch says that there may be more; and what was taken in may have lasted until something is due.
            let became_due = !ready.is_empty() && !self.is_due(looked_until) && self.is_due(Instant::now());
            let look_again = ready.len() == BATCH || became_due;
            if !look_again || batches == BATCHES || self.closing.get() {
                break;
            }
        }
        let more = ready.len() == BATCH;
        self.ready.set(ready);
        self.go_on(caller, (!more).then_some(looked_until));
        self.announce(caller);
        Ok(self.left())
    }

    /// A watched descriptor is ready, or (None) the time has come that the timer callback was told.
    pub fn socket_action(&self, caller: &L, fd: Option<RawFd>) -> Result<usize, Refused> {
        self.check()?;
        let _busy = self.enter()?;
        self.check_driven_by(true)?;
        let outcome = self.turn_by_socket(caller, fd);
        self.announce(caller);
        outcome.map(|()| self.left())
    }

    /// Keeps the caller's data with a descriptor that it watches.
    pub fn assign(&self, fd: RawFd, data: L::SocketData) -> Result<(), Refused> {
        self.check()?;
        let assigned = self.state.borrow_mut().sockets.assign(fd, data);
        if assigned { Ok(()) } else { Err(Refused::Unknown) }
    }

    /// What other threads and signal handlers may use to end a wait, or to make the one descriptor readable.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// From here on nothing can be added, and what runs comes to its end: called before [`Multi::close`],
    /// from inside a callback too.
    pub fn begin_to_close(&self) {
        self.closing.set(true);
    }

    /// Ends every connect, `done` included. To be dropped afterwards. In the child of a fork nothing is
    /// called: what is in it is the parent's.
    pub fn close(&self, caller: &L) {
        self.closing.set(true);
        if self.is_forked() {
            return;
        }
        let Ok(_busy) = self.enter() else { return };
        let places = self.state.borrow().slots.places();
        for place in 0..places {
            let id = self.state.borrow().slots.id_at(place);
            if let Some(id) = id {
                self.end(caller, id);
            }
        }
        self.announce(caller);
    }

    /// Refuses what cannot take a connect.
    pub fn check_open(&self) -> Result<(), Refused> {
        self.check()?;
        if self.closing.get() {
            return Err(Refused::State("the handle is being freed"));
        }
        if self.state.borrow().slots.is_full() { Err(Refused::Full) } else { Ok(()) }
    }

    fn check(&self) -> Result<(), Refused> {
        if self.is_forked() { Err(Refused::Forked) } else { Ok(()) }
    }

    fn check_driven_by(&self, socket_action: bool) -> Result<(), Refused> {
        match (self.by_socket_action.get(), socket_action) {
            (true, false) => Err(Refused::State("the handle is driven by socket action")),
            (false, true) => Err(Refused::State("the handle has no socket callback")),
            _ => Ok(()),
        }
    }

    /// From here until the answer is dropped, calls that drive the handle are refused.
    fn enter(&self) -> Result<Busy<'_>, Refused> {
        if self.busy.replace(true) { Err(Refused::Reentrant) } else { Ok(Busy(&self.busy)) }
    }
}

struct Busy<'a>(&'a Cell<bool>);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
