//! The codes of the C ABI and their names. Imports nothing of `capi`.

use crate::race::{AttemptOutcome, Limit, Operation, Outcome};
use std::ffi::CStr;

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
/// Called from inside a callback of the object, or while another thread is in it; nothing was done.
pub const HAPPY_EREENTRANT: i32 = -7009;
/// The call does not fit the state: not started, already started, already taken.
pub const HAPPY_ESTATE: i32 = -7010;
/// An error inside the library, a panic that was stopped. The object is of no further use but to be freed.
pub const HAPPY_EINTERNAL: i32 = -7011;
/// No such connect or descriptor in the handle: unknown, or it has ended.
pub const HAPPY_ENOENT: i32 = -7012;

pub(super) fn status_name(status: i32) -> &'static CStr {
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
        HAPPY_EREENTRANT => c"called from inside a callback, or while another thread is in it",
        HAPPY_ESTATE => c"the call does not fit the state of the object",
        HAPPY_EINTERNAL => c"internal error",
        HAPPY_ENOENT => c"no such connect or descriptor",
        _ => c"unknown status",
    }
}

/// Still running when it was looked at.
pub const HAPPY_OUTCOME_RUNNING: i32 = 0;
/// Connected: the winner.
pub const HAPPY_OUTCOME_CONNECTED: i32 = 1;
/// Failed; `sys_errno` and `syscall` say how.
pub const HAPPY_OUTCOME_FAILED: i32 = 2;
/// Ended by a limit.
pub const HAPPY_OUTCOME_TIMED_OUT: i32 = 3;
/// Given up because another one won, because the connect was cancelled, or for the next address under
/// `max_attempts`.
pub const HAPPY_OUTCOME_ABANDONED: i32 = 4;

pub(super) fn outcome_name(outcome: i32) -> &'static CStr {
    match outcome {
        HAPPY_OUTCOME_RUNNING => c"running",
        HAPPY_OUTCOME_CONNECTED => c"connected",
        HAPPY_OUTCOME_FAILED => c"failed",
        HAPPY_OUTCOME_TIMED_OUT => c"timed out",
        HAPPY_OUTCOME_ABANDONED => c"abandoned",
        _ => c"unknown outcome",
    }
}

/// No limit ended it.
pub const HAPPY_LIMIT_NONE: i32 = 0;
/// `resolv_timeout_ms` ended it.
pub const HAPPY_LIMIT_RESOLV: i32 = 1;
/// `connect_timeout_ms` ended it.
pub const HAPPY_LIMIT_CONNECT: i32 = 2;
/// `open_timeout_ms` ended it.
pub const HAPPY_LIMIT_OPEN: i32 = 3;

/// The connection is not wanted: its attempt has failed, and the next one starts.
pub const HAPPY_CONFIRM_NO: i32 = 0;
/// The connection is wanted: it wins.
pub const HAPPY_CONFIRM_YES: i32 = 1;
/// Not known yet: the attempt is held until happy_connect_confirm or happy_multi_confirm answers for it.
pub const HAPPY_CONFIRM_LATER: i32 = 2;

pub(super) fn limit_name(limit: i32) -> &'static CStr {
    match limit {
        HAPPY_LIMIT_NONE => c"none",
        HAPPY_LIMIT_RESOLV => c"resolv_timeout_ms",
        HAPPY_LIMIT_CONNECT => c"connect_timeout_ms",
        HAPPY_LIMIT_OPEN => c"open_timeout_ms",
        _ => c"unknown limit",
    }
}

