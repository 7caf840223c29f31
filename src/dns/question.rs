//! Questions, and the packets that ask them (RFC 1035, section 4.1).
use super::Family;
use super::name_wire::{NotAName, WireName};
use super::resolv_conf::ResolvConf;

/// The type of the records that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordType {
    /// IPv6 addresses (RFC 3596).
    Aaaa,
    /// IPv4 addresses (RFC 1035).
    A,
    /// Service bindings of any service (RFC 9460).
    Svcb,
    /// Service bindings of `https` (RFC 9460, section 9).
    Https,
}

impl RecordType {
    /// The records that hold the addresses of a family.
    pub fn of(family: Family) -> RecordType {
        match family {
            Family::V6 => RecordType::Aaaa,
            Family::V4 => RecordType::A,
        }
    }

    /// Whether they are service bindings, and not addresses.
    pub fn is_of_services(self) -> bool {
        matches!(self, RecordType::Svcb | RecordType::Https)
    }

    /// The number that stands for it in a message.
    pub fn code(self) -> u16 {
        match self {
            RecordType::Aaaa => 28,
            RecordType::A => 1,
            RecordType::Svcb => 64,
            RecordType::Https => 65,
        }
    }
}

/// A name as it is asked: as it is, or with a domain of the search list behind it. Borrowed, so that a
/// question needs no memory of its own: its packet is written anew each time it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryName<'a> {
    pub name: &'a [u8],
    /// Without the dot before it; empty for the root.
    pub domain: Option<&'a [u8]>,
}

impl QueryName<'_> {
    /// The name in wire form; the empty name cannot be asked as it is.
    pub fn to_wire(self) -> Result<WireName, NotAName> {
        if self.name.is_empty() && self.domain.is_none() {
            return Err(NotAName);
        }
        let name = self.name.iter().copied();
        match self.domain {
            None => WireName::from_presentation(name),
            Some(domain) => WireName::from_presentation(name.chain([b'.']).chain(domain.iter().copied())),
        }
    }
}

/// What resolv.conf(5) sets about every query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryOptions {
    /// `trust-ad`: the AD bit is set (RFC 6840, section 5.7).
    pub trust_ad: bool,
    /// `edns0`: an OPT record says that answers of up to [`EDNS_PAYLOAD`] octets are welcome (RFC 6891).
    pub edns0: bool,
}

impl QueryOptions {
    pub fn of(conf: &ResolvConf) -> QueryOptions {
        QueryOptions { trust_ad: conf.trust_ad, edns0: conf.edns0 }
    }
}

/// The payload size in our OPT records: glibc's (RESOLV_EDNS_BUFFER_SIZE), below what is fragmented anywhere.
pub const EDNS_PAYLOAD: u16 = 1200;

/// A buffer of this size holds every query, the two octets of its length before it for TCP included.
pub const LONGEST_QUERY: usize = 2 + HEADER + super::name_wire::LONGEST_NAME + 4 + OPT;

pub(super) const HEADER: usize = 12;
/// The root name, type, payload size, extended rcode and flags, no options.
const OPT: usize = 11;
/// Class IN.
pub(super) const CLASS_IN: u16 = 1;
const TYPE_OPT: u16 = 41;

const RECURSION_DESIRED: u8 = 0x01;
const AUTHENTIC_DATA: u8 = 0x20;

/// Writes the query into `buffer`, and returns how many octets it has.
///
/// By TCP its length stands before it (RFC 1035, section 4.2.2).
pub fn write_query(
    buffer: &mut [u8; LONGEST_QUERY],
    id: u16,
    name: &WireName,
    record_type: RecordType,
    options: QueryOptions,
    with_length: bool,
) -> usize {
    let mut packet = Packet { buffer, length: if with_length { 2 } else { 0 } };
    packet.put(&id.to_be_bytes());
    packet.put(&[RECURSION_DESIRED, if options.trust_ad { AUTHENTIC_DATA } else { 0 }]);
    // One question, no answer, no authority, perhaps an OPT record.
    packet.put(&[0, 1, 0, 0, 0, 0, 0, u8::from(options.edns0)]);
    packet.put(name.octets());
    packet.put(&record_type.code().to_be_bytes());
    packet.put(&CLASS_IN.to_be_bytes());
    if options.edns0 {
        packet.put(&[0]);
        packet.put(&TYPE_OPT.to_be_bytes());
        packet.put(&EDNS_PAYLOAD.to_be_bytes());
        packet.put(&[0; 6]);
    }
    let length = packet.length;
    if with_length {
        buffer[..2].copy_from_slice(&(length as u16 - 2).to_be_bytes());
    }
    length
}

struct Packet<'a> {
    buffer: &'a mut [u8; LONGEST_QUERY],
    length: usize,
}

impl Packet<'_> {
    fn put(&mut self, octets: &[u8]) {
        self.buffer[self.length..][..octets.len()].copy_from_slice(octets);
        self.length += octets.len();
    }
}
