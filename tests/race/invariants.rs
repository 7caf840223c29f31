//! What must hold in every race, whatever happens and whenever. A story is read from bytes, so that property
//! tests and the fuzzer tell the same stories; it is played against the race and every action is checked.
use happysock::race::*;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// The world's addresses: few, so that duplicates are common.
const WORLD: [&str; 16] = [
    "[2001:db8::1]:80",
    "[2001:db8::2]:80",
    "[2001:db8::3]:80",
    "[2001:db8:64::192.0.2.1]:80",
    "[fe80::1%2]:80",
    "[fd00::1]:80",
    "[::1]:80",
    "[::ffff:192.0.2.1]:80",
    "192.0.2.1:80",
    "192.0.2.2:80",
    "192.0.2.3:80",
    "198.51.100.1:80",
    "169.254.1.1:80",
    "10.0.0.1:80",
    "127.0.0.1:80",
    "127.0.0.2:80",
];

const GAI_ERRORS: [i32; 8] = [-2, -3, -4, -5, -8, -9, -10, -11];

static ADDRESSES: LazyLock<Vec<SocketAddr>> =
    LazyLock::new(|| WORLD.iter().map(|address| address.parse().unwrap()).collect());

fn world(index: u8) -> SocketAddr {
    ADDRESSES[usize::from(index) % WORLD.len()]
}

/// Whether the world has a way to an address; some have none, and with some the question stays open.
fn route_to(destination: SocketAddr, seed: u8) -> Option<Route> {
    let place = ADDRESSES.iter().position(|address| *address == destination).unwrap_or_default() as u8;
    let source: IpAddr = match destination.ip() {
        ip if ip.is_loopback() => ip,
        IpAddr::V6(_) => "2001:db8::ffff".parse().unwrap(),
        IpAddr::V4(_) => "192.0.2.255".parse().unwrap(),
    };
    match (place.wrapping_mul(29) ^ seed) % 8 {
        0 => None,
        1 | 2 => Some(Route::default()),
        3 => Some(Route { source: Some(source), source_deprecated: true, ..Route::default() }),
        4 => Some(Route { source: Some(source), used_before: true, ..Route::default() }),
        5 => {
            let round_trip = Some(Duration::from_millis(u64::from(place)));
            Some(Route { source: Some(source), round_trip, ..Route::default() })
        }
        _ => Some(Route { source: Some(source), ..Route::default() }),
    }
}

/// Reads a story byte by byte; past its end everything is 0.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// Half of them no limit; a few a limit of zero; others up to 2.2 seconds.
    fn limit(&mut self) -> Option<Duration> {
        match self.next() {
            0..=127 => None,
            byte => Some(Duration::from_millis(u64::from(byte.saturating_sub(143)) * 20)),
        }
    }

    fn addresses(&mut self) -> Vec<SocketAddr> {
        let count = self.next() % 6;
        (0..count).map(|_| world(self.next())).collect()
    }
}

