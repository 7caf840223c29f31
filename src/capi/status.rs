//! Names and texts for people: statuses, outcomes, limits, steps; the last error; the version.

use super::boundary::{Text, export};
use super::codes::{limit_name, outcome_name, status_name, trace_kind_name};
use super::message::message;
use std::ffi::{CStr, c_char, c_int};

/// Names a status in a few English words.
///
/// Parameters
///   status            HAPPY_OK or HAPPY_E*
///
/// Returns
///   a text            static, never NULL; "unknown status" for another number
///
/// Threads: any
#[unsafe(no_mangle)]
pub extern "C" fn happy_status_str(status: c_int) -> *const c_char {
    export!(Text, { status_name(status).into() })
}

/// Names a HAPPY_OUTCOME_* in a few English words.
///
/// Parameters
///   outcome           HAPPY_OUTCOME_*
///
/// Returns
///   a text            static, never NULL; "unknown outcome" for another number
///
/// Threads: any
#[unsafe(no_mangle)]
pub extern "C" fn happy_outcome_str(outcome: c_int) -> *const c_char {
    export!(Text, { outcome_name(outcome).into() })
}

/// Names a HAPPY_LIMIT_*: the option, or "none".
///
/// Parameters
///   limit             HAPPY_LIMIT_*
///
/// Returns
///   a text            static, never NULL; "unknown limit" for another number
///
/// Threads: any
#[unsafe(no_mangle)]
pub extern "C" fn happy_limit_str(limit: c_int) -> *const c_char {
    export!(Text, { limit_name(limit).into() })
}

/// Names a HAPPY_TRACE_* in a few English words.
///
/// Parameters
///   kind              HAPPY_TRACE_*
///
/// Returns
///   a text            static, never NULL; "unknown kind" for another number
///
/// Threads: any
#[unsafe(no_mangle)]
pub extern "C" fn happy_trace_kind_str(kind: c_int) -> *const c_char {
    export!(Text, { trace_kind_name(kind).into() })
}

/// What the latest failing call of this thread said about its failure, with the name of the argument at fault
/// where there is one. After a lookup that ended in an EAI_* code it has the words of gai_strerror(3).
///
/// Functions that signal handlers may call leave it as it was. What a race came to is better told by
/// happy_result_message.
///
/// Returns
///   a text            never NULL; "" when no call has failed yet. It is the library's and lives until the
///                     next failing call of the same thread
///
/// Threads: any; each has its own
#[unsafe(no_mangle)]
pub extern "C" fn happy_error_message() -> *const c_char {
    export!(Text, { Text(message()) })
}

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version contains no zero byte"),
};

/// The version of the library that is running, such as "0.1.0"; HAPPYSOCK_VERSION_* is that of the header.
///
/// Returns
///   a text            static, never NULL
///
/// Threads: any
#[unsafe(no_mangle)]
pub extern "C" fn happy_version() -> *const c_char {
    export!(Text, { VERSION.into() })
}
