//! The two blocking calls.

use super::boundary::{export, set_errno};
use super::lookup::{give, happy_resolve, limit, query};
use super::options::{happy_options, plan};
use super::result::happy_result;
use super::status::*;
use crate::drive::Connect;
use crate::lookup::LookupError;
use std::ffi::{c_char, c_int};

/// getaddrinfo(3) with a limit: same arguments, same answers, same `EAI_*` codes, same ownership (freeaddrinfo(3)).
///
/// `timeout_ms`: -1 none, 0 over at once. When the limit is reached: EAI_SYSTEM with errno ETIMEDOUT, at once, whatever libc is
/// doing. EAI_SYSTEM otherwise comes with the errno of the lookup; EAI_SYSTEM with ENOENT (an mdns4 entry in
/// nsswitch.conf) reads EAI_NONAME. A numeric service above 65535 or with a sign is EAI_SERVICE. `timeout_ms` below -1 or
/// `ret_res` NULL: EAI_SYSTEM with errno EINVAL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rb_getaddrinfo_happy(
    node: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
    ret_res: *mut *mut libc::addrinfo,
    timeout_ms: c_int,
) -> c_int {
    export!({
        let (Some(timeout), false) = (limit(timeout_ms), ret_res.is_null()) else {
            set_message(if ret_res.is_null() { "ret_res: NULL" } else { "timeout_ms: must be -1 (no limit) or more" });
            set_errno(libc::EINVAL);
            return libc::EAI_SYSTEM;
        };
        // SAFETY: as getaddrinfo(3) demands of its arguments.
        let Ok(query) = (unsafe { query(node, service, hints) }) else { return libc::EAI_MEMORY };
        let answer = match query.answer_at_once() {
            Some(answer) => answer,
            // Without a limit nothing could end it early: this thread asks libc itself.
            None if timeout.is_none() => query.ask(),
            None => {
                let resolve = happy_resolve::new(query, timeout);
                if resolve.start() == HAPPY_OK {
                    resolve.wait();
                    resolve.take().unwrap_or(Err(LookupError::system(libc::EINVAL)))
                } else {
                    Err(LookupError::system(libc::EAGAIN))
                }
            }
        };
        // SAFETY: not NULL, and the caller's to be written.
        unsafe { give(answer, ret_res) }
    })
}

/// Connects to a host by name (Happy Eyeballs, RFC 8305) and returns the connected socket, or -1.
///
/// `remote_host` and `remote_service` as getaddrinfo(3) takes them (a NULL host is the loopback). `options` may be NULL: the defaults.
/// `ret_result` may be NULL; else it says how it went, on success and on failure. The socket is close-on-exec and in blocking mode
/// (unless HAPPY_FLAG_NONBLOCKING), and the caller's to close.
///
/// On failure errno is set too: sys_errno where there is one (ETIMEDOUT for a limit); EINVAL for a bad argument;
/// ENOMEM; and for a name that could not be resolved ENOENT (EAI_NONAME, EAI_NODATA, EAI_SERVICE and others that stay), EAGAIN (EAI_AGAIN), ENOMEM (EAI_MEMORY) or the
/// lookup's errno (EAI_SYSTEM). Any thread. Signals do not end the wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn init_inetsock_happy(
    remote_host: *const c_char,
    remote_service: *const c_char,
    options: *const happy_options,
    ret_result: *mut happy_result,
) -> c_int {
    export!({
        // SAFETY: NULL or a happy_result, promised by the caller.
        if !unsafe { happy_result::is_acceptable(ret_result) } {
            set_message("ret_result: size is not sizeof(happy_result)");
            set_errno(libc::EINVAL);
            return -1;
        }
        // SAFETY: strings and options as the documentation demands.
        let plan = match unsafe { plan(remote_host, remote_service, options) } {
            Ok(plan) => plan,
            // SAFETY: found acceptable above.
            Err(refusal) => return unsafe { happy_result::of_refusal(&refusal).write(ret_result, None) },
        };
        let mut connect = Connect::new(plan);
        // Nobody else has it, so nobody interrupts it.
        while !connect.wait() {}
        let mut report = connect.report();
        let result = report.as_mut().map_or_else(|| happy_result::of_status(HAPPY_EINTERNAL), happy_result::of_report);
        // SAFETY: found acceptable above; room for the attempts as the documentation demands.
        unsafe { result.write(ret_result, report.as_ref()) }
    })
}
