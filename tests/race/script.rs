//! A race played like a script: `at`, what happens, what is expected. Times are milliseconds from the race's
//! start.
//!
//! Addresses have short names: `v6.1` is 2001:db8::1, `v4.1` is 192.0.2.1, `loop6` and `loop4` are loopback; `64:1`
//! is 2001:db8:64::192.0.2.1, as a translator knows 192.0.2.1;
//! any other word is read as an IP address. The port is 80, unless it stands behind: `v6.1@8443`. Actions are compared as text: `ask AAAA`,
//! `start v6.1`, `abandon v4.1`, `drop A` (a lookup), `hasten A`, `finish ...`. What is asked only when
//! somebody is free to look it up reads `ask A when free`.
use happysock::race::*;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

pub const AAAA: Question = Question::host(QuestionKind::Aaaa);
pub const A: Question = Question::host(QuestionKind::A);
pub const ANY: Question = Question::host(QuestionKind::Both);
pub const LOCAL: Question = Question::host(QuestionKind::Local);
pub const PREFIX: Question = Question::host(QuestionKind::Nat64Prefix);
pub const HTTPS: Question = Question::host(QuestionKind::Service);

pub const NONAME: i32 = -2;
pub const AGAIN: i32 = -3;
pub const FAIL: i32 = -4;
pub const NODATA: i32 = -5;
pub const SERVICE: i32 = -8;
pub const MEMORY: i32 = -10;
pub const SYSTEM: i32 = -11;

pub const ECONNABORTED: i32 = 103;
pub const ECONNREFUSED: i32 = 111;
pub const ENETUNREACH: i32 = 101;

pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// An address by its short name.
pub fn address(name: &str) -> SocketAddr {
    let (name, port) = name.split_once('@').map_or((name, 80), |(name, port)| (name, port.parse().unwrap()));
    let ip: IpAddr = match name.split_once('.') {
        Some(("v6", number)) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number.parse().unwrap()).into(),
        Some(("v4", number)) => Ipv4Addr::new(192, 0, 2, number.parse().unwrap()).into(),
        _ if name.starts_with("64:") && !name.contains("::") => {
            let number: u16 = name[3..].parse().unwrap();
            Ipv6Addr::new(0x2001, 0xdb8, 0x64, 0, 0, 0, 0xc000, 0x200 + number).into()
        }
        _ if name == "loop6" => Ipv6Addr::LOCALHOST.into(),
        _ if name == "loop4" => Ipv4Addr::LOCALHOST.into(),
        _ => name.parse().unwrap(),
    };
    SocketAddr::new(ip, port)
}

fn binding(text: &str) -> Binding {
    let mut words = text.split_whitespace();
    let priority = words.next().unwrap().parse().unwrap();
    let target = words.next().unwrap();
    let (target, port) = target.split_once('@').map_or((target, None), |(target, port)| (target, Some(port)));
    let target = if target == "." { HOST } else { NameId(target.parse().unwrap()) };
    let port = port.map(|port| port.parse().unwrap());
    Binding { priority, target, port, hints: words.map(address).collect() }
}

/// The question about a target.
pub fn of_target(number: u32, question: Question) -> Question {
    Question { name: NameId(number), kind: question.kind }
}

pub fn addresses(names: &str) -> Vec<SocketAddr> {
    names.split_whitespace().map(address).collect()
}

/// The short name of an address.
pub fn name(address: &SocketAddr) -> String {
    let port = if address.port() == 80 { String::new() } else { format!("@{}", address.port()) };
    let ip = match address.ip() {
        ip if ip == Ipv6Addr::LOCALHOST => "loop6".into(),
        ip if ip == Ipv4Addr::LOCALHOST => "loop4".into(),
        IpAddr::V6(v6) if v6.segments()[..7] == [0x2001, 0xdb8, 0, 0, 0, 0, 0] => format!("v6.{}", v6.segments()[7]),
        IpAddr::V6(v6) if v6.segments()[..7] == [0x2001, 0xdb8, 0x64, 0, 0, 0, 0xc000] => {
            format!("64:{}", v6.segments()[7] - 0x200)
        }
        IpAddr::V4(v4) if v4.octets()[..3] == [192, 0, 2] => format!("v4.{}", v4.octets()[3]),
        other => other.to_string(),
    };
    ip + &port
}

