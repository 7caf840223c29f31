//! What a trace tells, in the vocabulary of draft-kuehlewind-happy-qlog.
use super::attempt::{AttemptId, AttemptOutcome, CandidateId};
use super::family::Family;
use super::lookup_error::LookupError;
use super::outcome::Outcome;
use super::question::{LookupId, Question, Urgency};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// One step of a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// When: the `now` that the driver gave.
    pub at: Instant,
    /// What happened.
    pub kind: TraceKind,
}

/// Who has answered a lookup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnsweredBy {
    /// Nobody was asked: the host is an address, or the question was refused.
    #[default]
    Nobody,
    /// hosts(5).
    Hosts,
    /// A name server, which the library itself has asked; the one that was asked last, or None where the name
    /// needed no packet.
    NameServer(Option<SocketAddr>),
    /// systemd-resolved, which the library itself has asked.
    Resolved,
    /// libc, on a thread.
    Libc,
    /// The caller's own function.
    Caller,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceKind {
    /// A lookup was asked.
    LookupStarted {
        /// Its number.
        lookup: LookupId,
        /// What it asks.
        question: Question,
        /// Whether it may wait for others.
        urgency: Urgency,
    },
    /// A lookup was answered with at least one address, or binding of a service, that counts.
    LookupAnswered {
        /// Its number.
        lookup: LookupId,
        /// What it asked.
        question: Question,
        /// How many addresses came, those that do not count included; of a service, how many bindings.
        addresses: u32,
        /// Who has answered.
        by: AnsweredBy,
    },
    /// A lookup ended without an address.
    LookupFailed {
        /// Its number.
        lookup: LookupId,
        /// What it asked.
        question: Question,
        /// Why.
        error: LookupError,
        /// Who has said so.
        by: AnsweredBy,
    },
    /// A lookup was given up: nobody needs its answer any more, or a limit was reached.
    LookupAbandoned {
        /// Its number.
        lookup: LookupId,
        /// What it asked.
        question: Question,
    },
    /// A lookup that gave way to others has become needed.
    LookupHastened {
        /// Its number.
        lookup: LookupId,
        /// What it asks.
        question: Question,
    },
    /// The Resolution Delay began to run.
    ResolutionDelayStarted {
        /// How long it is.
        delay: Duration,
    },
    /// The Resolution Delay is over, and the preferred family has not answered.
    ResolutionDelayExpired,
    /// An address joined those to attempt.
    CandidateAdded {
        /// Its number.
        candidate: CandidateId,
        /// With its port.
        address: SocketAddr,
    },
    /// An address will not be attempted: its family has no network or no local address.
    CandidateDropped {
        /// Its number.
        candidate: CandidateId,
        /// With its port.
        address: SocketAddr,
    },
    /// Of an IPv4 address, which leads nowhere in this network, the address for the network's translator was
    /// made (RFC 6052).
    AddressSynthesized {
        /// Its number.
        candidate: CandidateId,
        /// With its port.
        address: SocketAddr,
        /// The IPv4 address.
        v4: Ipv4Addr,
    },
    /// An attempt began.
    AttemptStarted {
        /// Its number.
        attempt: AttemptId,
        /// Where it leads.
        address: SocketAddr,
    },
    /// An attempt is connected, and held until the caller says whether it wins (`Settings::confirm`). How
    /// that came out is told by its end: connected, or failed at `Operation::Confirm`.
    AttemptHeld {
        /// Its number.
        attempt: AttemptId,
        /// Where it leads.
        address: SocketAddr,
    },
    /// An attempt has its final outcome.
    AttemptEnded {
        /// Its number.
        attempt: AttemptId,
        /// Where it led.
        address: SocketAddr,
        /// How it ended; never [`AttemptOutcome::Running`].
        outcome: AttemptOutcome,
    },
    /// The next attempt has a time to start at. Told once for each attempt.
    NextAttemptTimerSet {
        /// How long from now.
        delay: Duration,
    },
    /// That time has come. Not told where a failure pulled the attempt forward.
    NextAttemptTimerFired,
    /// Attempts of a family go unanswered in this network: earlier connects have found it, or this race has.
    FamilyUnanswered {
        /// Which one.
        family: Family,
    },
    /// The winner with its address, or how else it ended.
    Finished {
        /// How the race ended.
        outcome: Outcome,
        /// The winner's; None without one.
        address: Option<SocketAddr>,
    },
}
