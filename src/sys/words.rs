//! The system's words for its error numbers.

use std::ffi::CStr;
use std::io;

/// The words of strerror(3): those of Rust without the number behind them.
pub fn errno_text(sys_errno: i32) -> String {
    let text = io::Error::from_raw_os_error(sys_errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// The words of gai_strerror(3), and with EAI_SYSTEM those of the errno.
pub fn gai_text(gai_error: i32, sys_errno: i32) -> String {
    if gai_error == libc::EAI_SYSTEM {
        return errno_text(sys_errno);
    }
    // SAFETY: gai_strerror answers a static string for every number.
    let text = unsafe { CStr::from_ptr(libc::gai_strerror(gai_error)) };
    text.to_string_lossy().into_owned()
}