fn settings(bytes: &mut Bytes<'_>) -> Settings {
    let flags = bytes.next();
    let policy = if flags & 0x40 != 0 {
        GaiConf::read(b"precedence ::ffff:0:0/96 40", MissingNumber::Nothing).policy
    } else {
        PolicyTable::default()
    };
    let (resolution_delay, connection_attempt_delay) = (bytes.next(), bytes.next());
    let (first_address_family_count, max_attempts) = (bytes.next(), bytes.next());
    Settings {
        unanswered: match max_attempts >> 6 {
            1 => Some(Family::V6),
            2 => Some(Family::V4),
            _ => None,
        },
        not_asked: match first_address_family_count & 0x30 {
            0x10 => Some(Family::V6),
            0x20 => Some(Family::V4),
            _ => None,
        },
        growing_delay: first_address_family_count & 0x40 != 0,
        share_open_limit: first_address_family_count & 0x80 != 0,
        families: match flags & 3 {
            0 | 1 => Families::Both,
            2 => Families::Only(Family::V6),
            _ => Families::Only(Family::V4),
        },
        preferred_family: if flags & 4 != 0 { Family::V4 } else { Family::V6 },
        fast_fallback: flags & 0x38 != 0x38,
        local: flags & 0x30 == 0x10,
        policy: Arc::new(policy),
        resolution_delay: Duration::from_millis(u64::from(resolution_delay)),
        connection_attempt_delay: Duration::from_millis(u64::from(connection_attempt_delay) * 10),
        first_address_family_count: u32::from(first_address_family_count % 4),
        max_attempts: u32::from(max_attempts % 4),
        resolve_limit: bytes.limit(),
        connect_limit: bytes.limit(),
        open_limit: bytes.limit(),
        confirm: first_address_family_count & 0x80 != 0,
        trace: flags & 0x80 != 0,
        service: first_address_family_count & 0x0c == 0x0c,
        nat64: match first_address_family_count >> 6 {
            0 | 1 => Nat64::Off,
            2 => Nat64::Discover,
            _ => "2001:db8:64::/96,64:ff9b::/96".parse().unwrap(),
        },
    }
}

/// What the checker knows of a race besides what the race says.
struct Play {
    race: Race,
    settings: Settings,
    now: Instant,
    permits: Permits,
    seed: u8,
    /// By the number of the lookup.
    asked: Vec<Question>,
    pending: Vec<LookupId>,
    /// The pending ones that give way to others.
    when_free: Vec<LookupId>,
    /// When these have to be hastened.
    hasten_at: Option<Instant>,
    local_families: Vec<Family>,
    running: Vec<AttemptId>,
    /// Those of them that are connected and wait for a word.
    held: Vec<AttemptId>,
    last_start: Option<Instant>,
    /// Of the latest attempt.
    handshake_expected: Option<Duration>,
    /// An attempt ended without success since the latest start.
    setback: bool,
    /// An attempt was abandoned so that the next can start.
    made_room: bool,
    winner: Option<AttemptId>,
    /// An event has decided the end; only the winding up is missing.
    decided: bool,
    finished: bool,
    actions: Vec<Action>,
}

/// Plays the story that `story` tells and checks that everything holds. Gives the actions, in their order.
pub fn check(story: &[u8], origin: Instant) -> Vec<Action> {
    let mut bytes = Bytes(story);
    let settings = settings(&mut bytes);
    let numeric = if bytes.next() % 4 == 0 { Some(bytes.addresses()) } else { None };
    let seed = bytes.next();
    let race = match &numeric {
        Some(addresses) => Race::with_addresses(settings.clone(), addresses, origin),
        None => Race::new(settings.clone(), origin),
    };
    let mut play = Play {
        race,
        settings,
        now: origin,
        permits: Permits::ALL,
        seed,
        asked: Vec::new(),
        pending: Vec::new(),
        when_free: Vec::new(),
        hasten_at: None,
        local_families: Vec::new(),
        running: Vec::new(),
        held: Vec::new(),
        last_start: None,
        handshake_expected: None,
        setback: false,
        made_room: false,
        winner: None,
        decided: false,
        finished: false,
        actions: Vec::new(),
    };
    play.run();
    while !bytes.0.is_empty() && !play.finished {
        play.step(&mut bytes);
    }
    play.bring_to_an_end();
    play.check_the_end();
    play.actions
}

