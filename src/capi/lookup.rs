//! `happy_lookup`: one interruptible lookup.

use super::boundary::{Count, Descriptor, Milliseconds, Status, boxed, export, fail, set_errno, string};
use super::codes::*;
use super::message::set_message;
use super::trace::source_name;
use crate::lookup::{Answer, Found, Hints, Lookup, LookupError, OutOfMemory, Query, Refused};
use crate::sys::words::gai_text;
use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// One lookup, as getaddrinfo(3) makes it, that can be waited for with a limit, cancelled, polled and
/// abandoned.
///
/// Reference-counted: happy_lookup_new gives one reference. Whoever drops the last one frees all of it; a
/// worker that is still inside libc then frees the late answer. Any function may be called from any thread,
/// several at once.
///
/// In a loop of the caller's: start it, watch the descriptor of happy_lookup_get_fd for reading, and call
/// happy_lookup_dispatch when it is readable, until that answers HAPPY_OK.
pub struct happy_lookup {
    references: AtomicUsize,
    lookup: Lookup,
}

/// The status for a refusal.
fn status(refused: Refused) -> Status {
    match refused {
        Refused::Forked => fail(HAPPY_EFORKED, "the lookup was made before a fork"),
        Refused::NotStarted => fail(HAPPY_ESTATE, "the lookup was not started"),
        Refused::AlreadyStarted => fail(HAPPY_ESTATE, "the lookup was started before"),
        Refused::OutOfThreads => {
            set_errno(libc::EAGAIN);
            fail(HAPPY_ESYSCALL, "no thread could be made for the lookup")
        }
        Refused::Running => fail(HAPPY_EAGAIN, "the lookup is still running"),
        Refused::Taken => fail(HAPPY_ESTATE, "the answer was taken before"),
    }
}

/// Makes a query of the arguments of getaddrinfo(3).
///
/// # Safety
/// Strings are NULL or end with a zero byte; `hints` is NULL or points to an addrinfo.
pub(super) unsafe fn query(
    node: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
) -> Result<Query, OutOfMemory> {
    // SAFETY: promised by the caller. Without hints getaddrinfo(3) assumes these flags on glibc.
    let hints = unsafe { hints.as_ref() }.map_or(
        Hints { flags: libc::AI_V4MAPPED | libc::AI_ADDRCONFIG, family: libc::AF_UNSPEC, socktype: 0, protocol: 0 },
        |hints| Hints {
            flags: hints.ai_flags,
            family: hints.ai_family,
            socktype: hints.ai_socktype,
            protocol: hints.ai_protocol,
        },
    );
    // SAFETY: promised by the caller.
    unsafe { Query::new(string(node), string(service), hints, None) }
}

/// Gives an answer to the caller of a getaddrinfo(3): 0 or the `EAI_*` code.
///
/// # Safety
/// `ret_res` points to a pointer.
pub(super) unsafe fn give(answer: Answer, ret_res: *mut *mut libc::addrinfo) -> c_int {
    let answer = answer.and_then(Found::into_raw_list);
    match answer {
        Ok(list) => {
            // SAFETY: promised by the caller.
            unsafe { *ret_res = list };
            0
        }
        Err(LookupError { gai_error, sys_errno }) => {
            set_message(gai_text(gai_error, sys_errno));
            if gai_error == libc::EAI_SYSTEM {
                set_errno(sys_errno);
            }
            gai_error
        }
    }
}

/// A limit of a lookup: None when it is no limit that there can be.
pub(super) fn limit(timeout_ms: c_int) -> Option<Option<Duration>> {
    match timeout_ms {
        -1 => Some(None),
        0.. => Some(Some(Duration::from_millis(timeout_ms as u64))),
        _ => None,
    }
}

pub(super) const NO_LIMIT_THAT_THERE_CAN_BE: &str = "timeout_ms: must be -1 (no limit) or more";

/// Makes a lookup; nothing is asked yet. A host or service that cannot be resolved is not an error here: it
/// is the lookup's answer.
///
/// Parameters
///   node, service, hints
///                     as rb_getaddrinfo_happy takes them; copied
///   timeout_ms        the limit in milliseconds, from happy_lookup_start on; -1 none, 0 over at once
///   ret_lookup        receives one reference, to be dropped with happy_lookup_unref; written only with
///                     HAPPY_OK
///
/// Returns
///   HAPPY_OK          and one reference in `*ret_lookup`
///   HAPPY_EINVALID    `timeout_ms` is below -1, or `ret_lookup` is NULL
///   HAPPY_ENOMEM
///
/// Threads: any
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_lookup_new(
    node: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
    timeout_ms: c_int,
    ret_lookup: *mut *mut happy_lookup,
) -> c_int {
    export!(Status, {
        if ret_lookup.is_null() {
            return fail(HAPPY_EINVALID, "ret_lookup: NULL");
        }
        let Some(timeout) = limit(timeout_ms) else { return fail(HAPPY_EINVALID, NO_LIMIT_THAT_THERE_CAN_BE) };
        // SAFETY: as getaddrinfo(3) demands of its arguments.
        let made = unsafe { query(node, service, hints) }.ok().and_then(|query| {
            boxed(happy_lookup { references: AtomicUsize::new(1), lookup: Lookup::new(query, timeout) })
        });
        let Some(made) = made else { return fail(HAPPY_ENOMEM, "out of memory") };
        // SAFETY: not NULL, and the caller's to be written.
        unsafe { *ret_lookup = Box::into_raw(made) };
        Status::OK
    })
}

