//! `happy_multi`: many connects on one thread.

use super::boundary::{
    Descriptor, Milliseconds, NO_ANSWER, QuietStatus, Status, boxed, export, fail, is_wanted, set_errno,
};
use super::codes::*;
use super::message::set_message;
use super::multi_handle::*;
use super::options::{Refusal, happy_options, plan};
use super::result::happy_result;
use crate::drive::{Argument, Multi, Refused};
use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::Ordering;

/// What is said of a refusal.
fn explain(refused: Refused) -> (c_int, &'static str) {
    match refused {
        Refused::Forked => (HAPPY_EFORKED, "the handle was made before a fork"),
        Refused::Reentrant => {
            (HAPPY_EREENTRANT, "called from inside a callback of the same handle, or while another thread is in it")
        }
        Refused::State(message) => (HAPPY_ESTATE, message),
        Refused::Unknown => (HAPPY_ENOENT, "no such connect or descriptor in the handle"),
        Refused::Full => (HAPPY_ENOMEM, "too many connects in the handle"),
    }
}

fn status(refused: Refused) -> Status {
    let (status, message) = explain(refused);
    fail(status, message)
}

fn status_of(outcome: Result<(), Refused>) -> Status {
    outcome.map_or_else(status, |()| Status::OK)
}

/// Writes the number of connects that are left.
///
/// # Safety
/// `ret_running` is NULL or may be written.
unsafe fn tell_running(outcome: Result<usize, Refused>, ret_running: *mut c_int) -> Status {
    match outcome {
        Err(refused) => status(refused),
        Ok(running) => {
            // SAFETY: promised by the caller.
            if let Some(target) = unsafe { ret_running.as_mut() } {
                *target = running as c_int;
            }
            Status::OK
        }
    }
}

/// Makes a handle. It has three descriptors of its own (epoll, eventfd, timerfd).
///
/// Parameters
///   ret_multi         receives the handle, the caller's to free with happy_multi_free; written only with
///                     HAPPY_OK
///
/// Returns
///   HAPPY_OK          and the handle in `*ret_multi`
///   HAPPY_ESYSCALL    a descriptor could not be made, with errno (EMFILE, ENFILE, ENOMEM)
///   HAPPY_ENOMEM
///   HAPPY_EINVALID    `ret_multi` is NULL
///
/// Threads: any
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_new(ret_multi: *mut *mut happy_multi) -> c_int {
    export!(Status, {
        if ret_multi.is_null() {
            return fail(HAPPY_EINVALID, "ret_multi: NULL");
        }
        let multi = match Multi::new() {
            Ok(multi) => multi,
            Err(error) => {
                set_message(format!("epoll_create1(2), eventfd(2) or timerfd_create(2): {error}"));
                set_errno(crate::sys::errno_of(&error));
                return Status(HAPPY_ESYSCALL);
            }
        };
        let Some(made) = boxed(happy_multi::new(multi)) else { return fail(HAPPY_ENOMEM, "out of memory") };
        let handle = Box::into_raw(made);
        // SAFETY: just made, and nobody else has it; the target is not NULL, and the caller's to be written.
        unsafe {
            (*handle).caller.handle.set(handle);
            *ret_multi = handle;
        }
        Status::OK
    })
}

/// Ends every connect that is left in its done callback (HAPPY_ECANCELLED, unless it had ended otherwise a
/// moment before) and frees the handle. Never waits for a lookup. NULL is a no-op.
///
/// From inside a callback it takes effect when the outermost function returns that runs for this handle;
/// until then nothing more is begun. In the child of a fork nothing is called and nothing of the parent's is
/// touched: the child's copies are closed and freed.
///
/// Parameters
///   self              the handle, which is gone afterwards
///
/// Threads: any, one at a time: none may be in the handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_free(self_: *mut happy_multi) {
    export!((), handle = self_, {
        let this = this_thread();
        let thread = handle.thread.compare_exchange(0, this, Ordering::Acquire, Ordering::Relaxed);
        match thread {
            // The parent's other threads are not in the child.
            Err(other) if other != this && !handle.multi.is_forked() => {
                set_message("happy_multi_free: another thread is in the handle");
            }
            // From inside a callback.
            Err(same) if same == this => {
                handle.multi.begin_to_close();
                handle.free_later.set(true);
            }
            // SAFETY: no function of it runs, the caller promises to use it no more, and the pointer came
            // from Box::into_raw.
            _ => unsafe { happy_multi::end(self_) },
        }
    })
}

