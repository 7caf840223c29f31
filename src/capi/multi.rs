//! `happy_multi`: many connects on one thread.

use super::boundary::{boxed, export, set_errno};
use super::options::{happy_options, plan};
use super::result::{happy_attempt, happy_result};
use super::status::*;
use crate::drive::{EventLoop, Multi, Refused, Report};
use crate::sys::Interest;
use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int, c_void};
use std::os::fd::RawFd;

/// Many connects, driven by one thread: only happy_multi_wakeup may be called from others.
///
/// There are two ways to drive it, both in turns that never block.
///
/// By one descriptor: happy_multi_get_fd is readable whenever there is something to do, timers included; then call happy_multi_dispatch.
/// A program without a loop calls happy_multi_wait instead.
///
/// By socket action, for loops that watch plain sockets: after happy_multi_set_socket_callback the library says which descriptors
/// to watch and (happy_multi_set_timer_callback) when to call without any being ready; the loop answers with happy_multi_socket_action.
///
/// Callbacks may add and cancel connects, and free the handle; calls that drive it (_dispatch, _wait, _socket_action) answer
/// HAPPY_EREENTRANT from inside a callback. In the child of a fork every function answers HAPPY_EFORKED, but for happy_multi_free.
pub struct happy_multi {
    multi: Multi<Caller>,
    caller: Caller,
    free_later: Cell<bool>,
}

/// Tells how a connect ended: exactly once for each that was added, on the thread that drives the handle, from inside
/// happy_multi_dispatch, _wait, _socket_action, _cancel or _free.
///
/// `result` and what it points to live until the callback returns; its `attempts` has all `attempts_count` attempts. Its `fd` is
/// the callee's from then on. `id` means nothing any more.
pub type happy_done_fn =
    Option<unsafe extern "C" fn(self_: *mut happy_multi, id: u64, result: *const happy_result, userdata: *mut c_void)>;

/// Asks the caller's loop to watch a descriptor for `what`: the sum of HAPPY_POLL_IN and HAPPY_POLL_OUT, level-triggered; or to watch it
/// no more, HAPPY_POLL_REMOVE, which always comes before the descriptor is closed or handed over.
///
/// `socket_data` is what happy_multi_assign set for it, else NULL. Called from inside the functions that drive the handle.
pub type happy_socket_fn = Option<
    unsafe extern "C" fn(
        self_: *mut happy_multi,
        fd: c_int,
        what: c_int,
        userdata: *mut c_void,
        socket_data: *mut c_void,
    ),
>;

/// Asks the caller's loop for a call of happy_multi_socket_action(HAPPY_SOCKET_TIMEOUT) (driven by one descriptor: of
/// happy_multi_dispatch) once, in `timeout_ms` milliseconds, instead of what was asked before; 0: soon, but not from inside this callback;
/// -1: not at all.
pub type happy_timer_fn =
    Option<unsafe extern "C" fn(self_: *mut happy_multi, timeout_ms: c_int, userdata: *mut c_void)>;

/// For happy_multi_socket_action: the time that the timer callback asked for has come.
pub const HAPPY_SOCKET_TIMEOUT: i32 = -1;
/// Readable.
pub const HAPPY_POLL_IN: i32 = 1;
/// Writable.
pub const HAPPY_POLL_OUT: i32 = 2;
/// Error or hang-up; for happy_multi_socket_action only.
pub const HAPPY_POLL_ERROR: i32 = 4;
/// Watch it no more.
pub const HAPPY_POLL_REMOVE: i32 = 8;

/// The callbacks of a handle.
struct Caller {
    /// The handle itself, for the callbacks: the pointer that happy_multi_new gave.
    handle: Cell<*mut happy_multi>,
    socket: Cell<(happy_socket_fn, *mut c_void)>,
    timer: Cell<(happy_timer_fn, *mut c_void)>,
    /// Room for the attempts of one result.
    attempts: RefCell<Vec<happy_attempt>>,
}

/// The caller's pointer for a socket.
#[derive(Clone, Copy)]
struct SocketData(*mut c_void);

impl Default for SocketData {
    fn default() -> SocketData {
        SocketData(std::ptr::null_mut())
    }
}

/// What happy_multi_add was given to end with.
struct Done {
    function: unsafe extern "C" fn(*mut happy_multi, u64, *const happy_result, *mut c_void),
    userdata: *mut c_void,
}

