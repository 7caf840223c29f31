//! `happy_connect`: one race that can be resumed.

use super::boundary::{Descriptor, Milliseconds, NO_ANSWER, Status, export, fail, fill, is_wanted, room};
use super::codes::*;
use super::message::set_message;
use super::options::{Refusal, happy_options, plan};
use super::result::happy_result;
use crate::drive::{Argument, Connect, Signals};
use std::cell::UnsafeCell;
use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// One connect by name, driven by its caller: with happy_connect_wait, or with happy_connect_get_fd and
/// happy_connect_dispatch.
///
/// Any thread may drive it, one after the other; a call that comes while another thread is in a function of
/// it, or from inside one of its callbacks, changes nothing and answers HAPPY_EREENTRANT (-1 with errno EBUSY
/// where a descriptor is the answer). happy_connect_interrupt and happy_connect_cancel may come from any
/// thread and any signal handler at any time, until happy_connect_free is called.
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

/// Runs `body` on the connect, unless one of its functions runs already or it belongs to another process:
/// then the status says so.
///
/// # Safety
/// `this` is a live connect. It may be freed when this returns: by a callback that ran inside.
unsafe fn enter<R>(this: *const happy_connect, body: impl FnOnce(&mut Connect) -> R) -> Result<R, Status> {
    // SAFETY: promised by the caller.
    unsafe { enter_and_leave_as(this, |connect| (body(connect), AT_REST)) }
}

/// As [`enter`], with the state in which the body leaves the connect.
///
/// # Safety
/// As for [`enter`].
unsafe fn enter_and_leave_as<R>(
    this: *const happy_connect,
    body: impl FnOnce(&mut Connect) -> (R, u8),
) -> Result<R, Status> {
    // SAFETY: promised by the caller. The borrows end before anything can free the connect.
    let (signals, state) = unsafe { (&(*this).signals, &(*this).state) };
    if signals.is_forked() {
        return Err(fail(HAPPY_EFORKED, "the connect was made before a fork"));
    }
    if let Err(state) = state.compare_exchange(AT_REST, BUSY, Ordering::Acquire, Ordering::Relaxed) {
        return Err(match state {
            TAKEN => fail(HAPPY_ESTATE, "the result was taken before"),
            BROKEN => fail(HAPPY_EINTERNAL, "an internal error ended the connect earlier"),
            _ => fail(
                HAPPY_EREENTRANT,
                "called from inside a callback of the same connect, or while another thread is in it",
            ),
        });
    }
    struct Leave {
        connect: *const happy_connect,
        /// A panic in the body ends it: what it left behind is fit for nothing but to be freed.
        after: u8,
    }
    impl Drop for Leave {
        fn drop(&mut self) {
            // SAFETY: alive until this call frees it.
            let state = unsafe { &(*self.connect).state };
            if state.compare_exchange(BUSY, self.after, Ordering::Release, Ordering::Acquire) == Err(FREE_LATER) {
                // SAFETY: happy_connect_free was called while this ran and left it to us; the pointer came
                // from Box::into_raw, and nothing touches it after this.
                drop(unsafe { Box::from_raw(self.connect.cast_mut()) });
            }
        }
    }
    let mut leave = Leave { connect: this, after: BROKEN };
    // SAFETY: the state BUSY is held by this call alone, so this is the only reference.
    let (answer, after) = body(unsafe { &mut *(*this).connect.get() });
    leave.after = after;
    Ok(answer)
}

/// The errno that goes with a status where a descriptor is the answer.
fn errno_of(status: Status) -> c_int {
    match status.0 {
        HAPPY_EFORKED => libc::ESTALE,
        HAPPY_EREENTRANT => libc::EBUSY,
        HAPPY_EINTERNAL => libc::ENOTRECOVERABLE,
        _ => libc::EINVAL,
    }
}