/// Adds a connect; its limits count from here, also while it waits for a permit
/// (happy_multi_set_max_attempts).
///
/// It opens no descriptor: when there is none left (EMFILE) the connect's attempts fail so, and its done
/// callback says HAPPY_ESYSCALL with that errno and "socket(2)".
///
/// Parameters
///   remote_host, remote_service, options
///                     as for init_inetsock_happy; copied
///   done              called once with `userdata`, and not at all when adding failed; never from inside this
///                     function, except where the timer callback that it calls frees the handle
///   ret_id            receives the connect's number, never 0 and not used again; written only with HAPPY_OK;
///                     may be NULL
///   ret_result        written when adding failed, and says why; may be NULL
///   userdata          handed to `done`; it stays the caller's
///
/// Returns
///   HAPPY_OK          and the connect's number in `*ret_id`
///   HAPPY_EINVALID    an argument is refused: `ret_result->argument` and happy_error_message() name it
///   HAPPY_ENOMEM      out of memory, or 16 million connects are in the handle
///   HAPPY_ESTATE      the handle is being freed
///   HAPPY_EREENTRANT  another thread is in the handle
///   HAPPY_EFORKED
///
/// Threads: any, one at a time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_add(
    self_: *mut happy_multi,
    remote_host: *const c_char,
    remote_service: *const c_char,
    options: *const happy_options,
    done: happy_done_fn,
    ret_id: *mut u64,
    ret_result: *mut happy_result,
    userdata: *mut c_void,
) -> c_int {
    export!(Status, {
        if self_.is_null() {
            let refusal = Refusal::of_argument(Argument::Handle, c"NULL");
            // SAFETY: NULL or a happy_result, promised by the caller.
            return unsafe { happy_result::refuse(&refusal, ret_result) };
        }
        let refused = |refused| {
            let (status, message) = explain(refused);
            set_message(message);
            Refusal::of_status(status)
        };
        let mut refusal = None;
        let add = |multi: &Multi<Caller>, caller: &Caller| {
            // Before the options are taken: what is refused keeps its userdata.
            multi.check_open()?;
            let accepted = done.ok_or_else(|| Refusal::of_argument(Argument::Done, c"NULL")).and_then(|function| {
                // SAFETY: NULL or a happy_result; strings and options as the documentation demands.
                let plan = unsafe {
                    happy_result::check(ret_result).and_then(|()| plan(remote_host, remote_service, options))
                }?;
                Ok((plan, Done { function, userdata }))
            });
            match accepted {
                Ok((plan, done)) => multi.add(caller, plan, done).map(Some),
                Err(why) => {
                    refusal = Some(why);
                    Ok(None)
                }
            }
        };
        // SAFETY: a live handle.
        let added = unsafe { happy_multi::enter(self_, add) };
        match (added, refusal) {
            (Ok(Some(id)), _) => {
                // SAFETY: NULL or the caller's to be written.
                if let Some(target) = unsafe { ret_id.as_mut() } {
                    *target = id;
                }
                Status::OK
            }
            // SAFETY: NULL or a happy_result, promised by the caller.
            (Err(why), _) => unsafe { happy_result::refuse(&refused(why), ret_result) },
            // SAFETY: as above.
            (Ok(None), why) => unsafe {
                happy_result::refuse(&why.unwrap_or_else(|| Refusal::of_status(HAPPY_EINTERNAL)), ret_result)
            },
        }
    })
}

/// Ends a connect: its done callback is called with HAPPY_ECANCELLED (unless its end was decided a moment
/// before) before this returns; from inside a callback: after that callback has returned, before the function
/// returns that called it (from inside the timer callback of happy_multi_add: in the next turn).
///
/// Parameters
///   id                the connect's number, from happy_multi_add
///
/// Returns
///   HAPPY_OK
///   HAPPY_ENOENT      there is no such connect, or it has ended
///   HAPPY_EREENTRANT  another thread is in the handle
///   HAPPY_EFORKED
///   HAPPY_EINVALID    `self` is NULL
///
/// Threads: any, one at a time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_cancel(self_: *mut happy_multi, id: u64) -> c_int {
    export!(Status, _handle = self_, {
        // SAFETY: a live handle.
        status_of(unsafe { happy_multi::enter(self_, |multi, caller| multi.cancel(caller, id)) })
    })
}

