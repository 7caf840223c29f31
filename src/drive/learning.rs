//! What a race has from the history of earlier connects, and gives to it.

use crate::history::History;
use crate::lookup::order::Surroundings;
use crate::race::{AttemptId, AttemptOutcome, Family, Race, Route, is_loopback};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A race's share in a history.
pub(super) struct Learning {
    history: Arc<History>,
    /// Whether handshake times and use may change the order.
    ordered: bool,
    /// The source of each attempt, where it has one.
    sources: Vec<Option<IpAddr>>,
}

impl Learning {
    pub fn new(history: Arc<History>) -> Learning {
        let ordered = history.begin_race();
        Learning { history, ordered, sources: Vec::new() }
    }

    /// The family that does not answer in the network where this system is now, of those with which a race
    /// may begin. Nothing is asked of the system as long as all networks answer.
    pub fn unanswered_family(&self, now: Instant, preferred: Family) -> Option<Family> {
        if !self.history.any_unanswered(now) {
            return None;
        }
        let sources = Surroundings::default().sources(preferred);
        sources.into_iter().any(|source| self.history.is_unanswered(now, source)).then_some(preferred)
    }

    /// Adds to a route what is known of it.
    pub fn add_to(&self, now: Instant, destination: IpAddr, route: Route) -> Route {
        let Some(source) = route.source.filter(|_| !is_loopback(destination)) else { return route };
        let known = self.history.of(now, source, destination);
        Route {
            unanswered: known.unanswered,
            round_trip: known.round_trip.filter(|_| self.ordered),
            used_before: known.used_before && self.ordered,
            ..route
        }
    }

    /// An attempt has begun from `source`. Answers with when the first packet of its handshake would be sent
    /// again, if earlier ones say so.
    pub fn begun(
        &mut self,
        now: Instant,
        attempt: AttemptId,
        source: Option<IpAddr>,
        destination: IpAddr,
    ) -> Option<Duration> {
        let source = source.filter(|_| !is_loopback(destination));
        if self.sources.is_empty() {
            // Most races make one attempt; a vector would make room for four.
            self.sources.reserve_exact(1);
        }
        self.sources.resize(attempt.0 as usize, None);
        self.sources.push(source);
        self.history.of(now, source?, destination).retransmission
    }

    /// Gives the history what a finished race has found. Handshakes are timed as the driver has seen them: to
    /// ask the kernel (`TCP_INFO`) would be the dearest part of it all.
    pub fn learn(&self, now: Instant, race: &Race) {
        for (place, (attempt, source)) in std::iter::zip(race.attempts(), &self.sources).enumerate() {
            let Some(source) = *source else { continue };
            match attempt.outcome {
                AttemptOutcome::Connected => {
                    let measured = attempt.connected.map(|at| at.saturating_duration_since(attempt.started));
                    self.history.connected(now, source, attempt.destination.ip(), measured);
                }
                // It was held, and another won or the caller did not want it.
                _ if attempt.connected.is_some() => self.history.answered(now, source),
                // Somebody answered, if only to refuse.
                AttemptOutcome::Failed(failure)
                    if matches!(failure.sys_errno, libc::ECONNREFUSED | libc::ECONNRESET) =>
                {
                    self.history.answered(now, source);
                }
                _ if race.went_unanswered(AttemptId(place as u32)) => self.history.unanswered(now, source),
                _ => {}
            }
        }
    }
}
