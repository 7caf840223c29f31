//! RFC 8305 as a pure state machine.
//!
//! A [`Race`] reads no clock, opens no socket and starts no thread. The driver tells it what happened
//! ([`Race::handle`]) and what time it is, asks what is to be done ([`Race::next_action`]) until there is
//! nothing, and sleeps until [`Race::deadline`] or the next event. Everything that is ready is handed in
//! before the next action is asked for, so a success is never missed because a failure was reported in the
//! same wake-up.
//!
//! ```
//! use happysock::race::{
//!     Action, AnsweredBy, Event, Family, LookupId, Outcome, Permits, Question, QuestionKind, Race, Settings, Urgency,
//! };
//! use std::time::{Duration, Instant};
//!
//! let start = Instant::now();
//! let mut race = Race::new(Settings::default(), start);
//! let actions = |race: &mut Race, now| -> Vec<Action> {
//!     std::iter::from_fn(|| race.next_action(now, Permits::ALL)).collect()
//! };
//!
//! // Both families are asked at once. The second may turn out not to be needed.
//! let ask = |lookup, kind, urgency| Action::Ask { lookup, question: Question::host(kind), urgency };
//! let (aaaa, a) = (LookupId(0), LookupId(1));
//! let asked = [ask(aaaa, QuestionKind::Aaaa, Urgency::Now), ask(a, QuestionKind::A, Urgency::WhenFree)];
//! assert_eq!(actions(&mut race, start), asked);
//!
//! // The A answer comes first: IPv4 waits the Resolution Delay for the AAAA answer, if IPv6 has a network.
//! let answered = start + Duration::from_millis(20);
//! let addresses = ["192.0.2.1:80".parse().unwrap()];
//! race.handle(answered, Event::Answered { lookup: a, addresses: &addresses, by: AnsweredBy::Nobody });
//! assert_eq!(actions(&mut race, answered), [Action::FindConnectivity { family: Family::V6 }]);
//! race.handle(answered, Event::ConnectivityFound { family: Family::V6, connected: true });
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
//! let end = [Action::AbandonLookup { lookup: aaaa }, Action::Finish(Outcome::Connected { attempt })];
//! assert_eq!(actions(&mut race, deadline), end);
//! ```
#![forbid(unsafe_code)]

mod action;
mod attempt;
mod bindings;
mod candidates;
mod event;
mod family;
mod gai_conf;
mod hastening;
mod limits;
mod log;
mod lookup_error;
mod lookups;
mod loopback;
mod machine;
mod nat64;
mod notes;
pub mod order;
mod outcome;
pub mod policy;
mod question;
mod service;
mod settings;
mod silence;
mod synthesis;
mod trace;
mod translation;

pub use action::{Action, Permits, Wanted};
pub use attempt::{Attempt, AttemptId, AttemptOutcome, CandidateId, Failure, Operation};
pub use bindings::{Binding, BindingId, MOST_BINDINGS};
pub use event::Event;
pub use family::Family;
pub use gai_conf::{GaiConf, MissingNumber};
pub use hastening::HASTEN_AFTER;
pub use lookup_error::LookupError;
pub use loopback::is_loopback;
pub use machine::Race;
pub use nat64::{IPV4_ONLY, InvalidNat64, MOST_PREFIXES, Nat64, Nat64Prefix, is_translated};
pub use order::{Placed, Route, Rule};
pub use outcome::Outcome;
pub use policy::PolicyTable;
pub use question::{HOST, LookupId, NameId, Question, QuestionKind, Urgency};
pub use settings::{
    CONNECTION_ATTEMPT_DELAY, CONNECTION_ATTEMPT_DELAY_MAX, CONNECTION_ATTEMPT_DELAY_MIN,
    CONNECTION_ATTEMPT_DELAY_RECOMMENDED_MIN, FIRST_ADDRESS_FAMILY_COUNT, Families, LEAST_SHARE, Limit, PUNCTUAL,
    RESOLUTION_DELAY, Settings,
};
pub use trace::{AnsweredBy, Trace, TraceKind};