impl EventLoop for Caller {
    type Userdata = Done;
    type SocketData = SocketData;

    fn done(&self, id: u64, report: &mut Report<'_>, done: Done) {
        let mut attempts = self.attempts.take();
        attempts.clear();
        attempts.extend(report.attempts.iter().map(|attempt| happy_attempt::new(attempt, report.began)));
        let mut result = happy_result::of_report(report);
        result.attempts = attempts.as_mut_ptr();
        result.attempts_capacity = attempts.len();
        // SAFETY: the caller's function, with a result and attempts that outlive the call.
        unsafe { (done.function)(self.handle.get(), id, &raw const result, done.userdata) };
        self.attempts.replace(attempts);
    }

    fn watch(&self, fd: RawFd, interest: Option<Interest>, data: SocketData) {
        let what = match interest {
            Some(Interest::Readable) => HAPPY_POLL_IN,
            Some(Interest::Writable) => HAPPY_POLL_OUT,
            None => HAPPY_POLL_REMOVE,
        };
        let (function, userdata) = self.socket.get();
        if let Some(function) = function {
            // SAFETY: the caller's function, with the arguments that it is documented to get.
            unsafe { function(self.handle.get(), fd, what, userdata, data.0) };
        }
    }

    fn set_timer(&self, timeout_ms: i32) {
        let (function, userdata) = self.timer.get();
        if let Some(function) = function {
            // SAFETY: the caller's function, with the arguments that it is documented to get.
            unsafe { function(self.handle.get(), timeout_ms, userdata) };
        }
    }
}

impl happy_multi {
    /// Runs `body`; if a callback inside it has freed the handle, ends it afterwards.
    ///
    /// # Safety
    /// `self_` is a live handle. It may be gone afterwards.
    unsafe fn drive<R>(self_: *mut happy_multi, body: impl FnOnce(&Multi<Caller>, &Caller) -> R) -> R {
        struct Leave(*mut happy_multi);
        impl Drop for Leave {
            fn drop(&mut self) {
                // SAFETY: it lives at least until here: freeing was put off while a function of it ran.
                let handle = unsafe { &*self.0 };
                if handle.free_later.get() && !handle.multi.is_busy() {
                    // SAFETY: the pointer came from Box::into_raw, no function of the handle runs, and its owner has given it up.
                    unsafe { happy_multi::end(self.0) };
                }
            }
        }
        let _leave = Leave(self_);
        // SAFETY: a live handle, promised by the caller.
        let handle = unsafe { &*self_ };
        body(&handle.multi, &handle.caller)
    }

    /// # Safety
    /// `self_` came from Box::into_raw, and no function of it runs. It is gone afterwards.
    unsafe fn end(self_: *mut happy_multi) {
        {
            // SAFETY: promised by the caller. A done callback that frees the handle once more finds it asked for already.
            let handle = unsafe { &*self_ };
            handle.free_later.set(true);
            handle.multi.close(&handle.caller);
        }
        // SAFETY: promised by the caller.
        drop(unsafe { Box::from_raw(self_) });
    }
}

/// The status for a refusal.
fn status(refused: Refused) -> c_int {
    let (status, message) = match refused {
        Refused::Forked => (HAPPY_EFORKED, "the handle was made before a fork"),
        Refused::Reentrant => (HAPPY_EREENTRANT, "called from inside a callback of the same handle"),
        Refused::State(message) => (HAPPY_ESTATE, message),
        Refused::Unknown => (HAPPY_ENOENT, "no such connect or descriptor in the handle"),
        Refused::Full => (HAPPY_ENOMEM, "too many connects in the handle"),
    };
    fail(status, message)
}

fn status_of(outcome: Result<(), Refused>) -> c_int {
    outcome.map_or_else(status, |()| HAPPY_OK)
}

fn fail(status: c_int, message: &str) -> c_int {
    set_message(message);
    status
}

/// Writes the number of connects that are left.
///
/// # Safety
/// `ret_running` is NULL or may be written.
unsafe fn tell_running(outcome: Result<usize, Refused>, ret_running: *mut c_int) -> c_int {
    match outcome {
        Err(refused) => status(refused),
        Ok(running) => {
            // SAFETY: promised by the caller.
            if let Some(target) = unsafe { ret_running.as_mut() } {
                *target = running as c_int;
            }
            HAPPY_OK
        }
    }
}