/// Answers for an attempt that is held, after HAPPY_CONFIRM_LATER, and does what is due then: the done
/// callback may be called before this returns.
///
/// Parameters
///   id                the connect's number, from happy_multi_add
///   fd                the socket that `confirm` of the options was given. Wanted, it is put into the mode
///                     in which it is handed over, and is the result's; else it is closed before this
///                     returns
///   wanted            HAPPY_CONFIRM_YES or HAPPY_CONFIRM_NO
///
/// Returns
///   HAPPY_OK
///   HAPPY_ENOENT      there is no such connect, or no attempt of it is held with `fd`: it is not
///                     connected yet, or it has ended, or it was answered for before; nothing has changed
///   HAPPY_EREENTRANT  from inside a callback, or while another thread is in the handle
///   HAPPY_EFORKED
///   HAPPY_EINVALID    `self` is NULL, or `wanted` is another number
///
/// Threads: any, one at a time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_confirm(self_: *mut happy_multi, id: u64, fd: c_int, wanted: c_int) -> c_int {
    export!(Status, _handle = self_, {
        let Some(wanted) = is_wanted(wanted) else { return fail(HAPPY_EINVALID, NO_ANSWER) };
        // SAFETY: a live handle.
        status_of(unsafe { happy_multi::enter(self_, |multi, caller| multi.confirm(caller, id, fd, wanted)) })
    })
}

/// The one descriptor: readable whenever happy_multi_dispatch has something to do, timers included. It is the
/// handle's own and the same until happy_multi_free: do not read it or close it.
///
/// Returns
///   a descriptor      the handle's own
///   -1                with errno: EINVAL for NULL, or where a socket callback is set; ESTALE in the child of
///                     a fork; EBUSY while another thread is in the handle
///
/// Threads: any, one at a time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_get_fd(self_: *mut happy_multi) -> c_int {
    export!(Descriptor, _handle = self_, {
        // SAFETY: a live handle.
        match unsafe { happy_multi::enter(self_, |multi, caller| multi.descriptor(caller)) } {
            Ok(fd) => Descriptor(fd),
            Err(refused) => {
                status(refused);
                Descriptor::none(match refused {
                    Refused::Forked => libc::ESTALE,
                    Refused::Reentrant => libc::EBUSY,
                    _ => libc::EINVAL,
                })
            }
        }
    })
}

/// How long to wait at most before the next turn, in milliseconds, for loops that prefer a timer of their
/// own; rounded up. Ask again after each turn and each add.
///
/// Returns
///   0                 at once
///   more              until then
///   -1                no limit; or there is nothing to drive: made before a fork, another thread is in the
///                     handle, NULL
///
/// Threads: any, one at a time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_get_timeout_ms(self_: *mut happy_multi) -> c_int {
    export!(Milliseconds, _handle = self_, {
        // SAFETY: a live handle.
        Milliseconds(unsafe { happy_multi::enter(self_, |multi, _| Ok(multi.timeout_ms())) }.unwrap_or(-1))
    })
}

/// Does what is due; never blocks. Begins a limited number of connects in one turn: with many added at once
/// the descriptor stays readable, and the timeout 0, until all have begun. The handle may be gone afterwards
/// if a callback has freed it: `*ret_running` is 0 then.
///
/// Parameters
///   ret_running       receives the number of connects left; written only with HAPPY_OK, and may be NULL
///
/// Returns
///   HAPPY_OK          and the number of connects left in `*ret_running`
///   HAPPY_EREENTRANT  from inside a callback, or while another thread is in the handle
///   HAPPY_ESTATE      a socket callback is set
///   HAPPY_EFORKED
///   HAPPY_EINVALID    `self` is NULL
///
/// Threads: any, one at a time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_dispatch(self_: *mut happy_multi, ret_running: *mut c_int) -> c_int {
    export!(Status, _handle = self_, {
        // SAFETY: a live handle; ret_running as the documentation demands.
        unsafe { tell_running(happy_multi::enter(self_, |multi, caller| multi.dispatch(caller)), ret_running) }
    })
}

