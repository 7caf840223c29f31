//! A history: what is kept, for how long, and what is told of it.

use super::estimate::Estimate;
use crate::sys::fork::generation;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long something that was learnt is believed: then the standard's order is taken again, so that
/// clients with different histories come to the same behaviour (version 3, section 5.3).
pub const PERIOD: Duration = Duration::from_secs(600);
/// One race in so many takes the standard's order whatever is known, so that addresses that are not used any
/// more are tried again. It costs no time where the addresses answer.
pub const RACES_TO_ONE_BY_THE_STANDARD: u32 = 64;
/// How many destinations are remembered. Where there is no more room the quarter goes that was not used for
/// the longest time.
pub const MOST_DESTINATIONS: usize = 1024;
/// And how many networks.
pub const MOST_NETWORKS: usize = 64;

/// When the first packet of a handshake is sent again (RFC 6298, section 2.1): a handshake that has taken as
/// long does not say how long the way is, since nobody knows which of its packets was answered (section 3).
const FIRST_RETRANSMISSION: Duration = Duration::from_secs(1);

/// What earlier connects say of one destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// The smoothed time of a handshake.
    pub(crate) round_trip: Option<Duration>,
    /// How long a handshake is to be waited for before its first packet is sent again.
    pub(crate) retransmission: Option<Duration>,
    /// A connect has used it.
    pub(crate) used_before: bool,
    /// Attempts from this source go unanswered.
    pub(crate) unanswered: bool,
}

/// What a history holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Destinations with what is known of them.
    pub destinations: u32,
    /// Networks, by the addresses that this system has in them.
    pub networks: u32,
    /// Networks in which IPv6 does not answer.
    pub unanswered_v6: u32,
    /// Networks in which IPv4 does not answer.
    pub unanswered_v4: u32,
}

/// What connects have taught. Any thread may use it at any time; the lock is held for moments. In the child
/// of a fork it is empty and stays so, since another thread may have held it: a child makes its own.
#[derive(Debug)]
pub struct History {
    state: Mutex<State>,
    generation: u64,
}

/// An address of either family as a key: IPv4 stands as IPv4-mapped IPv6.
type Key = u128;

/// From where to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    source: Key,
    destination: Key,
}

/// The destination alone: a system has few sources, and hashing is a good part of what a history costs.
impl Hash for Way {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.destination.hash(hasher);
    }
}

#[derive(Debug)]
struct State {
    /// What times count from.
    began: Instant,
    races: u32,
    destinations: HashMap<Way, Destination>,
    /// Few, and most systems are in one or two: they are looked through.
    networks: Vec<(Key, Network)>,
}

/// What a race is told when it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// It may take another order than the standard's for the sake of handshake times and use.
    pub(crate) ordered: bool,
    /// There is a network in which a family does not answer.
    pub(crate) any_unanswered: bool,
}

/// Times are in seconds since the history began.
#[derive(Clone, Copy, Debug)]
struct Destination {
    estimate: Estimate,
    used: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Network {
    answered: Option<u32>,
    unanswered: Option<u32>,
}

impl History {
    /// An empty one. `now` is what its times count from.
    pub fn new(now: Instant) -> History {
        let state = State { began: now, races: 0, destinations: HashMap::new(), networks: Vec::new() };
        History { state: Mutex::new(state), generation: generation() }
    }

    /// Whether it belongs to another process: it was made before a fork.
    pub fn is_forked(&self) -> bool {
        self.generation != generation()
    }