impl Play {
    fn step(&mut self, bytes: &mut Bytes<'_>) {
        let operation = bytes.next();
        match operation % 16 {
            0 => self.now += Duration::from_millis(u64::from(bytes.next())),
            1 | 2 => self.now = self.race.deadline().map_or(self.now, |deadline| deadline.max(self.now)),
            3 => {
                let late = Duration::from_millis(u64::from(bytes.next()));
                self.now = self.race.deadline().map_or(self.now, |deadline| deadline.max(self.now)) + late;
            }
            4..=6 => {
                let lookup = self.some_lookup(bytes);
                let addresses = bytes.addresses();
                self.answer(lookup, &addresses);
            }
            7 => {
                let lookup = self.some_lookup(bytes);
                let gai_error = GAI_ERRORS[usize::from(bytes.next() % 8)];
                self.fail_lookup(lookup, LookupError { gai_error, sys_errno: 0 });
            }
            8 => {
                let byte = bytes.next();
                let attempt = AttemptId(u32::from(byte % 8));
                if byte & 0x80 == 0 { self.connect(attempt) } else { self.confirm(attempt) }
            }
            9..=11 => {
                let byte = bytes.next();
                self.refuse(AttemptId(u32::from(byte % 8)), byte & 0x80 != 0);
            }
            12 => {
                let (attempt, within) = (AttemptId(u32::from(bytes.next() % 8)), u64::from(bytes.next()) * 10);
                let within = Duration::from_millis(within);
                if attempt.0 as usize + 1 == self.race.attempts().len() && !self.decided {
                    self.handshake_expected = Some(within);
                }
                self.race.handle(self.now, Event::HandshakeExpected { attempt, within });
            }
            13 => {
                let byte = bytes.next();
                self.permits = Permits { lookups: byte & 3 != 0, attempts: byte & 12 != 0 };
            }
            14 => {
                let candidate = CandidateId(u32::from(bytes.next()));
                self.race.handle(self.now, Event::RouteFound { candidate, route: Route::default() });
            }
            _ => match bytes.next() {
                0 => self.end_by(Event::Cancelled),
                1 => self.end_by(Event::Broken { sys_errno: 24 }),
                _ => {}
            },
        }
        // Several events may come in one wake-up.
        if operation & 0x80 == 0 {
            self.run();
        }
    }

    /// A lookup that may have been asked; a race that asks for bindings may have many.
    fn some_lookup(&self, bytes: &mut Bytes<'_>) -> LookupId {
        LookupId(u32::from(bytes.next() % if self.settings.service { 20 } else { 4 }))
    }

    /// Hands in an event that must change nothing.
    fn ignored(&mut self, event: Event<'_>) {
        let before = format!("{:?}", self.race);
        self.race.handle(self.now, event);
        assert_eq!(before, format!("{:?}", self.race));
    }

    fn answer(&mut self, lookup: LookupId, addresses: &[SocketAddr]) {
        let event = Event::Answered { lookup, addresses, by: AnsweredBy::Nobody };
        let Some(question) = self.take_pending(lookup) else { return self.ignored(event) };
        if question.kind == QuestionKind::Nat64Prefix {
            return self.answer_prefix(lookup, addresses.is_empty());
        }
        if question.kind == QuestionKind::Service {
            return self.answer_service(lookup, addresses);
        }
        if question.kind == QuestionKind::Local {
            self.local_families = addresses.iter().map(Family::of).collect();
            self.decided = addresses.is_empty();
        }
        let counts = |address| question.kind.family().is_none_or(|family| family == Family::of(address));
        let hopeful = addresses.iter().any(counts);
        self.hasten_at = Some(if hopeful { self.now + HASTEN_AFTER } else { self.now });
        self.race.handle(self.now, event);
    }

    fn answer_prefix(&mut self, lookup: LookupId, without: bool) {
        let told = ["[2001:db8:64::192.0.0.170]:0".parse().unwrap()];
        let addresses = if without { &[][..] } else { &told };
        if without {
            self.hasten_at = Some(self.now);
        }
        self.race.handle(self.now, Event::Answered { lookup, addresses, by: AnsweredBy::Nobody });
    }

