//! `happy_connect`: one race that can be resumed.

use super::boundary::{export, fill, room, set_errno};
use super::options::{happy_options, plan};
use super::result::happy_result;
use super::status::*;
use crate::drive::{Connect, Signals};
use std::cell::UnsafeCell;
use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// One connect by name. One thread drives it (happy_connect_wait, or happy_connect_get_fd with happy_connect_dispatch); happy_connect_interrupt and
/// happy_connect_cancel may come from any thread and any signal handler, until happy_connect_free is called.
pub struct happy_connect {
    /// For other threads and signal handlers; everything else is the driving thread's.
    signals: Arc<Signals>,
    /// One of the constants below.
    state: AtomicU8,
    connect: UnsafeCell<Connect>,
}

/// Nothing of it runs.
const AT_REST: u8 = 0;
/// One of its functions runs, perhaps one of the caller's callbacks inside it.
const BUSY: u8 = 1;
/// As BUSY, and freed by a callback meanwhile.
const FREE_LATER: u8 = 2;
/// At rest, and its result was taken.
const TAKEN: u8 = 3;
/// At rest for good: a panic has stopped it half-way.
const BROKEN: u8 = 4;

/// Runs `body` on the connect, unless one of its functions runs already or it belongs to another process: then the status says so.
///
/// # Safety
/// `this` is a live connect. It may be freed when this returns: by a callback that ran inside.
unsafe fn enter<R>(this: *const happy_connect, body: impl FnOnce(&mut Connect) -> R) -> Result<R, c_int> {
    // SAFETY: promised by the caller. The borrows end before anything can free the connect.
    let (signals, state) = unsafe { (&(*this).signals, &(*this).state) };
    if signals.is_forked() {
        return Err(fail(HAPPY_EFORKED, "the connect was made before a fork"));
    }
    if let Err(state) = state.compare_exchange(AT_REST, BUSY, Ordering::Acquire, Ordering::Relaxed) {
        return Err(match state {
            TAKEN => fail(HAPPY_ESTATE, "the result was taken before"),
            BROKEN => fail(HAPPY_EINTERNAL, "an internal error ended the connect earlier"),
            _ => fail(HAPPY_EREENTRANT, "called from inside a callback of the same connect"),
        });
    }
    // A panic in the body ends it: what it left behind is fit for nothing but to be freed.
    struct Leave(*const happy_connect);
    impl Drop for Leave {
        fn drop(&mut self) {
            // SAFETY: alive until this call frees it.
            let state = unsafe { &(*self.0).state };
            let after = if std::thread::panicking() { BROKEN } else { AT_REST };
            if state.compare_exchange(BUSY, after, Ordering::Release, Ordering::Relaxed) == Err(FREE_LATER) {
                // SAFETY: happy_connect_free was called while this ran and left it to us; the pointer came from Box::into_raw, and
                // nothing touches it after this.
                drop(unsafe { Box::from_raw(self.0.cast_mut()) });
            }
        }
    }
    let _leave = Leave(this);
    // SAFETY: the state BUSY is held by this call alone, so this is the only reference.
    Ok(body(unsafe { &mut *(*this).connect.get() }))
}

fn fail(status: c_int, message: &str) -> c_int {
    set_message(message);
    status
}

/// Makes a connect and begins it: its limits count from here; lookups run from the first wait or dispatch on.
///
/// Arguments as for init_inetsock_happy. HAPPY_OK and the connect in `*ret_connect`, to be freed with happy_connect_free; else
/// HAPPY_EINVALID (happy_error_message() names the argument) or HAPPY_ENOMEM.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_new(
    remote_host: *const c_char,
    remote_service: *const c_char,
    options: *const happy_options,
    ret_connect: *mut *mut happy_connect,
) -> c_int {
    export!({
        if ret_connect.is_null() {
            return fail(HAPPY_EINVALID, "ret_connect: NULL");
        }
        // Before the options are accepted: from then on the caller's userdata would be freed, and must not be with HAPPY_ENOMEM.
        let Some(room) = room() else { return fail(HAPPY_ENOMEM, "out of memory") };
        // SAFETY: strings and options as the documentation demands.
        let plan = match unsafe { plan(remote_host, remote_service, options) } {
            Ok(plan) => plan,
            Err(refusal) => return refusal.status,
        };
        let mut connect = Connect::new(plan);
        let signals = Arc::clone(connect.signals());
        let made = happy_connect { signals, state: AtomicU8::new(AT_REST), connect: UnsafeCell::new(connect) };
        // SAFETY: not NULL, and the caller's to be written.
        unsafe { *ret_connect = Box::into_raw(fill(room, made)) };
        HAPPY_OK
    })
}

/// Drives the race until it is finished, cancelled or interrupted. Returns NULL; has the shape of the function that
/// rb_thread_call_without_gvl2 takes. Call it again to go on: nothing restarts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_wait(self_: *mut c_void) -> *mut c_void {
    export!(connect = self_.cast::<happy_connect>(), or std::ptr::null_mut(), {
        // SAFETY: a live connect.
        let _ = unsafe { enter(connect, Connect::wait) };
        std::ptr::null_mut()
    })
}

