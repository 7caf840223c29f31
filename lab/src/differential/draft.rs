//! Replies before they are written: good ones, and such as are wrong in one way.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastrand::Rng;

use super::behaviour::{Aliases, Odd, WrongCount};
use super::chance::{one_of, percent};
use super::message::*;

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
pub fn draft(rng: &mut Rng, question: &Question, low: usize, high: usize) -> Draft {
    let count = rng.usize(low..=high);
    let answers = (0..count).map(|_| Record::address(&TO_QUESTION, address(rng, question.record_type))).collect();
    Draft::reply(question, NOERROR).with_answers(answers)
}

/// A negative reply as RFC 2308 has it, with the zone's SOA.
pub fn negative(question: &Question, rcode: u8) -> Draft {
    let mut data = [wire_name("ns.test"), wire_name("hostmaster.test")].concat();
    data.extend([1_u32, 3600, 600, 86400, 60].iter().flat_map(|number| number.to_be_bytes()));
    let mut draft = Draft::reply(question, rcode);
    draft.sections[1].push(Record::new(&wire_name("test"), TYPE_SOA, data));
    draft
}

pub fn with_aliases(rng: &mut Rng, question: &Question, aliases: Aliases) -> Draft {
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

pub fn with_other_sections(rng: &mut Rng, mut draft: Draft) -> Draft {
    draft.sections[1].push(Record::new(&TO_QUESTION, TYPE_NS, wire_name("ns.example.test")));
    draft.sections[2].push(Record::address(&wire_name("ns.example.test"), v4(rng)));
    draft.sections[2].push(Record::address(&TO_QUESTION, v4(rng)));
    draft.sections[2].push(Record::address(&TO_QUESTION, v6(rng)));
    draft
}

pub fn with_wrong_count(mut draft: Draft, wrong: WrongCount) -> Draft {
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

pub fn with_odd_record(rng: &mut Rng, question: &Question, mut draft: Draft, odd: Odd, alone: bool) -> Draft {
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
