//! The gate before libc's resolver, which a fork closes for a moment.
//!
//! glibc's resolver has locks that fork does not put in order: that of the parsed resolv.conf (resolv/resolv_conf.c) and that of the
//! interface list (check_pf.c). A child that is forked while another thread holds one cannot look up any more. They are held for
//! some microseconds each, but nearly all of it right after a lookup has begun: later it waits for the network and holds none. So
//! fork waits until those that have just begun are through or have got as far as the network, and no other begins meanwhile. It
//! waits [`LONGEST_WAIT`] at most, never for a lookup, and not at all if none began within that time.
//!
//! What is left: an answer that arrives from the network during the fork, for which libc then takes a lock for a moment (see `host.rs`
//! for how a race's lookups keep that moment short), and a worker that lost its CPU with a lock in its hands. With 50 lookups running,
//! two thousand a second, on two CPUs with a load of 15, two children of 3,600 found a lock taken; without `host.rs` and this gate 4 to 15
//! of 100 did.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// How long fork(3) may wait at most, and how long ago a lookup must have begun to be taken for one that waits for the network.
const LONGEST_WAIT: Duration = Duration::from_millis(1);
/// How many lookups that have just begun are remembered.
const REMEMBERED: usize = 256;

/// How many forks are being prepared. Also the futex word that those who wait at the gate sleep on.
static CLOSED: AtomicU32 = AtomicU32::new(0);
/// When each of the last lookups entered libc, in nanoseconds of CLOCK_MONOTONIC; 0 when it has left. The places are used in turn.
static ENTERED: [AtomicU64; REMEMBERED] = [const { AtomicU64::new(0) }; REMEMBERED];
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Calls `ask` once no fork is being prepared, and lets forks know while it has just begun.
pub(super) fn pass<R>(ask: impl FnOnce() -> R) -> R {
    install();
    let place = &ENTERED[NEXT.fetch_add(1, Ordering::Relaxed) % REMEMBERED];
    let mut entered = now();
    loop {
        // SeqCst, here and in `close`: either the fork sees the entry, or it is seen from here that the gate is closed.
        place.store(entered, Ordering::SeqCst);
        let closed = CLOSED.load(Ordering::SeqCst);
        if closed == 0 {
            break;
        }
        place.store(0, Ordering::Release);
        sleep_while(&CLOSED, closed);
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
        // SAFETY: plain functions that stay mapped, since the shared library is linked so that it is never unloaded. Without memory for
        // the registration (ENOMEM) forks do not wait, that is all.
        unsafe { libc::pthread_atfork(Some(close), Some(open_in_parent), Some(open_in_child)) };
    }
}

extern "C" fn close() {
    CLOSED.fetch_add(1, Ordering::SeqCst);
    let begin = now();
    let limit = LONGEST_WAIT.as_nanos() as u64;
    let young = |entered: u64| entered != 0 && now().saturating_sub(entered) < limit;
    while ENTERED.iter().any(|place| young(place.load(Ordering::SeqCst))) && now() - begin < limit {
        // SAFETY: no memory is involved.
        unsafe { libc::sched_yield() };
    }
}

extern "C" fn open_in_parent() {
    CLOSED.fetch_sub(1, Ordering::SeqCst);
    // SAFETY: the word is a static; FUTEX_WAKE uses its address as a key only.
    unsafe {
        libc::syscall(libc::SYS_futex, CLOSED.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, i32::MAX);
    }
}

extern "C" fn open_in_child() {
    for place in &ENTERED {
        place.store(0, Ordering::Relaxed);
    }
    CLOSED.store(0, Ordering::SeqCst);
}

/// Sleeps while the word has the value, for a bounded time: the caller looks again.
fn sleep_while(word: &AtomicU32, value: u32) {
    let limit = libc::timespec { tv_sec: 0, tv_nsec: 10_000_000 };
    // SAFETY: the word is a static and the limit outlives the call.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            value,
            &raw const limit,
        );
    }
}

fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is for the call to fill; CLOCK_MONOTONIC is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
