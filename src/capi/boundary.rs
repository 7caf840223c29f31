//! What stands between C and Rust: panics, NULL, memory, errno.

use std::alloc::{Layout, alloc};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::status::{HAPPY_EINTERNAL, set_message};

/// What an export answers when its body panicked: each return type says it once.
pub(crate) trait OnPanic {
    const ON_PANIC: Self;
}

impl OnPanic for () {
    const ON_PANIC: () = ();
}

impl OnPanic for libc::c_int {
    const ON_PANIC: libc::c_int = HAPPY_EINTERNAL;
}

impl OnPanic for u32 {
    const ON_PANIC: u32 = 0;
}

impl<T> OnPanic for *mut T {
    const ON_PANIC: *mut T = std::ptr::null_mut();
}

impl<T> OnPanic for *const T {
    const ON_PANIC: *const T = std::ptr::null();
}

/// Runs the body of an export; a panic ends here.
pub(crate) fn run<R: OnPanic>(body: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        set_message(format!("internal error: {}", text.as_deref().unwrap_or("panic")));
        R::ON_PANIC
    })
}

/// The body of every export: a panic does not leave it, and a NULL handle is answered as said.
///
/// `export!({ … })` takes no handle; `export!(name = pointer, or answer, { … })` gives the body a reference to what the pointer
/// points to. The caller's promise is C's usual one: a handle is NULL, or one that the library gave and that was not freed.
macro_rules! export {
    ($body:block) => {
        $crate::capi::boundary::run(|| $body)
    };
    ($name:ident = $pointer:expr, or $answer:expr, $body:block) => {
        $crate::capi::boundary::run(|| {
            // SAFETY: NULL is told apart; any other handle is a live one of ours, which the documentation demands.
            match unsafe { $pointer.as_ref() } {
                None => $answer,
                Some($name) => $body,
            }
        })
    };
}
pub(crate) use export;

/// Moves a value to the heap for C to hold; None when there is no memory.
pub(crate) fn boxed<T>(value: T) -> Option<Box<T>> {
    room().map(|room| fill(room, value))
}

/// Room on the heap for a value that is not made yet, so that making it cannot be in vain; None when there is no memory.
pub(crate) fn room<T>() -> Option<Box<MaybeUninit<T>>> {
    let layout = Layout::new::<T>();
    assert!(layout.size() > 0, "a handle has a size");
    // SAFETY: the layout has a size, as alloc demands.
    let place = unsafe { alloc(layout) }.cast::<MaybeUninit<T>>();
    if place.is_null() {
        return None;
    }
    // SAFETY: the place is ours, large and aligned enough for T, and made by the allocator that Box frees with; it need not be initialised.
    Some(unsafe { Box::from_raw(place) })
}

/// Puts the value into its room.
pub(crate) fn fill<T>(mut room: Box<MaybeUninit<T>>, value: T) -> Box<T> {
    room.write(value);
    // SAFETY: it was just written.
    unsafe { room.assume_init() }
}

/// Sets errno.
pub(crate) fn set_errno(value: i32) {
    // SAFETY: the location is this thread's own and always there.
    unsafe { *libc::__errno_location() = value };
}
