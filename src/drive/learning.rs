//! What a race has from the history of earlier connects, and gives to it.

use crate::history::{Beginning, History};
use crate::lookup::order::Surroundings;
use crate::race::{AttemptId, AttemptOutcome, Family, Race, Route, is_loopback};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A race's share in a history.
pub(super) struct Learning {
    history: Arc<History>,
    beginning: Beginning,
    /// What routes have told of destinations: their source, and what is known of a handshake.
    routes: Vec<(IpAddr, IpAddr, Option<Duration>)>,
    /// The source of each attempt, where it has one.
    sources: Vec<Option<IpAddr>>,
}

impl Learning {
    pub fn new(history: Arc<History>, now: Instant) -> Learning {
        let beginning = history.begin_race(now);
        Learning { history, beginning, routes: Vec::new(), sources: Vec::new() }
    }

    /// The family that does not answer in the network where this system is now, of those with which a race
    /// may begin. Nothing is asked of the system as long as all networks answer.
    pub fn unanswered_family(&self, now: Instant, preferred: Family) -> Option<Family> {
        if !self.beginning.any_unanswered {
            return None;
        }
        let sources = Surroundings::default().sources(preferred);
        sources.into_iter().any(|source| self.history.is_unanswered(now, source)).then_some(preferred)
    }

    /// Adds to a route what is known of it, and keeps that for its attempt.
    pub fn add_to(&mut self, now: Instant, destination: IpAddr, route: Route) -> Route {
        let Some(source) = route.source.filter(|_| !is_loopback(destination)) else { return route };
        let known = self.history.of(now, source, destination);
        self.routes.push((destination, source, known.retransmission));
        Route {
            unanswered: known.unanswered,
            round_trip: known.round_trip.filter(|_| self.beginning.ordered),
            used_before: known.used_before && self.beginning.ordered,
            ..route
        }
    }

    /// An attempt has begun, and the race may make another one after it if `others_may_follow`. Answers with
    /// when the first packet of its handshake would be sent again, if earlier ones say so and that
    /// matters.
    ///
    /// The kernel is asked where an attempt comes from only if its route does not tell (`source_of`): its
    /// routes are asked for before there is a choice between attempts, and nothing but a socket that the
    /// caller has set up leaves by another way than its route says.
    pub fn begun(
        &mut self,
        now: Instant,
        attempt: AttemptId,
        destination: IpAddr,
        others_may_follow: bool,
        source_of: impl FnOnce(Option<IpAddr>) -> Option<IpAddr>,
    ) -> Option<Duration> {
        let route = self.routes.iter().find(|(known, ..)| *known == destination).copied();
        let source = if is_loopback(destination) { None } else { source_of(route.map(|(_, source, _)| source)) };
        if self.sources.is_empty() {
            // Most races make one attempt; a vector would make room for four.
            self.sources.reserve_exact(1);
        }
        self.sources.resize(attempt.0 as usize, None);
        self.sources.push(source);
        match route {
            _ if !others_may_follow => None,
            Some((_, of_route, retransmission)) if Some(of_route) == source => retransmission,
            _ => self.history.of(now, source?, destination).retransmission,
        }
    }

    /// Gives the history what a finished race has found. Handshakes are timed as the driver has seen them: to
    /// ask the kernel (`TCP_INFO`) would be the dearest part of it all.
    pub fn learn(&self, now: Instant, race: &Race) {
        for (place, (attempt, source)) in std::iter::zip(race.attempts(), &self.sources).enumerate() {
            let Some(source) = *source else { continue };
            match attempt.outcome {
                AttemptOutcome::Connected => {
                    let measured = attempt.ended.map(|ended| ended.saturating_duration_since(attempt.started));
                    self.history.connected(now, source, attempt.destination.ip(), measured);
                }
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
