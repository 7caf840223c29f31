//! `happy_history`: what connects learn from each other.

use super::boundary::{Status, boxed, export, fail};
use super::codes::*;
use crate::history::History;
use std::ffi::c_int;
use std::mem::{offset_of, size_of};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// What connects have learnt of the networks that this system is in, for those that come after them: put it
/// into `history` of their options.
///
/// It remembers handshake times by the address of this system and that of the destination, which addresses
/// were used, and by the address of this system whether attempts go unanswered. So what was learnt in one
/// network is never used in another (RFC 8305, section 4). With it
///
///   * of addresses that rank alike those with the shorter handshake go first, then those that were used
///     before;
///   * the time to the next attempt is that after which the first packet of the handshake would be sent again
///     (RFC 6298), from 100 ms, or `connection_attempt_delay_ms` if that is less, to 2 s;
///   * a family that goes unanswered is kept one attempt behind the other, so that a network without a
///     working IPv6 costs one delay and not one a connect.
///
/// Ten minutes after the last news everything is forgotten, and one connect in 64 takes the standard's order.
/// It holds at most 1024 destinations, in less than 128 KiB, and writes nothing to a disk.
///
/// Reference-counted: happy_history_new gives one reference, a connect keeps what it needs of it. Any
/// function may be called from any thread, several at once. The child of a fork makes its own: there one from
/// before the fork is empty and stays so.
pub struct happy_history {
    references: AtomicUsize,
    history: Arc<History>,
}

/// What a history holds at a moment. Set `size` before it is filled: `happy_history_report report =
/// HAPPY_HISTORY_REPORT_INIT;`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct happy_history_report {
    /// sizeof(happy_history_report) as the caller was compiled. Only fields that lie within it are written.
    pub size: usize,
    /// Destinations of which something is known.
    pub destinations: u32,
    /// Networks, by the addresses that this system has in them.
    pub networks: u32,
    /// Networks in which IPv6 does not answer.
    pub unanswered_v6: u32,
    /// Networks in which IPv4 does not answer.
    pub unanswered_v4: u32,
}

/// The size of the struct in 0.1.0, the first version: a smaller one is no struct but an accident.
const FIRST_SIZE: usize = offset_of!(happy_history_report, unanswered_v4) + size_of::<u32>();
// What is appended goes behind what was there, and padding would be a field of theirs with any value.
const _: () = assert!(FIRST_SIZE == size_of::<happy_history_report>(), "no padding behind the last field");
/// So is a larger one.
const GREATEST_SIZE: usize = 4096;

impl happy_history {
    pub(super) fn shared(&self) -> Arc<History> {
        Arc::clone(&self.history)
    }
}

/// Makes an empty history.
///
/// Parameters
///   ret_history       receives one reference, to be dropped with happy_history_unref; written only with
///                     HAPPY_OK
///
/// Returns
///   HAPPY_OK          and one reference in `*ret_history`
///   HAPPY_EINVALID    `ret_history` is NULL
///   HAPPY_ENOMEM
///
/// Threads: any
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_history_new(ret_history: *mut *mut happy_history) -> c_int {
    export!(Status, {
        if ret_history.is_null() {
            return fail(HAPPY_EINVALID, "ret_history: NULL");
        }
        let history = Arc::new(History::new(Instant::now()));
        let Some(made) = boxed(happy_history { references: AtomicUsize::new(1), history }) else {
            return fail(HAPPY_ENOMEM, "out of memory");
        };
        // SAFETY: not NULL, and the caller's to be written.
        unsafe { *ret_history = Box::into_raw(made) };
        Status::OK
    })
}

/// Takes one more reference, to be dropped with happy_history_unref.
///
/// Returns
///   self              the same; NULL for NULL
///
/// Threads: any, at the same time, while one has a reference
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_history_ref(self_: *mut happy_history) -> *mut happy_history {
    export!(*mut happy_history, history = self_, {
        // Relaxed: whoever takes a reference has one already.
        history.references.fetch_add(1, Ordering::Relaxed);
        self_
    })
}

/// Drops a reference. Connects that were begun with it go on using it. NULL is a no-op.
///
/// Parameters
///   self              the reference that is given up
///
/// Threads: any
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_history_unref(self_: *mut happy_history) {
    export!((), history = self_, {
        // Release: what this owner did comes before the end; the load below is the other side, and unlike a
        // fence the thread sanitizer understands it.
        if history.references.fetch_sub(1, Ordering::Release) == 1 {
            history.references.load(Ordering::Acquire);
            // SAFETY: that was the last reference, to what happy_history_new made with Box::into_raw.
            drop(unsafe { Box::from_raw(self_) });
        }
    })
}

/// Forgets everything. For a system that has moved to another network whose addresses are like those of the
/// last; it is not needed otherwise.
///
/// Returns
///   HAPPY_OK
///   HAPPY_EFORKED
///   HAPPY_EINVALID    `self` is NULL
///
/// Threads: any
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_history_flush(self_: *mut happy_history) -> c_int {
    export!(Status, history = self_, {
        if history.history.is_forked() {
            return fail(HAPPY_EFORKED, "the history was made before a fork");
        }
        history.history.flush();
        Status::OK
    })
}

/// Tells what the history holds now: how much it knows, and in how many networks a family does not answer,
/// which a race hides otherwise.
///
/// Parameters
///   ret_report        receives the report; its `size` is set before, by HAPPY_HISTORY_REPORT_INIT; written
///                     only with HAPPY_OK
///
/// Returns
///   HAPPY_OK          and the report in `*ret_report`
///   HAPPY_EFORKED
///   HAPPY_EINVALID    `self` or `ret_report` is NULL, or its `size` is not sizeof(happy_history_report)
///
/// Threads: any
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_history_get_report(
    self_: *mut happy_history,
    ret_report: *mut happy_history_report,
) -> c_int {
    export!(Status, history = self_, {
        // SAFETY: NULL, or readable for the `size` that it begins with, promised by the caller.
        let Some(&size) = (unsafe { ret_report.cast::<usize>().as_ref() }) else {
            return fail(HAPPY_EINVALID, "ret_report: NULL");
        };
        if !(FIRST_SIZE..=GREATEST_SIZE).contains(&size) {
            return fail(HAPPY_EINVALID, "ret_report: size is not sizeof(happy_history_report)");
        }
        if history.history.is_forked() {
            return fail(HAPPY_EFORKED, "the history was made before a fork");
        }
        let held = history.history.report(Instant::now());
        let report = happy_history_report {
            size,
            destinations: held.destinations,
            networks: held.networks,
            unanswered_v6: held.unanswered_v6,
            unanswered_v4: held.unanswered_v4,
        };
        let known = size.min(size_of::<happy_history_report>());
        // SAFETY: `known` bytes lie in both structs.
        unsafe { std::ptr::copy_nonoverlapping((&raw const report).cast::<u8>(), ret_report.cast::<u8>(), known) };
        Status::OK
    })
}
