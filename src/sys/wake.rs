//! The wake-up: what a finished lookup, a cancel or an interrupt does to whoever waits.
//!
//! A [`Waker`] is one futex word. Waking costs one atomic swap, and a system call only if somebody sleeps. A
//! descriptor (an eventfd) is made only for a waiter that must watch sockets and lookups in one poll(2); from
//! then on a wake-up also makes it readable.

use crate::sys::atomic::{AtomicU32, Ordering};
use std::io;
use std::os::fd::RawFd;
use std::time::Instant;

/// A wake-up is pending. Never together with SLEEPING: the wake that sets the one clears the other.
const WOKEN: u32 = 1;
/// Somebody may be asleep on the word. A sleeper that gave up leaves it set; that costs one futex call, once.
const SLEEPING: u32 = 2;
/// The descriptor was made: whoever wakes must make it readable. Stays set.
const POLLED: u32 = 4;

/// A wake-up that is kept until somebody takes it; many wakes before that are one.
///
/// Any number of threads may wake, wait and take. [`wake`](Waker::wake) is async-signal-safe.
pub struct Waker {
    word: AtomicU32,
    signal: signal::Signal,
    sleep: sleep::Sleep,
}

impl Waker {
    #[cfg(not(loom))]
    pub const fn new() -> Waker {
        Waker { word: AtomicU32::new(0), signal: signal::Signal::new(), sleep: sleep::Sleep::new() }
    }
    #[cfg(loom)]
    pub fn new() -> Waker {
        Waker { word: AtomicU32::new(0), signal: signal::Signal::new(), sleep: sleep::Sleep::new() }
    }

    /// Leaves a wake-up and rouses whoever waits. Any thread, any signal handler; never blocks, leaves errno
    /// as it was.
    pub fn wake(&self) {
        let mut before = self.word.load(Ordering::Relaxed);
        // Release: what was written before the wake is seen by whoever takes it, also where the word had it pending
        // already, hence no short cut for that case. Acquire: a descriptor that is announced in the word.
        while let Err(now) =
            self.word.compare_exchange_weak(before, before & POLLED | WOKEN, Ordering::AcqRel, Ordering::Relaxed)
        {
            before = now;
        }
        if before & WOKEN != 0 {
            // Whoever left the pending one rouses the sleepers and makes the descriptor readable.
            return;
        }
        if before & SLEEPING != 0 {
            self.sleep.rouse(&self.word);
        }
        if before & POLLED != 0 {
            self.signal.raise();
        }
    }

    /// Consumes a pending wake-up, descriptor included; true if there was one. All that was written before
    /// the wakes that it stands for is visible afterwards.
    pub fn take(&self) -> bool {
        // The descriptor first. In the other order a wake between the two would leave its word pending and its
        // descriptor drained, and a poll would sleep on it. In this order the worst is a readable descriptor
        // with nothing behind it.
        if self.word.load(Ordering::Acquire) & POLLED != 0 {
            self.signal.lower();
        }
        self.word.fetch_and(!WOKEN, Ordering::AcqRel) & WOKEN != 0
    }

    /// Waits until a wake-up is pending (true; it stays pending) or the deadline has passed (false). A signal
    /// does not end the wait. Without a deadline it waits for ever.
    pub fn wait(&self, deadline: Option<Instant>) -> bool {
        loop {
            let before = self.word.load(Ordering::Acquire);
            if before & WOKEN != 0 {
                return true;
            }
            let asleep = before | SLEEPING;
            if self.word.compare_exchange(before, asleep, Ordering::Relaxed, Ordering::Relaxed).is_err() {
                continue;
            }
            if !self.sleep.wait(&self.word, asleep, deadline) {
                return self.word.load(Ordering::Acquire) & WOKEN != 0;
            }
        }
    }

    /// The descriptor (close-on-exec, non-blocking) to poll for reading: readable while a wake-up is pending.
    /// It is made by the first call, stays the Waker's own, and is closed with it. Do not read it:
    /// [`take`](Waker::take) does.
    ///
    /// # Errors
    /// What eventfd(2) says (`EMFILE`, `ENFILE`, `ENOMEM`); `ESTALE` in the child of a fork when the
    /// descriptor was made before it, since the two processes would steal each other's wake-ups.
    pub fn descriptor(&self) -> io::Result<RawFd> {
        let descriptor = self.signal.open()?;
        // Either the announcement comes after a wake and finds it here, or a later wake finds the announcement: it is
        // one word.
        if self.word.fetch_or(POLLED, Ordering::AcqRel) & (WOKEN | POLLED) == WOKEN {
            self.signal.raise();
        }
        Ok(descriptor)
    }

    /// What a poll of the descriptor would say.
    #[cfg(all(test, loom))]
    pub(crate) fn is_readable(&self) -> bool {
        self.signal.is_readable()
    }

    /// The descriptor if it was made.
    pub fn existing_descriptor(&self) -> Option<RawFd> {
        self.signal.existing()
    }
}

impl Default for Waker {
    fn default() -> Waker {
        Waker::new()
    }
}

#[cfg(not(loom))]
mod sleep {
    use crate::sys::futex;
    use std::sync::atomic::AtomicU32;
    use std::time::Instant;

    /// Where the sleepers are: the kernel keeps them, by the address of the word.
    pub(super) struct Sleep;

