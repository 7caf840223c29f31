//! What a connect came to.

use super::boundary::set_errno;
use super::options::Refusal;
use super::status::*;
use super::trace::address_family_of;
use crate::drive::{Report, system_call};
use crate::race::{Attempt, AttemptOutcome, Limit, LookupError, Operation, Outcome};
use crate::sys::address::RawAddress;
use std::ffi::{CStr, c_char};
use std::mem::{MaybeUninit, offset_of, size_of};
use std::os::fd::IntoRawFd;
use std::time::Instant;

/// Still running when it was looked at.
pub const HAPPY_OUTCOME_RUNNING: i32 = 0;
/// Connected: the winner.
pub const HAPPY_OUTCOME_CONNECTED: i32 = 1;
/// Failed; `sys_errno` and `syscall` say how.
pub const HAPPY_OUTCOME_FAILED: i32 = 2;
/// Ended by a limit.
pub const HAPPY_OUTCOME_TIMED_OUT: i32 = 3;
/// Given up because another one won, because the connect was cancelled, or for the next address under `max_attempts`.
pub const HAPPY_OUTCOME_ABANDONED: i32 = 4;

/// No limit ended it.
pub const HAPPY_LIMIT_NONE: i32 = 0;
/// `resolv_timeout_ms` ended it.
pub const HAPPY_LIMIT_RESOLV: i32 = 1;
/// `connect_timeout_ms` ended it.
pub const HAPPY_LIMIT_CONNECT: i32 = 2;
/// `open_timeout_ms` ended it.
pub const HAPPY_LIMIT_OPEN: i32 = 3;

/// One attempt of a connect.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct happy_attempt {
    /// AF_INET or AF_INET6.
    pub family: i32,
    /// `HAPPY_OUTCOME_*`.
    pub outcome: i32,
    /// errno of a failure, ETIMEDOUT when a limit ended it, else 0.
    pub sys_errno: i32,
    /// The length of `address`.
    pub address_length: libc::socklen_t,
    /// The system call that failed, such as "connect(2)" (static), or NULL.
    pub syscall: *const c_char,
    /// When it started, in nanoseconds since the race began.
    pub started_ns: u64,
    /// When it ended, in nanoseconds since the race began.
    pub ended_ns: u64,
    /// The address that was attempted.
    pub address: libc::sockaddr_storage,
}

/// What a connect came to. Start from `HAPPY_RESULT_INIT`; give `attempts` room if you want to see every attempt:
///
/// ```c
/// happy_attempt attempts[16];
/// happy_result result = HAPPY_RESULT_INIT;
/// result.attempts = attempts;
/// result.attempts_capacity = 16;
/// ```
///
/// It owns nothing but `fd`, which is the caller's to close.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct happy_result {
    /// sizeof(happy_result) as the caller was compiled. Only fields that lie within it are written.
    pub size: usize,
    /// HAPPY_OK or `HAPPY_E*`.
    pub status: i32,
    /// The connected socket (close-on-exec, blocking unless asked otherwise), or -1.
    pub fd: i32,
    /// `EAI_*` code with HAPPY_ERESOLVE, and with HAPPY_EINVALID where getaddrinfo(3) would have given one; else 0.
    pub gai_error: i32,
    /// errno with HAPPY_ESYSCALL, ETIMEDOUT with HAPPY_ETIMEOUT, ECANCELED with HAPPY_ECANCELLED; with HAPPY_ERESOLVE and
    /// EAI_SYSTEM the errno of the lookup; else 0.
    pub sys_errno: i32,
    /// The system call that failed, such as "connect(2)" or "bind(2)" (static), or NULL.
    pub syscall: *const c_char,
    /// The name of the argument at fault, such as "remote_host" (static), or NULL.
    pub argument: *const c_char,
    /// `HAPPY_LIMIT_*`: the limit that ended it with HAPPY_ETIMEOUT.
    pub limit: i32,
    /// 1: the local address was at fault (its lookup, its family, or bind); else 0.
    pub local_at_fault: i32,
    /// The winner's address, or that of the attempt that failed last; `address_length` 0 when no attempt was made.
    pub address: libc::sockaddr_storage,
    /// The length of `address`.
    pub address_length: libc::socklen_t,
    /// How many attempts were made, whatever the capacity.
    pub attempts_count: u32,
    /// Room for the attempts, in the order of their start, or NULL. The caller's. In a done callback: the library's, until the
    /// callback returns.
    pub attempts: *mut happy_attempt,
    /// How many attempts there is room for.
    pub attempts_capacity: usize,
}