    /// None in another process than the one that made it.
    fn state(&self) -> Option<MutexGuard<'_, State>> {
        (!self.is_forked()).then(|| self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A race begins.
    pub(crate) fn begin_race(&self, now: Instant) -> Beginning {
        let Some(mut state) = self.state() else { return Beginning::default() };
        state.races = state.races.wrapping_add(1);
        let at = state.seconds(now);
        Beginning {
            ordered: !state.races.is_multiple_of(RACES_TO_ONE_BY_THE_STANDARD),
            any_unanswered: state.networks.iter().any(|(_, network)| network.is_unanswered(at)),
        }
    }

    /// What is known of the way from `source` to `destination`.
    pub(crate) fn of(&self, now: Instant, source: IpAddr, destination: IpAddr) -> Known {
        let Some(state) = self.state() else { return Known::default() };
        let way = Way { source: key(source), destination: key(destination) };
        let at = state.seconds(now);
        let unanswered = state.is_unanswered(way.source, at);
        match state.destinations.get(&way).filter(|known| is_fresh(Some(known.used), at)) {
            None => Known { unanswered, ..Known::default() },
            Some(Destination { estimate, .. }) => Known {
                round_trip: estimate.round_trip(),
                retransmission: estimate.retransmission(),
                used_before: true,
                unanswered,
            },
        }
    }

    /// Whether attempts from `source` go unanswered.
    pub(crate) fn is_unanswered(&self, now: Instant, source: IpAddr) -> bool {
        self.state().is_some_and(|state| state.is_unanswered(key(source), state.seconds(now)))
    }

    /// An attempt has connected, after `round_trip` where that is known.
    pub(crate) fn connected(&self, now: Instant, source: IpAddr, destination: IpAddr, round_trip: Option<Duration>) {
        let Some(mut state) = self.state() else { return };
        let at = state.seconds(now);
        state.network(source).note_answer(at);
        let way = Way { source: key(source), destination: key(destination) };
        if state.destinations.len() >= MOST_DESTINATIONS && !state.destinations.contains_key(&way) {
            state.make_room_for_destination();
        }
        let known = state.destinations.entry(way).or_insert(Destination { estimate: Estimate::default(), used: at });
        if !is_fresh(Some(known.used), at) {
            known.estimate = Estimate::default();
        }
        known.used = at;
        if let Some(round_trip) = round_trip.filter(|round_trip| *round_trip < FIRST_RETRANSMISSION) {
            known.estimate.add(round_trip);
        }
    }

    /// An attempt from `source` was answered, if only by a refusal.
    pub(crate) fn answered(&self, now: Instant, source: IpAddr) {
        let Some(mut state) = self.state() else { return };
        let at = state.seconds(now);
        state.network(source).note_answer(at);
    }

    /// An attempt from `source` has had no answer for as long as one is waited for. A network in which others
    /// have answered lately is not to blame for that.
    pub(crate) fn unanswered(&self, now: Instant, source: IpAddr) {
        let Some(mut state) = self.state() else { return };
        let at = state.seconds(now);
        let network = state.network(source);
        if !is_fresh(network.answered, at) && !network.is_unanswered(at) {
            network.unanswered = Some(at);
        }
    }

    /// Forgets everything: for a system that has changed its network.
    pub fn flush(&self) {
        let Some(mut state) = self.state() else { return };
        state.destinations = HashMap::new();
        state.networks = Vec::new();
    }

    /// What it holds that has not lapsed.
    pub fn report(&self, now: Instant) -> Report {
        let Some(state) = self.state() else { return Report::default() };
        let at = state.seconds(now);
        let unanswered = |v6: bool| {
            let of_family = |(key, network): &&(Key, Network)| is_v6(*key) == v6 && network.is_unanswered(at);
            state.networks.iter().filter(of_family).count() as u32
        };
        let fresh = |(_, network): &&(Key, Network)| is_fresh(network.answered, at) || network.is_unanswered(at);
        Report {
            destinations: state.destinations.values().filter(|known| is_fresh(Some(known.used), at)).count() as u32,
            networks: state.networks.iter().filter(fresh).count() as u32,
            unanswered_v6: unanswered(true),
            unanswered_v4: unanswered(false),
        }
    }
}

impl State {
    fn seconds(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.began).as_secs()).unwrap_or(u32::MAX)
    }

    fn is_unanswered(&self, source: Key, at: u32) -> bool {
        self.networks.iter().any(|(key, network)| *key == source && network.is_unanswered(at))
    }

