//! Threads that belong to nobody: detached, every signal blocked, a stack of a known size; and what the
//! caller's threads must not do while they are in here.

use std::ffi::{CStr, c_int, c_void};
use std::io;
use std::time::{Duration, Instant};

/// Starts a detached thread that runs `body` and blocks every signal from its first instruction on.
///
/// # Errors
/// What pthread_create(3) says: `EAGAIN` when the system or the user has no thread left.
pub(crate) fn spawn_detached(name: &'static CStr, stack_size: usize, body: fn()) -> io::Result<()> {
    struct Start {
        name: &'static CStr,
        body: fn(),
    }
    extern "C" fn run(start: *mut c_void) -> *mut c_void {
        // SAFETY: the pointer is the box that `spawn_detached` gave away, and this thread is its only owner.
        let start = unsafe { Box::from_raw(start.cast::<Start>()) };
        // SAFETY: the name is a C string of at most 16 bytes.
        unsafe { libc::pthread_setname_np(libc::pthread_self(), start.name.as_ptr()) };
        (start.body)();
        std::ptr::null_mut()
    }

    let start = Box::into_raw(Box::new(Start { name, body }));
    // SAFETY: the attributes are initialised before use and destroyed after; both signal sets are filled
    // before they are read; the mask of the caller is put back whatever happened. The new thread inherits the
    // full mask, so no signal can arrive in between.
    let outcome = unsafe {
        let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
        let mut outcome = libc::pthread_attr_init(attributes.as_mut_ptr());
        if outcome == 0 {
            libc::pthread_attr_setdetachstate(attributes.as_mut_ptr(), libc::PTHREAD_CREATE_DETACHED);
            let mut default_size = 0;
            libc::pthread_attr_getstacksize(attributes.as_ptr(), &mut default_size);
            // EINVAL (below the platform's least) leaves the default, which is larger.
            libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack_size);
            let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
            let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            let mut thread = std::mem::MaybeUninit::<libc::pthread_t>::uninit();
            outcome = libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), run, start.cast());
            if outcome == libc::EINVAL {
                // glibc takes the static thread-local storage out of the stack, and a program can have more
                // of it than the stack is large.
                libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), default_size.max(stack_size));
                outcome = libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), run, start.cast());
            }
            libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
        }
        outcome
    };
    if outcome != 0 {
        // SAFETY: no thread was made, so the box is still ours.
        drop(unsafe { Box::from_raw(start) });
        return Err(io::Error::from_raw_os_error(outcome));
    }
    Ok(())
}

/// The kernel's number of the calling thread: gettid(2).
pub(crate) fn id() -> libc::pid_t {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() }
}

/// Waits until a thread of this process that is about to end has ended, for `limit` at most; whether it has.
/// A thread that is not joined gives no event when it ends, so it is asked for by its number, and the CPU is
/// given away in between.
pub(crate) fn wait_until_gone(thread: libc::pid_t, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    loop {
        // SAFETY: takes no pointers. Signal 0 is sent to nobody; it only finds out whether there is such a
        // thread.
        let answer = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, 0) };
        if answer == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH) {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        // SAFETY: takes nothing.
        unsafe { libc::sched_yield() };
    }
}

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, old_state: *mut c_int) -> c_int;
}

/// pthread.h of glibc and musl; the libc crate has no name for it.
const PTHREAD_CANCEL_DISABLE: c_int = 1;

/// As long as it lives, pthread_cancel(3) of the calling thread waits: glibc cancels a thread by unwinding
/// its stack, which must not go through Rust. It takes effect at the thread's next cancellation point after
/// that. Async-signal-safe.
pub(crate) struct CancellationHeldOff {
    before: c_int,
}

impl CancellationHeldOff {
    pub(crate) fn new() -> CancellationHeldOff {
        let mut before = 0;
        // SAFETY: the old state is written to a place of ours. It fails for a state that there is not, and
        // only then.
        unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &mut before) };
        CancellationHeldOff { before }
    }
}

impl Drop for CancellationHeldOff {
    fn drop(&mut self) {
        // SAFETY: the state is the one that was found; the thread is of the deferred type, so nothing is
        // cancelled in here.
        unsafe { pthread_setcancelstate(self.before, std::ptr::null_mut()) };
    }
}
