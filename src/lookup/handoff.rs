//! The states of a request, and how its answer passes from the worker to the owner.
//!
//! ```text
//! idle -> queued -> running -> answered -> taken
//!   \________\_________\____-> ended ----/^        (cancelled, or given up)
//! ```
//!
//! Each arrow is one compare-and-swap on one word, so of a worker that brings the answer and any number of
//! cancels exactly one ends the request, and a cancel needs nothing that a signal handler may not do.

use crate::sys::atomic::{AtomicU32, Ordering, UnsafeCell};

const IDLE: u32 = 0;
const QUEUED: u32 = 1;
const RUNNING: u32 = 2;
const ANSWERED: u32 = 3;
const TAKEN: u32 = 4;
/// Ended without an answer; the low bits are the errno that says why. One word holds both, so that both
/// change at once.
const ENDED: u32 = 1 << 16;

pub(crate) struct Handoff<T> {
    state: AtomicU32,
    answer: UnsafeCell<Option<T>>,
}

/// What [`Handoff::take`] finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken<T> {
    Answer(T),
    /// It was ended with this errno before an answer came.
    Ended(i32),
}

// SAFETY: the state word says who may touch the cell, and it is never two threads: the one that made it
// RUNNING until it makes it ANSWERED or finds that it no longer can, then the one that makes it TAKEN. The
// value moves between threads, hence T: Send.
unsafe impl<T: Send> Sync for Handoff<T> {}
// SAFETY: as above; the Handoff is moved whole.
unsafe impl<T: Send> Send for Handoff<T> {}

impl<T> Handoff<T> {
    pub(crate) fn new() -> Handoff<T> {
        Handoff { state: AtomicU32::new(IDLE), answer: UnsafeCell::new(None) }
    }

    /// Idle becomes queued; false if it is not idle.
    pub(crate) fn queue(&self) -> bool {
        self.step(IDLE, QUEUED, Ordering::Relaxed)
    }

    /// Queued becomes idle again: the start came to nothing.
    pub(crate) fn unqueue(&self) -> bool {
        self.step(QUEUED, IDLE, Ordering::Relaxed)
    }

    /// Queued becomes running; false if it was ended meanwhile. Whoever gets true, and no other, calls
    /// [`finish`](Handoff::finish).
    pub(crate) fn claim(&self) -> bool {
        // No data is published with the state here; the queue's lock has ordered what the claimer reads of the
        // request.
        self.step(QUEUED, RUNNING, Ordering::Relaxed)
    }

    /// Hands over the answer. If the request was ended meanwhile the answer comes back, to be freed by the
    /// caller.
    pub(crate) fn finish(&self, answer: T) -> Result<(), T> {
        // SAFETY: the caller's `claim` made the state RUNNING. Whatever a cancel or a take have made of it since,
        // they leave the cell alone unless they find ANSWERED, which only the step below writes.
        self.answer.with_mut(|cell| unsafe { *cell = Some(answer) });
        // Release: whoever reads ANSWERED sees the cell as it was left here.
        if self.step(RUNNING, ANSWERED, Ordering::Release) {
            return Ok(());
        }
        // SAFETY: the step failed, so nobody else will ever read the cell.
        match self.answer.with_mut(|cell| unsafe { (*cell).take() }) {
            Some(answer) => Err(answer),
            None => unreachable!("the cell was filled above"),
        }
    }

    /// Ends a request that has no answer yet. True for exactly one caller, and only if no answer came first.
    /// Async-signal-safe.
    pub(crate) fn end(&self, errno: i32) -> bool {
        let ended = ENDED | (errno as u32 & (ENDED - 1));
        let mut state = self.state.load(Ordering::Relaxed);
        while matches!(state, IDLE | QUEUED | RUNNING) {
            // Release on success pairs with the load in `take`, so that the owner sees what the canceller did before.
            match self.state.compare_exchange_weak(state, ended, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    /// Whether [`take`](Handoff::take) would find something or has found it.
    pub(crate) fn is_over(&self) -> bool {
        !matches!(self.state.load(Ordering::Acquire), IDLE | QUEUED | RUNNING)
    }

    /// Whether it was ended without an answer, and nobody has taken note of it.
    pub(crate) fn is_ended(&self) -> bool {
        self.state.load(Ordering::Relaxed) & ENDED != 0
    }

    /// The answer or the end, once.
    pub(crate) fn take(&self) -> Option<Taken<T>> {
        let state = self.state.load(Ordering::Relaxed);
        if state != ANSWERED && state & ENDED == 0 {
            return None;
        }
        // Neither state changes into anything but TAKEN, so a failure means that another thread was first. Acquire:
        // the answer that was released with ANSWERED.
        if !self.step(state, TAKEN, Ordering::Acquire) {
            return None;
        }
        if state != ANSWERED {
            return Some(Taken::Ended((state & (ENDED - 1)) as i32));
        }
        // SAFETY: this thread made the one step from ANSWERED to TAKEN; the worker's last access is before its
        // ANSWERED.
        self.answer.with_mut(|cell| unsafe { (*cell).take() }).map(Taken::Answer)
    }

    fn step(&self, from: u32, to: u32, success: Ordering) -> bool {
        self.state.compare_exchange(from, to, success, Ordering::Relaxed).is_ok()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_once() {
        let handoff = Handoff::new();
        assert!(handoff.queue() && !handoff.queue() && handoff.claim());
        assert_eq!(handoff.take(), None);
        assert_eq!(handoff.finish(7), Ok(()));
        assert!(handoff.is_over() && !handoff.end(libc::ECANCELED));
        assert_eq!(handoff.take(), Some(Taken::Answer(7)));
        assert_eq!(handoff.take(), None);
    }

    #[test]
    fn the_first_end_wins_and_the_late_answer_comes_back() {
        let handoff = Handoff::new();
        assert!(handoff.queue() && handoff.claim());
        assert!(handoff.end(libc::ECANCELED) && !handoff.end(libc::ETIMEDOUT));
        assert_eq!(handoff.take(), Some(Taken::Ended(libc::ECANCELED)));
        assert_eq!(handoff.finish(7), Err(7));
        assert_eq!(handoff.take(), None);
    }

    #[test]
    fn what_was_ended_while_queued_is_not_claimed() {
        let handoff = Handoff::<i32>::new();
        assert!(handoff.queue() && handoff.end(libc::ETIMEDOUT));
        assert!(!handoff.claim() && !handoff.unqueue() && !handoff.queue());
    }
}
