//! futex(2): sleeping on a word until somebody rouses the sleepers.

use std::sync::atomic::AtomicU32;
use std::time::Instant;

/// Sleeps while the word holds `expected`. False once the deadline has passed; true for any other return,
/// after which the caller looks at the word again.
pub(crate) fn wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> bool {
    let mut limit = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let limit = match deadline {
        None => std::ptr::null(),
        Some(deadline) => {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            limit.tv_sec = libc::time_t::try_from(left.as_secs()).unwrap_or(libc::time_t::MAX);
            limit.tv_nsec = left.subsec_nanos() as _;
            &raw const limit
        }
    };
    // SAFETY: the word and the limit outlive the call. FUTEX_WAIT reads the word and nothing else. EAGAIN (the
    // word has another value), EINTR and ETIMEDOUT all lead to another look by the caller, who counts the
    // time itself.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, expected, limit);
    }
    true
}

/// Ends every sleep on the word. Leaves errno alone: FUTEX_WAKE on a valid address does not fail.
pub(crate) fn rouse(word: &AtomicU32) {
    // SAFETY: FUTEX_WAKE uses the address as a key only.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, i32::MAX);
    }
}
