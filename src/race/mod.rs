//! RFC 8305 as a pure state machine.
//!
//! A [`Race`] reads no clock, opens no socket and starts no thread. The driver tells it what happened
//! ([`Race::handle`]) and what time it is, asks what is to be done ([`Race::next_action`]) until there is nothing, and
//! sleeps until [`Race::deadline`] or the next event. Everything that is ready is handed in before the next action is
//! asked for, so a success is never missed because a failure was reported in the same wake-up.
//!
//! ```
//! use happysock::race::{Action, Event, Family, Outcome, Permits, Question, Race, Settings};
//! use std::time::{Duration, Instant};
//!
//! let start = Instant::now();
//! let mut race = Race::new(Settings::default(), start);
//! let actions = |race: &mut Race, now| -> Vec<Action> {
//!     std::iter::from_fn(|| race.next_action(now, Permits::ALL)).collect()
//! };
//! let (aaaa, a) = (Question::Remote(Family::V6), Question::Remote(Family::V4));
//! assert_eq!(actions(&mut race, start), [Action::Ask(aaaa), Action::Ask(a)]);
//!
//! // The A answer comes first: IPv4 waits the Resolution Delay for the AAAA answer.
//! let answered = start + Duration::from_millis(20);
//! let addresses = ["192.0.2.1:80".parse().unwrap()];
//! race.handle(answered, Event::Answered { question: a, addresses: &addresses });
//! assert_eq!(actions(&mut race, answered), []);
//! let deadline = race.deadline().unwrap();
//! assert_eq!(deadline, answered + Duration::from_millis(50));
//!
//! let started = actions(&mut race, deadline);
//! let [Action::StartAttempt { attempt, destination }] = started[..] else { panic!() };
//! assert_eq!(destination, addresses[0]);
//!
//! // It connects: the lookup still pending is dropped, and the race is over.
//! race.handle(deadline, Event::AttemptConnected { attempt });
//! let end = [Action::AbandonLookup(aaaa), Action::Finish(Outcome::Connected { attempt })];
//! assert_eq!(actions(&mut race, deadline), end);
//! ```
#![forbid(unsafe_code)]

mod candidates;
mod family_set;
mod limits;
mod log;
mod lookup_error;
mod lookups;
mod machine;
mod notes;
pub mod order;
pub mod policy;

pub use machine::{Race, Wanted};
pub use order::Route;
pub use policy::PolicyTable;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Resolution Delay: how long a positive A answer waits for the AAAA answer (RFC 8305, sections 3 and 8).
pub const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// Connection Attempt Delay: the time between the starts of two attempts (RFC 8305, sections 5 and 8).
pub const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// A timer that fires late by no more than this is taken for punctual: the next delay counts from when it was due.
///
/// Timers of poll(2) are late by a fraction of a millisecond up to a few, and without this each attempt would pass its
/// lateness on to all that follow.
pub const PUNCTUAL: Duration = Duration::from_millis(5);
/// The least Connection Attempt Delay (RFC 8305, section 8: "MUST NOT be lower than 10 ms").
pub const CONNECTION_ATTEMPT_DELAY_MIN: Duration = Duration::from_millis(10);
/// The greatest Connection Attempt Delay (RFC 8305, section 8: "maximum ... 2 seconds").
pub const CONNECTION_ATTEMPT_DELAY_MAX: Duration = Duration::from_secs(2);
/// First Address Family Count: addresses of the first family before the families alternate (RFC 8305, sections 4, 8).
pub const FIRST_ADDRESS_FAMILY_COUNT: u32 = 1;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    V6,
    V4,
}

impl Family {
    pub fn of(address: &SocketAddr) -> Family {
        match address.ip() {
            IpAddr::V6(_) => Family::V6,
            IpAddr::V4(_) => Family::V4,
        }
    }
    pub fn other(self) -> Family {
        match self {
            Family::V6 => Family::V4,
            Family::V4 => Family::V6,
        }
    }
}

/// A lookup that the race can want. Each is asked at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Question {
    /// The host's addresses of one family (AAAA or A).
    Remote(Family),
    /// The host's addresses of both families in the system's own order: only asked without fast fallback.
    RemoteAny,
    /// The local address to bind to. No attempt starts before it is answered.
    Local,
}

/// Why a lookup failed: the `EAI_*` code and, for `EAI_SYSTEM`, the errno that came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupError {
    pub gai_error: i32,
    pub sys_errno: i32,
}

/// Which families to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    Both,
    Only(Family),
}