fn question_name(question: Question) -> String {
    let kind = match question.kind {
        QuestionKind::Aaaa => "AAAA",
        QuestionKind::A => "A",
        QuestionKind::Both => "any",
        QuestionKind::Local => "local",
        QuestionKind::Nat64Prefix => "nat64",
        QuestionKind::Service => "HTTPS",
    };
    if question.name == HOST { kind.into() } else { format!("{kind} of {}", question.name.0) }
}

/// A route with the source that a host with one global address of each family would use.
pub fn usual_route(destination: IpAddr) -> Route {
    let source: IpAddr = match destination {
        ip if ip.is_loopback() => ip,
        IpAddr::V6(_) => "2001:db8:ffff::1".parse().unwrap(),
        IpAddr::V4(_) => "198.51.100.1".parse().unwrap(),
    };
    Route { source: Some(source), ..Route::default() }
}

pub struct Script {
    pub race: Race,
    origin: Instant,
    now: Duration,
    pub permits: Permits,
    /// Answers to FindRoute; the usual one for who is not here.
    routes: HashMap<IpAddr, Route>,
    /// Whether FindRoute is to be expected like any other action.
    pub show_routes: bool,
    /// Whether the preferred family has a network.
    pub connected: bool,
    /// Whether IPv4 has one.
    pub ipv4: bool,
    /// The families of which that was asked.
    pub connectivity_asked: Vec<Family>,
    /// What was asked, by the number of its lookup.
    asked: Vec<Question>,
    /// Given by the race, not yet expected.
    given: Vec<String>,
}

impl Script {
    pub fn new(settings: Settings) -> Script {
        Script::play(|now| Race::new(settings, now))
    }

    /// Towards addresses that need no lookup.
    pub fn towards(names: &str, settings: Settings) -> Script {
        Script::play(|now| Race::with_addresses(settings, &addresses(names), now))
    }

    fn play(race: impl FnOnce(Instant) -> Race) -> Script {
        let origin = Instant::now();
        Script {
            race: race(origin),
            origin,
            now: Duration::ZERO,
            permits: Permits::ALL,
            routes: HashMap::new(),
            show_routes: false,
            connected: true,
            ipv4: true,
            connectivity_asked: Vec::new(),
            asked: Vec::new(),
            given: Vec::new(),
        }
    }

    /// The route that will be found to `destination`.
    pub fn route(&mut self, destination: &str, route: Route) -> &mut Script {
        self.routes.insert(address(destination).ip(), route);
        self
    }

    /// The source address that will be found for `destination`; none if empty.
    pub fn source(&mut self, destination: &str, source: &str) -> &mut Script {
        let source = (!source.is_empty()).then(|| address(source).ip());
        self.route(destination, Route { source, ..Route::default() })
    }

    /// Goes on to a later time. Nothing may happen in between.
    #[track_caller]
    pub fn at(&mut self, milliseconds: u64) -> &mut Script {
        self.idle_until(milliseconds)
    }

    /// Nothing happens before that time, although every deadline on the way is kept.
    #[track_caller]
    pub fn idle_until(&mut self, milliseconds: u64) -> &mut Script {
        let target = ms(milliseconds);
        assert!(target >= self.now, "the script runs backwards");
        self.run();
        assert!(self.given.is_empty(), "not expected at {:?}: {:?}", self.now, self.given);
        while let Some(deadline) = self.deadline().filter(|deadline| *deadline < target) {
            self.now = deadline;
            self.run();
            assert!(self.given.is_empty(), "not expected at {:?}: {:?}", self.now, self.given);
        }
        self.now = target;
        self
    }

    /// The driver wakes up late: deadlines on the way are not kept.
    pub fn late_at(&mut self, milliseconds: u64) -> &mut Script {
        assert!(ms(milliseconds) >= self.now, "the script runs backwards");
        self.now = ms(milliseconds);
        self
    }

    /// Exactly these actions are given now, in this order.
    #[track_caller]
    pub fn expect(&mut self, actions: &str) -> &mut Script {
        self.run();
        let expected: Vec<&str> = actions.split(", ").filter(|action| !action.is_empty()).collect();
        assert_eq!(std::mem::take(&mut self.given), expected, "at {:?}", self.now);
        self
    }

