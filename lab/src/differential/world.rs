//! What the name servers of a case say. Each reply depends on the case's seed, the server, the name and the
//! type alone, so that whoever asks, and however often, gets the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use fastrand::Rng;
use lab::name_server::{Outgoing, Via};

use super::chance::{mix, one_of, percent, weighted};
use super::message::*;

/// The largest number of addresses in an answer.
const MAX_ADDRESSES: usize = 60;
/// The longest UDP reply to a question without EDNS (RFC 1035 section 4.2.1).
const PLAIN_UDP_BYTES: usize = 512;
/// When a TCP connection is closed that the resolver has not closed itself: glibc waits for its reply as long
/// as it is open, without a limit of its own.
const HANG_UP: Duration = Duration::from_millis(400);
/// Between two messages of which the second is meant to come second.
const A_MOMENT: Duration = Duration::from_millis(1);

/// What a server does about a question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Behaviour {
    /// That many addresses.
    Addresses(usize),
    /// Aliases before the addresses.
    Aliases(Aliases),
    NoData,
    /// A reply without an answer, with this code.
    Code(u8),
    /// Twelve bytes, without the question.
    HeaderOnly(u8),
    /// NOERROR, empty, neither authoritative nor recursive: a referral to nobody.
    Lame,
    /// The TC bit over UDP; what follows over TCP.
    Truncated(OverTcp),
    /// Whatever fits into 512 bytes without EDNS, with TC where more is left out.
    FitsPlainUdp,
    /// A reply with another id before the right one.
    WrongIdFirst,
    /// A reply to another question before the right one.
    WrongQuestionFirst,
    /// Fewer bytes than a header has.
    Short(usize),
    /// A good message with some bytes changed.
    Mutated,
    /// A good message that ends before its end.
    CutOff,
    /// The header states more or fewer answers than there are, or records in other sections that are not
    /// there.
    WrongCount(WrongCount),
    /// Records in the authority and additional sections.
    OtherSections,
    /// A record that is no use, beside good ones or alone.
    Odd {
        record: Odd,
        alone: bool,
    },
    /// The QR bit is 0: it says that it is a question.
    NoResponseBit,
    /// The question's name comes back in upper case.
    UpperCaseQuestion,
    /// The message twice.
    Twice,
    /// Each address twice.
    DuplicateAddresses,
    /// FORMERR to a question with EDNS, an answer to one without.
    NoEdns,
    /// Nothing.
    Silence,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aliases {
    InOrder(usize),
    /// The addresses before the aliases that lead to them.
    Reversed,
    Loop,
    /// An alias to a name without addresses.
    Dangling,
    /// An alias in a reply with NXDOMAIN.
    ThenNxdomain,
    /// The alias of an owner that nobody asked for.
    Foreign,
    /// To a name that is not a host's.
    NotAHostName,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OverTcp {
    Answer,
    NoData,
    Nxdomain,
    TruncatedAgain,
    HangUp,
    Stall,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WrongCount {
    TooManyAnswers,
    TooFewAnswers,
    Additional,
    Authority,
    TwoQuestions,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Odd {
    LongAddress,
    ShortAddress,
    /// The length goes beyond the message.
    LyingLength,
    OtherOwner,
    OtherClass,
    OtherFamily,
    Text,
    Dname,
    Signature,
    /// Its owner is a pointer to itself.
    LoopingOwner,
}

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
                outgoing.push(Outgoing { after: delay, bytes: None, mark: None });
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
            Behaviour::Short(length) => send(Duration::ZERO, good.write()[..length].to_vec()),
            Behaviour::Mutated => send(Duration::ZERO, self.mutated(&mut rng, question, good.write())),
            Behaviour::CutOff => {
                let bytes = good.write();
                let length = rng.usize(HEADER + question.section.len()..bytes.len());
                send(Duration::ZERO, bytes[..length].to_vec());
            }
            Behaviour::WrongCount(wrong) => send(Duration::ZERO, with_wrong_count(good, wrong).write()),
            Behaviour::OtherSections => {
                let mut draft = good;
                draft.sections[1].push(Record::new(&TO_QUESTION, TYPE_NS, wire_name("ns.example.test")));
                draft.sections[2].push(Record::address(&wire_name("ns.example.test"), v4(&mut rng)));
                draft.sections[2].push(Record::address(&TO_QUESTION, v4(&mut rng)));
                draft.sections[2].push(Record::address(&TO_QUESTION, v6(&mut rng)));
                send(Duration::ZERO, draft.write());
            }
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
            outgoing.push(Outgoing { after: delay + HANG_UP, bytes: None, mark: None });
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

/// What is said of a name that exists.
fn existing(rng: &mut Rng) -> Behaviour {
    let some = rng.usize(1..=4);
    let many = rng.usize(5..=MAX_ADDRESSES);
    let aliases = Behaviour::Aliases(Aliases::InOrder(rng.usize(1..=4)));
    weighted(
        rng,
        &[(60, Behaviour::Addresses(some)), (5, Behaviour::Addresses(many)), (20, Behaviour::NoData), (15, aliases)],
    )
}

/// Any behaviour, the odd ones above all.
fn anything(rng: &mut Rng) -> Behaviour {
    let code = weighted(
        rng,
        &[(6, NXDOMAIN), (5, SERVFAIL), (4, REFUSED), (3, NOTIMP), (3, FORMERR), (1, YXDOMAIN), (1, 9), (1, 15)],
    );
    let header = weighted(rng, &[(3, SERVFAIL), (2, REFUSED), (2, NOTIMP), (1, NXDOMAIN), (1, FORMERR), (1, NOERROR)]);
    let length = rng.usize(1..=12);
    let aliases = weighted(
        rng,
        &[
            (1, Aliases::InOrder(length)),
            (1, Aliases::Reversed),
            (1, Aliases::Loop),
            (1, Aliases::Dangling),
            (1, Aliases::ThenNxdomain),
            (1, Aliases::Foreign),
            (1, Aliases::NotAHostName),
        ],
    );
    let over_tcp = weighted(
        rng,
        &[
            (4, OverTcp::Answer),
            (1, OverTcp::NoData),
            (1, OverTcp::Nxdomain),
            (1, OverTcp::TruncatedAgain),
            (1, OverTcp::HangUp),
            (1, OverTcp::Stall),
        ],
    );
    let wrong = one_of(
        rng,
        &[
            WrongCount::TooManyAnswers,
            WrongCount::TooFewAnswers,
            WrongCount::Additional,
            WrongCount::Authority,
            WrongCount::TwoQuestions,
        ],
    );
    let record = one_of(
        rng,
        &[
            Odd::LongAddress,
            Odd::ShortAddress,
            Odd::LyingLength,
            Odd::OtherOwner,
            Odd::OtherClass,
            Odd::OtherFamily,
            Odd::Text,
            Odd::Dname,
            Odd::Signature,
            Odd::LoopingOwner,
        ],
    );
    let (alone, short) = (rng.bool(), rng.usize(0..HEADER));
    weighted(
        rng,
        &[
            (12, Behaviour::Code(code)),
            (3, Behaviour::HeaderOnly(header)),
            (3, Behaviour::Lame),
            (12, Behaviour::Aliases(aliases)),
            (8, Behaviour::Truncated(over_tcp)),
            (4, Behaviour::FitsPlainUdp),
            (3, Behaviour::WrongIdFirst),
            (3, Behaviour::WrongQuestionFirst),
            (2, Behaviour::Short(short)),
            (20, Behaviour::Mutated),
            (4, Behaviour::CutOff),
            (6, Behaviour::WrongCount(wrong)),
            (3, Behaviour::OtherSections),
            (12, Behaviour::Odd { record, alone }),
            (1, Behaviour::NoResponseBit),
            (2, Behaviour::UpperCaseQuestion),
            (2, Behaviour::Twice),
            (3, Behaviour::DuplicateAddresses),
            (2, Behaviour::NoEdns),
            (3, Behaviour::Silence),
        ],
    )
}

/// An address, mostly of 203.0.113.0/24, which leads nowhere outside of the case's own network.
fn v4(rng: &mut Rng) -> IpAddr {
    let special =
        ["127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "169.254.1.1", "192.168.0.1", "224.0.0.5", "255.255.255.255"];
    match percent(rng, 10) {
        true => one_of(rng, &special).parse().expect("the list holds addresses"),
        false => Ipv4Addr::new(203, 0, 113, rng.u8(..)).into(),
    }
}

/// An address, mostly of 2001:db8::/32, and such as RFC 6724 ranks in other ways.
fn v6(rng: &mut Rng) -> IpAddr {
    let special = [
        "::1",
        "::",
        "fe80::1",
        "fec0::1",
        "fd00::1",
        "2002::1",
        "2001::1",
        "64:ff9b::1",
        "ff02::1",
        "::ffff:203.0.113.9",
        "::203.0.113.9",
        "3ffe::1",
    ];
    match percent(rng, 10) {
        true => one_of(rng, &special).parse().expect("the list holds addresses"),
        false => Ipv6Addr::new(0x2001, 0xdb8, 0, rng.u16(0..4), 0, 0, 0, rng.u16(..)).into(),
    }
}

fn address(rng: &mut Rng, record_type: u16) -> IpAddr {
    if record_type == TYPE_AAAA { v6(rng) } else { v4(rng) }
}

/// A good reply with `low..=high` addresses.
fn draft(rng: &mut Rng, question: &Question, low: usize, high: usize) -> Draft {
    let count = rng.usize(low..=high);
    let answers = (0..count).map(|_| Record::address(&TO_QUESTION, address(rng, question.record_type))).collect();
    Draft::reply(question, NOERROR).with_answers(answers)
}

/// A negative reply as RFC 2308 has it, with the zone's SOA.
fn negative(question: &Question, rcode: u8) -> Draft {
    let mut data = [wire_name("ns.test"), wire_name("hostmaster.test")].concat();
    data.extend([1_u32, 3600, 600, 86400, 60].iter().flat_map(|number| number.to_be_bytes()));
    let mut draft = Draft::reply(question, rcode);
    draft.sections[1].push(Record::new(&wire_name("test"), TYPE_SOA, data));
    draft
}

fn with_aliases(rng: &mut Rng, question: &Question, aliases: Aliases) -> Draft {
    let name = |number: usize| wire_name(&format!("alias{number}.Example.net"));
    let cname = |owner: &[u8], target: Vec<u8>| Record::new(owner, TYPE_CNAME, target);
    let addresses = |rng: &mut Rng, owner: &[u8]| {
        (0..rng.usize(1..=3)).map(|_| Record::address(owner, address(rng, question.record_type))).collect::<Vec<_>>()
    };
    let (mut answers, mut rcode) = (Vec::new(), NOERROR);
    match aliases {
        Aliases::InOrder(length) => {
            answers.push(cname(&TO_QUESTION, name(1)));
            answers.extend((1..length).map(|number| cname(&name(number), name(number + 1))));
            answers.extend(addresses(rng, &name(length)));
        }
        Aliases::Reversed => {
            answers.extend(addresses(rng, &name(2)));
            answers.push(cname(&name(1), name(2)));
            answers.push(cname(&TO_QUESTION, name(1)));
        }
        Aliases::Loop => {
            answers.push(cname(&TO_QUESTION, name(1)));
            answers.push(cname(&name(1), name(2)));
            answers.push(cname(&name(2), name(1)));
            if rng.bool() {
                answers.extend(addresses(rng, &name(1)));
            }
        }
        Aliases::Dangling => answers.push(cname(&TO_QUESTION, name(1))),
        Aliases::ThenNxdomain => {
            answers.push(cname(&TO_QUESTION, name(1)));
            rcode = NXDOMAIN;
        }
        Aliases::Foreign => {
            answers.push(cname(&wire_name("elsewhere.test"), name(1)));
            answers.extend(addresses(rng, &name(1)));
        }
        Aliases::NotAHostName => {
            let target = wire_name(one_of(rng, &["-dash.test", "star*.test", "with space.test", "under_score.test"]));
            answers.push(cname(&TO_QUESTION, target.clone()));
            answers.extend(addresses(rng, &target));
        }
    }
    Draft::reply(question, rcode).with_answers(answers)
}

fn with_wrong_count(mut draft: Draft, wrong: WrongCount) -> Draft {
    let answers = draft.sections[0].len() as u16;
    match wrong {
        WrongCount::TooManyAnswers => draft.stated_counts[0] = Some(answers + 2),
        WrongCount::TooFewAnswers => draft.stated_counts[0] = Some(answers - 1),
        WrongCount::Authority => draft.stated_counts[1] = Some(7),
        WrongCount::Additional => draft.stated_counts[2] = Some(300),
        WrongCount::TwoQuestions => draft.questions = 2,
    }
    draft
}

fn with_odd_record(rng: &mut Rng, question: &Question, mut draft: Draft, odd: Odd, alone: bool) -> Draft {
    let good = Record::address(&TO_QUESTION, address(rng, question.record_type));
    let record = match odd {
        Odd::LongAddress => Record { data: [good.data.as_slice(), &[1, 2]].concat(), ..good },
        Odd::ShortAddress => Record { data: good.data[1..].to_vec(), ..good },
        Odd::LyingLength => Record { stated_length: Some(4000), ..good },
        Odd::OtherOwner => Record { owner: wire_name("elsewhere.test"), ..good },
        Odd::OtherClass => Record { class: CLASS_CHAOS, ..good },
        Odd::OtherFamily if question.record_type == TYPE_A => Record::address(&TO_QUESTION, v6(rng)),
        Odd::OtherFamily => Record::address(&TO_QUESTION, v4(rng)),
        Odd::Text => Record::new(&TO_QUESTION, TYPE_TXT, b"\x05hello".to_vec()),
        Odd::Dname => Record::new(&wire_name("test"), TYPE_DNAME, wire_name("example.net")),
        Odd::Signature => Record::new(&TO_QUESTION, TYPE_RRSIG, vec![0; 24]),
        Odd::LoopingOwner => {
            // Where the record will stand, if it is the first.
            let at = (HEADER + question.section.len()) as u16;
            Record { owner: (0xc000 | at).to_be_bytes().to_vec(), ..good }
        }
    };
    let answers = &mut draft.sections[0];
    if alone {
        answers.clear();
    }
    let first = odd == Odd::LoopingOwner || rng.bool();
    let place = if first { 0 } else { answers.len() };
    answers.insert(place, record);
    draft
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::{Message, ResponseCode};
    use std::collections::BTreeSet;

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
        assert_eq!(slow.len(), 22, "{slow:?}");
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