    /// The entry of a network; where there is no more room it takes the place of the one of which nothing was
    /// heard for the longest time.
    fn network(&mut self, source: IpAddr) -> &mut Network {
        let source = key(source);
        let latest = |(_, network): &(Key, Network)| network.answered.max(network.unanswered);
        let known = self.networks.iter().position(|(key, _)| *key == source);
        let place = known.unwrap_or_else(|| {
            let entry = (source, Network::default());
            let oldest = (0..self.networks.len()).min_by_key(|&place| latest(&self.networks[place]));
            match oldest.filter(|_| self.networks.len() >= MOST_NETWORKS) {
                Some(oldest) => {
                    self.networks[oldest] = entry;
                    oldest
                }
                None => {
                    self.networks.push(entry);
                    self.networks.len() - 1
                }
            }
        });
        &mut self.networks[place].1
    }

    fn make_room_for_destination(&mut self) {
        let mut used: Vec<u32> = self.destinations.values().map(|known| known.used).collect();
        let quarter = used.len() / 4;
        let (_, &mut border, _) = used.select_nth_unstable(quarter);
        // Of those that were used in the same second as many go as there must.
        let mut left = quarter;
        self.destinations.retain(|_, known| {
            let goes = known.used <= border && left > 0;
            left -= usize::from(goes);
            !goes
        });
    }
}

impl Network {
    fn note_answer(&mut self, at: u32) {
        *self = Network { answered: Some(at), unanswered: None };
    }

    fn is_unanswered(&self, at: u32) -> bool {
        is_fresh(self.unanswered, at)
    }
}

/// Whether something of that second is still believed.
fn is_fresh(learnt: Option<u32>, at: u32) -> bool {
    learnt.is_some_and(|learnt| u64::from(at.saturating_sub(learnt)) < PERIOD.as_secs())
}