/// Makes a connect and begins it: its limits count from here; lookups run from the first wait or dispatch on.
///
/// Parameters
///   remote_host, remote_service, options
///                     as for init_inetsock_happy; copied
///   ret_connect       receives the connect, the caller's to free with happy_connect_free; written only with
///                     HAPPY_OK
///   ret_result        written when this fails, and says why; may be NULL
///
/// Returns
///   HAPPY_OK          and the connect in `*ret_connect`
///   HAPPY_EINVALID    an argument is refused: `ret_result->argument` and happy_error_message() name it
///   HAPPY_ENOMEM
///
/// Threads: any
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_new(
    remote_host: *const c_char,
    remote_service: *const c_char,
    options: *const happy_options,
    ret_connect: *mut *mut happy_connect,
    ret_result: *mut happy_result,
) -> c_int {
    export!(Status, {
        let made = || {
            // SAFETY: NULL or a happy_result, promised by the caller.
            unsafe { happy_result::check(ret_result) }?;
            if ret_connect.is_null() {
                return Err(Refusal::of_argument(Argument::RetConnect, c"NULL"));
            }
            // Before the options are accepted: from then on the caller's userdata would be freed, and must
            // not be with HAPPY_ENOMEM.
            let Some(room) = room() else {
                set_message("out of memory");
                return Err(Refusal::of_status(HAPPY_ENOMEM));
            };
            // SAFETY: strings and options as the documentation demands.
            let plan = unsafe { plan(remote_host, remote_service, options) }?;
            let mut connect = Connect::new(plan);
            let signals = Arc::clone(connect.signals());
            let made = happy_connect { signals, state: AtomicU8::new(AT_REST), connect: UnsafeCell::new(connect) };
            Ok(fill(room, made))
        };
        match made() {
            Ok(made) => {
                // SAFETY: not NULL, and the caller's to be written.
                unsafe { *ret_connect = Box::into_raw(made) };
                Status::OK
            }
            // SAFETY: NULL or a happy_result, promised by the caller.
            Err(refusal) => unsafe { happy_result::refuse(&refusal, ret_result) },
        }
    })
}

/// Drives the race until it is finished, cancelled or interrupted. Call it again to go on: nothing restarts.
/// Signals do not end it.
///
/// Returns
///   HAPPY_OK          finished: take the result
///   HAPPY_EAGAIN      interrupted
///   HAPPY_EREENTRANT  from inside one of its callbacks, or while another thread is in it
///   HAPPY_ESTATE      the result was taken before
///   HAPPY_EFORKED
///   HAPPY_EINTERNAL
///   HAPPY_EINVALID    `self` is NULL
///
/// Threads: any, one at a time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_wait(self_: *mut happy_connect) -> c_int {
    export!(Status, connect = self_, {
        // SAFETY: a live connect.
        match unsafe { enter(connect, Connect::wait) } {
            Ok(true) => Status::OK,
            Ok(false) => Status(HAPPY_EAGAIN),
            Err(status) => status,
        }
    })
}

/// happy_connect_wait in the shape of the function that rb_thread_call_without_gvl2 takes.
///
/// Parameters
///   connect           a happy_connect
///
/// Returns
///   NULL              always
///
/// Threads: any, one at a time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_wait_callback(connect: *mut c_void) -> *mut c_void {
    export!(*mut c_void, connect = connect.cast::<happy_connect>(), {
        // SAFETY: a live connect.
        let _ = unsafe { enter(connect, Connect::wait) };
        std::ptr::null_mut()
    })
}

/// Makes a running happy_connect_wait return, or the next one if none is running. The race keeps its state.
/// NULL is a no-op.
///
/// Threads: any, and any signal handler, until happy_connect_free is called
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_interrupt(self_: *mut happy_connect) {
    export!((), connect = self_, { connect.signals.interrupt() })
}

/// happy_connect_interrupt in the shape of an unblocking function of rb_thread_call_without_gvl2.
///
/// Parameters
///   connect           a happy_connect
///
/// Threads: any, and any signal handler, until happy_connect_free is called
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_interrupt_callback(connect: *mut c_void) {
    export!((), connect = connect.cast::<happy_connect>(), { connect.signals.interrupt() })
}

