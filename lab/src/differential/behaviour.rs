//! What a name server may do about a question.

use fastrand::Rng;

use super::chance::{one_of, weighted};
use super::message::{FORMERR, HEADER, NOERROR, NOTIMP, NXDOMAIN, REFUSED, SERVFAIL, YXDOMAIN};

/// The largest number of addresses in an answer.
pub const MAX_ADDRESSES: usize = 60;

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
    /// A reply with another address from another port before the right one.
    WrongSourceFirst,
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

/// What is said of a name that exists.
pub fn existing(rng: &mut Rng) -> Behaviour {
    let some = rng.usize(1..=4);
    let many = rng.usize(5..=MAX_ADDRESSES);
    let aliases = Behaviour::Aliases(Aliases::InOrder(rng.usize(1..=4)));
    weighted(
        rng,
        &[(60, Behaviour::Addresses(some)), (5, Behaviour::Addresses(many)), (20, Behaviour::NoData), (15, aliases)],
    )
}

/// Any behaviour, the odd ones above all.
pub fn anything(rng: &mut Rng) -> Behaviour {
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
            (2, Behaviour::WrongSourceFirst),
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