    impl Sleep {
        pub(super) const fn new() -> Sleep {
            Sleep
        }
        pub(super) fn wait(&self, word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> bool {
            futex::wait(word, expected, deadline)
        }
        pub(super) fn rouse(&self, word: &AtomicU32) {
            futex::rouse(word);
        }
    }
}

#[cfg(not(loom))]
mod signal {
    use crate::sys::fork;
    use std::io;
    use std::os::fd::RawFd;
    use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

    const NONE: i32 = -1;

    /// The eventfd of a Waker, if it has one.
    pub(super) struct Signal {
        descriptor: AtomicI32,
        /// The fork generation the descriptor was made in. A child has the parent's eventfd, and must neither
        /// write nor drain it.
        generation: AtomicU64,
    }

    impl Signal {
        pub(super) const fn new() -> Signal {
            Signal { descriptor: AtomicI32::new(NONE), generation: AtomicU64::new(0) }
        }

        pub(super) fn existing(&self) -> Option<RawFd> {
            Some(self.descriptor.load(Ordering::Acquire)).filter(|&descriptor| descriptor != NONE)
        }

        fn own(&self) -> Option<RawFd> {
            self.existing().filter(|_| self.generation.load(Ordering::Relaxed) == fork::generation())
        }

        pub(super) fn open(&self) -> io::Result<RawFd> {
            if let Some(descriptor) = self.existing() {
                return self.own().ok_or_else(|| io::Error::from_raw_os_error(libc::ESTALE)).map(|_| descriptor);
            }
            // SAFETY: no memory is involved.
            let made = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
            if made == -1 {
                return Err(io::Error::last_os_error());
            }
            // Before the descriptor can be seen. Two threads that come here at once write the same value.
            self.generation.store(fork::generation(), Ordering::Relaxed);
            match self.descriptor.compare_exchange(NONE, made, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => Ok(made),
                Err(other) => {
                    // SAFETY: `made` came from eventfd just now and nobody else knows it.
                    unsafe { libc::close(made) };
                    Ok(other)
                }
            }
        }

        /// Makes the descriptor readable. Async-signal-safe; keeps errno.
        pub(super) fn raise(&self) {
            let Some(descriptor) = self.own() else { return };
            let one = 1u64;
            // SAFETY: eight bytes are read from `one`; the descriptor is ours while `self` lives. __errno_location has
            // no precondition.
            unsafe {
                let errno = *libc::__errno_location();
                // EAGAIN (the counter is at its end) means that it is readable already. A write that was interrupted
                // (no kernel does it to a non-blocking eventfd, a tracer or a sandbox may) is made
                // again: a wake-up is never lost. Nothing else can fail.
                while libc::write(descriptor, (&raw const one).cast(), 8) == -1
                    && *libc::__errno_location() == libc::EINTR
                {}
                *libc::__errno_location() = errno;
            }
        }

        /// Makes the descriptor unreadable until the next raise.
        pub(super) fn lower(&self) {
            let Some(descriptor) = self.own() else { return };
            let mut count = 0u64;
            // SAFETY: eight bytes are written to `count`; the descriptor is ours while `self` lives. EAGAIN: it was not
            // readable.
            unsafe {
                libc::read(descriptor, (&raw mut count).cast(), 8);
            }
        }
    }

    impl Drop for Signal {
        fn drop(&mut self) {
            if let Some(descriptor) = self.existing() {
                // SAFETY: the descriptor is this process's own copy, also in the child of a fork, and nobody can raise
                // it any more.
                unsafe { libc::close(descriptor) };
            }
        }
    }
}

/// Under the model checker the kernel's part is a mutex and a condition variable.
#[cfg(loom)]
mod sleep {
    use loom::sync::atomic::{AtomicU32, Ordering};
    use loom::sync::{Condvar, Mutex};
    use std::time::Instant;

    pub(super) struct Sleep {
        kernel: Mutex<()>,
        sleepers: Condvar,
    }

    impl Sleep {
        pub(super) fn new() -> Sleep {
            Sleep { kernel: Mutex::new(()), sleepers: Condvar::new() }
        }
        pub(super) fn wait(&self, word: &AtomicU32, expected: u32, _deadline: Option<Instant>) -> bool {
            let guard = self.kernel.lock().unwrap();
            if word.load(Ordering::SeqCst) == expected {
                drop(self.sleepers.wait(guard).unwrap());
            }
            true
        }
        pub(super) fn rouse(&self, _word: &AtomicU32) {
            drop(self.kernel.lock().unwrap());
            self.sleepers.notify_all();
        }
    }
}

/// Under the model checker the descriptor is a flag that is not ordered with anything: the word has to do
/// that.
#[cfg(loom)]
mod signal {
    use loom::sync::atomic::{AtomicBool, Ordering};
    use std::io;
    use std::os::fd::RawFd;

    pub(super) struct Signal {
        readable: AtomicBool,
    }

    impl Signal {
        pub(super) fn new() -> Signal {
            Signal { readable: AtomicBool::new(false) }
        }
        pub(super) fn existing(&self) -> Option<RawFd> {
            None
        }
        pub(super) fn open(&self) -> io::Result<RawFd> {
            Ok(0)
        }
        pub(super) fn raise(&self) {
            self.readable.store(true, Ordering::SeqCst);
        }
        pub(super) fn lower(&self) {
            self.readable.swap(false, Ordering::SeqCst);
        }
        #[cfg(test)]
        pub(super) fn is_readable(&self) -> bool {
            self.readable.load(Ordering::SeqCst)
        }
    }
}
