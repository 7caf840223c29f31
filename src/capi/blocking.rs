//! The two blocking calls.

use super::boundary::{Descriptor, GaiCode, export, set_errno};
use super::codes::*;
use super::lookup::{NO_LIMIT_THAT_THERE_CAN_BE, give, limit, query};
use super::message::set_message;
use super::options::{happy_options, plan};
use super::result::happy_result;
use crate::drive::Connect;
use crate::lookup::{Lookup, LookupError, Refused, look_up};
use std::ffi::{c_char, c_int};
use std::time::Duration;

/// getaddrinfo(3) with a limit: same arguments, same answers, same `EAI_*` codes, same ownership.
///
/// What getaddrinfo(3) would not ask for or would take in a way that nobody means is refused: a host with a
/// blank or a control character in it, or longer than 1024 bytes (EAI_NONAME); a service with one of those,
/// longer than 31 bytes, or a number above 65535 or with a sign (EAI_SERVICE; " 80" is one).
///
/// Parameters
///   node, service     a host and a port, by name or number; one of them may be NULL; copied
///   hints             as getaddrinfo(3) takes them, or NULL; copied
///   ret_res           receives the list, which is the caller's to free with freeaddrinfo(3); written only
///                     with 0
///   timeout_ms        the limit in milliseconds; -1 none, 0 over at once
///
/// Returns
///   0                 and the list in `*ret_res`
///   EAI_SYSTEM        with errno: ETIMEDOUT when the limit is reached, at once, whatever libc is doing;
///                     EINVAL for a `timeout_ms` below -1 or `ret_res` NULL; else the errno of the lookup.
///                     ENOENT (an mdns4 entry in nsswitch.conf) reads EAI_NONAME
///   EAI_*             as getaddrinfo(3)
///
/// Threads: any, at the same time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rb_getaddrinfo_happy(
    node: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
    ret_res: *mut *mut libc::addrinfo,
    timeout_ms: c_int,
) -> c_int {
    export!(GaiCode, {
        let (Some(timeout), false) = (limit(timeout_ms), ret_res.is_null()) else {
            set_message(if ret_res.is_null() { "ret_res: NULL" } else { NO_LIMIT_THAT_THERE_CAN_BE });
            set_errno(libc::EINVAL);
            return GaiCode(libc::EAI_SYSTEM);
        };
        // SAFETY: as getaddrinfo(3) demands of its arguments.
        let Ok(query) = (unsafe { query(node, service, hints) }) else { return GaiCode(libc::EAI_MEMORY) };
        let answer = match query.answer_at_once() {
            Some(answer) => answer,
            None if timeout == Some(Duration::ZERO) => Err(LookupError::system(libc::ETIMEDOUT)),
            None => look_up(&query, timeout).unwrap_or_else(|| {
                if timeout.is_none() {
                    // Nothing could end it early: this thread asks libc itself.
                    return query.ask();
                }
                let lookup = Lookup::new(query, timeout);
                let answer = lookup.start().and_then(|()| lookup.wait()).and_then(|()| lookup.take());
                answer.unwrap_or_else(|refused| {
                    let threads = refused == Refused::OutOfThreads;
                    Err(LookupError::system(if threads { libc::EAGAIN } else { libc::EINVAL }))
                })
            }),
        };
        // SAFETY: not NULL, and the caller's to be written.
        GaiCode(unsafe { give(answer, ret_res) })
    })
}

/// Connects to a host by name (Happy Eyeballs, RFC 8305) and returns the connected socket, or -1.
///
/// The socket is close-on-exec and in blocking mode (unless HAPPY_FLAG_NONBLOCKING). Signals do not end the
/// wait.
///
/// Parameters
///   remote_host, remote_service
///                     as getaddrinfo(3) takes them (a NULL host is the loopback), but for blanks and the
///                     like: see rb_getaddrinfo_happy; copied
///   options           what to do, or NULL: the defaults; copied
///   ret_result        receives how it went, on success, on failure and when an argument was refused; may be
///                     NULL
///
/// Returns
///   a descriptor      connected, and the caller's to close
///   -1                with errno: `sys_errno` where there is one (ETIMEDOUT for a limit); EINVAL for a bad
///                     argument; ENOMEM; and for a name that could not be resolved EAGAIN (EAI_AGAIN), ENOMEM
///                     (EAI_MEMORY), EAFNOSUPPORT (EAI_FAMILY, EAI_ADDRFAMILY), EIO (EAI_FAIL), EINVAL
///                     (EAI_BADFLAGS), the lookup's errno (EAI_SYSTEM), or ENXIO, "No such device or address"
///                     (EAI_NONAME, EAI_NODATA, EAI_SERVICE)
///
/// Threads: any, at the same time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn init_inetsock_happy(
    remote_host: *const c_char,
    remote_service: *const c_char,
    options: *const happy_options,
    ret_result: *mut happy_result,
) -> c_int {
    export!(Descriptor, {
        // SAFETY: NULL or a happy_result; strings and options as the documentation demands.
        let plan = match unsafe {
            happy_result::check(ret_result).and_then(|()| plan(remote_host, remote_service, options))
        } {
            Ok(plan) => plan,
            Err(refusal) => {
                // SAFETY: NULL or a happy_result, promised by the caller.
                unsafe { happy_result::refuse(&refusal, ret_result) };
                return Descriptor(-1);
            }
        };
        let mut connect = Connect::new(plan);
        // Nobody else has it, so nobody interrupts it.
        while !connect.wait() {}
        let mut report = connect.report();
        let result = report.as_mut().map_or_else(|| happy_result::of_status(HAPPY_EINTERNAL), happy_result::of_report);
        // SAFETY: found fit above; room for the attempts as the documentation demands.
        Descriptor(unsafe { result.write(ret_result, report.as_ref()) })
    })
}
