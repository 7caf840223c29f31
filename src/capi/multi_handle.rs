//! What is behind a `happy_multi`: the caller's callbacks, and which thread is in it.

use super::result::{happy_attempt, happy_result};
use crate::drive::{EventLoop, Multi, Refused, Report};
use crate::sys::Interest;
use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::mem::size_of;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Many connects, driven by one thread at a time: a call that comes while another thread is in a function of
/// the handle changes nothing and answers HAPPY_EREENTRANT (-1 where a descriptor, with errno EBUSY, or
/// milliseconds are the answer). happy_multi_wakeup may be called at any time by any thread. happy_multi_free
/// must not come while another thread is in the handle; if it does it does nothing.
///
/// There are two ways to drive it, both in turns that never block.
///
/// By one descriptor: happy_multi_get_fd is readable whenever there is something to do, timers included; then
/// call happy_multi_dispatch. A program without a loop calls happy_multi_wait instead.
///
/// By socket action, for loops that watch plain sockets: after happy_multi_set_socket_callback the library
/// says which descriptors to watch and (happy_multi_set_timer_callback) when to call without any being ready;
/// the loop answers with happy_multi_socket_action.
///
/// Callbacks may add and cancel connects, and free the handle; calls that drive it (_dispatch, _wait,
/// _socket_action) answer HAPPY_EREENTRANT from inside a callback. In the child of a fork every function that
/// answers a status answers HAPPY_EFORKED, happy_multi_get_fd -1 with errno ESTALE, and
/// happy_multi_get_timeout_ms -1; happy_multi_free frees.
pub struct happy_multi {
    /// The thread that is in a function of the handle, perhaps in a callback of the caller's inside of it; 0:
    /// none.
    pub(super) thread: AtomicUsize,
    pub(super) multi: Multi<Caller>,
    pub(super) caller: Caller,
    pub(super) free_later: Cell<bool>,
}

/// Tells how a connect ended: exactly once for each that was added, from inside happy_multi_dispatch, _wait,
/// _socket_action, _cancel or _free.
///
/// Parameters
///   self              the handle
///   id                the connect's number, which means nothing any more
///   result            how it ended; it and what it points to live until the callback returns. Its `fd` is
///                     the callee's from then on; its `attempts` has all `attempts_count` attempts, to be
///                     gone through with happy_result_get_attempt
///   userdata          that of happy_multi_add
///
/// Threads: the one that drives the handle
pub type happy_done_fn =
    Option<unsafe extern "C" fn(self_: *mut happy_multi, id: u64, result: *const happy_result, userdata: *mut c_void)>;

/// Asks the caller's loop to watch a descriptor, level-triggered, or to watch it no more. Called from inside
/// the functions that drive the handle.
///
/// Parameters
///   self              the handle
///   fd                the descriptor, which stays the library's
///   what              the sum of HAPPY_POLL_IN and HAPPY_POLL_OUT; or HAPPY_POLL_REMOVE, which always comes
///                     before the descriptor is closed or handed over
///   socket_data       what happy_multi_assign set for it, else NULL
///   userdata          that of happy_multi_set_socket_callback
///
/// Threads: the one that drives the handle
pub type happy_socket_fn = Option<
    unsafe extern "C" fn(
        self_: *mut happy_multi,
        fd: c_int,
        what: c_int,
        socket_data: *mut c_void,
        userdata: *mut c_void,
    ),
>;

/// Asks the caller's loop for one call of happy_multi_socket_action(HAPPY_SOCKET_TIMEOUT) (driven by one
/// descriptor: of happy_multi_dispatch) at a later time, instead of what was asked before.
///
/// Parameters
///   self              the handle
///   timeout_ms        in this many milliseconds; 0: soon, but not from inside this callback; -1: not at all
///   userdata          that of happy_multi_set_timer_callback
///
/// Threads: the one that drives the handle
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
pub(super) struct Caller {
    /// The handle itself, for the callbacks: the pointer that happy_multi_new gave.
    pub(super) handle: Cell<*mut happy_multi>,
    pub(super) socket: Cell<(happy_socket_fn, *mut c_void)>,
    pub(super) timer: Cell<(happy_timer_fn, *mut c_void)>,
    /// Room for the attempts of one result.
    attempts: RefCell<Vec<happy_attempt>>,
}