    /// Nothing more will happen by time alone.
    #[track_caller]
    pub fn expect_no_deadline(&mut self) -> &mut Script {
        self.expect("");
        assert_eq!(self.deadline(), None);
        self
    }

    /// The next deadline is this one.
    #[track_caller]
    pub fn expect_deadline(&mut self, milliseconds: u64) -> &mut Script {
        self.expect("");
        assert_eq!(self.deadline(), Some(ms(milliseconds)));
        self
    }

    pub fn deadline(&self) -> Option<Duration> {
        self.race.deadline().map(|deadline| deadline - self.origin)
    }

    /// The permits that the race waits for: `lookup`, `attempt`, both, or nothing.
    pub fn wanted(&self) -> &'static str {
        match self.race.wants_permit() {
            Wanted { lookup: false, attempt: false } => "nothing",
            Wanted { lookup: true, attempt: false } => "lookup",
            Wanted { lookup: false, attempt: true } => "attempt",
            Wanted { lookup: true, attempt: true } => "lookup and attempt",
        }
    }

    /// Asks the race for its actions until there is none, and answers questions about routes.
    #[track_caller]
    fn run(&mut self) {
        let now = self.instant();
        for _ in 0..10_000 {
            let Some(action) = self.race.next_action(now, self.permits) else {
                assert!(self.race.deadline().is_none_or(|deadline| deadline > now), "a deadline in the past");
                return;
            };
            if let Action::FindRoute { candidate, destination } = action {
                let ip = destination.ip();
                let route = self.routes.get(&ip).copied().unwrap_or_else(|| usual_route(ip));
                self.race.handle(now, Event::RouteFound { candidate, route });
                if !self.show_routes {
                    continue;
                }
            }
            if let Action::FindConnectivity { family } = action {
                assert!(!self.connectivity_asked.contains(&family), "asked twice");
                self.connectivity_asked.push(family);
                let connected = self.connected && (self.ipv4 || family != Family::V4);
                self.race.handle(now, Event::ConnectivityFound { family, connected });
                continue;
            }
            if let Action::Ask { lookup, question, .. } = action {
                assert_eq!(lookup.0 as usize, self.asked.len(), "lookups are numbered as they are asked");
                self.asked.push(question);
            }
            let text = self.text(action);
            self.given.push(text);
        }
        panic!("no end of actions");
    }

    fn instant(&self) -> Instant {
        self.origin + self.now
    }

    pub fn event(&mut self, event: Event<'_>) -> &mut Script {
        self.race.handle(self.instant(), event);
        self
    }

    pub fn answers(&mut self, question: Question, names: &str) -> &mut Script {
        let lookup = self.lookup(question);
        self.event(Event::Answered { lookup, addresses: &addresses(names), by: AnsweredBy::Nobody })
    }

    /// The bindings of the service, one after the other with semicolons between them: the priority; the
    /// target, `.` for the host or the number of a name, perhaps with a port (`1@8443`); hints.
    pub fn tells(&mut self, bindings: &str) -> &mut Script {
        let lookup = self.lookup(HTTPS);
        let bindings: Vec<Binding> = bindings.split(';').filter(|text| !text.trim().is_empty()).map(binding).collect();
        self.event(Event::ServiceAnswered { lookup, bindings: &bindings, by: AnsweredBy::Nobody })
    }

    pub fn fails_to_resolve(&mut self, question: Question, gai_error: i32) -> &mut Script {
        let lookup = self.lookup(question);
        self.event(Event::LookupFailed {
            lookup,
            error: LookupError { gai_error, sys_errno: 0 },
            by: AnsweredBy::Nobody,
        })
    }

    /// The lookup that asks a question; the next to be asked if it was not.
    pub fn lookup(&self, question: Question) -> LookupId {
        let place = self.asked.iter().position(|asked| *asked == question);
        LookupId(place.unwrap_or(self.asked.len()) as u32)
    }

    fn lookup_name(&self, lookup: LookupId) -> String {
        question_name(self.asked[lookup.0 as usize])
    }

    pub fn connects(&mut self, name: &str) -> &mut Script {
        let attempt = self.attempt(name);
        self.event(Event::AttemptConnected { attempt })
    }

    /// The caller wants the connection that is held.
    pub fn confirms(&mut self, name: &str) -> &mut Script {
        let attempt = self.attempt(name);
        self.event(Event::AttemptConfirmed { attempt })
    }

    /// The caller does not want the connection that is held.
    pub fn rejects(&mut self, name: &str) -> &mut Script {
        let attempt = self.attempt(name);
        let failure = Failure { sys_errno: ECONNABORTED, operation: Operation::Confirm, family_unreachable: false };
        self.event(Event::AttemptFailed { attempt, failure })
    }

    pub fn refuses(&mut self, name: &str) -> &mut Script {
        self.fails(name, ECONNREFUSED, false)
    }

    /// The attempt fails because its whole family has no network.
    pub fn is_unreachable(&mut self, name: &str) -> &mut Script {
        self.fails(name, ENETUNREACH, true)
    }

    fn fails(&mut self, name: &str, sys_errno: i32, family_unreachable: bool) -> &mut Script {
        let attempt = self.attempt(name);
        let failure = Failure { sys_errno, operation: Operation::Connect, family_unreachable };
        self.event(Event::AttemptFailed { attempt, failure })
    }

    /// What earlier connects say of an attempt.
    pub fn expects_handshake(&mut self, name: &str, within: u64) -> &mut Script {
        let attempt = self.attempt(name);
        self.event(Event::HandshakeExpected { attempt, within: ms(within) })
    }

    /// The id of the attempt towards an address.
    pub fn attempt(&self, name: &str) -> AttemptId {
        let place = self.race.attempts().iter().position(|attempt| attempt.destination == address(name));
        AttemptId(place.unwrap_or_else(|| panic!("{name} was not tried")) as u32)
    }

    /// How the attempt towards an address stands.
    pub fn outcome_of(&self, name: &str) -> AttemptOutcome {
        self.race.attempts()[self.attempt(name).0 as usize].outcome
    }

    fn name_of(&self, attempt: AttemptId) -> String {
        name(&self.race.attempts()[attempt.0 as usize].destination)
    }

    fn text(&self, action: Action) -> String {
        match action {
            Action::Ask { question, urgency: Urgency::Now, .. } => format!("ask {}", question_name(question)),
            Action::Ask { question, urgency: Urgency::WhenFree, .. } => {
                format!("ask {} when free", question_name(question))
            }
            Action::Hasten { lookup } => format!("hasten {}", self.lookup_name(lookup)),
            Action::FindRoute { destination, .. } => format!("route {}", name(&destination)),
            Action::FindConnectivity { family } => format!("connectivity of {family:?}"),
            Action::StartAttempt { destination, .. } => format!("start {}", name(&destination)),
            Action::AbandonAttempt { attempt } => format!("abandon {}", self.name_of(attempt)),
            Action::AbandonLookup { lookup } => format!("drop {}", self.lookup_name(lookup)),
            Action::Finish(outcome) => format!("finish {}", self.outcome_text(outcome)),
        }
    }

    fn outcome_text(&self, outcome: Outcome) -> String {
        match outcome {
            Outcome::Connected { attempt } => format!("connected {}", self.name_of(attempt)),
            Outcome::ResolveFailed { error } => format!("resolve {}", error.gai_error),
            Outcome::LocalFailed { error } => format!("local {}", error.gai_error),
            Outcome::NoLocalAddress => "no local address".into(),
            Outcome::AttemptsFailed { last } => format!("failed {}", self.name_of(last)),
            Outcome::TimedOut { limit } => format!("timed out {limit:?}"),
            Outcome::Cancelled => "cancelled".into(),
            Outcome::Broken { sys_errno } => format!("broken {sys_errno}"),
        }
    }

    /// The trace so far: milliseconds and entry.
    pub fn trace(&mut self) -> Vec<(u64, TraceKind)> {
        std::iter::from_fn(|| self.race.next_trace())
            .map(|trace| ((trace.at - self.origin).as_millis() as u64, trace.kind))
            .collect()
    }
}

/// A race by name with the standard's settings, both questions asked.
#[track_caller]
pub fn asked(settings: Settings) -> Script {
    let mut script = Script::new(settings);
    script.expect("ask AAAA, ask A when free");
    script
}
