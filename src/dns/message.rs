//! What a server sent, read as glibc's res_send and nss_dns read it.
//!
//! A codec of our own, small, without unsafe code. The well-kept ones (`domain`, `hickory-proto`) read a
//! message as the standard has it, and what counts here is what glibc makes of messages that are not quite
//! so: authority and additional sections are never looked at, whatever their counts say; the answer section
//! is walked once, with a running name that each CNAME record moves on whoever owns it; a record with a
//! length that is wrong for its type is stepped over, and good ones beside it count; a record that does not
//! end within the message makes the answer worthless, but not what stood before it if the other family's
//! answer came first. `hickory-proto` reads all sections or nothing. `domain` reads record by record and
//! could be led through all this, except that it refuses pointers that lead forward, which glibc follows;
//! what would be left for it to do is to read names and the ten octets after them, which is less than the
//! code that leads it, and it brings a proc macro and a library of dates. So it is the oracle instead: for
//! what it can read, the property tests and the fuzz target `dns_message` demand the same addresses of both.
use super::answer::{Address, Addresses};
use super::name_wire::{Unreadable, WireName};
use super::question::{CLASS_IN, HEADER, RecordType};
use super::service::ServiceRecord;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How a message came: some of what is not an answer by UDP is one by TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Udp,
    Tcp,
}

/// What a message has to match: the question that was asked, with its id.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub id: u16,
    pub name: &'a WireName,
    pub record_type: RecordType,
    /// Records of any class count: so glibc reads answers to a pair of questions.
    pub any_class: bool,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Not an answer to this question: to be dropped, the wait goes on.
    Ignored,
    /// Shorter than a header: the server is of no use.
    TooShort,
    /// The server did not answer the question (SERVFAIL, REFUSED, NOTIMP, or a lame referral): the next one
    /// is asked. By UDP only.
    ServerFailure { servfail: bool },
    /// Truncated: to be asked again by TCP.
    Truncated,
    /// At least one service binding, as the server has them, with the smallest time to live of what was used.
    Services(Vec<ServiceRecord>, u32),
    /// Anything else ends the wait.
    Answer(Answer),
}

/// A reply that ends the wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub code: Code,
    pub records: Records,
    /// Those of the name, in the order in which they stand.
    pub addresses: Addresses,
}

/// What the code of a reply (its rcode) says of the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// NOERROR: the name exists.
    NoError,
    /// NXDOMAIN: it does not.
    NoSuchName,
    /// SERVFAIL. By UDP it is no answer.
    ServerFailure,
    /// Any other code (FORMERR, YXDOMAIN, ...).
    Refusal,
}

/// What the answer section of a reply is good for. Beside a code that is not NOERROR it counts only if the
/// other question of the pair was answered with records: then glibc reads both messages without a look at
/// their codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Records {
    /// It is empty.
    Nothing,
    /// At least one address.
    Addresses,
    /// A record did not end within the message, or a CNAME's target is not a name; with the addresses that
    /// stood before it. No answer to a question for one record type; behind a good answer for the other type
    /// glibc takes these addresses.
    Malformed,
    /// No address of this name (a CNAME record alone, records of another type).
    NoAddress,
    /// It is empty, and there is not one question before it that can be read: as an answer alone it counts,
    /// beside a good answer it is as bad as [`Records::Malformed`].
    WithoutQuestion,
}

const RCODE_NOERROR: u8 = 0;
const RCODE_SERVFAIL: u8 = 2;
const RCODE_NXDOMAIN: u8 = 3;
const RCODE_NOTIMP: u8 = 4;
const RCODE_REFUSED: u8 = 5;

const TYPE_CNAME: u16 = 5;

const BUFFER_OF_ONE: usize = 1024;
const BUFFER_OF_PAIR: usize = 2048;

/// The fields of a header that count.
struct Header {
    id: u16,
    authoritative: bool,
    truncated: bool,
    recursion_available: bool,
    rcode: u8,
    questions: u16,
    answers: u16,
    additional: u16,
}

impl Header {
    fn read(message: &[u8]) -> Option<Header> {
        let header = message.first_chunk::<HEADER>()?;
        let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        Some(Header {
            id: count(0),
            authoritative: header[2] & 0x04 != 0,
            truncated: header[2] & 0x02 != 0,
            recursion_available: header[3] & 0x80 != 0,
            rcode: header[3] & 0x0f,
            questions: count(4),
            answers: count(6),
            additional: count(10),
        })
    }

    /// The server says that it could not answer.
    fn is_server_failure(&self) -> bool {
        matches!(self.rcode, RCODE_SERVFAIL | RCODE_NOTIMP | RCODE_REFUSED)
    }

