//! The text of a thread's last error. Imports nothing of `capi`.

use std::cell::RefCell;
use std::ffi::{CString, c_char};

thread_local! {
    static MESSAGE: RefCell<Option<CString>> = const { RefCell::new(None) };
}

/// Keeps the text that `happy_error_message` gives on this thread.
pub(super) fn set_message(text: impl Into<Vec<u8>>) {
    let mut bytes: Vec<u8> = text.into();
    bytes.retain(|&byte| byte != 0);
    // A thread that is ending has no place for it any more: then there is nobody to read it either.
    let _ = MESSAGE.try_with(|message| *message.borrow_mut() = CString::new(bytes).ok());
}

/// The text that was kept last, "" at first; it lives until the next one is kept on the same thread.
pub(super) fn message() -> *const c_char {
    MESSAGE
        .try_with(|message| message.borrow().as_ref().map_or(c"".as_ptr(), |text| text.as_ptr()))
        .unwrap_or(c"".as_ptr())
}
