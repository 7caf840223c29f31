//! One question for a worker, and all who wait for its answer.
//!
//! Equal questions to libc that are under way at once are one: however often a name is asked for, it keeps
//! one worker. Who waits may leave at any time; when the last one has left, what no worker has begun leaves
//! the queue. What a worker has begun is joined still, also when nobody waits for it any more, but only where
//! libc, asked anew, would do the same:
//!
//! * hosts(5), nsswitch.conf(5) and resolv.conf(5) are those of its beginning, by stat(2). With
//!   `AI_ADDRCONFIG` it is never joined: libc looks at the addresses of this machine first.
//! * It was begun less than [`JOINED_FOR`] ago. One that takes longer hangs in something that may be mended
//!   by now, so then another worker tries.
//!
//! The caller's own function is asked each time.

use super::answer::Answer;
use super::pool::{self, Job, Place, Pool};
use super::query::{Form, Hints, Names, Query};
use super::system;
use crate::race::LookupError;
use crate::sys::atomic::{Mutex, MutexGuard};
use crate::sys::file::Stamp;
use crate::sys::fork::{self, PerProcess};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

/// As long as getaddrinfo(3) waits for a name whose servers keep silent, with the most servers that there are
/// and the schedule that is the default: 3 servers, 5 s, twice (resolv.conf(5)).
const JOINED_FOR: Duration = Duration::from_secs(30);

/// Somebody who waits for an answer, and knows by itself whether it is wanted still.
pub(super) trait Waiter: Send + Sync + 'static {
    /// A worker is at it. False if nobody wants it any more.
    fn take_up(&self) -> bool;
    fn is_finished(&self) -> bool;
    fn answer(&self, answer: Answer);
    fn give_up(&self, sys_errno: i32);
}

/// The question. Workers know it weakly while it waits in the queue.
pub(super) struct Joint {
    query: Query,
    place: Place,
    generation: u64,
    state: Mutex<State>,
}

struct State {
    /// Weakly: whoever lets go of one frees it.
    waiting: Vec<Weak<dyn Waiter>>,
    begun: Option<Begun>,
    /// Nobody may join any more.
    over: bool,
}

impl State {
    /// Those that wait and that somebody holds. To be let go of without the lock: one may be held no longer.
    fn living(&self) -> Vec<Arc<dyn Waiter>> {
        self.waiting.iter().filter_map(Weak::upgrade).collect()
    }
}

/// A worker is at it.
struct Begun {
    at: Instant,
    /// None: it is nobody else's.
    by: Option<[Stamp; 3]>,
}

/// What makes two questions equal.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    names: Names,
    hints: Hints,
    form: Form,
}

/// Those that were put last to libc, by what they ask. One that nobody holds any more is as good as none.
type Known = std::sync::Mutex<HashMap<Key, Weak<Joint>>>;

fn known() -> &'static Known {
    static KNOWN: PerProcess<Known> = PerProcess::new();
    KNOWN.get(Known::default)
}

impl Joint {
    pub fn new(query: Query, place: Place, first: Weak<dyn Waiter>) -> Joint {
        let state = State { waiting: vec![first], begun: None, over: false };
        Joint { query, place, generation: fork::generation(), state: Mutex::new(state) }
    }

    /// Has the one that `own` was made for wait for the answer to an equal question, which is given back. None:
    /// there is none, it is to be asked itself, and others may join it.
    pub fn join_equal(own: &Arc<Joint>, waiter: &Arc<impl Waiter>) -> Option<Arc<Joint>> {
        let key = own.key()?;
        let mut known = known().lock().unwrap_or_else(PoisonError::into_inner);
        let equal = known.get(&key).and_then(Weak::upgrade).filter(|equal| !Arc::ptr_eq(equal, own));
        let joined = equal.as_ref().is_some_and(|equal| equal.join(waiter));
        if !joined {
            if known.len() == known.capacity() {
                known.retain(|_, joint| joint.strong_count() > 0);
            }
            known.insert(key, Arc::downgrade(own));
        }
        // What may be the last of its kind is let go of without the lock.
        drop(known);
        equal.filter(|_| joined)
    }

    /// No worker can be had: those who have joined meanwhile are told; it may be put to the pool again for
    /// whose it is.
    pub fn take_back(&self, is_own: impl Fn(&dyn Waiter) -> bool) {
        self.forget();
        let mut state = self.state();
        let (own, others): (Vec<_>, Vec<_>) = state.living().into_iter().partition(|waiter| is_own(&**waiter));
        state.waiting = own.iter().map(Arc::downgrade).collect();
        drop(state);
        for waiter in others {
            waiter.give_up(libc::EAGAIN);
        }
    }

