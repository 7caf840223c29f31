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

/// The words of strerror(3): those of Rust without the number behind them.
pub(super) fn errno_text(sys_errno: i32) -> String {
    let text = std::io::Error::from_raw_os_error(sys_errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// The words of gai_strerror(3), and with EAI_SYSTEM those of the errno.
pub(super) fn gai_text(gai_error: i32, sys_errno: i32) -> String {
    if gai_error == libc::EAI_SYSTEM {
        return errno_text(sys_errno);
    }
    // SAFETY: gai_strerror answers a static string for every number.
    let text = unsafe { std::ffi::CStr::from_ptr(libc::gai_strerror(gai_error)) };
    text.to_string_lossy().into_owned()
}