/// Waits until something is due, for `timeout_ms` at most, then does it as happy_multi_dispatch. Returns
/// earlier after happy_multi_wakeup or a signal. Without connects it waits for the limit or a wake-up. Call
/// it until nothing is left:
///
/// ```c
/// int running = 1;
/// while (running > 0 && happy_multi_wait(multi, -1, &running) == HAPPY_OK) {
/// }
/// ```
///
/// Parameters
///   timeout_ms        how long to wait at most, in milliseconds; -1: no limit
///   ret_running       as for happy_multi_dispatch
///
/// Returns
///   as happy_multi_dispatch
///   HAPPY_EINVALID    also for a limit below -1
///
/// Threads: any, one at a time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_wait(
    self_: *mut happy_multi,
    timeout_ms: c_int,
    ret_running: *mut c_int,
) -> c_int {
    export!(Status, _handle = self_, {
        if timeout_ms < -1 {
            return fail(HAPPY_EINVALID, "timeout_ms: must be -1 (no limit) or more");
        }
        // SAFETY: a live handle; ret_running as the documentation demands.
        unsafe { tell_running(happy_multi::enter(self_, |multi, caller| multi.wait(caller, timeout_ms)), ret_running) }
    })
}

/// Has the handle driven by socket action: from now on `callback` is told which descriptors to watch, and
/// happy_multi_get_fd, _dispatch and _wait answer -1 or HAPPY_ESTATE.
///
/// Parameters
///   callback          told which descriptors to watch; NULL: driven by one descriptor again
///   userdata          handed to `callback`; it stays the caller's, and has to live as long as the callback
///                     is set
///
/// Returns
///   HAPPY_OK
///   HAPPY_ESTATE      connects are in the handle
///   HAPPY_EREENTRANT  another thread is in the handle
///   HAPPY_EFORKED
///   HAPPY_EINVALID    `self` is NULL
///
/// Threads: any, one at a time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_set_socket_callback(
    self_: *mut happy_multi,
    callback: happy_socket_fn,
    userdata: *mut c_void,
) -> c_int {
    export!(Status, _handle = self_, {
        let set = |multi: &Multi<Caller>, caller: &Caller| {
            multi.drive_by_socket_action(callback.is_some())?;
            caller.socket.set((callback, userdata));
            Ok(())
        };
        // SAFETY: a live handle.
        status_of(unsafe { happy_multi::enter(self_, set) })
    })
}

/// Has `callback` told when to drive the handle although no descriptor is ready. It is called when that time
/// changes: after happy_multi_add and at the end of each turn.
///
/// Parameters
///   callback          told in how many milliseconds; NULL: nobody is told
///   userdata          handed to `callback`; it stays the caller's, and has to live as long as the callback
///                     is set
///
/// Returns
///   HAPPY_OK
///   HAPPY_ESTATE      connects are in the handle
///   HAPPY_EREENTRANT  another thread is in the handle
///   HAPPY_EFORKED
///   HAPPY_EINVALID    `self` is NULL
///
/// Threads: any, one at a time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_set_timer_callback(
    self_: *mut happy_multi,
    callback: happy_timer_fn,
    userdata: *mut c_void,
) -> c_int {
    export!(Status, _handle = self_, {
        let set = |multi: &Multi<Caller>, caller: &Caller| {
            multi.check_idle()?;
            caller.timer.set((callback, userdata));
            Ok(())
        };
        // SAFETY: a live handle.
        status_of(unsafe { happy_multi::enter(self_, set) })
    })
}

/// Keeps a pointer of the caller's with a descriptor that the socket callback was told to watch, to be given
/// with each later call for it.
///
/// Parameters
///   fd                a descriptor that the socket callback was told to watch
///   socket_data       given with each later call for it; it stays the caller's
///
/// Returns
///   HAPPY_OK
///   HAPPY_ENOENT      it is not watched
///   HAPPY_EREENTRANT  another thread is in the handle
///   HAPPY_EFORKED
///   HAPPY_EINVALID    `self` is NULL
///
/// Threads: any, one at a time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_assign(self_: *mut happy_multi, fd: c_int, socket_data: *mut c_void) -> c_int {
    export!(Status, _handle = self_, {
        // SAFETY: a live handle.
        status_of(unsafe { happy_multi::enter(self_, |multi, _| multi.assign(fd, SocketData(socket_data))) })
    })
}

