//! What the name servers of a case say. Each reply depends on the case's seed, the server, the name and the
//! type alone, so that whoever asks, and however often, gets the same.

use std::net::IpAddr;
use std::time::Duration;

use fastrand::Rng;
use lab::name_server::{Outgoing, Via};

use super::behaviour::{Behaviour, MAX_ADDRESSES, OverTcp, WrongCount, anything, existing};
use super::chance::{mix, one_of, percent, weighted};
use super::draft::{draft, negative, with_aliases, with_odd_record, with_other_sections, with_wrong_count};
use super::message::*;

/// The longest UDP reply to a question without EDNS (RFC 1035 section 4.2.1).
const PLAIN_UDP_BYTES: usize = 512;
/// When a TCP connection is closed that the resolver has not closed itself: glibc waits for its reply as long
/// as it is open, without a limit of its own.
const HANG_UP: Duration = Duration::from_millis(400);
/// Between two messages of which the second is meant to come second.
const A_MOMENT: Duration = Duration::from_millis(1);

/// Everything about the servers of one case.
#[derive(Clone, Debug)]
pub struct World {
    pub seed: u64,
    /// Whether servers may reply differently from each other.
    pub servers_differ: bool,
    /// Whether a server may do what makes a resolver wait until its time is over.
    pub slow: bool,
}

/// A server that never replies, whatever the case.
pub fn is_silent(server: IpAddr) -> bool {
    server == super::servers::SILENT
}

impl World {
    fn random(&self, server: IpAddr, name: &str, what: &str) -> Rng {
        let server = if self.servers_differ { server.to_string() } else { String::new() };
        Rng::with_seed(mix(self.seed, &[server.as_bytes(), name.as_bytes(), what.as_bytes()]))
    }

    /// What `server` does about this question.
    pub fn behaviour(&self, server: IpAddr, name: &str, type_name: &str) -> Behaviour {
        if is_silent(server) {
            return Behaviour::Silence;
        }
        // Names mostly exist, or not, for both families alike.
        let mut of_name = self.random(server, name, "name");
        let mut of_type = self.random(server, name, type_name);
        let behaviour = match weighted(&mut of_name, &[(50, 0), (20, 1), (5, 2), (25, 3)]) {
            0 => existing(&mut of_type),
            1 => Behaviour::Code(NXDOMAIN),
            2 => weighted(&mut of_name, &[(3, Behaviour::Code(SERVFAIL)), (1, Behaviour::Code(REFUSED))]),
            _ => anything(&mut of_type),
        };
        match behaviour {
            // What is dropped without a word keeps a resolver waiting as silence does.
            _ if self.slow && percent(&mut of_type, 40) => one_of(
                &mut of_type,
                &[
                    Behaviour::Silence,
                    Behaviour::HeaderOnly(NXDOMAIN),
                    Behaviour::HeaderOnly(FORMERR),
                    Behaviour::HeaderOnly(NOERROR),
                    Behaviour::Truncated(OverTcp::Stall),
                    Behaviour::WrongCount(WrongCount::TwoQuestions),
                ],
            ),
            _ if self.slow => behaviour,
            Behaviour::Silence | Behaviour::HeaderOnly(NOERROR | NXDOMAIN | FORMERR) => Behaviour::Code(NXDOMAIN),
            Behaviour::Truncated(OverTcp::Stall) | Behaviour::WrongCount(WrongCount::TwoQuestions) => Behaviour::NoData,
            _ => behaviour,
        }
    }

