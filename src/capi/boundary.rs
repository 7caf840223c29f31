//! What stands between C and Rust: panics, NULL, thread cancellation, memory, errno.

use super::codes::{HAPPY_CONFIRM_NO, HAPPY_CONFIRM_YES, HAPPY_EINTERNAL, HAPPY_EINVALID, HAPPY_OK};
use super::message::set_message;
use crate::sys::thread::CancellationHeldOff;
use std::alloc::{Layout, alloc};
use std::ffi::{CStr, c_char, c_int};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What the body of an export answers: one type for each meaning that a number can have in C, so that the
/// error of one never comes out as the value of another.
pub(crate) trait Answer {
    /// The type in C.
    type Raw;
    /// What is answered when the body panicked.
    fn panicked() -> Self;
    fn raw(self) -> Self::Raw;
}

/// What is answered for a NULL handle.
pub(crate) trait NullAnswer: Answer {
    fn null() -> Self;
}

/// HAPPY_OK or `HAPPY_E*`; where the documentation says so an `EAI_*` code, which is none of those.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status(pub c_int);

/// cbindgen:ignore
impl Status {
    pub const OK: Status = Status(HAPPY_OK);
}

impl Answer for Status {
    type Raw = c_int;
    fn panicked() -> Status {
        Status(HAPPY_EINTERNAL)
    }
    fn raw(self) -> c_int {
        self.0
    }
}

impl NullAnswer for Status {
    fn null() -> Status {
        fail(HAPPY_EINVALID, "self: NULL")
    }
}

/// A status of a function that signal handlers may call: it leaves no message, which would take memory.
pub(crate) struct QuietStatus(pub c_int);

impl Answer for QuietStatus {
    type Raw = c_int;
    fn panicked() -> QuietStatus {
        QuietStatus(HAPPY_EINTERNAL)
    }
    fn raw(self) -> c_int {
        self.0
    }
}

impl NullAnswer for QuietStatus {
    fn null() -> QuietStatus {
        QuietStatus(HAPPY_EINVALID)
    }
}

/// A descriptor, or -1 and errno.
pub(crate) struct Descriptor(pub c_int);

impl Descriptor {
    pub fn none(sys_errno: i32) -> Descriptor {
        set_errno(sys_errno);
        Descriptor(-1)
    }
}

impl Answer for Descriptor {
    type Raw = c_int;
    fn panicked() -> Descriptor {
        Descriptor::none(libc::ENOTRECOVERABLE)
    }
    fn raw(self) -> c_int {
        self.0
    }
}

impl NullAnswer for Descriptor {
    fn null() -> Descriptor {
        set_message("self: NULL");
        Descriptor::none(libc::EINVAL)
    }
}

/// How long to wait, in milliseconds; -1: nothing to wait for.
pub(crate) struct Milliseconds(pub c_int);

impl Answer for Milliseconds {
    type Raw = c_int;
    fn panicked() -> Milliseconds {
        Milliseconds(-1)
    }
    fn raw(self) -> c_int {
        self.0
    }
}

impl NullAnswer for Milliseconds {
    fn null() -> Milliseconds {
        Milliseconds(-1)
    }
}

/// 0 or an `EAI_*` code.
pub(crate) struct GaiCode(pub c_int);

impl Answer for GaiCode {
    type Raw = c_int;
    fn panicked() -> GaiCode {
        GaiCode(libc::EAI_FAIL)
    }
    fn raw(self) -> c_int {
        self.0
    }
}

/// The length of a text, as snprintf(3) answers it, or -1.
pub(crate) struct Length(pub c_int);

impl Answer for Length {
    type Raw = c_int;
    fn panicked() -> Length {
        Length(-1)
    }
    fn raw(self) -> c_int {
        self.0
    }
}

/// A number of things.
pub(crate) struct Count(pub u32);

impl Answer for Count {
    type Raw = u32;
    fn panicked() -> Count {
        Count(0)
    }
    fn raw(self) -> u32 {
        self.0
    }
}

/// A text that is never NULL.
pub(crate) struct Text(pub *const c_char);

impl From<&'static CStr> for Text {
    fn from(text: &'static CStr) -> Text {
        Text(text.as_ptr())
    }
}

impl Answer for Text {
    type Raw = *const c_char;
    fn panicked() -> Text {
        Text(c"".as_ptr())
    }
    fn raw(self) -> *const c_char {
        self.0
    }
}

impl Answer for () {
    type Raw = ();
    fn panicked() {}
    fn raw(self) {}
}

impl NullAnswer for () {
    fn null() {}
}

/// A pointer, or NULL.
impl<T> Answer for *mut T {
    type Raw = *mut T;
    fn panicked() -> *mut T {
        std::ptr::null_mut()
    }
    fn raw(self) -> *mut T {
        self
    }
}

impl<T> NullAnswer for *mut T {
    fn null() -> *mut T {
        std::ptr::null_mut()
    }
}

impl<T> Answer for *const T {
    type Raw = *const T;
    fn panicked() -> *const T {
        std::ptr::null()
    }
    fn raw(self) -> *const T {
        self
    }
}