    /// An empty answer of a server that neither owns the name nor recurses: it points elsewhere.
    fn is_lame(&self) -> bool {
        self.rcode == RCODE_NOERROR
            && self.answers == 0
            && !self.authoritative
            && !self.recursion_available
            && self.additional == 0
    }
}

/// Reads a message as an answer to `asked`. The work is bounded by its length.
///
/// The id and the one question have to match. The QR bit is not looked at: glibc does not either, and servers
/// that leave it out exist. What stands in the place of the question and is no name is an answer that nothing
/// can be read of: glibc takes the error of its comparison for a match (`res_queriesmatch`). By TCP a server
/// failure is an answer like any other code, truncation is borne, since there is nothing left to try, and a
/// message without one question is the answer that its code says. (glibc takes any message by TCP whose id
/// matches; records that answer another question are not taken here.)
pub fn read_reply(message: &[u8], asked: Asked<'_>, transport: Transport) -> Reply {
    let Some(header) = Header::read(message) else { return Reply::TooShort };
    if header.id != asked.id {
        return Reply::Ignored;
    }
    // Some servers refuse without copying the question.
    let bare_failure =
        transport == Transport::Udp && message.len() == HEADER && header.questions == 0 && header.is_server_failure();
    let question = if bare_failure { Question::Asked(HEADER) } else { Question::read(message, &header, asked) };
    let answers_at = match question {
        Question::Asked(at) => Some(at),
        Question::NotAName => None,
        Question::CutOff | Question::NotOne if transport == Transport::Tcp => None,
        Question::Other | Question::CutOff | Question::NotOne => return Reply::Ignored,
    };
    if transport == Transport::Udp {
        if header.is_server_failure() {
            return Reply::ServerFailure { servfail: header.rcode == RCODE_SERVFAIL };
        }
        if header.is_lame() {
            return Reply::ServerFailure { servfail: false };
        }
        if header.truncated {
            return Reply::Truncated;
        }
    }
    let Some(answers_at) = answers_at else {
        let records = if header.answers == 0 { Records::WithoutQuestion } else { Records::Malformed };
        return Reply::Answer(Answer { code: Code::of(header.rcode), records, addresses: Addresses::default() });
    };
    let (records, addresses) = match header.answers {
        0 => (Records::Nothing, Addresses::default()),
        count if asked.record_type.is_of_services() => match read_services(message, answers_at, count, asked) {
            Some((services, Some(ttl))) if header.rcode == RCODE_NOERROR && !services.is_empty() => {
                return Reply::Services(services, ttl);
            }
            Some(_) => (Records::NoAddress, Addresses::default()),
            None => (Records::Malformed, Addresses::default()),
        },
        count => read_answers(message, answers_at, count, asked),
    };
    Reply::Answer(Answer { code: Code::of(header.rcode), records, addresses })
}

impl Code {
    fn of(rcode: u8) -> Code {
        match rcode {
            RCODE_NOERROR => Code::NoError,
            RCODE_NXDOMAIN => Code::NoSuchName,
            RCODE_SERVFAIL => Code::ServerFailure,
            _ => Code::Refusal,
        }
    }
}

/// What stands in the question section.
enum Question {
    /// The question that was asked; the answer section begins here.
    Asked(usize),
    /// Another one.
    Other,
    /// Something that is no name.
    NotAName,
    /// It goes on beyond the end of the message. What glibc makes of that hangs on what lay in its buffer
    /// before.
    CutOff,
    /// There is none, or there are several.
    NotOne,
}

impl Question {
    fn read(message: &[u8], header: &Header, asked: Asked<'_>) -> Question {
        if header.questions != 1 {
            return Question::NotOne;
        }
        let (name, after) = match WireName::read(message, HEADER) {
            Ok(read) => read,
            Err(Unreadable::BeyondEnd(at)) if at < asked.buffer() => return Question::CutOff,
            Err(_) => return Question::NotAName,
        };
        let Some(fields) = message.get(after..).and_then(|rest| rest.first_chunk::<4>()) else {
            return Question::CutOff;
        };
        let record_type = u16::from_be_bytes([fields[0], fields[1]]);
        let class = u16::from_be_bytes([fields[2], fields[3]]);
        let matches = record_type == asked.record_type.code() && class == CLASS_IN && name.is_same(asked.name);
        if matches { Question::Asked(after + 4) } else { Question::Other }
    }
}

impl Asked<'_> {
    /// The size of the buffer into which glibc reads a reply that fits there: it looks for the end of the
    /// question as far as this (`send_dg` of res_send.c, the buffers of nss_dns).
    fn buffer(self) -> usize {
        if self.any_class { BUFFER_OF_PAIR } else { BUFFER_OF_ONE }
    }
}

