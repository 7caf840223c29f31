//! The steps of a race, as a caller's trace sees them.

use super::callbacks::happy_trace_event;
use super::codes::*;
use crate::drive::system_call;
use crate::race::{AnsweredBy, Family, LookupError, Question, QuestionKind, Trace, TraceKind};
use crate::sys::address::RawAddress;
use std::ffi::c_char;
use std::mem::size_of;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

fn event_of(kind: i32, time: Duration) -> happy_trace_event {
    happy_trace_event {
        size: size_of::<happy_trace_event>(),
        time_ns: time.as_nanos() as u64,
        kind,
        family: -1,
        attempt: -1,
        outcome: -1,
        status: HAPPY_OK,
        gai_error: 0,
        sys_errno: 0,
        delay_ms: -1,
        count: 0,
        address_length: 0,
        address: std::ptr::null(),
        syscall: std::ptr::null(),
        source: std::ptr::null(),
        synthesized: 0,
        synthesized_from: 0,
    }
}

/// The name of who has answered a lookup, or NULL.
pub(super) fn source_name(by: AnsweredBy) -> *const c_char {
    let name = match by {
        AnsweredBy::Nobody => return std::ptr::null(),
        AnsweredBy::Hosts => c"hosts",
        AnsweredBy::NameServer(_) => c"dns",
        AnsweredBy::Resolved => c"resolve",
        AnsweredBy::Libc => c"libc",
        AnsweredBy::Caller => c"lookup",
    };
    name.as_ptr()
}

/// Hands `see` the event for a step; the address that it points to lives during the call.
pub(crate) fn with_event(began: Instant, trace: &Trace, see: impl FnOnce(&happy_trace_event)) {
    let time = trace.at.saturating_duration_since(began);
    let of = |kind| event_of(kind, time);
    let mut address = None;
    let mut server = None;
    let mut answered = |event: happy_trace_event, by| {
        if let AnsweredBy::NameServer(asked) = by {
            server = asked;
        }
        happy_trace_event { source: source_name(by), ..event }
    };
    let mut event = match trace.kind {
        TraceKind::LookupStarted { question, .. } => {
            happy_trace_event { family: family_of(question), ..of(HAPPY_TRACE_LOOKUP_STARTED) }
        }
        TraceKind::LookupAnswered { question, addresses, by, .. } => {
            let event =
                happy_trace_event { family: family_of(question), count: addresses, ..of(HAPPY_TRACE_LOOKUP_ANSWERED) };
            answered(event, by)
        }
        TraceKind::LookupFailed { question, error: LookupError { gai_error, sys_errno }, by, .. } => {
            let event = of(HAPPY_TRACE_LOOKUP_ANSWERED);
            answered(happy_trace_event { family: family_of(question), gai_error, sys_errno, ..event }, by)
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
        TraceKind::AddressSynthesized { address: at, v4, .. } => {
            address = Some(at);
            happy_trace_event {
                synthesized: 1,
                synthesized_from: in_network_order(v4),
                ..of(HAPPY_TRACE_ADDRESS_SYNTHESIZED)
            }
        }
        TraceKind::AttemptStarted { attempt, address: at } => {
            address = Some(at);
            happy_trace_event { attempt: attempt.0 as i32, ..of(HAPPY_TRACE_ATTEMPT_STARTED) }
        }
        TraceKind::AttemptHeld { attempt, address: at } => {
            address = Some(at);
            happy_trace_event { attempt: attempt.0 as i32, ..of(HAPPY_TRACE_ATTEMPT_HELD) }
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
        TraceKind::FamilyUnanswered { family } => {
            let family = if family == Family::V6 { libc::AF_INET6 } else { libc::AF_INET };
            happy_trace_event { family, ..of(HAPPY_TRACE_FAMILY_UNANSWERED) }
        }
        TraceKind::Finished { outcome, address: winner } => {
            address = winner;
            let attempt = match outcome {
                crate::race::Outcome::Connected { attempt } => attempt.0 as i32,
                _ => -1,
            };
            happy_trace_event { attempt, status: status_of(&outcome), ..of(HAPPY_TRACE_FINISHED) }
        }
    };
    let raw = address.as_ref().map(RawAddress::from);
    if let (Some(address), Some(raw)) = (address, &raw) {
        event.address = raw.as_ptr();
        event.address_length = raw.length();
        event.family = address_family_of(&address);
    }
    let raw_server = server.as_ref().map(RawAddress::from);
    if let Some(raw) = &raw_server {
        event.address = raw.as_ptr();
        event.address_length = raw.length();
    }
    see(&event);
}

pub(super) fn address_family_of(address: &SocketAddr) -> i32 {
    if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET }
}

/// As `in_addr` has it.
pub(super) fn in_network_order(address: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}

fn family_of(question: Question) -> i32 {
    match question.kind {
        QuestionKind::Aaaa => libc::AF_INET6,
        QuestionKind::A => libc::AF_INET,
        QuestionKind::Both => libc::AF_UNSPEC,
        QuestionKind::Local | QuestionKind::Nat64Prefix | QuestionKind::Service => -1,
    }
}

fn milliseconds(delay: Duration) -> i32 {
    i32::try_from(delay.as_millis()).unwrap_or(i32::MAX)
}
