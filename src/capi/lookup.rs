//! `happy_resolve`: one interruptible lookup.

use super::boundary::{boxed, export, set_errno};
use super::options::string;
use super::status::*;
use crate::lookup::{Answer, Found, Hints, LookupError, Mailbox, OutOfMemory, Query, Request, StartError};
use crate::sys::fork;
use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// One lookup, as getaddrinfo(3) makes it, that can be waited for with a limit, cancelled, polled and abandoned.
///
/// Reference-counted: happy_resolve_new gives one reference. Whoever drops the last one frees all of it; a worker that is still
/// inside libc then frees the late answer. Any function may be called from any thread.
pub struct happy_resolve {
    references: AtomicUsize,
    request: Arc<Request>,
    mailbox: Arc<Mailbox>,
    timeout: Option<Duration>,
    started: AtomicBool,
    /// Set by the start, when there is a limit.
    deadline: OnceLock<Instant>,
}

impl happy_resolve {
    pub(super) fn new(query: Query, timeout: Option<Duration>) -> happy_resolve {
        let mailbox = Mailbox::new();
        happy_resolve {
            references: AtomicUsize::new(1),
            request: Request::new(query, Arc::clone(&mailbox), 0),
            mailbox,
            timeout,
            started: AtomicBool::new(false),
            deadline: OnceLock::new(),
        }
    }

    fn is_forked(&self) -> bool {
        self.request.generation() != fork::generation()
    }

    pub(super) fn start(&self) -> c_int {
        if self.is_forked() {
            return fail(HAPPY_EFORKED, "the lookup was made before a fork");
        }
        if self.started.swap(true, Ordering::AcqRel) {
            return fail(HAPPY_ESTATE, "the lookup was started before");
        }
        if let Some(deadline) = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout)) {
            let _ = self.deadline.set(deadline);
        }
        // Over at once: only what needs no time at all is answered.
        if self.timeout == Some(Duration::ZERO) && self.request.query().answer_at_once().is_none() {
            self.request.give_up(libc::ETIMEDOUT);
            return HAPPY_OK;
        }
        match self.request.start() {
            Ok(()) => HAPPY_OK,
            Err(StartError::OutOfThreads) => {
                self.started.store(false, Ordering::Release);
                set_errno(libc::EAGAIN);
                fail(HAPPY_ESYSCALL, "no thread could be made for the lookup")
            }
            Err(StartError::Forked) => fail(HAPPY_EFORKED, "the lookup was made before a fork"),
            Err(StartError::AlreadyStarted) => fail(HAPPY_ESTATE, "the lookup was started before"),
        }
    }

    pub(super) fn wait(&self) {
        // Acquire: with the start comes its deadline.
        if !self.started.load(Ordering::Acquire) || self.is_forked() {
            return;
        }
        // The wake-up is never taken: it stays for every waiter, and keeps the descriptor readable.
        while !self.request.is_finished() {
            if !self.mailbox.waker().wait(self.deadline.get().copied()) {
                self.request.give_up(libc::ETIMEDOUT);
            }
        }
    }

    /// The answer, or the status that says why there is none.
    pub(super) fn take(&self) -> Result<Answer, c_int> {
        if self.is_forked() {
            return Err(fail(HAPPY_EFORKED, "the lookup was made before a fork"));
        }
        if !self.started.load(Ordering::Acquire) && !self.request.is_finished() {
            return Err(fail(HAPPY_ESTATE, "the lookup was not started"));
        }
        if !self.request.is_finished() {
            if self.deadline.get().is_none_or(|&deadline| Instant::now() < deadline) {
                return Err(fail(HAPPY_EAGAIN, "the lookup is still running"));
            }
            self.request.give_up(libc::ETIMEDOUT);
        }
        self.request.take().ok_or_else(|| fail(HAPPY_ESTATE, "the answer was taken before"))
    }
}

fn fail(status: c_int, message: &str) -> c_int {
    set_message(message);
    status
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

/// Gives an answer to the caller of a getaddrinfo(3).
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

/// Makes a lookup; nothing is asked yet. All arguments are copied.
///
/// `node`, `service`, `hints`: as getaddrinfo(3) takes them. `timeout_ms`: limit from happy_resolve_start on, -1 none, 0 over at once.
/// Returns one reference, to be dropped with happy_resolve_unref; NULL with errno EINVAL (a `timeout_ms` below -1) or ENOMEM.
/// A host or service that cannot be resolved is not an error here: it is the lookup's answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_resolve_new(
    node: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
    timeout_ms: c_int,
) -> *mut happy_resolve {
    export!({
        let Some(timeout) = limit(timeout_ms) else {
            set_message("timeout_ms: must be -1 (no limit) or more");
            set_errno(libc::EINVAL);
            return std::ptr::null_mut();
        };
        // SAFETY: as getaddrinfo(3) demands of its arguments.
        let made =
            unsafe { query(node, service, hints) }.ok().and_then(|query| boxed(happy_resolve::new(query, timeout)));
        match made {
            Some(resolve) => Box::into_raw(resolve),
            None => {
                set_message("out of memory");
                set_errno(libc::ENOMEM);
                std::ptr::null_mut()
            }
        }
    })
}

