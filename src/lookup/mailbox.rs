//! Where ended lookups leave their tokens.

use crate::sys::atomic::{AtomicPtr, Ordering};
use crate::sys::wake::Waker;
use std::sync::Arc;

/// A token on its way. It is allocated with its request, so that posting it needs no memory.
pub(crate) struct Note {
    token: u64,
    next: *mut Note,
}

impl Note {
    pub(crate) fn new(token: u64) -> Box<Note> {
        Box::new(Note { token, next: std::ptr::null_mut() })
    }
}

/// The tokens of the lookups that have ended, and the [`Waker`] that tells of them.
///
/// Posting is lock-free: a cancel may do it from a signal handler, and a fork in the middle of it leaves
/// nothing locked in the child. One wake-up per batch: only the token that finds the mailbox empty wakes. So
/// a waiter calls [`waker().take()`](Waker::take) first and [`collect`](Mailbox::collect) after it; in the
/// other order a token could come between the two and lose its wake-up.
///
/// The owner keeps it alive; the workers know it only through the requests that still have an owner. Its
/// wake-up descriptor is closed with it, so no worker can write into a descriptor that was closed and opened
/// again as something else.
pub struct Mailbox {
    /// The last posted first.
    newest: AtomicPtr<Note>,
    waker: Waker,
}

// SAFETY: the notes are plain memory, owned by the list once they are in it; the list is changed by atomic
// operations alone.
unsafe impl Send for Mailbox {}
// SAFETY: as above.
unsafe impl Sync for Mailbox {}

impl Mailbox {
    pub fn new() -> Arc<Mailbox> {
        Arc::new(Mailbox { newest: AtomicPtr::new(std::ptr::null_mut()), waker: Waker::new() })
    }

    /// The wake-up that is given for a token. Others who wake the same waiter (a cancel, an interrupt) may
    /// use it too.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Adds a token, and wakes if it is the first. Async-signal-safe.
    pub(crate) fn post(&self, note: Box<Note>) {
        let note = Box::into_raw(note);
        let mut newest = self.newest.load(Ordering::Relaxed);
        loop {
            // SAFETY: the note is not in the list yet, so this thread is its only owner.
            unsafe { (*note).next = newest };
            // Release: whoever collects the note sees what its request became. There is no ABA: notes leave only all
            // together.
            match self.newest.compare_exchange_weak(newest, note, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => newest = now,
            }
        }
        if newest.is_null() {
            self.waker.wake();
        }
    }

    /// Appends all tokens, oldest first, and empties the mailbox. One load when it is empty.
    pub fn collect(&self, into: &mut Vec<u64>) {
        if self.is_empty() {
            return;
        }
        let mut note = self.newest.swap(std::ptr::null_mut(), Ordering::Acquire);
        let first = into.len();
        while !note.is_null() {
            // SAFETY: the swap made this thread the owner of the whole list; each note came from Box::into_raw.
            let owned = unsafe { Box::from_raw(note) };
            into.push(owned.token);
            note = owned.next;
        }
        into[first..].reverse();
    }

    pub fn is_empty(&self) -> bool {
        self.newest.load(Ordering::Acquire).is_null()
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.collect(&mut Vec::new());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_oldest_first_with_one_wake_up() {
        let mailbox = Mailbox::new();
        let mut tokens = vec![9];
        mailbox.collect(&mut tokens);
        assert!(mailbox.is_empty() && !mailbox.waker().take());
        for token in 1..=3 {
            mailbox.post(Note::new(token));
        }
        assert!(mailbox.waker().take() && !mailbox.waker().take());
        mailbox.collect(&mut tokens);
        assert_eq!(tokens, [9, 1, 2, 3]);
        assert!(mailbox.is_empty());
    }
}
