//! A walk to which anything may happen, and what has to hold whatever does. A story is a string of octets:
//! the first choose the configuration, each further one an event.
use happysock::dns::answer::Address;
use happysock::dns::exchange::{TcpFailure, Transmission};
use happysock::dns::failure::{Failure, HostError, Status};
use happysock::dns::gate::{Ask, PlanStep};
use happysock::dns::message::Transport;
use happysock::dns::nsswitch::{Action as Follows, Actions};
use happysock::dns::question::LONGEST_QUERY;
use happysock::dns::resolv_conf::ResolvConf;
use happysock::dns::walk::{Action, Event, Walk};
use happysock::dns::{Families, Family};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// No more packets than this for one name of the search list: three servers, five rounds, two families, each
/// with its repetitions, truncation and one reset.
const MOST_PACKETS_A_NAME: usize = 3 * 5 * 2 * 5;
const MOST_NAMES: usize = 5;

/// Plays a story, and returns what was told.
pub fn check(story: &[u8], origin: Instant) -> Vec<String> {
    let mut octets = story.iter().copied();
    let mut player = Player::new(&mut octets, origin);
    player.run();
    while let Some(octet) = octets.next() {
        player.happens(octet, &mut octets);
        // Several events may be ready at once.
        if octet & 0x80 == 0 {
            player.run();
        }
    }
    player.leave_alone();
    player.told
}

struct Player {
    walk: Walk,
    families: Families,
    now: Instant,
    packets: Vec<(Transmission, Family, u8, Transport, Vec<u8>)>,
    answered: [u8; 2],
    finished: bool,
    told: Vec<String>,
}

impl Player {
    fn new(octets: &mut impl Iterator<Item = u8>, origin: Instant) -> Player {
        let mut next = || octets.next().unwrap_or(0);
        let mut lines = String::new();
        let (servers, flags, numbers) = (next() % 3, next(), next());
        for server in 0..=servers {
            lines += &format!("nameserver 192.0.2.{}\n", server + 1);
        }
        if flags & 0x40 != 0 {
            lines += "search a.test b..test . c.test\n";
        }
        // Half of them as libc does it, one question after the other.
        let as_libc = flags & 0x80 != 0;
        if as_libc {
            lines += "options single-request\n";
        }
        lines += &format!("options timeout:{} attempts:{} ndots:{}\n", numbers & 7, numbers >> 3 & 7, numbers >> 6);
        let words = ["rotate", "edns0", "use-vc", "trust-ad", "no-aaaa", "no-tld-query"];
        for (_, word) in words.iter().enumerate().filter(|(bit, _)| flags >> bit & 1 == 1) {
            lines += &format!("options {word}\n");
        }
        let conf = ResolvConf::parse(Some(lines.as_bytes()), b"", (2, 43), |_| None);
        let (families, steps, name) = (next(), next(), next());
        let families = match families % 3 {
            0 => Families::Both,
            1 => Families::Only(Family::V6),
            _ => Families::Only(Family::V4),
        };
        let name = ["www", "www.test", "www.test.", "", ".", "x..y", "a.b.c.d.e"][usize::from(name) % 7];
        let steps: Vec<PlanStep> = (0..steps & 3).map(|index| step(steps >> (2 * index + 2))).collect();
        let walk = Walk::new(name.as_bytes(), families, steps.into(), Arc::new(conf), flags);
        Player {
            walk: if as_libc { walk.like_libc() } else { walk },
            families,
            now: origin,
            packets: Vec::new(),
            answered: [0; 2],
            finished: false,
            told: Vec::new(),
        }
    }

    fn happens(&mut self, octet: u8, octets: &mut impl Iterator<Item = u8>) {
        let mut next = || octets.next().unwrap_or(0);
        let which = next();
        let latest = self.packets.len().saturating_sub(1 + usize::from(which & 7));
        let Some((transmission, family, server, transport, packet)) = self.packets.get(latest).cloned() else {
            self.other_event(octet, which);
            return;
        };
        let packet = if transport == Transport::Tcp { &packet[2..] } else { &packet[..] };
        match octet & 0x0f {
            0..=5 => {
                let message = mutated(message(packet, family, octet >> 4 & 7), &mut next);
                if transport == Transport::Udp {
                    self.event(Event::Datagram { server, message: &message });
                } else {
                    let data = [&(message.len() as u16).to_be_bytes(), &message[..]].concat();
                    let (first, rest) = data.split_at(usize::from(which) % data.len());
                    self.event(Event::TcpData { transmission, data: first });
                    self.event(Event::TcpData { transmission, data: rest });
                }
            }
            6 => self.event(Event::Datagram { server: which % 5, message: &message(packet, family, octet >> 4 & 7) }),
            7 => self.event(Event::Unreachable { transmission }),
            8 => self.event(Event::TcpConnected { transmission }),
            9 => {
                let failures = [
                    TcpFailure::Closed,
                    TcpFailure::Refused,
                    TcpFailure::Reset,
                    TcpFailure::TimedOut,
                    TcpFailure::Other,
                ];
                self.event(Event::TcpFailed { transmission, failure: failures[usize::from(octet >> 4) % 5] });
            }
            10 => {
                let junk: Vec<u8> = (0..which & 31).map(|_| next()).collect();
                self.event(Event::Datagram { server, message: &junk });
                self.event(Event::TcpData { transmission, data: &junk });
            }
            _ => self.other_event(octet, which),
        }
    }