    /// A binding for each address, which is its hint; some lead to the same name, or to another port.
    fn answer_service(&mut self, lookup: LookupId, addresses: &[SocketAddr]) {
        let binding = |(place, address): (usize, &SocketAddr)| Binding {
            priority: (place as u16 + u16::from(self.seed)) % 3,
            target: NameId((place % 4) as u32),
            port: (place % 2 == 1).then_some(8443),
            hints: vec![*address],
        };
        if !addresses.is_empty() {
            self.hasten_at = Some(self.now + HASTEN_AFTER);
        }
        let bindings: Vec<Binding> = addresses.iter().enumerate().map(binding).collect();
        self.race.handle(self.now, Event::ServiceAnswered { lookup, bindings: &bindings, by: AnsweredBy::Nobody });
    }

    fn end_by(&mut self, event: Event<'_>) {
        if self.decided {
            return self.ignored(event);
        }
        self.decided = true;
        self.race.handle(self.now, event);
    }

    fn fail_lookup(&mut self, lookup: LookupId, error: LookupError) {
        let event = Event::LookupFailed { lookup, error, by: AnsweredBy::Nobody };
        let Some(question) = self.take_pending(lookup) else { return self.ignored(event) };
        self.decided = question.kind == QuestionKind::Local;
        if question.kind != QuestionKind::Service {
            self.hasten_at = Some(self.now);
        }
        self.race.handle(self.now, event);
    }

    fn take_pending(&mut self, lookup: LookupId) -> Option<Question> {
        // A race whose end is decided drops its lookups itself.
        if self.decided || !self.pending.contains(&lookup) {
            return None;
        }
        self.not_pending(lookup);
        Some(self.asked[lookup.0 as usize])
    }

    fn not_pending(&mut self, lookup: LookupId) {
        self.pending.retain(|pending| *pending != lookup);
        self.when_free.retain(|pending| *pending != lookup);
    }

    fn connect(&mut self, attempt: AttemptId) {
        let event = Event::AttemptConnected { attempt };
        if !self.running.contains(&attempt) || self.held.contains(&attempt) || self.decided {
            return self.ignored(event);
        }
        self.race.handle(self.now, event);
        assert_eq!(self.race.attempts()[attempt.0 as usize].connected, Some(self.now));
        if self.settings.confirm {
            assert!(self.race.attempts()[attempt.0 as usize].is_held());
            self.held.push(attempt);
        } else {
            self.wins(attempt);
        }
    }

    fn confirm(&mut self, attempt: AttemptId) {
        let event = Event::AttemptConfirmed { attempt };
        if !self.held.contains(&attempt) || !self.running.contains(&attempt) || self.decided {
            return self.ignored(event);
        }
        self.race.handle(self.now, event);
        self.wins(attempt);
    }

    fn wins(&mut self, attempt: AttemptId) {
        assert_eq!(self.race.attempts()[attempt.0 as usize].outcome, AttemptOutcome::Connected);
        self.running.retain(|running| *running != attempt);
        self.winner = Some(attempt);
        self.decided = true;
    }

    fn refuse(&mut self, attempt: AttemptId, family_unreachable: bool) {
        let failure = Failure { sys_errno: 111, operation: Operation::Connect, family_unreachable };
        let event = Event::AttemptFailed { attempt, failure };
        if !self.running.contains(&attempt) || self.decided {
            return self.ignored(event);
        }
        self.race.handle(self.now, event);
        assert_eq!(self.race.attempts()[attempt.0 as usize].outcome, AttemptOutcome::Failed(failure));
        self.running.retain(|running| *running != attempt);
        self.setback = true;
        self.hasten_at = Some(self.now);
    }

    fn run(&mut self) {
        for _ in 0..1_000 {
            let Some(action) = self.race.next_action(self.now, self.permits) else {
                return self.check_at_rest();
            };
            self.actions.push(action);
            self.check_action(action);
        }
        panic!("no end of actions");
    }