/// Takes one more reference, to be dropped with happy_lookup_unref.
///
/// Returns
///   self              the same; NULL for NULL
///
/// Threads: any, at the same time, while one has a reference
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_lookup_ref(self_: *mut happy_lookup) -> *mut happy_lookup {
    export!(*mut happy_lookup, lookup = self_, {
        // Relaxed: whoever takes a reference has one already.
        lookup.references.fetch_add(1, Ordering::Relaxed);
        self_
    })
}

/// Drops a reference. Never waits: the last one abandons a lookup that is still running. NULL is a no-op.
///
/// Parameters
///   self              the reference that is given up
///
/// Threads: any
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_lookup_unref(self_: *mut happy_lookup) {
    export!((), lookup = self_, {
        // Release: what this owner did comes before the end; the load below is the other side, and unlike a
        // fence the thread sanitizer understands it.
        if lookup.references.fetch_sub(1, Ordering::Release) == 1 {
            lookup.references.load(Ordering::Acquire);
            // SAFETY: that was the last reference, to what happy_lookup_new made with Box::into_raw.
            drop(unsafe { Box::from_raw(self_) });
        }
    })
}

/// Starts the lookup and returns at once. IP literals with numeric services are answered on the spot. A name
/// that the library can look up just as libc would goes on while somebody waits for it or dispatches it, and
/// needs no thread; for others libc is asked, on a worker.
///
/// Returns
///   HAPPY_OK          it runs, or is finished already; its limit counts from here
///   HAPPY_ESYSCALL    no thread could be made, with errno EAGAIN; nothing was started, and it may be tried
///                     again
///   HAPPY_ESTATE      it was started before
///   HAPPY_EFORKED
///   HAPPY_EINVALID    `self` is NULL
///
/// Threads: any
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_lookup_start(self_: *mut happy_lookup) -> c_int {
    export!(Status, lookup = self_, { lookup.lookup.start().map_or_else(status, |()| Status::OK) })
}

/// Waits until the lookup is finished: answered, at its limit, or cancelled. Signals do not end the wait.
///
/// Returns
///   HAPPY_OK          take the result
///   HAPPY_ESTATE      it was not started
///   HAPPY_EFORKED
///   HAPPY_EINVALID    `self` is NULL
///
/// Threads: any, several at the same time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_lookup_wait(self_: *mut happy_lookup) -> c_int {
    export!(Status, lookup = self_, { lookup.lookup.wait().map_or_else(status, |()| Status::OK) })
}

/// happy_lookup_wait in the shape of the function that rb_thread_call_without_gvl2 takes.
///
/// Parameters
///   lookup            a happy_lookup
///
/// Returns
///   NULL              always
///
/// Threads: any, several at the same time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_lookup_wait_callback(lookup: *mut c_void) -> *mut c_void {
    export!(*mut c_void, lookup = lookup.cast::<happy_lookup>(), {
        let _ = lookup.lookup.wait().map_err(status);
        std::ptr::null_mut()
    })
}

/// Cancels the lookup: every wait returns at once and the answer, if none came yet, is EAI_SYSTEM with errno
/// ECANCELED.
///
/// Any number of times, before the start and after the end too; takes microseconds whatever the lookup is
/// doing. NULL is a no-op.
///
/// Threads: any, and any signal handler
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_lookup_cancel(self_: *mut happy_lookup) {
    export!((), lookup = self_, { lookup.lookup.cancel() })
}

/// happy_lookup_cancel in the shape of an unblocking function of rb_thread_call_without_gvl2.
///
/// Parameters
///   lookup            a happy_lookup
///
/// Threads: any, and any signal handler
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_lookup_cancel_callback(lookup: *mut c_void) {
    export!((), lookup = lookup.cast::<happy_lookup>(), { lookup.lookup.cancel() })
}

/// The one descriptor: readable when happy_lookup_dispatch has something to do, its limit included, and once
/// the lookup is finished; from then on it stays readable. The same before the start and after it. It is the
/// lookup's own: do not read it or close it; it lives until the last reference is dropped. Made by the first
/// call (three descriptors: epoll, eventfd, timerfd).
///
/// Returns
///   a descriptor      the lookup's own
///   -1                with errno: EMFILE, ENFILE or ENOMEM when none could be made; ESTALE in the child of a
///                     fork; EINVAL for NULL
///
/// Threads: any
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_lookup_get_fd(self_: *mut happy_lookup) -> c_int {
    export!(Descriptor, lookup = self_, {
        match lookup.lookup.descriptor() {
            Ok(fd) => Descriptor(fd),
            Err(error) => {
                set_message(format!("no descriptor for the lookup: {error}"));
                Descriptor::none(crate::sys::errno_of(&error))
            }
        }
    })
}