    /// What the server sends about `question`, in its own time.
    pub fn respond(&self, question: &Question, via: Via) -> (Behaviour, Vec<Outgoing>) {
        let behaviour = self.behaviour(via.server, &question.name, &question.type_name());
        let mut rng = self.random(via.server, &question.name, &format!("{} reply", question.type_name()));
        // Late answers, and A before AAAA as well as behind it, within what nobody gives up over.
        let delay = if percent(&mut rng, 5) { Duration::from_millis(rng.u64(1..=20)) } else { Duration::ZERO };
        let mut outgoing = Vec::new();
        if behaviour == Behaviour::WrongSourceFirst && !via.tcp {
            let forged = draft(&mut rng, question, 1, 1).write();
            outgoing.push(Outgoing { from_elsewhere: true, ..Outgoing::message(delay, forged) });
        }
        let mut send = |after: Duration, bytes: Vec<u8>| outgoing.push(Outgoing::message(delay + after, bytes));
        let good = draft(&mut rng, question, 1, 3);
        match behaviour {
            Behaviour::Silence => (),
            Behaviour::Addresses(count) => {
                send(Duration::ZERO, draft(&mut rng, question, count, count).write());
            }
            Behaviour::Aliases(aliases) => send(Duration::ZERO, with_aliases(&mut rng, question, aliases).write()),
            Behaviour::NoData => send(Duration::ZERO, negative(question, NOERROR).write()),
            Behaviour::Code(code @ (NXDOMAIN | NOERROR)) => send(Duration::ZERO, negative(question, code).write()),
            Behaviour::Code(code) => send(Duration::ZERO, Draft::reply(question, code).write()),
            Behaviour::HeaderOnly(code) => {
                let draft = Draft { question: Vec::new(), questions: 0, ..Draft::reply(question, code) };
                send(Duration::ZERO, draft.write());
            }
            Behaviour::Lame => {
                let draft = Draft { recursion_available: false, ..Draft::reply(question, NOERROR) };
                send(Duration::ZERO, draft.write());
            }
            Behaviour::Truncated(_) if !via.tcp => {
                let kept = if rng.bool() { good.clone() } else { Draft::reply(question, NOERROR) };
                send(Duration::ZERO, Draft { truncated: true, ..kept }.write());
            }
            Behaviour::Truncated(OverTcp::Answer) => send(Duration::ZERO, good.write()),
            Behaviour::Truncated(OverTcp::NoData) => send(Duration::ZERO, negative(question, NOERROR).write()),
            Behaviour::Truncated(OverTcp::Nxdomain) => send(Duration::ZERO, negative(question, NXDOMAIN).write()),
            Behaviour::Truncated(OverTcp::TruncatedAgain) => {
                send(Duration::ZERO, Draft { truncated: true, ..good.clone() }.write());
            }
            Behaviour::Truncated(OverTcp::HangUp) => {
                outgoing.push(Outgoing::hang_up(delay));
            }
            Behaviour::Truncated(OverTcp::Stall) => (),
            Behaviour::FitsPlainUdp => {
                let mut draft = draft(&mut rng, question, 1, MAX_ADDRESSES);
                while !via.tcp && !question.edns && draft.write().len() > PLAIN_UDP_BYTES {
                    draft.truncated = true;
                    draft.sections[0].pop();
                }
                send(Duration::ZERO, draft.write());
            }
            Behaviour::WrongIdFirst => {
                let other = [question.id[0] ^ 0x55, question.id[1]];
                // Over TCP there is no second message to wait for.
                if !via.tcp {
                    send(Duration::ZERO, Draft { id: other, ..good.clone() }.write());
                }
                send(A_MOMENT, good.write());
            }
            Behaviour::WrongQuestionFirst => {
                let mut section = wire_name("elsewhere.test");
                section.extend_from_slice(&question.section[question.section.len() - 4..]);
                if !via.tcp {
                    send(Duration::ZERO, Draft { question: section, ..good.clone() }.write());
                }
                send(A_MOMENT, good.write());
            }
            Behaviour::WrongSourceFirst => send(A_MOMENT, good.write()),
            Behaviour::Short(length) => send(Duration::ZERO, good.write()[..length].to_vec()),
            Behaviour::Mutated => send(Duration::ZERO, self.mutated(&mut rng, question, good.write())),
            Behaviour::CutOff => {
                let bytes = good.write();
                let length = rng.usize(HEADER + question.section.len()..bytes.len());
                send(Duration::ZERO, bytes[..length].to_vec());
            }
            Behaviour::WrongCount(wrong) => send(Duration::ZERO, with_wrong_count(good, wrong).write()),
            Behaviour::OtherSections => send(Duration::ZERO, with_other_sections(&mut rng, good).write()),
            Behaviour::Odd { record, alone } => {
                send(Duration::ZERO, with_odd_record(&mut rng, question, good, record, alone).write());
            }
            Behaviour::NoResponseBit => send(Duration::ZERO, Draft { response: false, ..good }.write()),
            Behaviour::UpperCaseQuestion => {
                let mut draft = good;
                let name = draft.question.len() - 4;
                // The lengths of labels are below 64: no letters.
                draft.question[..name].make_ascii_uppercase();
                send(Duration::ZERO, draft.write());
            }
            Behaviour::Twice => {
                send(Duration::ZERO, good.write());
                send(Duration::ZERO, good.write());
            }
            Behaviour::DuplicateAddresses => {
                let mut draft = good;
                let again = draft.sections[0].clone();
                draft.sections[0].extend(again);
                send(Duration::ZERO, draft.write());
            }
            Behaviour::NoEdns => {
                let refusal = Draft::reply(question, FORMERR);
                send(Duration::ZERO, if question.edns { refusal } else { good }.write());
            }
        }
        if via.tcp {
            outgoing.push(Outgoing::hang_up(delay + HANG_UP));
        }
        (behaviour, outgoing)
    }

