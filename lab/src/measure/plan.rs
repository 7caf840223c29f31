//! What is measured: the sweeps, the selection and the situations, and what the options say should come out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use lab::{Family, Path, Reply, Rule, SERVER_V4, SERVER_V6, Scenario, Server};

use super::trial::Situation;

/// Addresses of each family, for the selection and the situations with many dead ones.
pub const ADDRESSES: u8 = 10;
/// The port that every server listens on.
const PORT: u16 = 8080;
/// The number of an IPv6 address that refuses every connection.
const REFUSING: u8 = 99;
/// What a client is given beyond the time that it should take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Later than any client waits for an answer.
const LATE_MS: f64 = 2000.0;

/// The delays that the judged client was told to keep.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    /// The Resolution Delay in milliseconds.
    pub resolution_ms: f64,
    /// The Connection Attempt Delay in milliseconds.
    pub attempt_ms: f64,
}

/// Which part of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// IPv6 packets come late: the gap between the first IPv6 and the first IPv4 SYN.
    AttemptDelay,
    /// The AAAA answer comes late: the gap between the A answer and the first IPv4 SYN.
    AaaaDelay,
    /// The A answer comes late: the gap between the AAAA answer and the first IPv6 SYN.
    ADelay,
    /// Ten dead addresses of each family: the order of the SYNs.
    Selection,
    /// The time to connect in situations of daily life.
    Situations,
}

/// One thing to measure, some times over.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The part that it belongs to.
    pub part: Part,
    /// What tables call it.
    pub title: String,
    /// The delay of a sweep in milliseconds; 0 elsewhere.
    pub delay_ms: f64,
    /// The network.
    pub situation: Situation,
    /// How long connecting takes a client that keeps the delays; None where chance decides.
    pub expected_ms: Option<f64>,
    /// How often it is measured.
    pub repeat: u32,
    /// How often of those for each peer.
    pub peer_repeat: u32,
}

impl Experiment {
    /// How often it is measured for one client.
    pub fn repeat_for(&self, judged: bool) -> u32 {
        if judged { self.repeat } else { self.peer_repeat.min(self.repeat) }
    }
}

/// How finely and how often to measure.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Between two delays of the Connection Attempt Delay sweep.
    pub attempt_step_ms: usize,
    /// Between two delays of the Resolution Delay sweeps.
    pub resolution_step_ms: usize,
    /// Runs of each step and situation.
    pub repeat: u32,
    /// Runs of the situations that take seconds.
    pub slow_repeat: u32,
    /// Runs of each step for peers, many of which wait out every delay.
    pub peer_step_repeat: u32,
    /// Runs of each situation for peers.
    pub peer_repeat: u32,
    /// Runs of the situations with random losses.
    pub loss_repeat: u32,
    /// After this time a client is stopped that has not connected in a situation.
    pub limit: Duration,
}

/// The `number`th IPv4 address, from 1.
pub fn v4(number: u8) -> IpAddr {
    let [a, b, c, _] = SERVER_V4.octets();
    Ipv4Addr::new(a, b, c, number).into()
}

/// The `number`th IPv6 address, from 1.
pub fn v6(number: u8) -> IpAddr {
    Ipv6Addr::from_bits(SERVER_V6.to_bits() & !0xffff | u128::from(number)).into()
}

fn many(address: fn(u8) -> IpAddr) -> impl Iterator<Item = IpAddr> {
    (1..=ADDRESSES).map(address)
}

/// The network that all measurements share; paths and names change from trial to trial.
pub fn scenario() -> Scenario {
    // What a web client takes for an answer; the others only look at the connection.
    let banner = "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n";
    let server = |address| Server { banner: Some(banner.to_owned()), ..Server::new(address) };
    let mut scenario = Scenario { port: PORT, ..Scenario::default() };
    scenario.servers = many(v6).chain(many(v4)).map(server).collect();
    scenario.servers.push(Server { listen: Some(Vec::new()), ..Server::new(v6(REFUSING)) });
    scenario.dns.names.clear();
    scenario
}

/// Two live servers, one of each family, whose addresses are answered at once.
pub fn all_fine() -> Situation {
    Situation {
        a: Rule::addresses([v4(1)]),
        aaaa: Rule::addresses([v6(1)]),
        families: Vec::new(),
        addresses: Vec::new(),
        limit: PATIENCE,
    }
}

fn steps(last: usize, step: usize) -> impl Iterator<Item = f64> {
    (0..=last).step_by(step.max(1)).map(|delay| delay as f64)
}