/// How long to wait at most before the next dispatch, in milliseconds, for loops that prefer a timer of their
/// own; rounded up.
///
/// Returns
///   0                 at once: it is finished, or something is due
///   more              until then
///   -1                no limit; or there is nothing to dispatch: not started, made before a fork, NULL
///
/// Threads: any
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_lookup_get_timeout_ms(self_: *mut happy_lookup) -> c_int {
    export!(Milliseconds, lookup = self_, { Milliseconds(lookup.lookup.timeout_ms().unwrap_or(-1)) })
}

/// Does what is due; never blocks.
///
/// Returns
///   HAPPY_OK          finished: take the result
///   HAPPY_EAGAIN      it runs
///   HAPPY_ESTATE      it was not started
///   HAPPY_EFORKED
///   HAPPY_EINVALID    `self` is NULL
///
/// Threads: any
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_lookup_dispatch(self_: *mut happy_lookup) -> c_int {
    export!(Status, lookup = self_, {
        match lookup.lookup.dispatch() {
            Ok(true) => Status::OK,
            Ok(false) => Status(HAPPY_EAGAIN),
            Err(refused) => status(refused),
        }
    })
}

/// Takes the answer, once.
///
/// Parameters
///   ret_res           receives the list, which is the caller's to free with freeaddrinfo(3); written only
///                     with 0
///
/// Returns
///   0                 and the list in `*ret_res`
///   EAI_*             as getaddrinfo(3) gives it; with EAI_SYSTEM errno is ETIMEDOUT at the limit, ECANCELED
///                     when it was cancelled, else that of the lookup
///   HAPPY_EAGAIN      it runs
///   HAPPY_ESTATE      it was not started, or the answer was taken before
///   HAPPY_EFORKED
///   HAPPY_EINVALID    `self` or `ret_res` is NULL
///
/// Threads: any; one gets the answer
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_lookup_take_result(
    self_: *mut happy_lookup,
    ret_res: *mut *mut libc::addrinfo,
) -> c_int {
    export!(Status, lookup = self_, {
        if ret_res.is_null() {
            return fail(HAPPY_EINVALID, "ret_res: NULL");
        }
        match lookup.lookup.take() {
            // SAFETY: not NULL, and the caller's to be written.
            Ok(answer) => Status(unsafe { give(answer, ret_res) }),
            Err(refused) => status(refused),
        }
    })
}

/// Who has answered.
///
/// Returns
///   "hosts"           the file, read by the library itself, without a thread
///   "dns"             name servers, asked by the library itself, without a thread
///   "resolve"         systemd-resolved, asked by the library itself, without a thread
///   "libc"            libc, on a thread
///   NULL              there is no answer yet, or nobody had to be asked, or `self` is NULL
///
/// The text is static.
///
/// Threads: any
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_lookup_get_source(self_: *mut happy_lookup) -> *const c_char {
    export!(*const c_char, lookup = self_, { source_name(lookup.lookup.answered_by()) })
}

/// Sets the greatest number of worker threads that lookups of this process may occupy at the same time (512
/// unless set); lookups past it wait in the order of their start, with their limits honoured. Workers are
/// made on demand and leave when idle.
///
/// Parameters
///   limit             a number of threads, at least 1
///
/// Returns
///   HAPPY_OK
///   HAPPY_EINVALID    `limit` is 0
///
/// Threads: any, at any time
#[unsafe(no_mangle)]
pub extern "C" fn happy_lookup_set_thread_limit(limit: u32) -> c_int {
    export!(Status, {
        if limit == 0 {
            return fail(HAPPY_EINVALID, "limit: must be at least 1");
        }
        crate::lookup::set_thread_limit(limit as usize);
        Status::OK
    })
}

/// The greatest number of worker threads, as happy_lookup_set_thread_limit sets it.
///
/// Returns
///   a number          at least 1
///
/// Threads: any
#[unsafe(no_mangle)]
pub extern "C" fn happy_lookup_get_thread_limit() -> u32 {
    export!(Count, { Count(u32::try_from(crate::lookup::thread_limit()).unwrap_or(u32::MAX)) })
}

/// Has the worker threads that are idle end now, instead of after 5 seconds: before a fork, a change of
/// privileges or namespaces, a seccomp filter or a leak check. Returns when they have ended; it does not wait
/// for a worker that is at a lookup, which may take as long as libc does. Later lookups make new workers.
///
/// Returns
///   HAPPY_OK          the library has no thread in this process
///   HAPPY_EAGAIN      the idle ones have ended; others are at lookups, or on their way to one
///
/// Threads: any; not in a signal handler
#[unsafe(no_mangle)]
pub extern "C" fn happy_lookup_end_idle_workers() -> c_int {
    export!(Status, { if crate::lookup::end_idle_workers() { Status::OK } else { Status(HAPPY_EAGAIN) } })
}
