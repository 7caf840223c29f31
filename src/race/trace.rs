//! What a trace tells, in the vocabulary of draft-kuehlewind-happy-qlog.
use super::attempt::{AttemptId, AttemptOutcome, CandidateId};
use super::lookup_error::LookupError;
use super::outcome::Outcome;
use super::question::{LookupId, Question, Urgency};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// One step of a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    pub at: Instant,
    pub kind: TraceKind,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceKind {
    LookupStarted {
        lookup: LookupId,
        question: Question,
        urgency: Urgency,
    },
    /// With the number of addresses.
    LookupAnswered {
        lookup: LookupId,
        question: Question,
        addresses: u32,
    },
    LookupFailed {
        lookup: LookupId,
        question: Question,
        error: LookupError,
    },
    LookupAbandoned {
        lookup: LookupId,
        question: Question,
    },
    /// A lookup that gave way to others has become needed.
    LookupHastened {
        lookup: LookupId,
        question: Question,
    },
    /// The Resolution Delay began to run.
    ResolutionDelayStarted {
        delay: Duration,
    },
    ResolutionDelayExpired,
    CandidateAdded {
        candidate: CandidateId,
        address: SocketAddr,
    },
    CandidateDropped {
        candidate: CandidateId,
        address: SocketAddr,
    },
    AttemptStarted {
        attempt: AttemptId,
        address: SocketAddr,
    },
    AttemptEnded {
        attempt: AttemptId,
        address: SocketAddr,
        outcome: AttemptOutcome,
    },
    NextAttemptTimerSet {
        delay: Duration,
    },
    NextAttemptTimerFired,
    /// The winner with its address, or how else it ended.
    Finished {
        outcome: Outcome,
        address: Option<SocketAddr>,
    },
}
