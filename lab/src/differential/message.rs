//! DNS messages (RFC 1035 section 4) as bytes, well-formed or not: a library would refuse to write the wrong
//! ones.

use std::net::IpAddr;

/// Record types (RFC 1035 section 3.2.2, RFC 3596, RFC 6672, RFC 4034).
pub const TYPE_A: u16 = 1;
pub const TYPE_NS: u16 = 2;
pub const TYPE_CNAME: u16 = 5;
pub const TYPE_SOA: u16 = 6;
pub const TYPE_TXT: u16 = 16;
pub const TYPE_AAAA: u16 = 28;
pub const TYPE_DNAME: u16 = 39;
pub const TYPE_RRSIG: u16 = 46;

pub const CLASS_IN: u16 = 1;
pub const CLASS_CHAOS: u16 = 3;

pub const NOERROR: u8 = 0;
pub const FORMERR: u8 = 1;
pub const SERVFAIL: u8 = 2;
pub const NXDOMAIN: u8 = 3;
pub const NOTIMP: u8 = 4;
pub const REFUSED: u8 = 5;
pub const YXDOMAIN: u8 = 6;

/// The length of a message's header.
pub const HEADER: usize = 12;
/// Bits of the third byte of the header.
const QR: u8 = 0x80;
const AA: u8 = 0x04;
const TC: u8 = 0x02;
const RD: u8 = 0x01;
/// A bit of the fourth byte.
const RA: u8 = 0x80;
/// A pointer to the name of the question (RFC 1035 section 4.1.4).
pub const TO_QUESTION: [u8; 2] = [0xc0, HEADER as u8];

/// What a server reads of a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    pub id: [u8; 2],
    /// Lower case, with a final dot, bytes outside of printable ASCII escaped.
    pub name: String,
    pub record_type: u16,
    /// The question section as it came.
    pub section: Vec<u8>,
    /// Whether an OPT record followed (RFC 6891).
    pub edns: bool,
}

impl Question {
    /// Reads a message with one question; None for anything else.
    pub fn parse(bytes: &[u8]) -> Option<Question> {
        let header = bytes.get(..HEADER)?;
        if header[4..6] != [0, 1] {
            return None;
        }
        let (mut at, mut name) = (HEADER, String::new());
        loop {
            let length = usize::from(*bytes.get(at)?);
            let label = bytes.get(at + 1..at + 1 + length)?;
            at += 1 + length;
            if length == 0 {
                break;
            }
            name += &label.escape_ascii().to_string().to_ascii_lowercase();
            name.push('.');
        }
        let kind = bytes.get(at..at + 4)?;
        let section = bytes[HEADER..at + 4].to_vec();
        let name = if name.is_empty() { ".".to_owned() } else { name };
        let record_type = u16::from_be_bytes([kind[0], kind[1]]);
        Some(Question { id: [header[0], header[1]], name, record_type, section, edns: header[10..12] != [0, 0] })
    }

    pub fn type_name(&self) -> String {
        match self.record_type {
            TYPE_A => "A".to_owned(),
            TYPE_AAAA => "AAAA".to_owned(),
            other => format!("TYPE{other}"),
        }
    }
}

/// A record, any field of which may lie.
#[derive(Clone, Debug)]
pub struct Record {
    /// In wire format; may be a pointer.
    pub owner: Vec<u8>,
    pub record_type: u16,
    pub class: u16,
    pub data: Vec<u8>,
    /// What is written as the length of the data, where it is not its length.
    pub stated_length: Option<u16>,
}

impl Record {
    pub fn new(owner: &[u8], record_type: u16, data: Vec<u8>) -> Record {
        Record { owner: owner.to_vec(), record_type, class: CLASS_IN, data, stated_length: None }
    }