/// Everything that is to be measured, in the order of the report.
pub fn experiments(extent: Extent, delays: Delays) -> Vec<Experiment> {
    let mut all = Vec::new();
    all.extend(steps(400, extent.attempt_step_ms).map(|delay_ms| Experiment {
        part: Part::AttemptDelay,
        title: format!("IPv6 {delay_ms} ms late"),
        delay_ms,
        situation: Situation { families: vec![(Family::Ipv6, Path::round_trip(delay_ms))], ..all_fine() },
        expected_ms: None,
        repeat: extent.repeat,
        peer_repeat: extent.peer_step_repeat,
    }));
    all.extend(steps(1000, extent.resolution_step_ms).map(|delay_ms| Experiment {
        part: Part::AaaaDelay,
        title: format!("AAAA {delay_ms} ms late"),
        delay_ms,
        situation: Situation { aaaa: Rule::addresses([v6(1)]).after(delay_ms), ..all_fine() },
        expected_ms: None,
        repeat: extent.repeat,
        peer_repeat: extent.peer_step_repeat,
    }));
    all.extend(steps(1000, extent.resolution_step_ms).map(|delay_ms| Experiment {
        part: Part::ADelay,
        title: format!("A {delay_ms} ms late"),
        delay_ms,
        situation: Situation { a: Rule::addresses([v4(1)]).after(delay_ms), ..all_fine() },
        expected_ms: None,
        repeat: extent.repeat,
        peer_repeat: extent.peer_step_repeat,
    }));
    let black_hole = |family| (family, Path::black_hole());
    let all_attempts = Duration::from_secs_f64(delays.attempt_ms * f64::from(2 * ADDRESSES) / 1000.0);
    let dead = Situation {
        a: Rule::addresses(many(v4)),
        aaaa: Rule::addresses(many(v6)),
        families: vec![black_hole(Family::Ipv4), black_hole(Family::Ipv6)],
        // The last attempt is seen by then; nothing would come after it.
        limit: all_attempts + Duration::from_secs(2),
        ..all_fine()
    };
    all.push(Experiment {
        part: Part::Selection,
        title: format!("{ADDRESSES} + {ADDRESSES} dead addresses"),
        delay_ms: 0.0,
        situation: dead,
        expected_ms: None,
        repeat: extent.slow_repeat,
        peer_repeat: extent.peer_step_repeat,
    });
    all.extend(situations(extent, delays));
    all
}

/// The situations of daily life, each with the time that a client needs who keeps `delays`.
fn situations(extent: Extent, delays: Delays) -> Vec<Experiment> {
    let Delays { resolution_ms, attempt_ms } = delays;
    let situation = |title: &str, expected_ms: f64, situation: Situation| Experiment {
        part: Part::Situations,
        title: title.to_owned(),
        delay_ms: 0.0,
        situation,
        expected_ms: Some(expected_ms),
        repeat: extent.repeat,
        peer_repeat: extent.peer_repeat,
    };
    let fine = all_fine;
    let v6_dead = || Situation { families: vec![(Family::Ipv6, Path::black_hole())], ..fine() };
    let last_v4 = (v4(ADDRESSES), Path::default());
    let attempts_before_last = f64::from(2 * ADDRESSES - 1);
    let mut all = vec![
        situation("all fine", 0.0, fine()),
        situation("IPv6 dead", attempt_ms, v6_dead()),
        situation("A 2 s late", 0.0, Situation { a: fine().a.after(LATE_MS), ..fine() }),
        situation("AAAA 2 s late", resolution_ms, Situation { aaaa: fine().aaaa.after(LATE_MS), ..fine() }),
        situation("AAAA 30 ms late", resolution_ms.min(30.0), Situation { aaaa: fine().aaaa.after(30.0), ..fine() }),
        situation("IPv6 refuses", 0.0, Situation { aaaa: Rule::addresses([v6(REFUSING)]), ..fine() }),
        situation(
            "3 IPv6 dead, 1 IPv4",
            attempt_ms,
            Situation { aaaa: Rule::addresses([v6(1), v6(2), v6(3)]), ..v6_dead() },
        ),
        Experiment {
            repeat: extent.slow_repeat,
            peer_repeat: extent.peer_step_repeat,
            ..situation(
                "10 + 10, last IPv4 alive",
                attempts_before_last * attempt_ms,
                Situation {
                    a: Rule::addresses(many(v4)),
                    aaaa: Rule::addresses(many(v6)),
                    families: vec![(Family::Ipv4, Path::black_hole()), (Family::Ipv6, Path::black_hole())],
                    addresses: vec![last_v4],
                    ..fine()
                },
            )
        },
        situation("AAAA never answers", resolution_ms, Situation { aaaa: Rule::reply(Reply::Never), ..fine() }),
        situation("AAAA SERVFAIL", 0.0, Situation { aaaa: Rule::reply(Reply::Servfail), ..fine() }),
    ];
    for round_trip_ms in [30.0, 150.0] {
        let both =
            vec![(Family::Ipv4, Path::round_trip(round_trip_ms)), (Family::Ipv6, Path::round_trip(round_trip_ms))];
        let near = Situation { families: both, ..fine() };
        let dead = (Family::Ipv6, Path::black_hole());
        let far = (Family::Ipv4, Path::round_trip(round_trip_ms));
        let v6_dead = Situation { families: vec![far, dead], ..fine() };
        let title = format!("round trip {round_trip_ms} ms");
        all.push(situation(&title, round_trip_ms, near));
        all.push(situation(&format!("{title}, IPv6 dead"), attempt_ms + round_trip_ms, v6_dead));
    }
    for loss_percent in [5.0, 20.0] {
        let path = Path { loss_percent, ..Path::default() };
        all.push(Experiment {
            expected_ms: None,
            repeat: extent.loss_repeat,
            peer_repeat: extent.loss_repeat,
            ..situation(
                &format!("{loss_percent} % loss"),
                0.0,
                Situation { families: vec![(Family::Ipv4, path), (Family::Ipv6, path)], ..fine() },
            )
        });
    }
    for experiment in &mut all {
        experiment.situation.limit = extent.limit;
    }
    all
}