impl<T> NullAnswer for *const T {
    fn null() -> *const T {
        std::ptr::null()
    }
}

/// Runs the body of an export: a panic ends here, and a thread that is cancelled meanwhile is cancelled after
/// it.
pub(crate) fn run<A: Answer>(body: impl FnOnce() -> A) -> A::Raw {
    let _held_off = CancellationHeldOff::new();
    let answer = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        set_message(format!("internal error: {}", text.as_deref().unwrap_or("panic")));
        A::panicked()
    });
    answer.raw()
}

/// The body of every export: a panic does not leave it, a cancelled thread is not unwound in it, and a NULL
/// handle is answered.
///
/// `export!(Kind, { … })` takes no handle; `export!(Kind, name = pointer, { … })` gives the body a reference
/// to what the pointer points to. The body answers a `Kind`, one of the [`Answer`]s. The caller's promise is
/// C's usual one: a handle is NULL, or one that the library gave and that was not freed.
macro_rules! export {
    ($kind:ty, $body:block) => {
        $crate::capi::boundary::run(|| -> $kind { $body })
    };
    ($kind:ty, $name:ident = $pointer:expr, $body:block) => {
        $crate::capi::boundary::run(|| -> $kind {
            // SAFETY: NULL is told apart; any other handle is a live one of ours, which the documentation
            // demands.
            match unsafe { $pointer.as_ref() } {
                None => <$kind as $crate::capi::boundary::NullAnswer>::null(),
                Some($name) => $body,
            }
        })
    };
}
pub(crate) use export;

/// A status, with the text for happy_error_message().
pub(crate) fn fail(status: c_int, message: &str) -> Status {
    set_message(message);
    Status(status)
}

/// Moves a value to the heap for C to hold; None when there is no memory.
pub(crate) fn boxed<T>(value: T) -> Option<Box<T>> {
    room().map(|room| fill(room, value))
}

/// Room on the heap for a value that is not made yet, so that making it cannot be in vain; None when there is
/// no memory.
pub(crate) fn room<T>() -> Option<Box<MaybeUninit<T>>> {
    let layout = Layout::new::<T>();
    assert!(layout.size() > 0, "a handle has a size");
    // SAFETY: the layout has a size, as alloc demands.
    let place = unsafe { alloc(layout) }.cast::<MaybeUninit<T>>();
    if place.is_null() {
        return None;
    }
    // SAFETY: the place is ours, large and aligned enough for T, and made by the allocator that Box frees
    // with; it need not be initialised.
    Some(unsafe { Box::from_raw(place) })
}

/// Puts the value into its room.
pub(crate) fn fill<T>(mut room: Box<MaybeUninit<T>>, value: T) -> Box<T> {
    room.write(value);
    // SAFETY: it was just written.
    unsafe { room.assume_init() }
}

/// What is said of an answer that is none.
pub(crate) const NO_ANSWER: &str = "wanted: neither HAPPY_CONFIRM_YES nor HAPPY_CONFIRM_NO";

/// A HAPPY_CONFIRM_YES or _NO.
pub(crate) fn is_wanted(answer: c_int) -> Option<bool> {
    match answer {
        HAPPY_CONFIRM_YES => Some(true),
        HAPPY_CONFIRM_NO => Some(false),
        _ => None,
    }
}

/// Sets errno.
pub(crate) fn set_errno(value: i32) {
    // SAFETY: the location is this thread's own and always there.
    unsafe { *libc::__errno_location() = value };
}

/// # Safety
/// NULL, or ends with a zero byte and lives as long as the answer.
pub(crate) unsafe fn string<'a>(text: *const c_char) -> Option<&'a CStr> {
    // SAFETY: promised by the caller.
    if text.is_null() { None } else { Some(unsafe { CStr::from_ptr(text) }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panics<A: Answer>() -> A::Raw {
        run(|| -> A { panic!("on purpose") })
    }

    /// No error of one kind is a value of another.
    #[test]
    fn a_panic_is_answered_in_the_kind_of_the_export() {
        assert_eq!(panics::<Status>(), HAPPY_EINTERNAL);
        assert_eq!(panics::<QuietStatus>(), HAPPY_EINTERNAL);
        assert_eq!(panics::<Descriptor>(), -1);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::ENOTRECOVERABLE));
        assert_eq!(panics::<Milliseconds>(), -1);
        assert_eq!(panics::<GaiCode>(), libc::EAI_FAIL);
        assert_eq!(panics::<Length>(), -1);
        assert_eq!(panics::<Count>(), 0);
        assert!(panics::<*mut u8>().is_null() && panics::<*const u8>().is_null());
        // SAFETY: a text is never NULL and ends with a zero byte.
        assert!(unsafe { CStr::from_ptr(panics::<Text>()) }.is_empty());
        // SAFETY: as above; the message of this thread lives until the next one.
        let message = unsafe { CStr::from_ptr(super::super::message::message()) };
        assert_eq!(message, c"internal error: on purpose");
    }
}