    /// Changes up to four bytes of a message. Where a case is to be quick, those are left alone without which
    /// a resolver does not know the reply as one to its question, and would wait for another.
    fn mutated(&self, rng: &mut Rng, question: &Question, mut bytes: Vec<u8>) -> Vec<u8> {
        let keeps_question = |index: &usize| match *index {
            0..2 | 4..6 => false,
            index => index < HEADER || index >= HEADER + question.section.len(),
        };
        let places: Vec<usize> = (0..bytes.len()).filter(|index| self.slow || keeps_question(index)).collect();
        for _ in 0..rng.usize(1..=4) {
            let place = one_of(rng, &places);
            bytes[place] = match rng.u8(0..4) {
                0 => bytes[place] ^ (1 << rng.u8(0..8)),
                1 => bytes[place].wrapping_add(1),
                2 => 0xc0 | rng.u8(..),
                _ => rng.u8(..),
            };
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::behaviour::Aliases;
    use super::*;
    use hickory_proto::op::{Message, ResponseCode};
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
    const UDP: Via = Via { server: IpAddr::V4(SERVER), tcp: false };
    const TCP: Via = Via { server: IpAddr::V4(SERVER), tcp: true };

    fn world(slow: bool) -> World {
        World { seed: 7, servers_differ: false, slow }
    }

    fn question(number: usize, record_type: u16) -> Question {
        Question::parse(&question_bytes(&format!("name{number}.test"), record_type)).unwrap()
    }

    /// The first question in a world that is treated so, and what is sent about it.
    fn first(world: &World, via: Via, wanted: impl Fn(Behaviour) -> bool) -> (Question, Vec<Vec<u8>>) {
        for number in 0..100_000 {
            let question = question(number, TYPE_A);
            let (behaviour, outgoing) = world.respond(&question, via);
            if wanted(behaviour) {
                return (question, outgoing.into_iter().filter_map(|outgoing| outgoing.bytes).collect());
            }
        }
        panic!("no question is treated so");
    }

    fn one(world: &World, via: Via, wanted: Behaviour) -> Vec<u8> {
        let (_, messages) = first(world, via, |behaviour| behaviour == wanted);
        let [message] = messages.as_slice() else { panic!("{wanted:?} sends {} messages", messages.len()) };
        message.clone()
    }

    #[test]
    fn the_same_question_gets_the_same_reply() {
        let world = world(true);
        for number in 0..2000 {
            let question = question(number, if number % 2 == 0 { TYPE_A } else { TYPE_AAAA });
            let sent = |world: &World| {
                let (behaviour, outgoing) = world.respond(&question, UDP);
                (behaviour, outgoing.into_iter().map(|outgoing| (outgoing.after, outgoing.bytes)).collect::<Vec<_>>())
            };
            assert_eq!(sent(&world), sent(&world.clone()));
        }
    }

    #[test]
    fn every_behaviour_comes_up() {
        let names = |slow| {
            let world = world(slow);
            let name = |number| format!("{:?}", world.behaviour(SERVER.into(), &format!("n{number}."), "A"));
            let word = |text: String| text.split(['(', ' ']).next().unwrap().to_owned();
            (0..20_000).map(|number| word(name(number))).collect::<BTreeSet<_>>()
        };
        let slow = names(true);
        assert_eq!(slow.len(), 23, "{slow:?}");
        let quick = names(false);
        assert_eq!(slow.difference(&quick).collect::<Vec<_>>(), ["Silence"]);
    }

    #[test]
    fn plain_replies_say_what_they_are_to_say() {
        let world = world(true);
        let message = |behaviour| Message::from_vec(&one(&world, UDP, behaviour)).unwrap();
        assert_eq!(message(Behaviour::Addresses(3)).answers.len(), 3);
        assert_eq!(message(Behaviour::Code(NXDOMAIN)).metadata.response_code, ResponseCode::NXDomain);
        assert_eq!(message(Behaviour::Code(SERVFAIL)).metadata.response_code, ResponseCode::ServFail);
        let no_data = message(Behaviour::NoData);
        assert_eq!((no_data.metadata.response_code, no_data.answers.len()), (ResponseCode::NoError, 0));
        assert_eq!(
            message(Behaviour::Aliases(Aliases::InOrder(4)))
                .answers
                .iter()
                .filter(|record| record.record_type() == hickory_proto::rr::RecordType::CNAME)
                .count(),
            4
        );
        assert!(!message(Behaviour::Lame).metadata.recursion_available);
        assert!(one(&world, UDP, Behaviour::NoResponseBit)[2] & 0x80 == 0);
        assert_eq!(one(&world, UDP, Behaviour::HeaderOnly(SERVFAIL)).len(), HEADER);
        assert_eq!(one(&world, UDP, Behaviour::Short(5)).len(), 5);
        assert!(first(&world, UDP, |behaviour| behaviour == Behaviour::Silence).1.is_empty());
        assert_eq!(first(&world, UDP, |behaviour| behaviour == Behaviour::Twice).1.len(), 2);
    }

    #[test]
    fn a_truncated_reply_is_whole_over_tcp() {
        let world = world(true);
        let behaviour = Behaviour::Truncated(OverTcp::Answer);
        assert!(Message::from_vec(&one(&world, UDP, behaviour)).unwrap().metadata.truncation);
        let whole = Message::from_vec(&one(&world, TCP, behaviour)).unwrap();
        assert!(!whole.metadata.truncation && !whole.answers.is_empty());
    }

    #[test]
    fn the_right_message_follows_a_wrong_one() {
        let world = world(true);
        let (question, messages) = first(&world, UDP, |behaviour| behaviour == Behaviour::WrongIdFirst);
        assert_eq!(messages.len(), 2);
        assert_ne!(messages[0][..2], question.id);
        assert_eq!(messages[1][..2], question.id);
        let (question, messages) = first(&world, UDP, |behaviour| behaviour == Behaviour::WrongQuestionFirst);
        let asked = |bytes: &[u8]| Question::parse(bytes).unwrap().name;
        assert_eq!((asked(&messages[0]), asked(&messages[1])), ("elsewhere.test.".to_owned(), question.name));
    }

    #[test]
    fn a_quick_world_leaves_id_and_question_alone() {
        let world = world(false);
        for number in 0..5000 {
            let question = question(number, TYPE_A);
            if let (Behaviour::Mutated, outgoing) = world.respond(&question, UDP) {
                let bytes = outgoing[0].bytes.as_ref().unwrap();
                assert_eq!(bytes[..2], question.id);
                assert_eq!(bytes[HEADER..HEADER + question.section.len()], question.section);
            }
        }
    }

    #[test]
    fn servers_differ_only_where_they_may() {
        let of = |differ, last| {
            let world = World { servers_differ: differ, ..world(false) };
            (0..200)
                .map(|number| world.behaviour([198, 51, 100, last].into(), &format!("n{number}."), "A"))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(false, 1), of(false, 2));
        assert_ne!(of(true, 1), of(true, 2));
    }
}