/// Ends the connect: a wait returns and the result is HAPPY_ECANCELLED, unless it was finished before. Any
/// number of times. NULL is a no-op.
///
/// Threads: any, and any signal handler, until happy_connect_free is called
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_cancel(self_: *mut happy_connect) {
    export!((), connect = self_, { connect.signals.cancel() })
}

/// happy_connect_cancel in the shape of an unblocking function of rb_thread_call_without_gvl2.
///
/// Parameters
///   connect           a happy_connect
///
/// Threads: any, and any signal handler, until happy_connect_free is called
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_cancel_callback(connect: *mut c_void) {
    export!((), connect = connect.cast::<happy_connect>(), { connect.signals.cancel() })
}

/// The one descriptor for a loop of the caller's: readable when happy_connect_dispatch has something to do,
/// timers included, and once the connect is finished; a loop needs nothing else. The same during the whole
/// connect; it is the connect's own and lives until happy_connect_free: do not read it or close it. Made by
/// the first call (three descriptors: epoll, eventfd, timerfd).
///
/// Returns
///   a descriptor      the connect's own
///   -1                with errno: EMFILE, ENFILE or ENOMEM when none could be made; EBUSY from inside a
///                     callback or while another thread is in it; ESTALE in the child of a fork; EINVAL for
///                     NULL, or when the result was taken
///
/// Threads: any, one at a time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_get_fd(self_: *mut happy_connect) -> c_int {
    export!(Descriptor, connect = self_, {
        // SAFETY: a live connect.
        match unsafe { enter(connect, Connect::descriptor) } {
            Ok(Ok(fd)) => Descriptor(fd),
            Ok(Err(error)) => {
                set_message(format!("no descriptor for the connect: {error}"));
                Descriptor::none(crate::sys::errno_of(&error))
            }
            Err(status) => Descriptor::none(errno_of(status)),
        }
    })
}

/// How long to wait at most before the next dispatch, in milliseconds, for loops that prefer a timer of their
/// own; rounded up. Ask again after each dispatch.
///
/// Returns
///   0                 at once: nothing was dispatched yet, something is due, or it is finished
///   more              until then
///   -1                no limit; or there is nothing to dispatch: its result was taken, it was made before a
///                     fork, another thread or a callback is in it, NULL
///
/// Threads: any, one at a time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_get_timeout_ms(self_: *mut happy_connect) -> c_int {
    export!(Milliseconds, connect = self_, {
        // SAFETY: a live connect.
        Milliseconds(unsafe { enter(connect, |connect| connect.timeout_ms()) }.unwrap_or(-1))
    })
}

/// Does what is due; never blocks.
///
/// Returns
///   HAPPY_OK          finished: take the result
///   HAPPY_EAGAIN      it runs
///   HAPPY_EREENTRANT  from inside one of its callbacks, or while another thread is in it
///   HAPPY_ESTATE      the result was taken before
///   HAPPY_EFORKED
///   HAPPY_EINTERNAL
///   HAPPY_EINVALID    `self` is NULL
///
/// Threads: any, one at a time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_dispatch(self_: *mut happy_connect) -> c_int {
    export!(Status, connect = self_, {
        // SAFETY: a live connect.
        match unsafe { enter(connect, Connect::dispatch) } {
            Ok(true) => Status::OK,
            Ok(false) => Status(HAPPY_EAGAIN),
            Err(status) => status,
        }
    })
}