/// The caller's pointer for a socket.
#[derive(Clone, Copy)]
pub(super) struct SocketData(pub *mut c_void);

impl Default for SocketData {
    fn default() -> SocketData {
        SocketData(std::ptr::null_mut())
    }
}

/// What happy_multi_add was given to end with.
pub(super) struct Done {
    pub(super) function: unsafe extern "C" fn(*mut happy_multi, u64, *const happy_result, *mut c_void),
    pub(super) userdata: *mut c_void,
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
        result.attempt_size = size_of::<happy_attempt>();
        // Few have a binding: this allocates for them alone.
        let mut binding = vec![0_u8; result.binding_length];
        if !binding.is_empty() {
            // SAFETY: the buffer outlives the result.
            unsafe { result.put_binding(report.binding, binding.as_mut_ptr().cast(), binding.len()) };
        }
        // SAFETY: the caller's function, with a result, attempts and a binding's bytes that outlive the call.
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
            unsafe { function(self.handle.get(), fd, what, data.0, userdata) };
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

/// A number that no other thread has that lives at the same time; never 0.
pub(super) fn this_thread() -> usize {
    thread_local! { static PLACE: u8 = const { 0 } }
    PLACE.with(|place| std::ptr::from_ref(place) as usize)
}

impl happy_multi {
    /// A handle of the caller's; it learns its own address once it has one.
    pub(super) fn new(multi: Multi<Caller>) -> happy_multi {
        let caller = Caller {
            handle: Cell::new(std::ptr::null_mut()),
            socket: Cell::new((None, std::ptr::null_mut())),
            timer: Cell::new((None, std::ptr::null_mut())),
            attempts: RefCell::new(Vec::new()),
        };
        happy_multi { thread: AtomicUsize::new(0), multi, caller, free_later: Cell::new(false) }
    }

    /// Runs `body`, unless another thread is in the handle or it belongs to another process; if a callback
    /// inside it has freed the handle, ends it afterwards.
    ///
    /// # Safety
    /// `self_` is a live handle. It may be gone afterwards.
    pub(super) unsafe fn enter<R>(
        self_: *mut happy_multi,
        body: impl FnOnce(&Multi<Caller>, &Caller) -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        struct Leave(*mut happy_multi);
        impl Drop for Leave {
            fn drop(&mut self) {
                // SAFETY: it lives at least until here: freeing was put off while a function of it ran.
                let handle = unsafe { &*self.0 };
                if handle.free_later.get() {
                    // SAFETY: the pointer came from Box::into_raw, no function of the handle runs, and its
                    // owner has given it up.
                    unsafe { happy_multi::end(self.0) };
                } else {
                    handle.thread.store(0, Ordering::Release);
                }
            }
        }
        // SAFETY: a live handle, promised by the caller.
        let handle = unsafe { &*self_ };
        if handle.multi.is_forked() {
            return Err(Refused::Forked);
        }
        let this = this_thread();
        // Acquire: what the thread before has left.
        let _leave = match handle.thread.compare_exchange(0, this, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Some(Leave(self_)),
            // From inside a callback: the function that called it is the one that leaves.
            Err(thread) if thread == this => None,
            Err(_) => return Err(Refused::Reentrant),
        };
        body(&handle.multi, &handle.caller)
    }

    /// # Safety
    /// `self_` came from Box::into_raw, and no function of it runs. It is gone afterwards.
    pub(super) unsafe fn end(self_: *mut happy_multi) {
        {
            // SAFETY: promised by the caller. A done callback that frees the handle once more finds it asked
            // for already.
            let handle = unsafe { &*self_ };
            handle.free_later.set(true);
            handle.multi.close(&handle.caller);
        }
        // SAFETY: promised by the caller.
        drop(unsafe { Box::from_raw(self_) });
    }
}
