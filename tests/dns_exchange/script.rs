//! A walk played like a script: `at`, what happens, what is expected. Times are milliseconds from the walk's
//! start.
//!
//! Actions are compared as text: `AAAA www.test @0` is the question for that name, sent to the first server
//! as a datagram, `@0/tcp` the same over TCP; `AAAA = 2001:db8::1` an answer, `A ! NONAME` a failure by its
//! `EAI_*` code; then `finish`. What a server says is a word (`nxdomain`, `servfail`, ...) or the addresses
//! that it gives.
use crate::packets::{self, Message};
use happysock::dns::answer::Address;
use happysock::dns::exchange::{TcpFailure, Transmission};
use happysock::dns::failure::Failure;
use happysock::dns::gate::{Ask, PlanStep};
use happysock::dns::message::Transport;
use happysock::dns::nsswitch::Actions;
use happysock::dns::question::LONGEST_QUERY;
use happysock::dns::resolv_conf::ResolvConf;
use happysock::dns::walk::{Action, Event, Walk};
use happysock::dns::{Families, Family};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const AAAA: Family = Family::V6;
pub const A: Family = Family::V4;
pub const BOTH: Families = Families::Both;
pub const ONLY_AAAA: Families = Families::Only(Family::V6);
pub const ONLY_A: Families = Families::Only(Family::V4);

pub const DNS: &[PlanStep] = &[PlanStep { ask: Ask::Dns, actions: Actions::DEFAULT }];

pub fn family_name(family: Family) -> &'static str {
    if family == AAAA { "AAAA" } else { "A" }
}

pub fn code_name(code: i32) -> &'static str {
    match code {
        libc::EAI_NONAME => "NONAME",
        libc::EAI_NODATA => "NODATA",
        libc::EAI_AGAIN => "AGAIN",
        libc::EAI_SYSTEM => "SYSTEM",
        _ => panic!("an unusual code: {code}"),
    }
}

/// The settings of a resolv.conf(5) with these lines.
pub fn conf(lines: &str) -> ResolvConf {
    ResolvConf::parse(Some(lines.as_bytes()), b"", (2, 43), |_| None)
}

/// The latest packet of a family.
struct Sent {
    transmission: Transmission,
    packet: Vec<u8>,
}

pub struct Script {
    pub walk: Walk,
    families: Families,
    origin: Instant,
    now: Duration,
    sent: [Option<Sent>; 2],
    /// How the families have failed.
    pub failures: Vec<Failure>,
    given: Vec<String>,
}

impl Script {
    /// One or more servers, and what else resolv.conf says.
    pub fn new(lines: &str, families: Families, name: &str) -> Script {
        Script::with_steps(lines, families, name, DNS)
    }

    pub fn with_steps(lines: &str, families: Families, name: &str, steps: &[PlanStep]) -> Script {
        Script::start(Walk::new(name.as_bytes(), families, steps.into(), Arc::new(conf(lines)), 0), families)
    }

    pub fn start(walk: Walk, families: Families) -> Script {
        Script {
            walk,
            families,
            origin: Instant::now(),
            now: Duration::ZERO,
            sent: [None, None],
            failures: Vec::new(),
            given: Vec::new(),
        }
    }

