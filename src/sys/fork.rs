//! Which process this is, counted in forks.
//!
//! The number is kept in a page that the kernel clears in the child of every fork (madvise(2),
//! `MADV_WIPEONFORK`, Linux 4.14), so that it is right after fork, _Fork and a raw clone(2) alike, with no
//! handler that could be forgotten, ordered wrongly or left in an unloaded library. A child that finds the
//! page empty writes the next number into it. Where the kernel cannot clear a page, a pthread_atfork(3) child
//! handler clears the word instead; that sees fork(3) only.

use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// Where the number is kept; null until somebody asks. It holds 0 in a child that has not asked yet.
static WORD: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());
/// The last number given out. Ordinary memory: a child starts with its parent's.
static LAST: AtomicU64 = AtomicU64::new(0);
/// Stands in for the page where there is none.
static FALLBACK: AtomicU64 = AtomicU64::new(0);

/// A number that is the same throughout the life of a process and another one in each of its children. Two
/// loads; async-signal-safe after the first call in a process or one of its ancestors.
pub fn generation() -> u64 {
    let word = WORD.load(Ordering::Acquire);
    let word = if word.is_null() { choose_word() } else { word };
    // SAFETY: the word is in a mapping that is never unmapped, or in a static.
    let word = unsafe { &*word };
    match word.load(Ordering::Acquire) {
        0 => next_generation(word),
        number => number,
    }
}

/// The first call in a process. Threads that come here at once agree on the number that got into the word.
#[cold]
fn next_generation(word: &AtomicU64) -> u64 {
    // LAST is raised before the word is written: a fork in between must not give the child a number that was in
    // use here.
    let next = LAST.fetch_add(1, Ordering::AcqRel) + 1;
    word.compare_exchange(0, next, Ordering::AcqRel, Ordering::Acquire).map_or_else(|number| number, |_| next)
}

#[cold]
fn choose_word() -> *mut AtomicU64 {
    let candidate = wiped_page().unwrap_or((&raw const FALLBACK).cast_mut());
    match WORD.compare_exchange(std::ptr::null_mut(), candidate, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            if std::ptr::eq(candidate, &FALLBACK) {
                // Failure leaves a process whose children cannot be told apart; there is no better answer.
                let _ = at_fork(nothing, nothing, clear_in_child);
            }
            candidate
        }
        // Another thread chose first; the page made here stays mapped, once in a process.
        Err(chosen) => chosen,
    }
}

extern "C" fn nothing() {}

extern "C" fn clear_in_child() {
    FALLBACK.store(0, Ordering::Release);
}

/// A zeroed page that reads as zero again in every child.
fn wiped_page() -> Option<*mut AtomicU64> {
    // SAFETY: a new private mapping touches no memory of anybody's; its size is one page on every architecture
    // (it is rounded up).
    unsafe {
        let page = libc::mmap(
            std::ptr::null_mut(),
            size_of::<AtomicU64>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if page == libc::MAP_FAILED {
            return None;
        }
        if libc::madvise(page, size_of::<AtomicU64>(), libc::MADV_WIPEONFORK) != 0 {
            libc::munmap(page, size_of::<AtomicU64>());
            return None;
        }
        Some(page.cast())
    }
}

/// Has functions called around every fork(3): before it, and after it in the parent and in the child. Failure
/// (ENOMEM) leaves forks as they were.
///
/// The functions stay mapped: the object that holds this code is never unloaded.
pub(crate) fn at_fork(
    before: extern "C" fn(),
    in_parent: extern "C" fn(),
    in_child: extern "C" fn(),
) -> std::io::Result<()> {
    // SAFETY: plain functions that stay mapped.
    match unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) } {
        0 => Ok(()),
        error => Err(std::io::Error::from_raw_os_error(error)),
    }
}

/// A value that each process has for itself: in the child of a fork the parent's is left behind, untouched,
/// since a lock in it may be held for ever, and a fresh one is made. There is no fork handler, and so no lock
/// to be taken in one.
pub(crate) struct PerProcess<T> {
    current: AtomicPtr<Held<T>>,
}

struct Held<T> {
    generation: u64,
    value: T,
    /// The parent's, which nobody looks at again. With it here no leak checker takes it for lost.
    _left_behind: *mut Held<T>,
}

impl<T: Send + Sync> PerProcess<T> {
    pub const fn new() -> PerProcess<T> {
        PerProcess { current: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// The value of this process, made by the first call. Of calls that come at once more than one may make a
    /// value, and all get the same.
    pub fn get(&'static self, make: impl FnOnce() -> T) -> &'static T {
        let made: Result<_, std::convert::Infallible> = self.try_get(|| Ok(make()));
        match made {
            Ok(value) => value,
        }
    }

    /// The same with a value that cannot always be made: then it is tried anew the next time.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn try_get<E>(&'static self, make: impl FnOnce() -> Result<T, E>) -> Result<&'static T, E> {
        let generation = generation();
        let current = self.current.load(Ordering::Acquire);
        // SAFETY: what was put here is never freed.
        if let Some(held) = unsafe { current.as_ref() }.filter(|held| held.generation == generation) {
            return Ok(&held.value);
        }
        let fresh = Box::into_raw(Box::new(Held { generation, value: make()?, _left_behind: current }));
        Ok(match self.current.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: as above.
            Ok(_) => unsafe { &(*fresh).value },
            Err(other) => {
                // SAFETY: nobody else has seen `fresh`; `other` was put in place by another thread of this process, so
                // it is of this generation, and never freed.
                unsafe {
                    drop(Box::from_raw(fresh));
                    &(*other).value
                }
            }
        })
    }
}