/// Makes a running happy_connect_wait return, or the next one if none is running. The race keeps its state. Any thread, any signal
/// handler. Has the shape of an unblocking function of rb_thread_call_without_gvl2. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_interrupt(self_: *mut c_void) {
    export!(connect = self_.cast::<happy_connect>(), or(), { connect.signals.interrupt() })
}

/// Ends the connect: a wait returns and the result is HAPPY_ECANCELLED, unless it was finished before. Any thread, any signal
/// handler, any number of times. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_cancel(self_: *mut happy_connect) {
    export!(connect = self_, or(), { connect.signals.cancel() })
}

/// One descriptor for a scheduler of the caller's: when it is readable, or when happy_connect_get_timeout_ms has passed, call
/// happy_connect_dispatch. The same descriptor during the whole connect; it is the connect's own and lives until happy_connect_free.
/// -1 with errno when none could be made, or for NULL (EINVAL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_get_fd(self_: *mut happy_connect) -> c_int {
    export!(connect = self_, or { set_errno(libc::EINVAL); -1 }, {
        // SAFETY: a live connect.
        match unsafe { enter(connect, Connect::descriptor) } {
            Ok(Ok(fd)) => fd,
            Ok(Err(error)) => {
                set_message(format!("epoll_create1(2) or eventfd(2): {error}"));
                set_errno(crate::sys::errno_of(&error));
                -1
            }
            Err(_) => {
                set_errno(libc::EINVAL);
                -1
            }
        }
    })
}

/// How long to wait at most before the next dispatch, in milliseconds: -1 no limit, 0 now; rounded up. Ask again after each dispatch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_get_timeout_ms(self_: *mut happy_connect) -> c_int {
    export!(connect = self_, or - 1, {
        // Nothing to wait for where nothing can be dispatched.
        // SAFETY: a live connect.
        unsafe { enter(connect, |connect| connect.timeout_ms()) }.unwrap_or(0)
    })
}

/// Does what is due; never blocks. HAPPY_OK when the connect is finished (take the result), HAPPY_EAGAIN while it runs; HAPPY_EREENTRANT from
/// inside one of its callbacks; HAPPY_EINVALID for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_dispatch(self_: *mut happy_connect) -> c_int {
    export!(connect = self_, or fail(HAPPY_EINVALID, "self: NULL"), {
        // SAFETY: a live connect.
        match unsafe { enter(connect, Connect::dispatch) } {
            Ok(true) => HAPPY_OK,
            Ok(false) => HAPPY_EAGAIN,
            Err(status) => status,
        }
    })
}

/// Takes the result, once: the connected socket, or -1. `ret_result` may be NULL; else it is written, on failure too, with status HAPPY_EAGAIN while the
/// connect runs, HAPPY_ESTATE when the result was taken before, HAPPY_EFORKED in a child of the process that made it. errno as init_inetsock_happy
/// sets it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_take_result(self_: *mut happy_connect, ret_result: *mut happy_result) -> c_int {
    export!(connect = self_, or {
        set_errno(libc::EINVAL);
        -1
    }, {
        // SAFETY: NULL or a happy_result, promised by the caller.
        if !unsafe { happy_result::is_acceptable(ret_result) } {
            set_message("ret_result: size is not sizeof(happy_result)");
            set_errno(libc::EINVAL);
            return -1;
        }
        let give = |connect: &mut Connect| {
            let mut report = connect.report()?;
            let result = happy_result::of_report(&mut report);
            // SAFETY: found acceptable above; room for the attempts as the documentation demands.
            Some(unsafe { result.write(ret_result, Some(&report)) })
        };
        // SAFETY: a live connect.
        let taken = unsafe { enter(connect, give) };
        let status = match taken {
            Ok(Some(fd)) => {
                connect.state.store(TAKEN, Ordering::Release);
                return fd;
            }
            Ok(None) => fail(HAPPY_EAGAIN, "the connect is still running"),
            Err(status) => status,
        };
        // SAFETY: found acceptable above.
        unsafe { happy_result::of_status(status).write(ret_result, None) }
    })
}

/// Frees the connect and closes what is left of it, the winner too if it was not taken. Never waits. NULL is a no-op; from inside one of
/// its callbacks it takes effect when the callback has returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_free(self_: *mut happy_connect) {
    export!(connect = self_, or(), {
        match connect.state.compare_exchange(BUSY, FREE_LATER, Ordering::AcqRel, Ordering::Relaxed) {
            // From inside a callback: what runs ends soon, and frees it then.
            Ok(_) => connect.signals.cancel(),
            // SAFETY: nothing of it runs, the caller promises to use it no more, and the pointer came from Box::into_raw.
            Err(_) => drop(unsafe { Box::from_raw(self_) }),
        }
    })
}
