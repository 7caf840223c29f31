//! The steps of a race, as a caller's trace sees them.

use super::result::outcome_parts;
use crate::drive::system_call;
use crate::race::{LookupError, Question, QuestionKind, Trace, TraceKind};
use crate::sys::address::RawAddress;
use std::ffi::c_char;
use std::mem::size_of;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

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

/// One step of a race.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct happy_trace_event {
    /// sizeof(happy_trace_event) as the library was compiled.
    pub size: usize,
    /// Nanoseconds since the race began.
    pub time_ns: u64,
    /// `HAPPY_TRACE_*`.
    pub kind: i32,
    /// AF_INET, AF_INET6, AF_UNSPEC for a lookup of both, or -1 where there is none (also for the lookup of the local address).
    pub family: i32,
    /// The attempt's number, from 0 in the order of start, or -1.
    pub attempt: i32,
    /// `HAPPY_OUTCOME_*`, or -1.
    pub outcome: i32,
    /// `HAPPY_*` status of the whole race with HAPPY_TRACE_FINISHED, else HAPPY_OK.
    pub status: i32,
    /// `EAI_*` code, or 0.
    pub gai_error: i32,
    /// errno, or 0.
    pub sys_errno: i32,
    /// The length of a timer in milliseconds, or -1.
    pub delay_ms: i32,
    /// The number of addresses in an answer.
    pub count: u32,
    /// The length of `address`.
    pub address_length: libc::socklen_t,
    /// The address, or NULL.
    pub address: *const libc::sockaddr,
    /// The system call that failed, such as "connect(2)", or NULL.
    pub syscall: *const c_char,
}

impl happy_trace_event {
    fn new(kind: i32, time: Duration) -> happy_trace_event {
        happy_trace_event {
            size: size_of::<happy_trace_event>(),
            time_ns: time.as_nanos() as u64,
            kind,
            family: -1,
            attempt: -1,
            outcome: -1,
            status: super::status::HAPPY_OK,
            gai_error: 0,
            sys_errno: 0,
            delay_ms: -1,
            count: 0,
            address_length: 0,
            address: std::ptr::null(),
            syscall: std::ptr::null(),
        }
    }
}

/// Hands `see` the event for a step; the address that it points to lives during the call.
pub(crate) fn with_event(began: Instant, trace: &Trace, see: impl FnOnce(&happy_trace_event)) {
    let time = trace.at.saturating_duration_since(began);
    let of = |kind| happy_trace_event::new(kind, time);
    let mut address = None;
    let mut event = match trace.kind {
        TraceKind::LookupStarted { question, .. } => {
            happy_trace_event { family: family_of(question), ..of(HAPPY_TRACE_LOOKUP_STARTED) }
        }
        TraceKind::LookupAnswered { question, addresses, .. } => {
            happy_trace_event { family: family_of(question), count: addresses, ..of(HAPPY_TRACE_LOOKUP_ANSWERED) }
        }
        TraceKind::LookupFailed { question, error: LookupError { gai_error, sys_errno }, .. } => {
            happy_trace_event { family: family_of(question), gai_error, sys_errno, ..of(HAPPY_TRACE_LOOKUP_ANSWERED) }
        }
        TraceKind::LookupAbandoned { question, .. } => {
            happy_trace_event { family: family_of(question), ..of(HAPPY_TRACE_LOOKUP_ABANDONED) }
        }
        TraceKind::LookupHastened { question, .. } => {
            happy_trace_event { family: family_of(question), ..of(HAPPY_TRACE_LOOKUP_HASTENED) }
        }
        TraceKind::ResolutionDelayStarted { delay } => {
            happy_trace_event { delay_ms: milliseconds(delay), ..of(HAPPY_TRACE_RESOLUTION_DELAY_STARTED) }
        }
        TraceKind::ResolutionDelayExpired => of(HAPPY_TRACE_RESOLUTION_DELAY_EXPIRED),
        TraceKind::CandidateAdded { address: at, .. } => {
            address = Some(at);
            of(HAPPY_TRACE_CANDIDATE_ADDED)
        }
        TraceKind::CandidateDropped { address: at, .. } => {
            address = Some(at);
            of(HAPPY_TRACE_CANDIDATE_DROPPED)
        }
        TraceKind::AttemptStarted { attempt, address: at } => {
            address = Some(at);
            happy_trace_event { attempt: attempt.0 as i32, ..of(HAPPY_TRACE_ATTEMPT_STARTED) }
        }
        TraceKind::AttemptEnded { attempt, address: at, outcome } => {
            address = Some(at);
            let (outcome, sys_errno, operation) = outcome_parts(outcome);
            let syscall = operation.map_or(std::ptr::null(), |operation| system_call(operation).as_ptr());
            happy_trace_event {
                attempt: attempt.0 as i32,
                outcome,
                sys_errno,
                syscall,
                ..of(HAPPY_TRACE_ATTEMPT_ENDED)
            }
        }
        TraceKind::NextAttemptTimerSet { delay } => {
            happy_trace_event { delay_ms: milliseconds(delay), ..of(HAPPY_TRACE_NEXT_ATTEMPT_TIMER_SET) }
        }
        TraceKind::NextAttemptTimerFired => of(HAPPY_TRACE_NEXT_ATTEMPT_TIMER_FIRED),
        TraceKind::Finished { outcome, address: winner } => {
            address = winner;
            let attempt = match outcome {
                crate::race::Outcome::Connected { attempt } => attempt.0 as i32,
                _ => -1,
            };
            happy_trace_event { attempt, status: super::result::status_of(&outcome), ..of(HAPPY_TRACE_FINISHED) }
        }
    };
    let raw = address.as_ref().map(RawAddress::from);
    if let (Some(address), Some(raw)) = (address, &raw) {
        event.address = raw.as_ptr();
        event.address_length = raw.length();
        event.family = address_family_of(&address);
    }
    see(&event);
}

pub(crate) fn address_family_of(address: &SocketAddr) -> i32 {
    if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET }
}

fn family_of(question: Question) -> i32 {
    match question.kind {
        QuestionKind::Aaaa => libc::AF_INET6,
        QuestionKind::A => libc::AF_INET,
        QuestionKind::Both => libc::AF_UNSPEC,
        QuestionKind::Local => -1,
    }
}

fn milliseconds(delay: Duration) -> i32 {
    i32::try_from(delay.as_millis()).unwrap_or(i32::MAX)
}