    /// Goes on to a later time. Nothing may happen before it, although every deadline on the way is kept.
    #[track_caller]
    pub fn at(&mut self, milliseconds: u64) -> &mut Script {
        let target = Duration::from_millis(milliseconds);
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

    /// Exactly these actions are given now, in this order.
    #[track_caller]
    pub fn expect(&mut self, actions: &str) -> &mut Script {
        self.run();
        let expected: Vec<&str> = actions.split(", ").filter(|action| !action.is_empty()).collect();
        assert_eq!(std::mem::take(&mut self.given), expected, "at {:?}", self.now);
        self
    }

    /// What is given now.
    #[track_caller]
    pub fn take(&mut self) -> Vec<String> {
        self.run();
        std::mem::take(&mut self.given)
    }

    /// All that is given from now on if nothing but time passes: with the second of each.
    pub fn silence(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        for _ in 0..1000 {
            self.run();
            let seconds = self.now.as_secs();
            told.extend(self.given.drain(..).map(|action| format!("{seconds}: {action}")));
            match self.deadline() {
                Some(deadline) => self.now = deadline,
                None => return told,
            }
        }
        panic!("no end of deadlines");
    }

    pub fn deadline(&self) -> Option<Duration> {
        self.walk.deadline().map(|deadline| deadline - self.origin)
    }

    /// What a server says to the latest packet of a family, in words.
    pub fn says(&mut self, server: u8, family: Family, words: &str) -> &mut Script {
        let message = packets::in_words(self.packet(family), words);
        self.datagram(server, &message)
    }

    /// The same for both families, IPv6 first.
    pub fn says_to_both(&mut self, server: u8, words: &str) -> &mut Script {
        // Without a look at what follows from the first: both are there already.
        let messages = [AAAA, A].map(|family| packets::in_words(self.packet(family), words));
        self.datagram(server, &messages[0]).datagram(server, &messages[1])
    }

    pub fn datagram(&mut self, server: u8, message: &[u8]) -> &mut Script {
        self.event(Event::Datagram { server, message })
    }

    /// An ICMP error, or a failed send.
    pub fn unreachable(&mut self, family: Family) -> &mut Script {
        let transmission = self.transmission(family);
        self.event(Event::Unreachable { transmission })
    }

    pub fn connects(&mut self, family: Family) -> &mut Script {
        let transmission = self.transmission(family);
        self.event(Event::TcpConnected { transmission })
    }

    /// What the server says by TCP, in one piece.
    pub fn says_by_tcp(&mut self, family: Family, words: &str) -> &mut Script {
        let message = packets::in_words(&self.packet(family)[2..], words);
        self.stream(family, &packets::with_length(&message))
    }

    pub fn stream(&mut self, family: Family, data: &[u8]) -> &mut Script {
        let transmission = self.transmission(family);
        self.event(Event::TcpData { transmission, data })
    }

    pub fn tcp_fails(&mut self, family: Family, failure: TcpFailure) -> &mut Script {
        let transmission = self.transmission(family);
        self.event(Event::TcpFailed { transmission, failure })
    }

    pub fn source_finds(&mut self, addresses: &[&str]) -> &mut Script {
        let addresses: Vec<Address> =
            addresses.iter().map(|text| text.parse::<std::net::IpAddr>().unwrap().into()).collect();
        self.event(Event::SourceFound { addresses: &addresses, ttl: None })
    }

    pub fn source_fails(&mut self, failure: Failure) -> &mut Script {
        self.event(Event::SourceFailed { failure })
    }

    pub fn event(&mut self, event: Event<'_>) -> &mut Script {
        self.walk.handle(self.origin + self.now, event);
        self
    }

    /// An answer to the latest packet of a family, to be made up.
    pub fn message(&self, family: Family) -> Message {
        Message::answering(self.packet(family))
    }

    /// The latest packet of a family; by TCP with its length before it.
    pub fn packet(&self, family: Family) -> &[u8] {
        &self.sent(family).packet
    }

    pub fn transmission(&self, family: Family) -> Transmission {
        self.sent(family).transmission
    }

    #[track_caller]
    fn sent(&self, family: Family) -> &Sent {
        self.sent[family as usize].as_ref().expect("nothing was sent")
    }

    #[track_caller]
    fn run(&mut self) {
        let now = self.origin + self.now;
        for _ in 0..10_000 {
            let Some(action) = self.walk.next_action(now) else {
                assert!(self.walk.deadline().is_none_or(|deadline| deadline > now), "a deadline in the past");
                return;
            };
            let text = self.text(action);
            self.given.push(text);
        }
        panic!("no end of actions");
    }

    fn text(&mut self, action: Action) -> String {
        match action {
            Action::Ask(ask) => format!("ask {ask:?}").to_lowercase(),
            Action::Send { transmission, family, server, transport } => {
                let id = 0x5500 | family as u16;
                let mut buffer = [0; LONGEST_QUERY];
                let packet = self.walk.write_query(transmission, id, &mut buffer).expect("a packet to send").to_vec();
                let question = packets::question(if transport == Transport::Tcp { &packet[2..] } else { &packet });
                let by = if transport == Transport::Tcp { "/tcp" } else { "" };
                self.sent[family as usize] = Some(Sent { transmission, packet });
                format!("{} {question} @{server}{by}", family_name(family))
            }
            Action::Answered { family, answer: Ok(addresses) } => {
                let list: Vec<String> = addresses.list.iter().map(|address| address.ip.to_string()).collect();
                format!("{} = {}", family_name(family), list.join(" "))
            }
            Action::Answered { family, answer: Err(failure) } => {
                self.failures.push(failure);
                format!("{} ! {}", family_name(family), code_name(failure.gai_error(self.families)))
            }
            Action::Services(services) => {
                let records = services.records.iter().map(|record| format!(" {}>{}", record.priority, record.target));
                format!("{}:{}", services.owner, records.collect::<String>())
            }
            Action::Finish => "finish".into(),
        }
    }
}