/// Makes a handle, to be freed with happy_multi_free. It has three descriptors of its own (epoll, eventfd, timerfd). NULL with errno
/// when they could not be made (EMFILE, ENFILE, ENOMEM).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_new() -> *mut happy_multi {
    export!({
        let multi = match Multi::new() {
            Ok(multi) => multi,
            Err(error) => {
                set_message(format!("epoll_create1(2), eventfd(2) or timerfd_create(2): {error}"));
                set_errno(crate::sys::errno_of(&error));
                return std::ptr::null_mut();
            }
        };
        let caller = Caller {
            handle: Cell::new(std::ptr::null_mut()),
            socket: Cell::new((None, std::ptr::null_mut())),
            timer: Cell::new((None, std::ptr::null_mut())),
            attempts: RefCell::new(Vec::new()),
        };
        let Some(made) = boxed(happy_multi { multi, caller, free_later: Cell::new(false) }) else {
            set_message("out of memory");
            set_errno(libc::ENOMEM);
            return std::ptr::null_mut();
        };
        let handle = Box::into_raw(made);
        // SAFETY: just made, and nobody else has it.
        unsafe { (*handle).caller.handle.set(handle) };
        handle
    })
}

/// Ends every connect that is left in its done callback (HAPPY_ECANCELLED, unless it had ended otherwise a moment before) and frees
/// the handle. Never waits for a lookup. NULL is a no-op.
///
/// From inside a callback it takes effect when the outermost function returns that runs for this handle; until then nothing more is begun.
/// In the child of a fork nothing is called and nothing of the parent's is touched: the child's copies are closed and freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_free(self_: *mut happy_multi) {
    export!(handle = self_, or(), {
        handle.multi.begin_to_close();
        if handle.free_later.replace(true) {
            return;
        }
        if !handle.multi.is_busy() {
            // SAFETY: no function of it runs, the caller promises to use it no more, and the pointer came from Box::into_raw.
            unsafe { happy_multi::end(self_) };
        }
    })
}

/// Adds a connect; its limits count from here, also while it waits for a permit (happy_multi_set_max_attempts). Arguments as for
/// init_inetsock_happy; all is copied.
///
/// `done` is called once, never from inside this function, and not at all when adding failed. HAPPY_OK with the connect's number in
/// `*ret_id` (never 0, not used again; `ret_id` may be NULL); else HAPPY_EINVALID (happy_error_message() names the argument), HAPPY_ENOMEM,
/// HAPPY_EFORKED, or HAPPY_ESTATE while the handle is being freed. It opens no descriptor: when there is none left (EMFILE) the connect's
/// attempts fail so, and its done callback says HAPPY_ESYSCALL with that errno and "socket(2)".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_add(
    self_: *mut happy_multi,
    remote_host: *const c_char,
    remote_service: *const c_char,
    options: *const happy_options,
    done: happy_done_fn,
    userdata: *mut c_void,
    ret_id: *mut u64,
) -> c_int {
    export!(handle = self_, or fail(HAPPY_EINVALID, "self: NULL"), {
        let Some(function) = done else { return fail(HAPPY_EINVALID, "done: NULL") };
        // Before the options are taken: what is refused keeps its userdata.
        if let Err(refused) = handle.multi.check_open() {
            return status(refused);
        }
        // SAFETY: strings and options as the documentation demands.
        let plan = match unsafe { plan(remote_host, remote_service, options) } {
            Ok(plan) => plan,
            Err(refusal) => return refusal.status,
        };
        // SAFETY: a live handle.
        match unsafe { happy_multi::drive(self_, |multi, caller| multi.add(caller, plan, Done { function, userdata })) } {
            Err(refused) => status(refused),
            Ok(id) => {
                // SAFETY: NULL or the caller's to be written.
                if let Some(target) = unsafe { ret_id.as_mut() } {
                    *target = id;
                }
                HAPPY_OK
            }
        }
    })
}

/// Ends a connect: its done callback is called with HAPPY_ECANCELLED (unless its end was decided a moment before) before this
/// returns; from inside a callback: after that callback has returned, before the function returns that called it (from inside the timer
/// callback of happy_multi_add: in the next turn). HAPPY_OK; HAPPY_ENOENT when there is no such connect or it has ended; HAPPY_EINVALID,
/// HAPPY_EFORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_cancel(self_: *mut happy_multi, id: u64) -> c_int {
    export!(_handle = self_, or fail(HAPPY_EINVALID, "self: NULL"), {
        // SAFETY: a live handle.
        status_of(unsafe { happy_multi::drive(self_, |multi, caller| multi.cancel(caller, id)) })
    })
}