/// Takes one more reference and returns `self`. NULL answers NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_resolve_ref(self_: *mut happy_resolve) -> *mut happy_resolve {
    export!(resolve = self_, or self_, {
        // Relaxed: whoever takes a reference has one already.
        resolve.references.fetch_add(1, Ordering::Relaxed);
        self_
    })
}

/// Drops a reference. Never waits: the last one cancels a lookup that is still running. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_resolve_unref(self_: *mut happy_resolve) {
    export!(resolve = self_, or(), {
        // Release: what this owner did comes before the end; the load below is the other side, and unlike a fence the
        // thread sanitizer understands it.
        if resolve.references.fetch_sub(1, Ordering::Release) == 1 {
            resolve.references.load(Ordering::Acquire);
            // SAFETY: that was the last reference, to what happy_resolve_new made with Box::into_raw.
            drop(unsafe { Box::from_raw(self_) });
        }
    })
}

/// Starts the lookup and returns at once. IP literals with numeric services are answered on the spot, without a thread.
///
/// HAPPY_OK; HAPPY_ESTATE when it was started before; HAPPY_EFORKED; HAPPY_ESYSCALL with errno EAGAIN when no thread could be
/// made; HAPPY_EINVALID for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_resolve_start(self_: *mut happy_resolve) -> c_int {
    export!(resolve = self_, or fail(HAPPY_EINVALID, "self: NULL"), { resolve.start() })
}

/// Waits until the lookup is finished, its limit is reached or it is cancelled. Signals do not end the wait. Returns NULL; has the
/// shape of the function that rb_thread_call_without_gvl2 takes.
///
/// Several threads may wait at the same time. A lookup that was not started returns at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_resolve_wait(self_: *mut c_void) -> *mut c_void {
    export!(resolve = self_.cast::<happy_resolve>(), or std::ptr::null_mut(), {
        resolve.wait();
        std::ptr::null_mut()
    })
}

/// Cancels the lookup: a wait returns at once and the answer, if none came yet, is EAI_SYSTEM with errno ECANCELED.
///
/// Any thread, any signal handler, any number of times, before the start and after the end too; takes microseconds whatever
/// the lookup is doing. Has the shape of an unblocking function of rb_thread_call_without_gvl2. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_resolve_cancel(self_: *mut c_void) {
    export!(resolve = self_.cast::<happy_resolve>(), or(), {
        // In the child of a fork the wake-up descriptor is still the parent's too.
        if !resolve.is_forked() {
            resolve.request.cancel();
        }
    })
}

/// A descriptor that becomes readable once the lookup is finished or cancelled, and stays so. It is the lookup's own: do not
/// read it or close it; it lives until the last reference is dropped. The limit does not make it readable: poll with a timeout.
///
/// -1 with errno when no descriptor could be made, or for NULL (EINVAL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_resolve_get_fd(self_: *mut happy_resolve) -> c_int {
    export!(resolve = self_, or { set_errno(libc::EINVAL); -1 }, {
        match resolve.mailbox.waker().descriptor() {
            Ok(fd) => fd,
            Err(error) => {
                set_message(format!("eventfd(2): {error}"));
                set_errno(crate::sys::errno_of(&error));
                -1
            }
        }
    })
}

/// Takes the answer, once.
///
/// 0 and the list in `*ret_res`, which the caller frees with freeaddrinfo(3); an `EAI_*` code as getaddrinfo(3) gives it, with errno set
/// for EAI_SYSTEM (ETIMEDOUT: the limit was reached; ECANCELED: cancelled); HAPPY_EAGAIN while it runs;
/// HAPPY_ESTATE when it was not started or the answer was taken before; HAPPY_EFORKED; HAPPY_EINVALID for NULL.
/// `*ret_res` is written only with 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_resolve_take_result(
    self_: *mut happy_resolve,
    ret_res: *mut *mut libc::addrinfo,
) -> c_int {
    export!(resolve = self_, or fail(HAPPY_EINVALID, "self: NULL"), {
        if ret_res.is_null() {
            return fail(HAPPY_EINVALID, "ret_res: NULL");
        }
        match resolve.take() {
            // SAFETY: not NULL, and the caller's to be written.
            Ok(answer) => unsafe { give(answer, ret_res) },
            Err(status) => status,
        }
    })
}

/// Sets the greatest number of worker threads that lookups of this process may occupy at the same time (512 unless set); lookups past it
/// wait in the order of their start, with their limits honoured. Workers are made on demand and leave when idle. Any thread, any time.
///
/// HAPPY_OK, or HAPPY_EINVALID for 0.
#[unsafe(no_mangle)]
pub extern "C" fn happy_resolve_set_thread_limit(limit: u32) -> c_int {
    export!({
        if limit == 0 {
            return fail(HAPPY_EINVALID, "limit: must be at least 1");
        }
        crate::lookup::set_thread_limit(limit as usize);
        HAPPY_OK
    })
}

/// The greatest number of worker threads, as happy_resolve_set_thread_limit sets it. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn happy_resolve_get_thread_limit() -> u32 {
    export!({ u32::try_from(crate::lookup::thread_limit()).unwrap_or(u32::MAX) })
}
