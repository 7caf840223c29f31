//! A connect that makes no attempt: what it looks up, in which order the addresses stand and why, and who
//! told.

use happysock::race::order::Rank;
use happysock::race::{AnsweredBy, Family, Outcome, Placed, PolicyTable, Route, Rule, Trace, TraceKind};
use happysock::{Connect, Hooks, Options, Plan};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Keeps what it is told.
#[derive(Default)]
struct Listener {
    sources: Mutex<Vec<AnsweredBy>>,
    attempts: Mutex<u32>,
}

impl Hooks for Listener {
    fn configure_socket(&self, _fd: i32, _address: &SocketAddr) -> Result<(), i32> {
        *self.attempts.lock().unwrap() += 1;
        Ok(())
    }

    fn trace(&self, _began: std::time::Instant, trace: &Trace) {
        assert!(!matches!(trace.kind, TraceKind::AttemptStarted { .. }));
        if let TraceKind::LookupAnswered { by, .. } | TraceKind::LookupFailed { by, .. } = trace.kind {
            self.sources.lock().unwrap().push(by);
        }
    }
}

fn rehearse(host: Option<&std::ffi::CStr>, options: Options<'_>) -> (Connect, Arc<Listener>) {
    let listener = Arc::new(Listener::default());
    let options = Options { hooks: Some(listener.clone()), trace: true, ..options };
    let mut connect = Connect::rehearse(Plan::new(host, Some(c"80"), &options).expect("valid"));
    assert!(connect.order().is_none(), "nothing was done yet");
    assert!(connect.wait(), "nobody interrupts");
    assert_eq!(*listener.attempts.lock().unwrap(), 0, "a rehearsal makes no socket for an attempt");
    (connect, listener)
}

#[test]
fn known_addresses_are_put_in_order_and_nothing_is_attempted() {
    // Loopback has a way on every machine; of precedence ::1 has more than 127.0.0.1 (RFC 6724, section 2.1).
    let addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 80)), SocketAddr::from((Ipv6Addr::LOCALHOST, 80))];
    let (mut connect, listener) = rehearse(None, Options { addresses: Some(&addresses), ..Options::default() });
    let expected = [
        Placed { address: addresses[1], is_usable: true, rule: None },
        Placed { address: addresses[0], is_usable: true, rule: Some(Rule::HigherPrecedence) },
    ];
    assert_eq!(connect.order(), Some(&expected[..]));
    assert_eq!(connect.report().map(|report| report.outcome), Some(Outcome::Cancelled));
    assert!(listener.sources.lock().unwrap().is_empty(), "nothing was looked up");
}

#[test]
fn one_address_stands_alone() {
    let (connect, _) = rehearse(Some(c"192.0.2.1"), Options::default());
    let alone = Placed { address: "192.0.2.1:80".parse().unwrap(), is_usable: true, rule: None };
    assert_eq!(connect.order(), Some(&[alone][..]));
}

#[test]
fn a_name_says_who_answered() {
    let (mut connect, listener) = rehearse(Some(c"localhost"), Options::default());
    let order = connect.order().expect("localhost has an address");
    assert!(order.iter().all(|placed| placed.address.ip().is_loopback()), "{order:?}");
    let sources = listener.sources.lock().unwrap();
    // Which of the two it is hangs on what the machine's nsswitch.conf says.
    assert!(sources.len() == 2 && sources.iter().all(|by| matches!(by, AnsweredBy::Hosts | AnsweredBy::Libc)));
    let report = connect.report().expect("it is over");
    assert_eq!(report.why_libc.is_some(), report.answered_by == AnsweredBy::Libc);
}

#[test]
fn what_has_no_address_ends_as_a_connect_does() {
    let (mut connect, _) = rehearse(
        Some(c"192.0.2.1"),
        Options { families: happysock::race::Families::Only(Family::V6), ..Options::default() },
    );
    assert!(connect.order().is_none());
    assert!(matches!(connect.report().map(|report| report.outcome), Some(Outcome::ResolveFailed { .. })));
}

#[test]
fn a_limit_and_a_cancel_end_it_without_an_order() {
    let (mut connect, _) =
        rehearse(Some(c"192.0.2.1"), Options { open_timeout: Some(Duration::ZERO), ..Options::default() });
    assert!(connect.order().is_none());
    assert!(matches!(connect.report().map(|report| report.outcome), Some(Outcome::TimedOut { .. })));

    let plan = Plan::new(Some(c"192.0.2.1"), Some(c"80"), &Options::default()).expect("valid");
    let mut connect = Connect::rehearse(plan);
    connect.signals().cancel();
    assert!(connect.wait());
    assert!(connect.order().is_none(), "it was ended before it was over");
}