/// The one descriptor: readable whenever happy_multi_dispatch has something to do, timers included. It is the handle's own and the
/// same until happy_multi_free. Do not read it. -1 with errno EINVAL for NULL, after a fork, or where a socket callback is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_get_fd(self_: *mut happy_multi) -> c_int {
    export!(_handle = self_, or { set_errno(libc::EINVAL); fail(-1, "self: NULL") }, {
        // SAFETY: a live handle.
        unsafe { happy_multi::drive(self_, |multi, caller| multi.descriptor(caller)) }.unwrap_or_else(|refused| {
            status(refused);
            set_errno(libc::EINVAL);
            -1
        })
    })
}

/// How long to wait at most before the next turn, in milliseconds, for loops that prefer a timer of their own: -1 no limit, 0 now;
/// rounded up. Ask again after each turn and each add. -1 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_get_timeout_ms(self_: *mut happy_multi) -> c_int {
    export!(handle = self_, or - 1, { handle.multi.timeout_ms() })
}

/// Does what is due; never blocks. Begins a limited number of connects in one turn: with many added at once the descriptor stays readable,
/// and the timeout 0, until all have begun.
///
/// HAPPY_OK with the number of connects left in `*ret_running` (may be NULL); HAPPY_EREENTRANT from inside a callback; HAPPY_ESTATE where a socket
/// callback is set; HAPPY_EINVALID, HAPPY_EFORKED. The handle may be gone if a callback has freed it: `*ret_running` is 0 then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_dispatch(self_: *mut happy_multi, ret_running: *mut c_int) -> c_int {
    export!(_handle = self_, or fail(HAPPY_EINVALID, "self: NULL"), {
        // SAFETY: a live handle; ret_running as the documentation demands.
        unsafe { tell_running(happy_multi::drive(self_, |multi, caller| multi.dispatch(caller)), ret_running) }
    })
}

/// Waits until something is due, for `timeout_ms` at most (-1: no limit), then does it as happy_multi_dispatch. Returns earlier after
/// happy_multi_wakeup or a signal. Without connects it waits for the limit or a wake-up. Call it until nothing is left:
///
/// ```c
/// int running = 1;
/// while (running > 0 && happy_multi_wait(multi, -1, &running) == HAPPY_OK) {
/// }
/// ```
///
/// Answers as happy_multi_dispatch; HAPPY_EINVALID also for a limit below -1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_wait(
    self_: *mut happy_multi,
    timeout_ms: c_int,
    ret_running: *mut c_int,
) -> c_int {
    export!(_handle = self_, or fail(HAPPY_EINVALID, "self: NULL"), {
        if timeout_ms < -1 {
            return fail(HAPPY_EINVALID, "timeout_ms: must be -1 (no limit) or more");
        }
        // SAFETY: a live handle; ret_running as the documentation demands.
        unsafe { tell_running(happy_multi::drive(self_, |multi, caller| multi.wait(caller, timeout_ms)), ret_running) }
    })
}

/// Has the handle driven by socket action: from now on `callback` is told which descriptors to watch, and happy_multi_get_fd, _dispatch and _wait
/// answer HAPPY_ESTATE. NULL turns it back. HAPPY_OK; HAPPY_ESTATE while connects are in the handle; HAPPY_EINVALID, HAPPY_EFORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_set_socket_callback(
    self_: *mut happy_multi,
    callback: happy_socket_fn,
    userdata: *mut c_void,
) -> c_int {
    export!(handle = self_, or fail(HAPPY_EINVALID, "self: NULL"), {
        match handle.multi.drive_by_socket_action(callback.is_some()) {
            Err(refused) => status(refused),
            Ok(()) => {
                handle.caller.socket.set((callback, userdata));
                HAPPY_OK
            }
        }
    })
}

/// Has `callback` told when to drive the handle although no descriptor is ready. It is called when that time changes: after
/// happy_multi_add and at the end of each turn. NULL: nobody is told. HAPPY_OK; HAPPY_ESTATE while connects are in the handle;
/// HAPPY_EINVALID, HAPPY_EFORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_set_timer_callback(
    self_: *mut happy_multi,
    callback: happy_timer_fn,
    userdata: *mut c_void,
) -> c_int {
    export!(handle = self_, or fail(HAPPY_EINVALID, "self: NULL"), {
        match handle.multi.check_idle() {
            Err(refused) => status(refused),
            Ok(()) => {
                handle.caller.timer.set((callback, userdata));
                HAPPY_OK
            }
        }
    })
}