    fn check_action(&mut self, action: Action) {
        assert!(!self.finished, "an action after the end: {action:?}");
        assert!(!self.made_room || matches!(action, Action::StartAttempt { .. }), "room was made for nothing");
        match action {
            Action::Ask { lookup, question, urgency } => {
                assert!(self.permits.lookups && !self.decided);
                assert!(!self.asked.contains(&question), "asked twice");
                assert_ne!(self.settings.resolve_limit, Some(Duration::ZERO));
                assert_eq!(question.kind == QuestionKind::Both, self.is_plain_question(question));
                assert_eq!(lookup.0 as usize, self.asked.len(), "numbered otherwise than asked");
                // Of two families the second gives way while the first is pending; nothing was hastened
                // before it was asked.
                let other = question.kind.family().map(|family| QuestionKind::of(family.other()));
                let of_the_other = |pending: &LookupId| {
                    let pending = self.asked[pending.0 as usize];
                    pending.name == question.name && Some(pending.kind) == other
                };
                let second = self.pending.iter().any(of_the_other);
                assert_eq!(urgency == Urgency::WhenFree, second);
                if second {
                    if self.when_free.is_empty() {
                        self.hasten_at = None;
                    }
                    self.when_free.push(lookup);
                }
                self.asked.push(question);
                self.pending.push(lookup);
            }
            Action::Hasten { lookup } => {
                assert!(self.when_free.contains(&lookup), "hastened although it gives way to none");
                assert!(self.hasten_at.is_some_and(|at| at <= self.now), "hastened too early");
                self.when_free.retain(|waiting| *waiting != lookup);
            }
            Action::FindConnectivity { family } => {
                let connected = !self.seed.is_multiple_of(3);
                self.race.handle(self.now, Event::ConnectivityFound { family, connected });
            }
            Action::FindRoute { candidate, destination } => {
                assert!(self.settings.fast_fallback);
                if let Some(route) = route_to(destination, self.seed) {
                    self.race.handle(self.now, Event::RouteFound { candidate, route });
                }
            }
            Action::StartAttempt { attempt, destination } => self.check_start(attempt, destination),
            Action::AbandonAttempt { attempt } => {
                assert!(self.running.contains(&attempt), "abandoned although not in flight");
                let entry = &self.race.attempts()[attempt.0 as usize];
                assert_eq!(entry.ended, Some(self.now));
                match entry.outcome {
                    AttemptOutcome::TimedOut(_) => self.setback = true,
                    AttemptOutcome::Abandoned if self.decided => {}
                    AttemptOutcome::Abandoned => {
                        let capped = self.settings.fast_fallback && self.settings.max_attempts != 0;
                        assert!(capped && self.running.len() == self.settings.max_attempts as usize, "needless");
                        assert_eq!(self.running.first(), Some(&attempt), "not the oldest");
                        assert!(!self.setback);
                        self.made_room = true;
                    }
                    other => panic!("abandoned with the outcome {other:?}"),
                }
                self.running.retain(|running| *running != attempt);
            }
            Action::AbandonLookup { lookup } => {
                assert!(self.pending.contains(&lookup), "abandoned although not asked");
                self.not_pending(lookup);
            }
            Action::Finish(outcome) => {
                self.finished = true;
                self.decided = true;
                assert_eq!(self.race.outcome(), Some(outcome));
                assert!(self.running.is_empty() && self.pending.is_empty(), "finished before the rest was abandoned");
                self.check_outcome(outcome);
            }
        }
    }

    fn is_plain_question(&self, question: Question) -> bool {
        let of_host = !matches!(question.kind, QuestionKind::Local | QuestionKind::Nat64Prefix | QuestionKind::Service);
        !self.settings.fast_fallback && self.settings.asked() == Families::Both && of_host
    }

