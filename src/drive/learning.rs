//! What a race has from the history of earlier connects, and gives to it.

use super::few::Few;
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
    routes: Few<(IpAddr, IpAddr, Option<Duration>)>,
    /// The sources of attempts, where they have one.
    sources: Few<(AttemptId, IpAddr)>,
}

impl Learning {
    pub fn new(history: Arc<History>, now: Instant) -> Learning {
        let beginning = history.begin_race(now);
        Learning { history, beginning, routes: Few::new(), sources: Few::new() }
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
        source.into_iter().for_each(|source| self.sources.push((attempt, source)));
        match route {
            _ if !others_may_follow => None,
            Some((_, of_route, retransmission)) if Some(of_route) == source => retransmission,
            _ => self.history.of(now, source?, destination).retransmission,
        }
    }

    /// Gives the history what a finished race has found. Handshakes are timed as the driver has seen them: to
    /// ask the kernel (`TCP_INFO`) would be the dearest part of it all.
    pub fn learn(&self, now: Instant, race: &Race) {
        for &(id, source) in self.sources.iter() {
            let attempt = &race.attempts()[id.0 as usize];
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
                _ if race.went_unanswered(id) => self.history.unanswered(now, source),
                _ => {}
            }
        }
    }
}

/// Races and a history in virtual time, over networks where a family may not answer. The system is asked
/// nothing: every race has the same source in each family.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::PERIOD;
    use crate::race::{Action, Event, Outcome, Permits, Settings};
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

    const SOURCE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);
    const SOURCE_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
    const ROUND_TRIP: Duration = Duration::from_millis(20);
    const NAMES: u32 = 100;

    /// What one connect came to.
    #[derive(Debug, PartialEq, Eq)]
    struct Done {
        took: Duration,
        /// Whether each attempt was over IPv6, in the order of their starts.
        over_v6: Vec<bool>,
    }

    fn source_towards(destination: IpAddr) -> IpAddr {
        if destination.is_ipv6() { SOURCE_V6.into() } else { SOURCE_V4.into() }
    }

    /// One connect to a host with an address of each family. IPv4 answers, IPv6 if `v6_answers`.
    fn connect(history: Option<&Arc<History>>, began: Instant, host: u32, v6_answers: bool) -> Done {
        let addresses = [
            SocketAddr::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host as u16 + 1).into(), 80),
            SocketAddr::new(Ipv4Addr::new(192, 0, 2, host as u8 + 1).into(), 80),
        ];
        let mut learning = history.map(|history| Learning::new(Arc::clone(history), began));
        let unanswered = history.filter(|history| history.is_unanswered(began, SOURCE_V6.into())).map(|_| Family::V6);
        let settings = Settings { unanswered, ..Settings::default() };
        let mut race = Race::with_addresses(settings, &addresses, began);
        let mut now = began;
        let mut answers: Vec<(Instant, AttemptId)> = Vec::new();
        loop {
            match race.next_action(now, Permits::ALL) {
                Some(Action::FindRoute { candidate, destination }) => {
                    let source = source_towards(destination.ip());
                    let route = Route { source: Some(source), native: true, ..Route::default() };
                    let route = match &mut learning {
                        None => route,
                        Some(learning) => learning.add_to(now, destination.ip(), route),
                    };
                    race.handle(now, Event::RouteFound { candidate, route });
                }
                Some(Action::StartAttempt { attempt, destination }) => {
                    if destination.is_ipv4() || v6_answers {
                        answers.push((now + ROUND_TRIP, attempt));
                    }
                    let follow = race.others_may_follow();
                    let within = learning
                        .as_mut()
                        .and_then(|learning| learning.begun(now, attempt, destination.ip(), follow, |source| source));
                    if let Some(within) = within {
                        race.handle(now, Event::HandshakeExpected { attempt, within });
                    }
                }
                Some(Action::AbandonAttempt { .. }) => {}
                Some(Action::Finish(outcome)) => {
                    assert!(matches!(outcome, Outcome::Connected { .. }), "{outcome:?}");
                    if let Some(learning) = &learning {
                        learning.learn(now, &race);
                    }
                    let over_v6 = race.attempts().iter().map(|attempt| attempt.destination.is_ipv6()).collect();
                    return Done { took: now - began, over_v6 };
                }
                Some(action) => panic!("{action:?} in a race without a lookup"),
                None => {
                    let answer = answers.iter().min().copied();
                    now = [race.deadline(), answer.map(|(at, _)| at)].into_iter().flatten().min().expect("it goes on");
                    if let Some((_, attempt)) = answer.filter(|(at, _)| *at == now) {
                        answers.retain(|(_, other)| *other != attempt);
                        race.handle(now, Event::AttemptConnected { attempt });
                    }
                }
            }
        }
    }

    /// A thousand connects, one every five seconds, to a hundred hosts by turns.
    fn thousand(
        history: Option<&Arc<History>>,
        began: Instant,
        v6_answers: impl Fn(Duration) -> bool,
    ) -> Vec<(Duration, Done)> {
        (0..10 * NAMES)
            .map(|number| {
                let at = Duration::from_secs(5) * number;
                (at, connect(history, began + at, number % NAMES, v6_answers(at)))
            })
            .collect()
    }

    #[test]
    fn a_black_hole_costs_one_delay_a_period_and_not_one_a_connect() {
        let began = Instant::now();
        let without = thousand(None, began, |_| false);
        assert!(without.iter().all(|(_, done)| done.took == Duration::from_millis(250) + ROUND_TRIP));
        let history = Arc::new(History::new(began));
        let with = thousand(Some(&history), began, |_| false);
        let slow: Vec<Duration> = with.iter().filter(|(_, done)| done.took > ROUND_TRIP).map(|(at, _)| *at).collect();
        // 5,000 seconds are eight periods and a part of one.
        assert_eq!(slow.len() as u64, 5_000_u64.div_ceil(PERIOD.as_secs()), "{slow:?}");
        assert!(slow.windows(2).all(|two| two[1] - two[0] >= PERIOD), "{slow:?}");
        assert_eq!(slow[0], Duration::ZERO);
    }

    #[test]
    fn everybody_begins_with_ipv6_again_within_one_period_after_it_has_come_back() {
        let began = Instant::now();
        let history = Arc::new(History::new(began));
        let back = Duration::from_secs(1_000);
        let connects = thousand(Some(&history), began, |at| at >= back);
        for (at, done) in connects {
            if at >= back + PERIOD {
                assert_eq!(done, Done { took: ROUND_TRIP, over_v6: vec![true] }, "{at:?}");
            } else if at >= back {
                assert_eq!(done.took, ROUND_TRIP, "{at:?}");
            }
        }
    }

    #[test]
    fn nothing_changes_where_both_families_answer() {
        let began = Instant::now();
        let history = Arc::new(History::new(began));
        assert_eq!(thousand(Some(&history), began, |_| true), thousand(None, began, |_| true));
    }
}