/// Keeps a pointer of the caller's with a descriptor that the socket callback was told to watch, to be given with each later call for it.
/// HAPPY_OK; HAPPY_ENOENT when it is not watched; HAPPY_EINVALID, HAPPY_EFORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_assign(self_: *mut happy_multi, fd: c_int, socket_data: *mut c_void) -> c_int {
    export!(handle = self_, or fail(HAPPY_EINVALID, "self: NULL"), {
        status_of(handle.multi.assign(fd, SocketData(socket_data)))
    })
}

/// Tells that a watched descriptor is ready, or with HAPPY_SOCKET_TIMEOUT that the time has come that the timer callback was told; does what
/// is due; never blocks. `events` is the sum of HAPPY_POLL_IN, _OUT and _ERROR, or 0 if the caller does not know. A spurious call is harmless:
/// what the descriptor says itself counts.
///
/// HAPPY_OK with the number of connects left in `*ret_running` (may be NULL); HAPPY_ENOENT, harmless too, for a descriptor that is not (or no
/// longer) watched, such as a late event of one that was removed; HAPPY_EREENTRANT from inside a callback; HAPPY_ESTATE without a socket callback;
/// HAPPY_EINVALID for NULL or other events; HAPPY_EFORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_socket_action(
    self_: *mut happy_multi,
    fd_or_timeout: c_int,
    events: c_int,
    ret_running: *mut c_int,
) -> c_int {
    export!(_handle = self_, or fail(HAPPY_EINVALID, "self: NULL"), {
        if events & !(HAPPY_POLL_IN | HAPPY_POLL_OUT | HAPPY_POLL_ERROR) != 0 {
            return fail(HAPPY_EINVALID, "events: neither HAPPY_POLL_IN, _OUT nor _ERROR");
        }
        let fd = (fd_or_timeout != HAPPY_SOCKET_TIMEOUT).then_some(fd_or_timeout);
        // SAFETY: a live handle; ret_running as the documentation demands.
        unsafe { tell_running(happy_multi::drive(self_, |multi, caller| multi.socket_action(caller, fd)), ret_running) }
    })
}

/// Makes a running happy_multi_wait return, or the next one; makes the descriptor of happy_multi_get_fd readable, or (driven by socket action,
/// while connects are in the handle) the wake-up descriptor. The one function for other threads, and for signal handlers. HAPPY_OK; HAPPY_EINVALID,
/// HAPPY_EFORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_wakeup(self_: *mut happy_multi) -> c_int {
    export!(handle = self_, or HAPPY_EINVALID, {
        // No message is set: that takes memory, which a signal handler must not.
        if handle.multi.is_forked() {
            return HAPPY_EFORKED;
        }
        handle.multi.mailbox().waker().wake();
        HAPPY_OK
    })
}

/// Caps the connection attempts in flight in this handle; 0 (the default): no cap. What is over it waits, connects that were added earlier
/// first; their limits go on. A connect whose earlier attempts hold permits may wait for another, so set a limit too where hosts may not answer.
/// HAPPY_OK, HAPPY_EINVALID, HAPPY_EFORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_set_max_attempts(self_: *mut happy_multi, max_attempts: u32) -> c_int {
    export!(_handle = self_, or fail(HAPPY_EINVALID, "self: NULL"), {
        // SAFETY: a live handle.
        status_of(unsafe { happy_multi::drive(self_, |multi, caller| multi.set_max_attempts(caller, max_attempts)) })
    })
}

/// Caps the lookups in flight in this handle (a name needs two, one for each address family); 0 (the default): no cap but the worker threads of the
/// process. Otherwise as happy_multi_set_max_attempts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_multi_set_max_lookups(self_: *mut happy_multi, max_lookups: u32) -> c_int {
    export!(_handle = self_, or fail(HAPPY_EINVALID, "self: NULL"), {
        // SAFETY: a live handle.
        status_of(unsafe { happy_multi::drive(self_, |multi, caller| multi.set_max_lookups(caller, max_lookups)) })
    })
}
