//! Threads that belong to nobody: detached, every signal blocked, a stack of a known size.

use std::ffi::{CStr, c_void};
use std::io;

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
    // SAFETY: the attributes are initialised before use and destroyed after; both signal sets are filled before they are read; the mask
    // of the caller is put back whatever happened. The new thread inherits the full mask, so no signal can arrive in between.
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
                // glibc takes the static thread-local storage out of the stack, and a program can have more of it than the stack is large.
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