/// Answers for an attempt that is held, after HAPPY_CONFIRM_LATER. Then dispatch or wait as ever: the one
/// descriptor is readable.
///
/// Parameters
///   fd                the socket that `confirm` of the options was given. Wanted, it is put into the mode
///                     in which it is handed over, and is the result's; else it is closed before this
///                     returns
///   wanted            HAPPY_CONFIRM_YES or HAPPY_CONFIRM_NO
///
/// Returns
///   HAPPY_OK
///   HAPPY_ENOENT      no attempt is held with `fd`: it is not connected yet, or it has ended, or it was
///                     answered for before; nothing has changed
///   HAPPY_ESTATE      the result was taken before
///   HAPPY_EREENTRANT  from inside one of its callbacks, or while another thread is in it
///                     (happy_connect_interrupt makes it leave)
///   HAPPY_EFORKED
///   HAPPY_EINTERNAL
///   HAPPY_EINVALID    `self` is NULL, or `wanted` is another number
///
/// Threads: any, one at a time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_confirm(self_: *mut happy_connect, fd: c_int, wanted: c_int) -> c_int {
    export!(Status, connect = self_, {
        let Some(wanted) = is_wanted(wanted) else { return fail(HAPPY_EINVALID, NO_ANSWER) };
        // SAFETY: a live connect.
        match unsafe { enter(connect, |connect| connect.confirm(fd, wanted)) } {
            Ok(true) => Status::OK,
            Ok(false) => fail(HAPPY_ENOENT, "no attempt is held with this descriptor"),
            Err(status) => status,
        }
    })
}

/// Takes the result, once.
///
/// Parameters
///   ret_result        receives how it went, on failure too; may be NULL
///
/// Returns
///   a descriptor      the connected socket, the caller's to close
///   -1                with errno as init_inetsock_happy sets it, and the status in `ret_result`: how the
///                     connect ended, or HAPPY_EAGAIN while it runs, HAPPY_ESTATE when the result was taken
///                     before, HAPPY_EREENTRANT (errno EBUSY) from inside a callback or while another thread
///                     is in it, HAPPY_EFORKED (errno ESTALE)
///
/// Threads: any, one at a time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_take_result(self_: *mut happy_connect, ret_result: *mut happy_result) -> c_int {
    export!(Descriptor, {
        let refuse = |refusal: Refusal| {
            // SAFETY: NULL or a happy_result, promised by the caller.
            unsafe { happy_result::refuse(&refusal, ret_result) };
            Descriptor(-1)
        };
        // SAFETY: NULL or a live connect, promised by the caller.
        let Some(connect) = (unsafe { self_.as_ref() }) else {
            return refuse(Refusal::of_argument(Argument::Handle, c"NULL"));
        };
        // SAFETY: NULL or a happy_result, promised by the caller.
        if let Err(refusal) = unsafe { happy_result::check(ret_result) } {
            return refuse(refusal);
        }
        let give = |connect: &mut Connect| {
            let Some(mut report) = connect.report() else { return (None, AT_REST) };
            let result = happy_result::of_report(&mut report);
            // SAFETY: found fit above; room for the attempts as the documentation demands.
            (Some(unsafe { result.write(ret_result, Some(&report)) }), TAKEN)
        };
        // SAFETY: a live connect.
        let taken = unsafe { enter_and_leave_as(connect, give) };
        let status = match taken {
            Ok(Some(fd)) => return Descriptor(fd),
            Ok(None) => fail(HAPPY_EAGAIN, "the connect is still running"),
            Err(status) => status,
        };
        // SAFETY: found fit above.
        Descriptor(unsafe { happy_result::of_status(status.0).write(ret_result, None) })
    })
}

/// Frees the connect and closes what is left of it, the winner too if it was not taken. Never waits. NULL is
/// a no-op. From inside one of its callbacks, or while another thread is in it, the connect is cancelled, and
/// freed when that function returns.
///
/// Parameters
///   self              the connect, which is gone afterwards
///
/// Threads: any; no function of it may be called afterwards
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_connect_free(self_: *mut happy_connect) {
    export!((), connect = self_, {
        // Of our own: once the state says so, whoever is in it frees the connect.
        let signals = Arc::clone(&connect.signals);
        match connect.state.compare_exchange(BUSY, FREE_LATER, Ordering::AcqRel, Ordering::Relaxed) {
            // What runs ends soon, and frees it then.
            Ok(_) => signals.cancel(),
            // SAFETY: nothing of it runs, the caller promises to use it no more, and the pointer came from
            // Box::into_raw.
            Err(_) => drop(unsafe { Box::from_raw(self_) }),
        }
    })
}