fn key(address: IpAddr) -> Key {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn is_v6(key: Key) -> bool {
    std::net::Ipv6Addr::from_bits(key).to_ipv4_mapped().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const V6: &str = "2001:db8::1";
    const V4: &str = "192.0.2.1";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn history() -> (History, Instant) {
        let now = Instant::now();
        (History::new(now), now)
    }

    #[test]
    fn nothing_is_known_at_first() {
        let (history, now) = history();
        assert_eq!(history.of(now, ip(V6), ip("2001:db8::2")), Known::default());
        assert!(!history.begin_race(now).any_unanswered);
        assert_eq!(history.report(now), Report::default());
    }

    // RFC 8305, section 4: "MUST NOT be used across different network interfaces".
    #[test]
    fn what_was_learnt_from_one_source_is_not_read_from_another() {
        let (history, now) = history();
        history.connected(now, ip(V4), ip("198.51.100.7"), Some(ms(40)));
        history.unanswered(now, ip(V6));
        let known = history.of(now, ip(V4), ip("198.51.100.7"));
        assert_eq!((known.round_trip, known.used_before, known.unanswered), (Some(ms(40)), true, false));
        assert_eq!(history.of(now, ip("192.0.2.2"), ip("198.51.100.7")), Known::default());
        assert_eq!(history.of(now, ip("2001:db8::2"), ip("2001:db8::9")), Known::default());
        assert!(history.of(now, ip(V6), ip("2001:db8::9")).unanswered);
    }

    #[test]
    fn everything_lapses_after_its_period() {
        let (history, now) = history();
        history.connected(now, ip(V4), ip("198.51.100.7"), Some(ms(40)));
        history.unanswered(now, ip(V6));
        let before = now + PERIOD - Duration::from_secs(1);
        assert!(history.of(before, ip(V4), ip("198.51.100.7")).used_before);
        assert!(history.is_unanswered(before, ip(V6)) && history.begin_race(before).any_unanswered);
        let report = Report { destinations: 1, networks: 2, unanswered_v6: 1, unanswered_v4: 0 };
        assert_eq!(history.report(before), report);
        let after = now + PERIOD;
        assert_eq!(history.of(after, ip(V4), ip("198.51.100.7")), Known::default());
        assert!(!history.is_unanswered(after, ip(V6)) && !history.begin_race(after).any_unanswered);
        assert_eq!(history.report(after), Report::default());
        // Not answered again, it is learnt again; from the first time on the period counts, not from the
        // last.
        history.unanswered(after, ip(V6));
        history.unanswered(after + PERIOD / 2, ip(V6));
        assert!(history.is_unanswered(after + PERIOD / 2, ip(V6)));
        assert!(!history.is_unanswered(after + PERIOD, ip(V6)));
        // An old estimate is no part of a new one.
        history.connected(after, ip(V4), ip("198.51.100.7"), Some(ms(400)));
        assert_eq!(history.of(after, ip(V4), ip("198.51.100.7")).round_trip, Some(ms(400)));
    }

    // RFC 6298, section 3: "RTT samples MUST NOT be made using segments that were retransmitted".
    #[test]
    fn a_handshake_whose_first_packet_was_sent_again_is_not_measured() {
        let (history, now) = history();
        history.connected(now, ip(V4), ip("198.51.100.7"), Some(ms(40)));
        history.connected(now, ip(V4), ip("198.51.100.7"), Some(ms(1_000)));
        history.connected(now, ip(V4), ip("198.51.100.7"), Some(ms(1_040)));
        assert_eq!(history.of(now, ip(V4), ip("198.51.100.7")).round_trip, Some(ms(40)));
        history.connected(now, ip(V4), ip("198.51.100.8"), Some(ms(3_040)));
        let known = history.of(now, ip(V4), ip("198.51.100.8"));
        assert_eq!((known.used_before, known.round_trip, known.retransmission), (true, None, None));
    }

    #[test]
    fn an_answer_clears_a_network_and_keeps_it_from_blame() {
        let (history, now) = history();
        history.unanswered(now, ip(V6));
        history.answered(now, ip(V6));
        assert!(!history.is_unanswered(now, ip(V6)));
        // One destination that does not answer is not the network.
        history.unanswered(now + Duration::from_secs(5), ip(V6));
        assert!(!history.is_unanswered(now + Duration::from_secs(5), ip(V6)));
        history.unanswered(now + PERIOD, ip(V6));
        assert!(history.is_unanswered(now + PERIOD, ip(V6)));
        history.connected(now + PERIOD, ip(V6), ip("2001:db8::9"), None);
        assert!(!history.is_unanswered(now + PERIOD, ip(V6)));
    }

    #[test]
    fn networks_are_counted_by_their_family() {
        let (history, now) = history();
        history.unanswered(now, ip(V4));
        let report = Report { destinations: 0, networks: 1, unanswered_v6: 0, unanswered_v4: 1 };
        assert_eq!(history.report(now), report);
    }

    // As in a child: the number of a process changes with each fork.
    #[test]
    fn in_another_process_nothing_is_known_or_learnt() {
        let (mut history, now) = history();
        assert!(!history.is_forked());
        history.connected(now, ip(V4), ip("198.51.100.7"), Some(ms(40)));
        history.unanswered(now, ip(V6));
        history.generation += 1;
        assert!(history.is_forked());
        assert_eq!(history.of(now, ip(V4), ip("198.51.100.7")), Known::default());
        assert!(!history.is_unanswered(now, ip(V6)));
        assert_eq!((history.begin_race(now), history.report(now)), (Beginning::default(), Report::default()));
        history.connected(now, ip(V4), ip("198.51.100.8"), None);
        history.flush();
        history.generation -= 1;
        let report = Report { destinations: 1, networks: 2, unanswered_v6: 1, unanswered_v4: 0 };
        assert_eq!(history.report(now), report);
    }

    #[test]
    fn a_flush_forgets_everything() {
        let (history, now) = history();
        history.connected(now, ip(V4), ip("198.51.100.7"), Some(ms(40)));
        history.unanswered(now, ip(V6));
        history.flush();
        assert_eq!(history.report(now), Report::default());
        assert_eq!(history.of(now, ip(V4), ip("198.51.100.7")), Known::default());
    }

    #[test]
    fn one_race_in_64_takes_the_standards_order() {
        let (history, now) = history();
        for _ in 0..3 {
            let own = (0..RACES_TO_ONE_BY_THE_STANDARD).filter(|_| history.begin_race(now).ordered).count() as u32;
            assert_eq!(own, RACES_TO_ONE_BY_THE_STANDARD - 1);
        }
    }

    #[test]
    fn it_is_bounded_and_keeps_what_was_used_last() {
        let (history, now) = history();
        let destination = |number: u32| IpAddr::from((0xc633_0000u32 + number).to_be_bytes());
        for number in 0..10 * MOST_DESTINATIONS as u32 {
            let at = now + Duration::from_millis(u64::from(number) * 20);
            history.connected(at, ip(V4), destination(number), Some(ms(10)));
            assert!(history.of(at, ip(V4), destination(number)).used_before);
            assert!(history.state().unwrap().destinations.len() <= MOST_DESTINATIONS);
        }
        // Three quarters are always left, and they are the latest.
        let last = 10 * MOST_DESTINATIONS as u32;
        let at = now + Duration::from_millis(u64::from(last) * 20);
        for number in last - MOST_DESTINATIONS as u32 / 2..last {
            assert!(history.of(at, ip(V4), destination(number)).used_before, "{number}");
        }
        for number in 0..1000 {
            history.unanswered(now + Duration::from_secs(number), IpAddr::from((number as u32 + 1).to_be_bytes()));
        }
        assert_eq!(history.state().unwrap().networks.len(), MOST_NETWORKS);
    }

    #[test]
    fn of_those_that_were_used_in_one_second_a_quarter_goes() {
        let (history, now) = history();
        for number in 0..=MOST_DESTINATIONS as u32 {
            history.connected(now, ip(V4), IpAddr::from(number.to_be_bytes()), None);
        }
        assert_eq!(history.report(now).destinations as usize, MOST_DESTINATIONS * 3 / 4 + 1);
    }

    #[test]
    fn the_network_goes_of_which_nothing_was_heard_for_the_longest_time() {
        let (history, now) = history();
        let network = |number: usize| IpAddr::from((number as u32 + 1).to_be_bytes());
        let second = |number: usize| now + Duration::from_secs(number as u64);
        for number in 0..MOST_NETWORKS {
            history.unanswered(second(number), network(number));
        }
        history.answered(second(MOST_NETWORKS), network(0));
        history.unanswered(second(MOST_NETWORKS + 1), network(MOST_NETWORKS));
        let at = second(MOST_NETWORKS + 1);
        assert!(!history.is_unanswered(at, network(1)));
        let left: Vec<_> = (2..=MOST_NETWORKS).filter(|&number| history.is_unanswered(at, network(number))).collect();
        assert_eq!(left.len(), MOST_NETWORKS - 1);
        assert_eq!(history.report(at).networks as usize, MOST_NETWORKS);
    }

    /// With the table of hashbrown: a power of two of slots, seven eighths of them used, one byte beside
    /// each.
    #[test]
    fn as_many_entries_as_it_may_have_take_less_than_128_kib() {
        let slots = |entries: usize| (entries * 8 / 7).next_power_of_two();
        let destinations = slots(MOST_DESTINATIONS) * (size_of::<(Way, Destination)>() + 1);
        let networks = MOST_NETWORKS * size_of::<(Key, Network)>();
        assert!(destinations + networks < 128 << 10, "{destinations} + {networks} bytes");
        assert!(slots(MOST_DESTINATIONS) == 2048);
        let (history, now) = history();
        for number in 0..5000u32 {
            history.connected(now, ip(V4), IpAddr::from(number.to_be_bytes()), None);
        }
        assert!(history.state().unwrap().destinations.capacity() <= 2048 * 7 / 8);
    }

    #[test]
    fn threads_may_use_it_at_once() {
        let (history, now) = history();
        std::thread::scope(|scope| {
            for number in 0..4u8 {
                let history = &history;
                scope.spawn(move || {
                    for round in 0..200u8 {
                        history.connected(now, ip(V4), IpAddr::from([198, 51, number, round]), Some(ms(1)));
                        history.begin_race(now);
                    }
                });
            }
        });
        assert_eq!(history.report(now).destinations, 800);
        assert_eq!(history.state().unwrap().races, 800);
    }
}
