//! Messages of servers, built by hand so that they can be as wrong as servers are.
use std::net::IpAddr;

pub const FORMERR: u8 = 1;
pub const SERVFAIL: u8 = 2;
pub const NXDOMAIN: u8 = 3;
pub const NOTIMP: u8 = 4;
pub const REFUSED: u8 = 5;
pub const YXDOMAIN: u8 = 6;

pub const TYPE_A: u16 = 1;
pub const TYPE_CNAME: u16 = 5;
pub const TYPE_AAAA: u16 = 28;
pub const TYPE_RRSIG: u16 = 46;
pub const CLASS_IN: u16 = 1;
pub const CLASS_CH: u16 = 3;

/// A pointer to the name of the question.
pub const QUESTION: &[u8] = &[0xc0, 12];

/// The name and, if it is another than the id says, the type in the question of a packet.
pub fn question(packet: &[u8]) -> String {
    let mut labels = Vec::new();
    let mut at = 12;
    while packet[at] != 0 {
        let length = usize::from(packet[at]);
        labels.push(String::from_utf8(packet[at + 1..][..length].to_vec()).unwrap());
        at += 1 + length;
    }
    if labels.is_empty() { ".".into() } else { labels.join(".") }
}

/// A name in wire form.
pub fn wire(name: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        octets.push(label.len() as u8);
        octets.extend(label.bytes());
    }
    octets.push(0);
    octets
}

pub fn with_length(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

/// A message in the making.
#[derive(Clone)]
pub struct Message {
    pub octets: Vec<u8>,
}

impl Message {
    /// NOERROR, recursion available, the question copied, nothing else.
    pub fn answering(packet: &[u8]) -> Message {
        let mut end = 12;
        while packet[end] != 0 {
            end += 1 + usize::from(packet[end]);
        }
        let mut octets = packet[..end + 5].to_vec();
        octets[2..4].copy_from_slice(&[0x81, 0x80]);
        octets[4..12].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        Message { octets }
    }

    pub fn rcode(mut self, rcode: u8) -> Message {
        self.octets[3] = self.octets[3] & 0xf0 | rcode;
        self
    }

    /// The second and third pair of octets of the header.
    pub fn flags(mut self, high: u8, low: u8) -> Message {
        self.octets[2] = high;
        self.octets[3] = low;
        self
    }

    /// A count of the header: 0 questions, 1 answers, 2 authority, 3 additional.
    pub fn count(mut self, which: usize, count: u16) -> Message {
        self.octets[4 + 2 * which..][..2].copy_from_slice(&count.to_be_bytes());
        self
    }

    pub fn truncated(mut self) -> Message {
        self.octets[2] |= 0x02;
        self
    }

    /// One more record of the answer section, counted.
    pub fn record(mut self, owner: &[u8], record_type: u16, class: u16, ttl: u32, data: &[u8]) -> Message {
        let count = u16::from_be_bytes([self.octets[6], self.octets[7]]) + 1;
        self = self.count(1, count);
        self.octets.extend(owner);
        self.octets.extend(record_type.to_be_bytes());
        self.octets.extend(class.to_be_bytes());
        self.octets.extend(ttl.to_be_bytes());
        self.octets.extend((data.len() as u16).to_be_bytes());
        self.octets.extend(data);
        self
    }

    pub fn address(self, owner: &[u8], address: &str) -> Message {
        match address.parse().unwrap() {
            IpAddr::V4(ip) => self.record(owner, TYPE_A, CLASS_IN, 60, &ip.octets()),
            IpAddr::V6(ip) => self.record(owner, TYPE_AAAA, CLASS_IN, 60, &ip.octets()),
        }
    }

    pub fn cname(self, owner: &[u8], target: &str) -> Message {
        self.record(owner, TYPE_CNAME, CLASS_IN, 60, &wire(target))
    }
}

/// What a server says, in a word: or the addresses that it gives.
pub fn in_words(packet: &[u8], words: &str) -> Vec<u8> {
    let message = Message::answering(packet);
    let message = match words {
        "nodata" => message,
        "nxdomain" => message.rcode(NXDOMAIN),
        "cname nxdomain" => message.cname(QUESTION, "gone.test").rcode(NXDOMAIN),
        "servfail" => message.rcode(SERVFAIL),
        "refused" => message.rcode(REFUSED),
        "notimp" => message.rcode(NOTIMP),
        "formerr" => message.rcode(FORMERR),
        "yxdomain" => message.rcode(YXDOMAIN),
        "lame" => message.flags(0x81, 0x00),
        "truncated" => message.truncated(),
        "cname" => message.cname(QUESTION, "elsewhere.test"),
        "cut off" => message.count(1, 1),
        "bare servfail" => return header_only(packet, SERVFAIL),
        "bare refused" => return header_only(packet, REFUSED),
        "bare notimp" => return header_only(packet, NOTIMP),
        "bare formerr" => return header_only(packet, FORMERR),
        "bare nxdomain" => return header_only(packet, NXDOMAIN),
        "short" => return packet[..11].to_vec(),
        addresses => addresses.split(' ').fold(message, |message, address| message.address(QUESTION, address)),
    };
    message.octets
}

fn header_only(packet: &[u8], rcode: u8) -> Vec<u8> {
    Message::answering(packet).rcode(rcode).count(0, 0).octets[..12].to_vec()
}