fn read_answers(message: &[u8], mut at: usize, count: u16, asked: Asked<'_>) -> (Records, Addresses) {
    let mut addresses = Addresses::default();
    let mut alias = None;
    for _ in 0..count {
        let Some(record) = Record::read(message, at) else { return (Records::Malformed, addresses) };
        at = record.end;
        if record.class != CLASS_IN && !asked.any_class {
            continue;
        }
        if record.record_type == TYPE_CNAME {
            // The owner is not looked at: glibc's historic precedent.
            let Ok((target, _)) = WireName::read(message, record.data_at) else {
                return (Records::Malformed, addresses);
            };
            addresses.ttl = smaller(addresses.ttl, record.ttl);
            alias = Some(target);
        } else if record.record_type == asked.record_type.code()
            && record.owner.is_same(alias.as_ref().unwrap_or(asked.name))
            && let Some(address) = address(&message[record.data_at..record.end], asked.record_type)
        {
            addresses.ttl = smaller(addresses.ttl, record.ttl);
            addresses.list.push(address);
        }
    }
    (if addresses.list.is_empty() { Records::NoAddress } else { Records::Addresses }, addresses)
}

/// The service bindings of the name, or of the name that CNAME records lead to. None: a record does not end
/// within the message, or one of the bindings is malformed, and then the whole set is thrown away (RFC 9460,
/// section 2.2).
fn read_services(
    message: &[u8],
    mut at: usize,
    count: u16,
    asked: Asked<'_>,
) -> Option<(Vec<ServiceRecord>, Option<u32>)> {
    let (mut services, mut ttl, mut alias) = (Vec::new(), None, None);
    for _ in 0..count {
        let record = Record::read(message, at)?;
        at = record.end;
        if record.class != CLASS_IN || !record.owner.is_same(alias.as_ref().unwrap_or(asked.name)) {
            continue;
        }
        if record.record_type == TYPE_CNAME {
            alias = Some(WireName::read(message, record.data_at).ok()?.0);
        } else if record.record_type == asked.record_type.code() {
            services.push(ServiceRecord::read(&message[record.data_at..record.end])?);
        } else {
            continue;
        }
        ttl = smaller(ttl, record.ttl);
    }
    Some((services, ttl))
}

/// The address that record data holds, if its length is that of an address.
fn address(data: &[u8], record_type: RecordType) -> Option<Address> {
    let ip: IpAddr = match record_type {
        RecordType::A => Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into(),
        RecordType::Aaaa => Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into(),
        RecordType::Svcb | RecordType::Https => return None,
    };
    Some(ip.into())
}

fn smaller(ttl: Option<u32>, other: u32) -> Option<u32> {
    Some(ttl.map_or(other, |ttl| ttl.min(other)))
}

/// What lies in the buffer into which libc reads replies, as far as it looks there after a question to which
/// no reply was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leftover {
    rcode: u8,
    has_answers: bool,
    asks_for_a: bool,
}

impl Leftover {
    /// Before anything was received: zeros.
    pub(super) const NONE: Leftover = Leftover { rcode: RCODE_NOERROR, has_answers: false, asks_for_a: false };

    /// A message was received over it, taken or not; a short one leaves the end of what was there.
    pub(super) fn cover(&mut self, message: &[u8]) {
        if let Some(octet) = message.get(3) {
            self.rcode = octet & 0x0f;
        }
        if let Some(count) = message.get(6..8) {
            self.has_answers = count != [0, 0];
        }
        if message.len() > HEADER {
            let fields =
                WireName::read(message, HEADER).ok().and_then(|(_, after)| message.get(after..)?.first_chunk());
            self.asks_for_a = fields == Some(&[0, RecordType::A.code() as u8, 0, CLASS_IN as u8]);
        }
    }

    /// The code in it, unless there is a question for A records; and whether records are said to follow, of which
    /// nothing can be read then.
    pub(super) fn code(self) -> Option<(Code, bool)> {
        (!self.asks_for_a).then(|| (Code::of(self.rcode), self.has_answers))
    }
}

/// One resource record (RFC 1035, section 4.1.3).
struct Record {
    owner: WireName,
    record_type: u16,
    class: u16,
    ttl: u32,
    data_at: usize,
    end: usize,
}

impl Record {
    fn read(message: &[u8], at: usize) -> Option<Record> {
        let (owner, after) = WireName::read(message, at).ok()?;
        let fields = message.get(after..)?.first_chunk::<10>()?;
        let data_at = after + 10;
        let end = data_at + usize::from(u16::from_be_bytes([fields[8], fields[9]]));
        let record = Record {
            owner,
            record_type: u16::from_be_bytes([fields[0], fields[1]]),
            class: u16::from_be_bytes([fields[2], fields[3]]),
            // With the highest bit set it counts as 0 (RFC 2181, section 8).
            ttl: u32::try_from(i32::from_be_bytes([fields[4], fields[5], fields[6], fields[7]])).unwrap_or(0),
            data_at,
            end,
        };
        (end <= message.len()).then_some(record)
    }
}