    fn check_start(&mut self, attempt: AttemptId, destination: SocketAddr) {
        assert!(self.permits.attempts && !self.decided);
        assert_ne!(self.settings.connect_limit, Some(Duration::ZERO));
        let attempts = self.race.attempts();
        assert_eq!(attempt.0 as usize + 1, attempts.len());
        assert_eq!(attempts.iter().filter(|other| other.destination == destination).count(), 1, "tried twice");
        if self.settings.local {
            assert!(self.local_families.contains(&Family::of(&destination)), "not of a local family");
        }
        let cap = if self.settings.fast_fallback { self.settings.max_attempts as usize } else { 1 };
        assert!(cap == 0 || self.running.len() < cap, "more in flight than allowed");
        if let Some(last) = self.last_start.filter(|_| !self.setback) {
            let loopback = |attempt: &Attempt| match attempt.destination.ip() {
                IpAddr::V4(v4) => v4.is_loopback(),
                IpAddr::V6(v6) => v6.is_loopback(),
            };
            let delay = match attempts.iter().all(loopback) {
                true => CONNECTION_ATTEMPT_DELAY_MIN,
                false => {
                    let set = self.settings.connection_attempt_delay;
                    let set = set.clamp(CONNECTION_ATTEMPT_DELAY_MIN, CONNECTION_ATTEMPT_DELAY_MAX);
                    let least = set.min(CONNECTION_ATTEMPT_DELAY_RECOMMENDED_MIN);
                    let delay = self
                        .handshake_expected
                        .map_or(set, |expected| expected.clamp(least, CONNECTION_ATTEMPT_DELAY_MAX));
                    let doublings = if self.settings.growing_delay { attempts.len() as u32 - 2 } else { 0 };
                    (delay * 2u32.pow(doublings.min(8))).min(CONNECTION_ATTEMPT_DELAY_MAX)
                }
            };
            assert!(self.now - last >= CONNECTION_ATTEMPT_DELAY_MIN, "two starts closer than is ever allowed");
            assert!(self.now - last + PUNCTUAL >= delay, "two starts closer than the delay");
        }
        if self.settings.fast_fallback {
            let apart =
                |other: &AttemptId| self.now - attempts[other.0 as usize].started >= CONNECTION_ATTEMPT_DELAY_MIN;
            assert!(self.running.iter().all(apart), "closer to one that runs than is ever allowed");
        }
        self.handshake_expected = None;
        self.running.push(attempt);
        self.hasten_at = self.hasten_at.map(|_| self.now + HASTEN_AFTER);
        self.last_start = Some(self.now);
        self.setback = false;
        self.made_room = false;
    }

    fn check_outcome(&self, outcome: Outcome) {
        let attempts = self.race.attempts();
        let of = |attempt: AttemptId| attempts[attempt.0 as usize].outcome;
        let connected = attempts.iter().filter(|attempt| attempt.outcome == AttemptOutcome::Connected).count();
        match outcome {
            Outcome::Connected { attempt } => assert_eq!((Some(attempt), connected), (self.winner, 1)),
            _ => assert_eq!((self.winner, connected), (None, 0), "a winner was lost"),
        }
        match outcome {
            Outcome::Connected { attempt } => assert_eq!(of(attempt), AttemptOutcome::Connected),
            Outcome::AttemptsFailed { last } => assert!(matches!(of(last), AttemptOutcome::Failed(_))),
            Outcome::ResolveFailed { .. } | Outcome::LocalFailed { .. } | Outcome::NoLocalAddress => {
                assert!(attempts.is_empty());
            }
            Outcome::TimedOut { limit } => assert!(match limit {
                Limit::Open => self.settings.open_limit.is_some(),
                Limit::Resolve => self.settings.resolve_limit.is_some(),
                Limit::Connect => self.settings.connect_limit.is_some(),
            }),
            Outcome::Cancelled | Outcome::Broken { .. } => {}
        }
    }