    /// One who waited has ended: if it was the last one, it leaves the queue. Not for signal handlers.
    pub fn leave(&self) {
        if self.generation != fork::generation() || !self.place.is_queued() {
            return;
        }
        let mut state = self.state();
        let waiting = state.living();
        let nobody = waiting.iter().all(|waiter| waiter.is_finished());
        state.over |= nobody;
        drop(state);
        if nobody {
            pool::withdraw(self);
        }
    }

    /// Has it served next, if it waits for a worker. Not for signal handlers.
    pub fn hasten(&self) {
        if self.place.is_queued() {
            pool::raise(self);
        }
    }

    /// Has one more wait for the answer. False: it is over, or is not what would be asked now.
    pub fn join(&self, waiter: &Arc<impl Waiter>) -> bool {
        let mut state = self.state();
        let is_joined = !state.over && state.begun.as_ref().is_none_or(|begun| self.is_fresh(begun));
        if is_joined {
            if state.begun.is_some() {
                // If it was cancelled meanwhile its answer is of no interest.
                waiter.take_up();
            }
            if state.waiting.len() == state.waiting.capacity() {
                state.waiting.retain(|waiter| waiter.strong_count() > 0);
            }
            let waiter: Weak<dyn Waiter> = Arc::downgrade(waiter) as _;
            state.waiting.push(waiter);
        }
        is_joined
    }

    /// Whether libc would do now what it has begun.
    fn is_fresh(&self, begun: &Begun) -> bool {
        begun.at.elapsed() < JOINED_FOR
            && self.query.hints().flags & libc::AI_ADDRCONFIG == 0
            && begun.by.is_some_and(|by| system::are_current(&by))
    }

    /// Whether others may wait for its answer.
    fn can_be_joined(&self) -> bool {
        !self.query.has_callback() && self.place.is_alone()
    }

    /// None: it is nobody else's.
    fn key(&self) -> Option<Key> {
        let Joint { query, .. } = self;
        let key = || Key { names: query.names().clone(), hints: query.hints(), form: query.form() };
        self.can_be_joined().then(key)
    }

    /// Nobody is to find it any more.
    fn forget(&self) {
        let Some(key) = self.key() else { return };
        let mut known = known().lock().unwrap_or_else(PoisonError::into_inner);
        if known.get(&key).is_some_and(|joint| std::ptr::eq(joint.as_ptr(), self)) {
            known.remove(&key);
        }
    }

    /// Ends it; who has waited for it to the end.
    fn end(&self) -> Vec<Arc<dyn Waiter>> {
        self.forget();
        let mut state = self.state();
        state.over = true;
        let waiting = state.living();
        state.waiting = Vec::new();
        waiting
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job for Joint {
    type Work = (Query, Arc<Joint>);
    type Outcome = Answer;

    fn place(&self) -> &Place {
        &self.place
    }

    fn is_over(&self) -> bool {
        let waiting = self.state().living();
        waiting.iter().all(|waiter| waiter.is_finished())
    }

    fn begin(self: &Arc<Joint>) -> Option<Self::Work> {
        let by = self.can_be_joined().then(system::stamps);
        let mut state = self.state();
        let waiting = state.living();
        let claimed = waiting.iter().filter(|waiter| waiter.take_up());
        state.waiting = claimed.map(Arc::downgrade).collect();
        state.begun = Some(Begun { at: Instant::now(), by });
        state.over = state.waiting.is_empty();
        let wanted = !state.over;
        drop(state);
        // While a worker is at it it lives on, so that whoever asks the same finds it.
        wanted.then(|| (self.query.clone(), Arc::clone(self)))
    }

    fn work((query, _lives_on): Self::Work) -> Answer {
        let failure = LookupError { gai_error: libc::EAI_FAIL, sys_errno: 0 };
        catch_unwind(AssertUnwindSafe(|| query.ask())).unwrap_or(Err(failure))
    }

    fn has_found(answer: &Answer) -> bool {
        answer.is_ok()
    }

    fn finish(&self, answer: Answer) {
        let mut waiting = self.end();
        let Some(last) = waiting.pop() else { return };
        for waiter in waiting {
            waiter.answer(answer.as_ref().map_err(|error| *error).and_then(|found| found.try_clone()));
        }
        last.answer(answer);
    }

    fn give_up(&self, sys_errno: i32) {
        for waiter in self.end() {
            waiter.give_up(sys_errno);
        }
    }

    fn pool() -> &'static PerProcess<Pool<Joint>> {
        static POOL: PerProcess<Pool<Joint>> = PerProcess::new();
        &POOL
    }
}

impl Drop for Joint {
    fn drop(&mut self) {
        if self.place.is_queued() && self.generation == fork::generation() {
            pool::withdraw(self);
        }
    }
}