/// What one race is to do. `Default` gives the standard's values, no limits and no local address.
#[derive(Clone, Debug)]
pub struct Settings {
    pub families: Families,
    /// The family that is asked first and that a Resolution Delay waits for: IPv6, unless the policy table ranks IPv4 higher.
    pub preferred_family: Family,
    /// false: one [`Question::RemoteAny`] (or `Remote(f)` with `Families::Only(f)`), then its addresses in the order
    /// given, the next only when the one before has failed or has used up the connect limit; no race.
    pub fast_fallback: bool,
    /// A [`Question::Local`] is asked too, and only families that it answers are attempted.
    pub local: bool,
    /// The policy table for the order of RFC 6724.
    pub policy: Arc<PolicyTable>,
    pub resolution_delay: Duration,
    /// Clamped by [`Race::new`] to `CONNECTION_ATTEMPT_DELAY_MIN..=CONNECTION_ATTEMPT_DELAY_MAX`.
    pub connection_attempt_delay: Duration,
    /// 0 counts as 1.
    pub first_address_family_count: u32,
    /// The greatest number of attempts in flight; 0: no cap.
    pub max_attempts: u32,
    /// From the start of the race: lookups still running then are given up.
    pub resolve_limit: Option<Duration>,
    /// From the start of the last candidate's attempt: attempts still running then are given up. While the cap on attempts
    /// in flight holds candidates back (without fast fallback the cap is one) it counts from the latest start, so that
    /// they get their turn.
    pub connect_limit: Option<Duration>,
    /// From the start of the race, over everything.
    pub open_limit: Option<Duration>,
    /// Whether to keep a trace for [`Race::next_trace`].
    pub trace: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            families: Families::Both,
            preferred_family: Family::V6,
            fast_fallback: true,
            local: false,
            policy: Arc::default(),
            resolution_delay: RESOLUTION_DELAY,
            connection_attempt_delay: CONNECTION_ATTEMPT_DELAY,
            first_address_family_count: FIRST_ADDRESS_FAMILY_COUNT,
            max_attempts: 0,
            resolve_limit: None,
            connect_limit: None,
            open_limit: None,
            trace: false,
        }
    }
}

/// A candidate, numbered from 0 in the order of arrival within its race.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CandidateId(pub u32);

/// An attempt, numbered from 0 in the order of start within its race: an index into [`Race::attempts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId(pub u32);

/// Which of the three limits ended something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Resolve,
    Connect,
    Open,
}

/// The system call at which an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Socket,
    Configure,
    Bind,
    Connect,
    /// Waiting for the attempt (poll, epoll).
    Wait,
    /// Making the connected socket ready for its new owner (back to blocking mode).
    HandOver,
}

/// How an attempt failed. The driver says whether the errno means that the whole family has no network
/// (`ENETUNREACH`, `EAFNOSUPPORT`), so that the machine needs to know no errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    pub sys_errno: i32,
    pub operation: Operation,
    pub family_unreachable: bool,
}

/// Something that happened. Events about ids that are unknown or have ended are ignored.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A lookup's addresses, in the order given. For [`Question::Local`] only their families matter; of a
    /// [`Question::Remote`] only addresses of the family asked for count. If none counts it is a failure with no data.
    Answered {
        question: Question,
        addresses: &'a [SocketAddr],
    },
    LookupFailed {
        question: Question,
        error: LookupError,
    },
    /// The answer to [`Action::FindRoute`].
    RouteFound {
        candidate: CandidateId,
        route: Route,
    },
    AttemptConnected {
        attempt: AttemptId,
    },
    AttemptFailed {
        attempt: AttemptId,
        failure: Failure,
    },
    /// An address disappeared (RFC 8305, section 6): dropped if not started, a running attempt is kept.
    AddressWithdrawn {
        address: SocketAddr,
    },
    /// The caller wants no more of it.
    Cancelled,
    /// The driver cannot go on (out of descriptors for its own needs, fork): ends the race with this status.
    Broken {
        sys_errno: i32,
    },
}

/// Something to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Ask(Question),
    /// Find the source address for a destination; answered by [`Event::RouteFound`] before the next action is asked for.
    /// Asked only when an order has to be found between two or more candidates.
    FindRoute {
        candidate: CandidateId,
        destination: SocketAddr,
    },
    StartAttempt {
        attempt: AttemptId,
        destination: SocketAddr,
    },
    /// Close it. Its outcome is already recorded.
    AbandonAttempt {
        attempt: AttemptId,
    },
    /// Cancel it.
    AbandonLookup(Question),
    /// The last action of every race, after everything that was still running was abandoned.
    Finish(Outcome),
}

/// How a race ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Connected {
        attempt: AttemptId,
    },
    /// No attempt was made since the host's lookups failed; of two errors the more telling one.
    ResolveFailed {
        error: LookupError,
    },
    /// The local address could not be resolved.
    LocalFailed {
        error: LookupError,
    },
    /// Candidates there were, but none of a family of the local address.
    NoLocalAddress,
    /// Every attempt failed: the one that failed last.
    AttemptsFailed {
        last: AttemptId,
    },
    TimedOut {
        limit: Limit,
    },
    Cancelled,
    Broken {
        sys_errno: i32,
    },
}

/// An attempt and how it stands.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub destination: SocketAddr,
    pub started: Instant,
    pub ended: Option<Instant>,
    pub outcome: AttemptOutcome,
}

/// Exactly one final outcome for every attempt that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    Running,
    Connected,
    Failed(Failure),
    /// A limit ended it.
    TimedOut(Limit),
    /// Another attempt won, or the race was cancelled.
    Abandoned,
}

/// What the surroundings allow at this moment: a driver of many races holds some back.
#[derive(Clone, Copy, Debug)]
pub struct Permits {
    pub lookups: bool,
    pub attempts: bool,
}

impl Permits {
    pub const ALL: Permits = Permits { lookups: true, attempts: true };
}

/// What a trace tells, in the vocabulary of draft-kuehlewind-happy-qlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceKind {
    LookupStarted {
        question: Question,
    },
    /// With the number of addresses.
    LookupAnswered {
        question: Question,
        addresses: u32,
    },
    LookupFailed {
        question: Question,
        error: LookupError,
    },
    LookupAbandoned {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    pub at: Instant,
    pub kind: TraceKind,
}