/// The `HAPPY_OUTCOME_*`, the errno and the step of an attempt's outcome.
pub(crate) fn outcome_parts(outcome: AttemptOutcome) -> (i32, i32, Option<Operation>) {
    match outcome {
        AttemptOutcome::Running => (HAPPY_OUTCOME_RUNNING, 0, None),
        AttemptOutcome::Connected => (HAPPY_OUTCOME_CONNECTED, 0, None),
        AttemptOutcome::Failed(failure) => (HAPPY_OUTCOME_FAILED, failure.sys_errno, Some(failure.operation)),
        AttemptOutcome::TimedOut(_) => (HAPPY_OUTCOME_TIMED_OUT, libc::ETIMEDOUT, None),
        AttemptOutcome::Abandoned => (HAPPY_OUTCOME_ABANDONED, 0, None),
    }
}

/// The status that an outcome gives.
pub(crate) fn status_of(outcome: &Outcome) -> i32 {
    match outcome {
        Outcome::Connected { .. } => HAPPY_OK,
        Outcome::ResolveFailed { .. } | Outcome::LocalFailed { .. } => HAPPY_ERESOLVE,
        Outcome::NoLocalAddress | Outcome::AttemptsFailed { .. } | Outcome::Broken { .. } => HAPPY_ESYSCALL,
        Outcome::TimedOut { .. } => HAPPY_ETIMEOUT,
        Outcome::Cancelled => HAPPY_ECANCELLED,
    }
}

impl happy_attempt {
    pub(crate) fn new(attempt: &Attempt, began: Instant) -> happy_attempt {
        let raw = RawAddress::from(&attempt.destination);
        let (outcome, sys_errno, operation) = outcome_parts(attempt.outcome);
        let since = |time: Instant| time.saturating_duration_since(began).as_nanos() as u64;
        happy_attempt {
            family: address_family_of(&attempt.destination),
            outcome,
            sys_errno,
            address_length: raw.length(),
            syscall: operation.map_or(std::ptr::null(), |operation| system_call(operation).as_ptr()),
            started_ns: since(attempt.started),
            ended_ns: since(attempt.ended.unwrap_or(attempt.started)),
            address: *raw.storage(),
        }
    }
}

impl happy_result {
    /// A result with nothing but a status.
    pub(crate) fn of_status(status: i32) -> happy_result {
        happy_result {
            size: size_of::<happy_result>(),
            status,
            fd: -1,
            gai_error: 0,
            sys_errno: 0,
            syscall: std::ptr::null(),
            argument: std::ptr::null(),
            limit: HAPPY_LIMIT_NONE,
            local_at_fault: 0,
            // SAFETY: sockaddr_storage is plain data for which all zeros is a value.
            address: unsafe { MaybeUninit::zeroed().assume_init() },
            address_length: 0,
            attempts_count: 0,
            attempts: std::ptr::null_mut(),
            attempts_capacity: 0,
        }
    }

    pub(crate) fn of_refusal(refusal: &Refusal) -> happy_result {
        happy_result {
            gai_error: refusal.gai_error,
            argument: refusal.argument.map_or(std::ptr::null(), CStr::as_ptr),
            ..happy_result::of_status(refusal.status)
        }
    }

    /// What a race came to; the winner's descriptor is the result's from here. The attempts are left to [`write`](happy_result::write).
    pub(crate) fn of_report(report: &mut Report<'_>) -> happy_result {
        let mut result = happy_result::of_status(status_of(&report.outcome));
        result.attempts_count = report.attempts.len() as u32;
        // The winner's address, or that of the attempt that failed last: the latest to end.
        let shown = match report.outcome {
            Outcome::Connected { attempt } | Outcome::AttemptsFailed { last: attempt } => {
                report.attempts.get(attempt.0 as usize)
            }
            _ => report.attempts.iter().max_by_key(|attempt| attempt.ended),
        };
        if let Some(attempt) = shown {
            let raw = RawAddress::from(&attempt.destination);
            result.address = *raw.storage();
            result.address_length = raw.length();
        }
        match report.outcome {
            Outcome::Connected { .. } => result.fd = report.socket.take().map_or(-1, IntoRawFd::into_raw_fd),
            Outcome::ResolveFailed { error } => result.resolve_failed(error, c"remote_host", c"remote_service"),
            Outcome::LocalFailed { error } => {
                result.resolve_failed(error, c"local_host", c"local_service");
                result.local_at_fault = 1;
            }
            Outcome::NoLocalAddress => {
                result.sys_errno = libc::EAFNOSUPPORT;
                result.syscall = c"bind(2)".as_ptr();
                result.argument = c"local_host".as_ptr();
                result.local_at_fault = 1;
            }
            Outcome::AttemptsFailed { .. } => {
                if let Some(AttemptOutcome::Failed(failure)) = shown.map(|attempt| attempt.outcome) {
                    result.sys_errno = failure.sys_errno;
                    result.syscall = system_call(failure.operation).as_ptr();
                    result.local_at_fault = i32::from(failure.operation == Operation::Bind);
                }
            }
            Outcome::TimedOut { limit } => {
                result.sys_errno = libc::ETIMEDOUT;
                result.limit = match limit {
                    Limit::Resolve => HAPPY_LIMIT_RESOLV,
                    Limit::Connect => HAPPY_LIMIT_CONNECT,
                    Limit::Open => HAPPY_LIMIT_OPEN,
                };
            }
            Outcome::Cancelled => result.sys_errno = libc::ECANCELED,
            Outcome::Broken { sys_errno } => {
                result.sys_errno = sys_errno;
                result.syscall = c"poll(2)".as_ptr();
            }
        }
        result.explain();
        result
    }

