//! A history on a network whose IPv6 is a black hole: what it costs, what it says, and that it heals.
//!
//! Alone in its program: the library may have a worker of the process look up a name, which is then on the
//! network where it was made.

use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use happysock::race::{Attempt, Outcome};
use happysock::{Connect, History, Options, Plan};
use lab::{Family, Network, Path, Rule, SERVER_V4, SERVER_V6, Scenario, Server};

/// How many hosts there are, each with an address of both families.
const NAMES: u16 = 100;
const PORT: u16 = 8080;

fn v6(number: u16) -> IpAddr {
    let mut segments = SERVER_V6.segments();
    segments[7] = number + 1;
    Ipv6Addr::from(segments).into()
}

fn v4(number: u16) -> IpAddr {
    let [a, b, c, _] = SERVER_V4.octets();
    Ipv4Addr::new(a, b, c, number as u8 + 1).into()
}

fn network() -> Network {
    let mut scenario = Scenario::default();
    let rule = |kind: &str, address: IpAddr| (kind.to_owned(), Rule::addresses([address]));
    scenario.dns.names = (0..NAMES)
        .map(|number| {
            (format!("dual{number}.test"), [rule("AAAA", v6(number)), rule("A", v4(number))].into_iter().collect())
        })
        .collect();
    scenario.dns.names.insert("six.test".to_owned(), [rule("AAAA", v6(0))].into_iter().collect());
    scenario.dns.names.insert("four.test".to_owned(), [rule("A", v4(0))].into_iter().collect());
    scenario.servers = (0..NAMES).flat_map(|number| [Server::new(v6(number)), Server::new(v4(number))]).collect();
    // What is measured is the connects and not the wire.
    Network::new(&scenario).expect("a network can be made")
}

/// What one connect came to.
struct Done {
    attempts: Vec<Attempt>,
    winner: IpAddr,
    unanswered: Option<happysock::race::Family>,
}

impl Done {
    fn attempts_over_v6(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.destination.is_ipv6()).count()
    }
}

fn connect(host: &str, history: Option<&Arc<History>>) -> Done {
    let (host, port) = (CString::new(host).unwrap(), CString::new(PORT.to_string()).unwrap());
    // Neither a late answer nor a late connection lets the other family in.
    let options = Options {
        history: history.cloned(),
        resolution_delay: Duration::from_secs(10),
        connection_attempt_delay: Duration::from_secs(2),
        ..Options::default()
    };
    let mut connect = Connect::new(Plan::new(Some(&host), Some(&port), &options).unwrap());
    assert!(connect.wait());
    let report = connect.report().unwrap();
    let Outcome::Connected { attempt } = report.outcome else { panic!("{host:?}: {:?}", report.outcome) };
    let winner = report.attempts[attempt.0 as usize].destination.ip();
    Done { attempts: report.attempts.to_vec(), winner, unanswered: report.unanswered }
}

#[test]
fn a_black_hole_costs_one_delay_and_not_one_a_connect() {
    let network = network();
    network.set_family(Family::Ipv6, Path::black_hole());
    let history = Arc::new(History::new(Instant::now()));
    let v6_does_not_answer = Some(happysock::race::Family::V6);

    let connects = network
        .on_client(|| {
            // Without a history each of them tries IPv6 first.
            for number in 0..3 {
                let done = connect(&format!("dual{number}.test"), None);
                assert_eq!((done.attempts_over_v6(), done.winner), (1, v4(number)));
                assert_eq!(done.unanswered, v6_does_not_answer);
            }
            Ok((0..10 * NAMES)
                .map(|number| connect(&format!("dual{}.test", number % NAMES), Some(&history)))
                .collect::<Vec<_>>())
        })
        .unwrap();
    let with_v6 = connects.iter().filter(|done| done.attempts_over_v6() > 0).count();
    assert_eq!(connects[0].attempts_over_v6(), 1, "the first one finds it");
    // On a busy machine an attempt over IPv4 may take longer than the delay, and IPv6 is tried behind it.
    assert!((1..=20).contains(&with_v6), "{with_v6} of {} connects have tried IPv6", connects.len());
    for (number, done) in connects.iter().enumerate() {
        assert_eq!(done.winner, v4(number as u16 % NAMES));
        assert_eq!(done.unanswered, v6_does_not_answer, "{number}");
        assert!(number == 0 || done.attempts[0].destination.is_ipv4(), "{number} began with IPv6");
    }
    let report = history.report(Instant::now());
    assert_eq!((report.unanswered_v6, report.unanswered_v4), (1, 0));
    assert_eq!(report.destinations, u32::from(NAMES));

    // A host without IPv6 is as it was. IPv6 comes back: a host that has nothing else shows it, and everybody
    // begins with it again.
    network.set_family(Family::Ipv6, Path::default());
    let (four, six, dual) = network
        .on_client(|| {
            let of = |host| connect(host, Some(&history));
            Ok((of("four.test"), of("six.test"), of("dual7.test")))
        })
        .unwrap();
    assert_eq!((four.winner, four.attempts.len()), (v4(0), 1));
    assert_eq!((six.winner, six.attempts.len()), (v6(0), 1));
    assert_eq!(history.report(Instant::now()).unanswered_v6, 0);
    assert_eq!((dual.attempts[0].destination.ip(), dual.unanswered), (v6(7), None));
}
