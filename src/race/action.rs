//! What a race wants done, and what it may ask for.
use super::attempt::{AttemptId, CandidateId};
use super::family::Family;
use super::outcome::Outcome;
use super::question::{LookupId, Question, Urgency};
use std::net::SocketAddr;

/// Something to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin a lookup; answered by `Event::Answered` or `Event::LookupFailed`.
    Ask {
        /// Its number: the next one.
        lookup: LookupId,
        /// What is asked.
        question: Question,
        /// Whether it may wait for others.
        urgency: Urgency,
    },
    /// A lookup that was asked [`Urgency::WhenFree`] has become needed: serve it next if it still waits.
    Hasten {
        /// The one that was asked.
        lookup: LookupId,
    },
    /// Find out whether a family has a network: an address of this system and a route, neither of them for
    /// the loopback or the link alone (version 3, section 4.2). Answered by `Event::ConnectivityFound` before
    /// the next action is asked for. Asked at most once of a family: of the preferred one when the Resolution
    /// Delay would begin, of IPv4 where `Settings::nat64` makes a difference.
    FindConnectivity {
        /// Which one.
        family: Family,
    },
    /// Find the source address for a destination; answered by `Event::RouteFound` before the next action is
    /// asked for. Asked only when an order has to be found between two or more candidates.
    FindRoute {
        /// Whose rank the answer decides.
        candidate: CandidateId,
        /// Where the route is to lead.
        destination: SocketAddr,
    },
    /// Begin to connect; answered by `Event::AttemptConnected` or `Event::AttemptFailed`.
    StartAttempt {
        /// Its number: the next one.
        attempt: AttemptId,
        /// Where to.
        destination: SocketAddr,
    },
    /// Close it. Its outcome is already recorded.
    AbandonAttempt {
        /// The one that was started.
        attempt: AttemptId,
    },
    /// Cancel it.
    AbandonLookup {
        /// The one that was asked.
        lookup: LookupId,
    },
    /// The last action of every race, after everything that was still running was abandoned.
    Finish(Outcome),
}

/// What the surroundings allow at this moment: a driver of many races holds some back.
#[derive(Clone, Copy, Debug)]
pub struct Permits {
    /// A lookup may be asked.
    pub lookups: bool,
    /// An attempt may be started.
    pub attempts: bool,
}

impl Permits {
    /// Nothing is held back: what a driver of one race gives.
    pub const ALL: Permits = Permits { lookups: true, attempts: true };
}

/// The permits that a race is waiting for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A question is to be asked, and [`Permits::lookups`] is missing.
    pub lookup: bool,
    /// An attempt is due, and [`Permits::attempts`] is missing.
    pub attempt: bool,
}