#[test]
fn a_connect_that_is_no_rehearsal_has_no_order() {
    let plan = Plan::new(Some(c"127.0.0.1"), Some(c"1"), &Options::default()).expect("valid");
    let mut connect = Connect::new(plan);
    assert!(connect.wait());
    assert!(connect.order().is_none());
}

fn address() -> impl Strategy<Value = IpAddr> {
    let interesting = [
        "::1",
        "fe80::1",
        "fc00::1",
        "2001:db8::1",
        "2002::1",
        "::ffff:192.0.2.1",
        "127.0.0.1",
        "169.254.0.1",
        "192.0.2.1",
    ];
    let interesting: Vec<IpAddr> = interesting.iter().map(|text| text.parse().unwrap()).collect();
    prop_oneof![
        proptest::sample::select(interesting),
        any::<u128>().prop_map(|bits| Ipv6Addr::from(bits).into()),
        any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).into())
    ]
}

fn rank() -> impl Strategy<Value = Rank> {
    let route = (proptest::option::of(address()), any::<[bool; 5]>(), 0..33u8, proptest::option::of(0..3u64));
    (address(), route).prop_map(
        |(destination, (source, [deprecated, home, native, used, unanswered], prefix_length, round_trip))| {
            let route = Route {
                source: source.filter(|source| source.is_ipv6() == destination.is_ipv6()),
                source_deprecated: deprecated,
                source_is_home: home,
                native,
                prefix_length,
                unanswered,
                round_trip: round_trip.map(Duration::from_millis),
                used_before: used,
            };
            Rank::new(destination, &route, &PolicyTable::default())
        },
    )
}

proptest! {
    // What is said to decide is what decides: it is "unchanged" exactly where the sort keeps both orders, and
    // the same whichever of the two is asked.
    #[test]
    fn the_rule_that_is_told_is_the_one_that_decides(one in rank(), other in rank()) {
        let keeps = |first: &Rank, second: &Rank| happysock::race::order::sorted(&[first, second]) == [0, 1];
        let undecided = keeps(&one, &other) && keeps(&other, &one);
        prop_assert_eq!(one.decided_by(&other) == Rule::Unchanged, undecided);
        prop_assert_eq!(one.decided_by(&other), other.decided_by(&one));
    }
}

#[test]
fn each_rule_is_told_where_it_is_the_first_that_differs() {
    let rank =
        |destination: &str, route: Route| Rank::new(destination.parse().unwrap(), &route, &PolicyTable::default());
    let source = |text: &str| Some(text.parse().unwrap());
    let v6 = Route { source: source("2001:db8::5"), native: true, source_is_home: true, ..Route::default() };
    let plain = rank("2001:db8::1", v6);
    let ms = |number| Some(Duration::from_millis(number));
    for (other, rule, number) in [
        (rank("2001:db8::1", Route { source: None, ..v6 }), Rule::Usable, Some(1)),
        (rank("2001:db8::1", Route { unanswered: true, ..v6 }), Rule::Answered, None),
        (rank("2001:db8::1", Route { source: source("fe80::5"), ..v6 }), Rule::MatchingScope, Some(2)),
        (rank("2001:db8::1", Route { source_deprecated: true, ..v6 }), Rule::NotDeprecated, Some(3)),
        (rank("2001:db8::1", Route { source_is_home: false, ..v6 }), Rule::HomeAddress, Some(4)),
        (rank("2001:db8::1", Route { source: source("2002::5"), ..v6 }), Rule::MatchingLabel, Some(5)),
        (rank("192.0.2.1", Route { source: source("192.0.2.5"), ..v6 }), Rule::HigherPrecedence, Some(6)),
        (rank("2001:db8::1", Route { native: false, ..v6 }), Rule::NativeTransport, Some(7)),
        (rank("2001:db8::1", Route { round_trip: ms(5), ..v6 }), Rule::RoundTrip, None),
        (rank("2001:db8::1", Route { used_before: true, ..v6 }), Rule::UsedBefore, None),
        (rank("2001:db8:8000::1", v6), Rule::LongestPrefix, Some(9)),
        (rank("2001:db8::1", v6), Rule::Unchanged, Some(10)),
    ] {
        assert_eq!((plain.decided_by(&other), rule.number()), (rule, number));
    }
    // Two link-local sources and destinations match in scope, as do two global ones; the narrower goes first.
    let global = rank("2001:db8::1", Route { native: true, ..v6 });
    let local = rank("fe80::1", Route { source: source("fe80::5"), native: true, ..v6 });
    assert_eq!((local.decided_by(&global), Rule::SmallerScope.number()), (Rule::SmallerScope, Some(8)));
}