    /// When there is nothing to do, the race either has ended, or says when to come back, or waits for an
    /// event or permit.
    fn check_at_rest(&self) {
        assert!(!self.made_room, "room was made for nothing");
        let deadline = self.race.deadline();
        assert!(deadline.is_none_or(|deadline| deadline > self.now), "a deadline in the past");
        let wanted = self.race.wants_permit();
        if self.finished {
            assert_eq!((deadline, wanted), (None, Wanted::default()));
            return;
        }
        assert!(
            !(wanted.lookup && self.permits.lookups || wanted.attempt && self.permits.attempts),
            "a permit was there"
        );
        let overdue = self.hasten_at.is_some_and(|at| at <= self.now) && !self.when_free.is_empty();
        assert!(!overdue, "not hastened in time");
        let waits = !self.pending.is_empty() || !self.running.is_empty() || wanted != Wanted::default();
        assert!(deadline.is_some() || waits, "nothing will ever happen again");
    }

    /// From here on nobody answers or everybody refuses; both have to end it.
    fn bring_to_an_end(&mut self) {
        self.permits = Permits::ALL;
        self.run();
        let both = self.settings.resolve_limit.is_some() && self.settings.connect_limit.is_some();
        let limits_suffice = self.settings.open_limit.is_some() || both;
        for _ in 0..200 {
            if self.finished {
                return;
            }
            if !limits_suffice {
                for lookup in self.pending.clone() {
                    self.fail_lookup(lookup, LookupError { gai_error: -2, sys_errno: 0 });
                }
                for attempt in self.running.clone() {
                    self.refuse(attempt, false);
                }
            }
            self.now = self.race.deadline().map_or(self.now, |deadline| deadline.max(self.now));
            self.run();
        }
        panic!("the race does not end");
    }

    fn check_the_end(&mut self) {
        assert!(self.actions.iter().filter(|action| matches!(action, Action::Finish(_))).count() == 1);
        for attempt in self.race.attempts() {
            assert_ne!(attempt.outcome, AttemptOutcome::Running);
            assert!(!attempt.is_held());
            assert!(attempt.connected.is_some() || attempt.outcome != AttemptOutcome::Connected);
            assert!(attempt.connected.is_none_or(|at| attempt.started <= at && Some(at) <= attempt.ended));
            assert!(attempt.ended.is_some_and(|ended| ended >= attempt.started));
        }
        // Whatever comes now is too late.
        self.ignored(Event::Cancelled);
        self.ignored(Event::AttemptConnected { attempt: AttemptId(0) });
        assert_eq!(self.race.next_action(self.now, Permits::ALL), None);
        self.check_trace();
    }

    fn check_trace(&mut self) {
        let trace: Vec<Trace> = std::iter::from_fn(|| self.race.next_trace()).collect();
        assert_eq!(trace.is_empty(), !self.settings.trace);
        assert!(trace.is_sorted_by_key(|entry| entry.at));
        if !self.settings.trace {
            return;
        }
        for (place, attempt) in self.race.attempts().iter().enumerate() {
            let id = AttemptId(place as u32);
            let (address, outcome) = (attempt.destination, attempt.outcome);
            let started = Trace { at: attempt.started, kind: TraceKind::AttemptStarted { attempt: id, address } };
            let ended = TraceKind::AttemptEnded { attempt: id, address, outcome };
            let ended = Trace { at: attempt.ended.unwrap(), kind: ended };
            let held = attempt.connected.filter(|_| self.settings.confirm);
            let held = held.map(|at| Trace { at, kind: TraceKind::AttemptHeld { attempt: id, address } });
            let held_entries = trace
                .iter()
                .filter(|entry| matches!(entry.kind, TraceKind::AttemptHeld { attempt, .. } if attempt == id));
            assert!(held_entries.eq(&held));
            for expected in [started, ended] {
                assert_eq!(trace.iter().filter(|entry| **entry == expected).count(), 1);
            }
        }
        let ends = trace.iter().filter(|entry| matches!(entry.kind, TraceKind::AttemptEnded { .. })).count();
        assert_eq!(ends, self.race.attempts().len());
        assert!(matches!(trace.last().map(|entry| entry.kind), Some(TraceKind::Finished { .. })));
    }
}
