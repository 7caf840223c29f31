//! The gate before libc's resolver, which a fork closes for a moment.
//!
//! glibc's resolver has locks that fork does not put in order: that of the parsed resolv.conf
//! (resolv/resolv_conf.c) and that of the interface list (check_pf.c). A child that is forked while another
//! thread holds one cannot look up any more. They are held for some microseconds each, but nearly all of it
//! right after a lookup has begun: later it waits for the network and holds none. So fork waits until those
//! that have just begun are through or have got as far as the network, and no other begins meanwhile. It
//! waits [`LONGEST_WAIT`] at most, never for a lookup, and not at all if none began within that time.
//!
//! What is left: an answer that arrives from the network during the fork, for which libc then takes a lock
//! for a moment (see `host.rs` for how a race's lookups keep that moment short), and a worker that lost its
//! CPU with a lock in its hands. With 50 lookups running, two thousand a second, on two CPUs with a load of
//! 15, two children of 3,600 found a lock taken; without `host.rs` and this gate 4 to 15 of 100 did.

use crate::sys::fork::{self, PerProcess};
use crate::sys::futex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long fork(3) may wait at most, and how long ago a lookup must have begun to be taken for one that
/// waits for the network.
const LONGEST_WAIT: Duration = Duration::from_millis(1);
/// How long who waits at the gate sleeps at most before it looks again.
const LONGEST_SLEEP: Duration = Duration::from_millis(10);
/// How many lookups that have just begun are remembered.
const REMEMBERED: usize = 256;

/// How many forks are being prepared. Also the futex word that those who wait at the gate sleep on.
static CLOSED: AtomicU32 = AtomicU32::new(0);
/// When each of the last lookups entered libc, as `now` says it; 0 when it has left. The places are used in
/// turn.
static ENTERED: [AtomicU64; REMEMBERED] = [const { AtomicU64::new(0) }; REMEMBERED];
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Calls `ask` once no fork is being prepared, and lets forks know while it has just begun.
pub(super) fn pass<R>(ask: impl FnOnce() -> R) -> R {
    install();
    let place = &ENTERED[NEXT.fetch_add(1, Ordering::Relaxed) % REMEMBERED];
    let mut entered = now();
    loop {
        // SeqCst, here and in `close`: either the fork sees the entry, or it is seen from here that the gate is
        // closed.
        place.store(entered, Ordering::SeqCst);
        let closed = CLOSED.load(Ordering::SeqCst);
        if closed == 0 {
            break;
        }
        place.store(0, Ordering::Release);
        // For a bounded time: the word is looked at again.
        futex::wait(&CLOSED, closed, Some(Instant::now() + LONGEST_SLEEP));
        entered = now();
    }
    let answer = ask();
    // The place may have been given to another lookup meanwhile.
    let _ = place.compare_exchange(entered, 0, Ordering::Release, Ordering::Relaxed);
    answer
}

fn install() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if !INSTALLED.swap(true, Ordering::Relaxed) {
        // Without memory for the registration forks do not wait, that is all.
        let _ = fork::at_fork(close, open_in_parent, open_in_child);
    }
}

extern "C" fn close() {
    CLOSED.fetch_add(1, Ordering::SeqCst);
    let begin = now();
    let limit = LONGEST_WAIT.as_nanos() as u64;
    let young = |entered: u64| entered != 0 && now().saturating_sub(entered) < limit;
    while ENTERED.iter().any(|place| young(place.load(Ordering::SeqCst))) && now() - begin < limit {
        std::thread::yield_now();
    }
}

extern "C" fn open_in_parent() {
    CLOSED.fetch_sub(1, Ordering::SeqCst);
    futex::rouse(&CLOSED);
}

extern "C" fn open_in_child() {
    for place in &ENTERED {
        place.store(0, Ordering::Relaxed);
    }
    CLOSED.store(0, Ordering::SeqCst);
}

/// Nanoseconds of the monotonic clock, from a moment in the life of this process; never 0.
fn now() -> u64 {
    static BEGIN: PerProcess<Instant> = PerProcess::new();
    BEGIN.get(Instant::now).elapsed().as_nanos() as u64 + 1
}
