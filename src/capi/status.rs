//! Status codes and the text of the last error.

use super::boundary::export;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};

/// Done.
pub const HAPPY_OK: i32 = 0;
/// A name could not be resolved; `gai_error` has the `EAI_*` code.
pub const HAPPY_ERESOLVE: i32 = -7001;
/// A system call failed; `sys_errno` and `syscall` say which and how.
pub const HAPPY_ESYSCALL: i32 = -7002;
/// A limit that the caller set was reached.
pub const HAPPY_ETIMEOUT: i32 = -7003;
/// Cancelled by the caller.
pub const HAPPY_ECANCELLED: i32 = -7004;
/// An argument is not acceptable; nothing was done. happy_error_message() names it.
pub const HAPPY_EINVALID: i32 = -7005;
/// Out of memory.
pub const HAPPY_ENOMEM: i32 = -7006;
/// The object was made before a fork and belongs to the parent process.
pub const HAPPY_EFORKED: i32 = -7007;
/// Not finished yet.
pub const HAPPY_EAGAIN: i32 = -7008;
/// Called from inside a callback that this object is running.
pub const HAPPY_EREENTRANT: i32 = -7009;
/// The call does not fit the state: already started, already taken.
pub const HAPPY_ESTATE: i32 = -7010;
/// An error inside the library (a panic that was stopped at the boundary). The object is of no further use but may be freed.
pub const HAPPY_EINTERNAL: i32 = -7011;
/// No such connect or descriptor in the handle: unknown, or it has ended.
pub const HAPPY_ENOENT: i32 = -7012;

thread_local! {
    static MESSAGE: RefCell<Option<CString>> = const { RefCell::new(None) };
}

/// Keeps the text that `happy_error_message` gives on this thread.
pub(crate) fn set_message(text: impl Into<Vec<u8>>) {
    let mut bytes: Vec<u8> = text.into();
    bytes.retain(|&byte| byte != 0);
    // A thread that is ending has no place for it any more: then there is nobody to read it either.
    let _ = MESSAGE.try_with(|message| *message.borrow_mut() = CString::new(bytes).ok());
}

fn name(status: i32) -> &'static CStr {
    match status {
        HAPPY_OK => c"success",
        HAPPY_ERESOLVE => c"the name could not be resolved",
        HAPPY_ESYSCALL => c"a system call failed",
        HAPPY_ETIMEOUT => c"a time limit was reached",
        HAPPY_ECANCELLED => c"cancelled",
        HAPPY_EINVALID => c"invalid argument",
        HAPPY_ENOMEM => c"out of memory",
        HAPPY_EFORKED => c"made before a fork, in the parent process",
        HAPPY_EAGAIN => c"not finished yet",
        HAPPY_EREENTRANT => c"called from inside a callback",
        HAPPY_ESTATE => c"the call does not fit the state of the object",
        HAPPY_EINTERNAL => c"internal error",
        HAPPY_ENOENT => c"no such connect or descriptor",
        _ => c"unknown status",
    }
}

/// Names a status in a few English words. Never NULL; the text is static. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn happy_status_str(status: c_int) -> *const c_char {
    export!({ name(status).as_ptr() })
}

/// What the latest failing call of this thread said about its failure, with the name of the argument at fault where there
/// is one; "" when none has failed yet. The text lives until the next failing call of the same thread.
#[unsafe(no_mangle)]
pub extern "C" fn happy_error_message() -> *const c_char {
    export!({
        MESSAGE
            .try_with(|message| message.borrow().as_ref().map_or(c"".as_ptr(), |text| text.as_ptr()))
            .unwrap_or(c"".as_ptr())
    })
}