    pub fn address(owner: &[u8], address: IpAddr) -> Record {
        match address {
            IpAddr::V4(address) => Record::new(owner, TYPE_A, address.octets().to_vec()),
            IpAddr::V6(address) => Record::new(owner, TYPE_AAAA, address.octets().to_vec()),
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.owner);
        bytes.extend_from_slice(&self.record_type.to_be_bytes());
        bytes.extend_from_slice(&self.class.to_be_bytes());
        bytes.extend_from_slice(&60_u32.to_be_bytes());
        let length = self.stated_length.unwrap_or(self.data.len() as u16);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&self.data);
    }
}

/// A name in wire format, without compression. Labels are at most 63 bytes long.
pub fn wire_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// A reply before it is written.
#[derive(Clone, Debug)]
pub struct Draft {
    pub id: [u8; 2],
    pub response: bool,
    pub authoritative: bool,
    pub truncated: bool,
    pub recursion_available: bool,
    pub rcode: u8,
    /// The question section, and how many questions it is said to hold.
    pub question: Vec<u8>,
    pub questions: u16,
    /// Answer, authority, additional.
    pub sections: [Vec<Record>; 3],
    /// What the header says, where it is not the number of records.
    pub stated_counts: [Option<u16>; 3],
}

impl Draft {
    /// A well-formed reply without records.
    pub fn reply(question: &Question, rcode: u8) -> Draft {
        Draft {
            id: question.id,
            response: true,
            authoritative: false,
            truncated: false,
            recursion_available: true,
            rcode,
            question: question.section.clone(),
            questions: 1,
            sections: Default::default(),
            stated_counts: [None; 3],
        }
    }

    pub fn with_answers(mut self, answers: Vec<Record>) -> Draft {
        self.sections[0] = answers;
        self
    }

    pub fn write(&self) -> Vec<u8> {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let third = flag(self.response, QR) | flag(self.authoritative, AA) | flag(self.truncated, TC) | RD;
        let mut bytes = vec![self.id[0], self.id[1], third, flag(self.recursion_available, RA) | self.rcode];
        bytes.extend_from_slice(&self.questions.to_be_bytes());
        for (records, stated) in self.sections.iter().zip(self.stated_counts) {
            bytes.extend_from_slice(&stated.unwrap_or(records.len() as u16).to_be_bytes());
        }
        bytes.extend_from_slice(&self.question);
        self.sections.iter().flatten().for_each(|record| record.write(&mut bytes));
        bytes
    }
}

/// A question as a stub resolver sends it, for tests.
#[cfg(test)]
pub fn question_bytes(name: &str, record_type: u16) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, RD, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes.extend(wire_name(name));
    bytes.extend(record_type.to_be_bytes());
    bytes.extend(CLASS_IN.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::Message;

    #[test]
    fn a_question_is_read() {
        let question = Question::parse(&question_bytes("WWW.Example.test", TYPE_AAAA)).unwrap();
        assert_eq!((question.name.as_str(), question.record_type), ("www.example.test.", TYPE_AAAA));
        assert_eq!((question.id, question.edns), ([0x12, 0x34], false));
        assert_eq!(question.section, question_bytes("WWW.Example.test", TYPE_AAAA)[HEADER..]);
        assert_eq!(Question::parse(&question_bytes("", TYPE_A)).unwrap().name, ".");
    }

    #[test]
    fn what_is_no_question_is_told() {
        let bytes = question_bytes("a.test", TYPE_A);
        for length in 0..bytes.len() {
            assert_eq!(Question::parse(&bytes[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn a_reply_without_lies_is_well_formed() {
        let question = Question::parse(&question_bytes("a.test", TYPE_A)).unwrap();
        let address = "203.0.113.7".parse().unwrap();
        let answers = vec![
            Record::new(&TO_QUESTION, TYPE_CNAME, wire_name("b.test")),
            Record::address(&wire_name("b.test"), address),
        ];
        let message = Message::from_vec(&Draft::reply(&question, NOERROR).with_answers(answers).write()).unwrap();
        assert_eq!(message.metadata.id, 0x1234);
        assert_eq!(message.queries[0].name().to_ascii(), "a.test.");
        assert_eq!(message.answers.len(), 2);
        assert_eq!(message.answers[1].data.ip_addr(), Some(address));
    }
}