    fn other_event(&mut self, octet: u8, which: u8) {
        match octet & 0x0f {
            11 | 0..=1 => {
                let v6: Address = std::net::IpAddr::from([0x20; 16]).into();
                let v4: Address = std::net::IpAddr::from([192, 0, 2, which]).into();
                let all = [v4, v6, v4];
                let list = [&all[..0], &all[..1], &all[1..2], &all[..]][usize::from(which) % 4];
                self.event(Event::SourceFound { addresses: list, ttl: None });
            }
            12 | 2..=3 if which & 0x40 != 0 => self.event(Event::SourceMissing),
            12 | 2..=3 => self.event(Event::SourceFailed { failure: failure(which) }),
            13 => self.now += Duration::from_millis(u64::from(which) * 10),
            14 => self.now += Duration::from_secs(u64::from(which)),
            _ => self.now = self.walk.deadline().unwrap_or(self.now).max(self.now),
        }
    }

    fn event(&mut self, event: Event<'_>) {
        self.walk.handle(self.now, event);
    }

    fn run(&mut self) {
        for _ in 0..1_000 {
            let Some(action) = self.walk.next_action(self.now) else {
                assert!(self.walk.deadline().is_none_or(|deadline| deadline > self.now), "a deadline in the past");
                assert!(self.walk.deadline().is_none() || !self.finished, "a deadline after the end");
                return;
            };
            assert!(!self.finished, "something after the end");
            self.told.push(format!("{action:?}"));
            self.act(action);
        }
        panic!("no end of actions");
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Send { transmission, family, server, transport } => {
                let mut buffer = [0; LONGEST_QUERY];
                let id = self.packets.len() as u16 / 2;
                let packet = self.walk.write_query(transmission, id, &mut buffer).expect("a packet to send");
                assert!(self.packets.iter().all(|sent| sent.0 != transmission), "one number for two packets");
                self.packets.push((transmission, family, server, transport, packet.to_vec()));
                assert!(self.packets.len() <= MOST_PACKETS_A_NAME * MOST_NAMES * 3, "too many packets");
                assert_eq!(self.answered[family as usize], 0, "asked after it was answered");
            }
            Action::Answered { family, answer } => {
                self.answered[family as usize] += 1;
                if let Ok(addresses) = answer {
                    assert!(!addresses.list.is_empty());
                    assert!(addresses.list.iter().all(|address| address.family() == family), "another family");
                }
            }
            Action::Services(services) => panic!("nobody asked for {services:?}"),
            Action::Finish => {
                let wanted = match self.families {
                    Families::Both => [1, 1],
                    Families::Only(Family::V6) => [1, 0],
                    Families::Only(Family::V4) => [0, 1],
                };
                assert_eq!(self.answered, wanted, "each family is answered once");
                self.finished = true;
            }
            Action::Ask(ask) => assert!(matches!(ask, Ask::Files { .. } | Ask::Resolve { .. })),
        }
    }

    /// Nothing more happens but time: then the walk ends.
    fn leave_alone(&mut self) {
        for _ in 0..10_000 {
            self.run();
            match self.walk.deadline() {
                Some(deadline) => self.now = deadline,
                None if self.finished => return,
                None => self.event(Event::SourceFailed { failure: failure(0) }),
            }
        }
        panic!("no end");
    }
}

fn failure(octet: u8) -> Failure {
    let statuses = [Status::NotFound, Status::Unavailable, Status::TryAgain];
    let errors = [HostError::HostNotFound, HostError::TryAgain, HostError::NoRecovery, HostError::NoData];
    Failure { status: statuses[usize::from(octet) % 3], error: errors[usize::from(octet >> 4) % 4] }
}

fn step(octet: u8) -> PlanStep {
    let ask = match octet & 3 {
        0 | 1 => Ask::Dns,
        2 => Ask::Files { multi: true },
        _ => Ask::Nobody(failure(octet)),
    };
    let not_found = if octet & 0x10 != 0 { Follows::Return } else { Follows::Continue };
    PlanStep { ask, actions: Actions { not_found, ..Actions::DEFAULT } }
}

/// An answer of the kind that servers give.
fn message(packet: &[u8], family: Family, kind: u8) -> Vec<u8> {
    let end = 12 + packet[12..].iter().position(|octet| *octet == 0).unwrap() + 5;
    let mut message = packet[..end].to_vec();
    message[2..4].copy_from_slice(&[0x81, 0x80]);
    message[4..12].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
    match kind {
        0 | 1 => {
            message[7] = 1;
            let (record_type, length) = if family == Family::V6 { (28, 16) } else { (1, 4) };
            message.extend([0xc0, 12, 0, record_type, 0, 1, 0, 0, 0, 60, 0, length]);
            message.extend(std::iter::repeat_n(0x20, usize::from(length)));
        }
        2 => message[3] |= 3,
        3 => message[3] |= 2,
        4 => message[2] |= 2,
        5 => message[3] |= 1,
        6 => message.truncate(11),
        _ => {}
    }
    message
}

/// The message with an octet changed, in half of the cases.
fn mutated(mut message: Vec<u8>, next: &mut impl FnMut() -> u8) -> Vec<u8> {
    let how = next();
    if how & 1 == 1 {
        let place = usize::from(next()) % message.len();
        message[place] = next();
    }
    message
}