/// Tells that a watched descriptor is ready, or with HAPPY_SOCKET_TIMEOUT that the time has come that the
/// timer callback was told; does what is due; never blocks. A spurious call is harmless: what the descriptor
/// says itself counts. The handle may be gone afterwards if a callback has freed it: `*ret_running` is 0
/// then.
///
/// Parameters
///   fd_or_timeout     a descriptor, or HAPPY_SOCKET_TIMEOUT
///   events            the sum of HAPPY_POLL_IN, HAPPY_POLL_OUT and HAPPY_POLL_ERROR; 0: the caller does not
///                     know
///   ret_running       as for happy_multi_dispatch
///
/// Returns
///   HAPPY_OK          and the number of connects left in `*ret_running`
///   HAPPY_ENOENT      harmless too: the descriptor is not (or no longer) watched, such as a late event of
///                     one that was removed
///   HAPPY_EREENTRANT  from inside a callback, or while another thread is in the handle
///   HAPPY_ESTATE      there is no socket callback
///   HAPPY_EFORKED
///   HAPPY_EINVALID    `self` is NULL, or other events
///
/// Threads: any, one at a time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_socket_action(
    self_: *mut happy_multi,
    fd_or_timeout: c_int,
    events: c_int,
    ret_running: *mut c_int,
) -> c_int {
    export!(Status, _handle = self_, {
        if events & !(HAPPY_POLL_IN | HAPPY_POLL_OUT | HAPPY_POLL_ERROR) != 0 {
            return fail(HAPPY_EINVALID, "events: neither HAPPY_POLL_IN, _OUT nor _ERROR");
        }
        let fd = (fd_or_timeout != HAPPY_SOCKET_TIMEOUT).then_some(fd_or_timeout);
        // SAFETY: a live handle; ret_running as the documentation demands.
        unsafe { tell_running(happy_multi::enter(self_, |multi, caller| multi.socket_action(caller, fd)), ret_running) }
    })
}

/// Makes a running happy_multi_wait return, or the next one; makes the descriptor of happy_multi_get_fd
/// readable, or (driven by socket action, while connects are in the handle) the wake-up descriptor.
///
/// Returns
///   HAPPY_OK
///   HAPPY_EFORKED
///   HAPPY_EINVALID    `self` is NULL
///
/// Threads: any, at any time until happy_multi_free is called, and any signal handler
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_wakeup(self_: *mut happy_multi) -> c_int {
    export!(QuietStatus, handle = self_, {
        if handle.multi.is_forked() {
            return QuietStatus(HAPPY_EFORKED);
        }
        handle.multi.mailbox().waker().wake();
        QuietStatus(HAPPY_OK)
    })
}

/// Caps the connection attempts in flight in this handle. What is over it waits, connects that were added
/// earlier first; their limits go on. A connect whose earlier attempts hold permits may wait for another, so
/// set a limit too where hosts may not answer.
///
/// Parameters
///   max_attempts      a number of attempts; 0, the default: no cap
///
/// Returns
///   HAPPY_OK
///   HAPPY_EREENTRANT  another thread is in the handle
///   HAPPY_EFORKED
///   HAPPY_EINVALID    `self` is NULL
///
/// Threads: any, one at a time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_set_max_attempts(self_: *mut happy_multi, max_attempts: u32) -> c_int {
    export!(Status, _handle = self_, {
        // SAFETY: a live handle.
        status_of(unsafe { happy_multi::enter(self_, |multi, caller| multi.set_max_attempts(caller, max_attempts)) })
    })
}

/// Caps the questions in flight in this handle. A name is a question for each address family, and a local
/// host is one more; a question counts from its start, also while it waits for a worker, until it is answered
/// or given up: one that was given up counts no more, although its worker may still be inside libc. Numeric
/// hosts ask nothing.
///
/// Parameters
///   max_lookups       a number of questions; 0, the default: no cap but the worker threads of the process,
///                     and what name servers keep up with
///
/// Returns
///   HAPPY_OK
///   HAPPY_EREENTRANT  another thread is in the handle
///   HAPPY_EFORKED
///   HAPPY_EINVALID    `self` is NULL
///
/// Threads: any, one at a time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_set_max_lookups(self_: *mut happy_multi, max_lookups: u32) -> c_int {
    export!(Status, _handle = self_, {
        // SAFETY: a live handle.
        status_of(unsafe { happy_multi::enter(self_, |multi, caller| multi.set_max_lookups(caller, max_lookups)) })
    })
}