    fn resolve_failed(&mut self, error: LookupError, host: &'static CStr, service: &'static CStr) {
        self.gai_error = error.gai_error;
        self.sys_errno = error.sys_errno;
        let at_fault = if error.gai_error == libc::EAI_SERVICE { service } else { host };
        self.argument = at_fault.as_ptr();
    }

    /// Leaves the text for happy_error_message().
    fn explain(&self) {
        if self.status == HAPPY_OK {
            return;
        }
        // SAFETY: static strings, or NULL which `unwrap_or` of `string` stands in for.
        let (argument, syscall) =
            unsafe { (super::options::string(self.argument), super::options::string(self.syscall)) };
        let cause = match self.status {
            HAPPY_ERESOLVE if self.gai_error != libc::EAI_SYSTEM => {
                // SAFETY: gai_strerror answers a static string for every number.
                let text = unsafe { CStr::from_ptr(libc::gai_strerror(self.gai_error)) };
                text.to_string_lossy().into_owned()
            }
            HAPPY_ETIMEOUT => match self.limit {
                HAPPY_LIMIT_RESOLV => "resolv_timeout_ms was reached".to_owned(),
                HAPPY_LIMIT_CONNECT => "connect_timeout_ms was reached".to_owned(),
                _ => "open_timeout_ms was reached".to_owned(),
            },
            HAPPY_ECANCELLED => "cancelled".to_owned(),
            _ => error_text(self.sys_errno),
        };
        let at = argument.or(syscall).map(|at| format!("{}: ", at.to_string_lossy())).unwrap_or_default();
        set_message(format!("{at}{cause}"));
    }

    /// The errno that stands for this result.
    fn errno(&self) -> i32 {
        match self.status {
            HAPPY_ERESOLVE => match self.gai_error {
                libc::EAI_SYSTEM => self.sys_errno,
                libc::EAI_AGAIN => libc::EAGAIN,
                libc::EAI_MEMORY => libc::ENOMEM,
                _ => libc::ENOENT,
            },
            HAPPY_EINVALID | HAPPY_ESTATE | HAPPY_EREENTRANT => libc::EINVAL,
            HAPPY_ENOMEM => libc::ENOMEM,
            HAPPY_EAGAIN => libc::EAGAIN,
            HAPPY_EFORKED => libc::ESTALE,
            _ => self.sys_errno,
        }
    }

    /// Whether a caller's result can be written: NULL, or of a size that this version knows how to fill.
    ///
    /// # Safety
    /// NULL or readable for a size_t.
    pub(crate) unsafe fn is_acceptable(ret_result: *const happy_result) -> bool {
        // SAFETY: promised by the caller.
        unsafe { ret_result.cast::<usize>().as_ref() }.is_none_or(|&size| size >= FIRST_SIZE)
    }

    /// Gives the result to the caller, with as many attempts as there is room for, and sets errno on failure; returns the descriptor.
    ///
    /// # Safety
    /// `ret_result` is NULL or was found acceptable, and has room for `attempts_capacity` attempts where `attempts` is not NULL.
    pub(crate) unsafe fn write(self, ret_result: *mut happy_result, report: Option<&Report<'_>>) -> libc::c_int {
        if !ret_result.is_null() {
            // SAFETY: the fields of the first version are there, promised by the caller.
            let (size, attempts, attempts_capacity) =
                unsafe { ((*ret_result).size, (*ret_result).attempts, (*ret_result).attempts_capacity) };
            if let (Some(report), false) = (report, attempts.is_null()) {
                for (index, attempt) in report.attempts.iter().take(attempts_capacity).enumerate() {
                    // SAFETY: there is room for `attempts_capacity` attempts, promised by the caller.
                    unsafe { attempts.add(index).write(happy_attempt::new(attempt, report.began)) };
                }
            }
            let filled = happy_result { size, attempts, attempts_capacity, ..self };
            // Only what the caller's struct has room for.
            let known = size.min(size_of::<happy_result>());
            // SAFETY: `known` bytes lie in both structs.
            unsafe { std::ptr::copy_nonoverlapping((&raw const filled).cast::<u8>(), ret_result.cast::<u8>(), known) };
        }
        if self.status != HAPPY_OK {
            set_errno(self.errno());
        }
        self.fd
    }
}

/// The text of strerror(3): that of Rust without the number behind it.
fn error_text(sys_errno: i32) -> String {
    let text = std::io::Error::from_raw_os_error(sys_errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// The size of the struct in 0.1.0, the first version: a smaller one is no struct but an accident.
const FIRST_SIZE: usize = offset_of!(happy_result, attempts_capacity) + size_of::<usize>();