/// A lookup was started; `family`.
pub const HAPPY_TRACE_LOOKUP_STARTED: i32 = 1;
/// A lookup was answered; `family`, `count`, or `gai_error` and `sys_errno` when it failed.
pub const HAPPY_TRACE_LOOKUP_ANSWERED: i32 = 2;
/// A lookup that was still running was given up; `family`.
pub const HAPPY_TRACE_LOOKUP_ABANDONED: i32 = 3;
/// The Resolution Delay began to run; `delay_ms`.
pub const HAPPY_TRACE_RESOLUTION_DELAY_STARTED: i32 = 4;
/// The Resolution Delay ran out.
pub const HAPPY_TRACE_RESOLUTION_DELAY_EXPIRED: i32 = 5;
/// An address joined the candidates; `address`.
pub const HAPPY_TRACE_CANDIDATE_ADDED: i32 = 6;
/// A candidate will not be attempted; `address`.
pub const HAPPY_TRACE_CANDIDATE_DROPPED: i32 = 7;
/// An attempt started; `attempt`, `address`.
pub const HAPPY_TRACE_ATTEMPT_STARTED: i32 = 8;
/// An attempt ended; `attempt`, `address`, `outcome`, `sys_errno`, `syscall`.
pub const HAPPY_TRACE_ATTEMPT_ENDED: i32 = 9;
/// The timer for the next attempt was set; `delay_ms`.
pub const HAPPY_TRACE_NEXT_ATTEMPT_TIMER_SET: i32 = 10;
/// The timer for the next attempt fired.
pub const HAPPY_TRACE_NEXT_ATTEMPT_TIMER_FIRED: i32 = 11;
/// The race is over; `status`, and with HAPPY_OK the winner's `attempt` and `address`.
pub const HAPPY_TRACE_FINISHED: i32 = 12;
/// A lookup that gave way to those of other connects has become needed and goes before them; `family`.
pub const HAPPY_TRACE_LOOKUP_HASTENED: i32 = 13;
/// Attempts of a family go unanswered in this network, as earlier connects with the same history have found,
/// or this one; `family`.
pub const HAPPY_TRACE_FAMILY_UNANSWERED: i32 = 14;
/// An attempt is connected and held: `confirm` is asked; `attempt`, `address`. Its end tells what was
/// said.
pub const HAPPY_TRACE_ATTEMPT_HELD: i32 = 15;
/// In this network, which has no IPv4, the address for its translator was made of an IPv4 address; `address`,
/// `synthesized_from`.
pub const HAPPY_TRACE_ADDRESS_SYNTHESIZED: i32 = 16;

pub(super) fn trace_kind_name(kind: i32) -> &'static CStr {
    match kind {
        HAPPY_TRACE_LOOKUP_STARTED => c"lookup started",
        HAPPY_TRACE_LOOKUP_ANSWERED => c"lookup answered",
        HAPPY_TRACE_LOOKUP_ABANDONED => c"lookup abandoned",
        HAPPY_TRACE_RESOLUTION_DELAY_STARTED => c"resolution delay started",
        HAPPY_TRACE_RESOLUTION_DELAY_EXPIRED => c"resolution delay expired",
        HAPPY_TRACE_CANDIDATE_ADDED => c"candidate added",
        HAPPY_TRACE_CANDIDATE_DROPPED => c"candidate dropped",
        HAPPY_TRACE_ATTEMPT_STARTED => c"attempt started",
        HAPPY_TRACE_ATTEMPT_ENDED => c"attempt ended",
        HAPPY_TRACE_NEXT_ATTEMPT_TIMER_SET => c"next attempt timer set",
        HAPPY_TRACE_NEXT_ATTEMPT_TIMER_FIRED => c"next attempt timer fired",
        HAPPY_TRACE_FINISHED => c"finished",
        HAPPY_TRACE_FAMILY_UNANSWERED => c"family unanswered",
        HAPPY_TRACE_ATTEMPT_HELD => c"attempt held",
        HAPPY_TRACE_LOOKUP_HASTENED => c"lookup hastened",
        HAPPY_TRACE_ADDRESS_SYNTHESIZED => c"address synthesized",
        _ => c"unknown kind",
    }
}

/// The `HAPPY_OUTCOME_*`, the errno and the step of an attempt's outcome.
pub(super) fn outcome_parts(outcome: AttemptOutcome) -> (i32, i32, Option<Operation>) {
    match outcome {
        AttemptOutcome::Running => (HAPPY_OUTCOME_RUNNING, 0, None),
        AttemptOutcome::Connected => (HAPPY_OUTCOME_CONNECTED, 0, None),
        AttemptOutcome::Failed(failure) => (HAPPY_OUTCOME_FAILED, failure.sys_errno, Some(failure.operation)),
        AttemptOutcome::TimedOut(_) => (HAPPY_OUTCOME_TIMED_OUT, libc::ETIMEDOUT, None),
        AttemptOutcome::Abandoned => (HAPPY_OUTCOME_ABANDONED, 0, None),
    }
}

/// The status that an outcome gives.
pub(super) fn status_of(outcome: &Outcome) -> i32 {
    match outcome {
        Outcome::Connected { .. } => HAPPY_OK,
        Outcome::ResolveFailed { .. } | Outcome::LocalFailed { .. } => HAPPY_ERESOLVE,
        Outcome::NoLocalAddress | Outcome::AttemptsFailed { .. } | Outcome::Broken { .. } => HAPPY_ESYSCALL,
        Outcome::TimedOut { .. } => HAPPY_ETIMEOUT,
        Outcome::Cancelled => HAPPY_ECANCELLED,
    }
}

pub(super) fn limit_of(limit: Limit) -> i32 {
    match limit {
        Limit::Resolve => HAPPY_LIMIT_RESOLV,
        Limit::Connect => HAPPY_LIMIT_CONNECT,
        Limit::Open => HAPPY_LIMIT_OPEN,
    }
}
