//! The policy table of RFC 6724, section 2.1.
use super::family::Family;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// The greatest label, precedence or scope that libc takes (`INT_MAX`).
pub(super) const GREATEST_VALUE: u32 = i32::MAX as u32;
/// Scopes (RFC 4291, section 2.7; RFC 6724, section 3.1).
const SCOPE_LINK_LOCAL: u32 = 0x2;
const SCOPE_SITE_LOCAL: u32 = 0x5;
pub(super) const SCOPE_GLOBAL: u32 = 0xe;

/// One line of a table: the addresses under a prefix, and what they get. IPv4 stands here as IPv4-mapped IPv6
/// (RFC 6724, section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) prefix: u128,
    pub(super) bits: u32,
    pub(super) value: u32,
}

/// A table for one of the three; what is asked of it is answered by the first entry that matches, so the
/// longest prefix stands first and one that matches everything last.
pub(super) type Table = Cow<'static, [Entry]>;

pub(super) const fn entry(segments: [u16; 8], bits: u32, value: u32) -> Entry {
    let [a, b, c, d, e, f, g, h] = segments;
    Entry { prefix: Ipv6Addr::new(a, b, c, d, e, f, g, h).to_bits(), bits, value }
}

/// RFC 6724, section 2.1. Longest prefix first, as in every table here: the first entry that matches is the
/// one.
const RFC_6724_PRECEDENCES: &[Entry] = &[
    entry([0, 0, 0, 0, 0, 0, 0, 1], 128, 50),
    entry([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, 35),
    entry([0, 0, 0, 0, 0, 0, 0, 0], 96, 1),
    entry([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, 5),
    entry([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, 30),
    entry([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16, 1),
    entry([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, 1),
    entry([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, 3),
    entry([0, 0, 0, 0, 0, 0, 0, 0], 0, 40),
];

/// RFC 6724, section 2.1.
const RFC_6724_LABELS: &[Entry] = &[
    entry([0, 0, 0, 0, 0, 0, 0, 1], 128, 0),
    entry([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, 4),
    entry([0, 0, 0, 0, 0, 0, 0, 0], 96, 3),
    entry([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, 5),
    entry([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, 2),
    entry([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16, 12),
    entry([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, 11),
    entry([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, 13),
    entry([0, 0, 0, 0, 0, 0, 0, 0], 0, 1),
];

/// What glibc has where gai.conf(5) does not say: the table of RFC 3484, in which unique local addresses
/// stand with all other IPv6 (nss/getaddrinfo.c, `default_precedence`; so up to 2.43, of 2026).
const GLIBC_PRECEDENCES: &[Entry] = &[
    entry([0, 0, 0, 0, 0, 0, 0, 1], 128, 50),
    entry([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, 10),
    entry([0, 0, 0, 0, 0, 0, 0, 0], 96, 20),
    entry([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, 30),
    entry([0, 0, 0, 0, 0, 0, 0, 0], 0, 40),
];

/// Likewise (`default_labels`): labels of their own keep site-local, unique local and Teredo addresses from
/// being used towards other ones.
const GLIBC_LABELS: &[Entry] = &[
    entry([0, 0, 0, 0, 0, 0, 0, 1], 128, 0),
    entry([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, 4),
    entry([0, 0, 0, 0, 0, 0, 0, 0], 96, 3),
    entry([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, 7),
    entry([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, 2),
    entry([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, 5),
    entry([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, 6),
    entry([0, 0, 0, 0, 0, 0, 0, 0], 0, 1),
];

/// The scope of an IPv4 address (RFC 6724, section 3.2): link-local for 169.254/16 and 127/8; private
/// addresses are global.
const DEFAULT_SCOPES: &[Entry] = &[
    entry([0, 0, 0, 0, 0, 0xffff, 0xa9fe, 0], 112, SCOPE_LINK_LOCAL),
    entry([0, 0, 0, 0, 0, 0xffff, 0x7f00, 0], 104, SCOPE_LINK_LOCAL),
    entry([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, SCOPE_GLOBAL),
];

/// Global unicast addresses, as far as they are assigned (RFC 4291, section 2.4; IANA).
const GLOBAL_IPV6: (u128, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0).to_bits(), 3);
/// All of IPv4.
const IPV4: (u128, u32) = (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0).to_bits(), 96);

/// Labels, precedences and IPv4 scopes: what the order of RFC 6724 depends on besides the addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTable {
    labels: Table,
    precedences: Table,
    scopes: Table,
    /// The family whose global addresses rank first.
    preferred_family: Family,
    /// Every address of that family ranks above those of the other.
    strictly: bool,
}

/// What an address of a strictly preferred family has more: higher than any precedence of a table.
const PREFERENCE: u32 = GREATEST_VALUE + 1;

impl Default for PolicyTable {
    /// RFC 6724, section 2.1.
    fn default() -> PolicyTable {
        PolicyTable {
            labels: Cow::Borrowed(RFC_6724_LABELS),
            precedences: Cow::Borrowed(RFC_6724_PRECEDENCES),
            scopes: Cow::Borrowed(DEFAULT_SCOPES),
            preferred_family: Family::V6,
            strictly: false,
        }
    }
}

impl PolicyTable {
    /// The table of a system with glibc that has no gai.conf(5).
    pub fn of_glibc() -> PolicyTable {
        PolicyTable {
            labels: Cow::Borrowed(GLIBC_LABELS),
            precedences: Cow::Borrowed(GLIBC_PRECEDENCES),
            ..PolicyTable::default()
        }
    }

    /// The same with other tables, where there are any.
    pub(super) fn with(self, labels: Option<Table>, precedences: Option<Table>, scopes: Option<Table>) -> PolicyTable {
        let preferred_family = match &precedences {
            Some(table) if of_most(table, IPV4) > of_most(table, GLOBAL_IPV6) => Family::V4,
            Some(_) => Family::V6,
            None => self.preferred_family,
        };
        PolicyTable {
            labels: labels.unwrap_or(self.labels),
            precedences: precedences.unwrap_or(self.precedences),
            scopes: scopes.unwrap_or(self.scopes),
            preferred_family,
            ..self
        }
    }

    /// The same table with every address of a family above those of the other (rule 6); within each family
    /// nothing changes.
    pub fn preferring(&self, family: Family) -> PolicyTable {
        PolicyTable { preferred_family: family, strictly: true, ..self.clone() }
    }

    /// The family whose global addresses rank first: IPv4 if most of it has a higher precedence than most of
    /// the global unicast addresses of IPv6 (2000::/3).
    pub fn preferred_family(&self) -> Family {
        self.preferred_family
    }

    /// The label of an address (RFC 6724, section 2.1): equal for a source and a destination that fit
    /// together.
    pub fn label(&self, address: IpAddr) -> u32 {
        find(&self.labels, address)
    }

    /// The precedence of a destination (RFC 6724, section 2.1): the higher, the sooner.
    pub fn precedence(&self, address: IpAddr) -> u32 {
        let family = if address.is_ipv6() { Family::V6 } else { Family::V4 };
        let preference = if self.strictly && self.preferred_family == family { PREFERENCE } else { 0 };
        find(&self.precedences, address) + preference
    }

    /// The scope of an address (RFC 6724, sections 3.1 and 3.2): the higher, the wider. IPv4-mapped addresses
    /// are global, whatever they map, as in glibc.
    pub fn scope(&self, address: IpAddr) -> u32 {
        match address {
            IpAddr::V4(_) => find(&self.scopes, address),
            IpAddr::V6(v6) => scope_of_v6(v6),
        }
    }
}

/// The value that most addresses of a block have.
fn of_most(table: &[Entry], block: (u128, u32)) -> u32 {
    let mut sizes = BTreeMap::new();
    measure(table.iter().collect(), block, &mut sizes);
    let most = sizes.into_iter().max_by_key(|&(_, size)| size);
    most.map_or(0, |(value, _)| value)
}

/// Adds up how many addresses of a block have which value. `entries` are those that may concern it, longest
/// prefix first.
fn measure(entries: Vec<&Entry>, (prefix, bits): (u128, u32), sizes: &mut BTreeMap<u32, u128>) {
    let concerns = |entry: &&Entry| matches(&Entry { bits: entry.bits.min(bits), ..**entry }, prefix);
    let entries: Vec<&Entry> = entries.into_iter().filter(concerns).collect();
    match entries.first() {
        None => {}
        // One that begins below the block divides it.
        Some(first) if first.bits > bits => {
            let half = 1 << (127 - bits);
            measure(entries.clone(), (prefix, bits + 1), sizes);
            measure(entries, (prefix | half, bits + 1), sizes);
        }
        Some(first) => *sizes.entry(first.value).or_default() += 1 << (128 - bits),
    }
}

fn scope_of_v6(address: Ipv6Addr) -> u32 {
    let first = address.segments()[0];
    match first {
        // The scope field of a multicast address (RFC 4291, section 2.7).
        0xff00..=0xffff => u32::from(first & 0xf),
        0xfe80..=0xfebf => SCOPE_LINK_LOCAL,
        0xfec0..=0xfeff => SCOPE_SITE_LOCAL,
        // RFC 4007, section 4: the loopback address is of link-local scope.
        _ if address.is_loopback() => SCOPE_LINK_LOCAL,
        _ => SCOPE_GLOBAL,
    }
}

/// What the table says of an address. Every table ends with an entry that matches all that it is asked about.
fn find(table: &[Entry], address: IpAddr) -> u32 {
    let address = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    table.iter().find(|entry| matches(entry, address)).map_or(0, |entry| entry.value)
}

fn matches(entry: &Entry, address: u128) -> bool {
    // A shift by all 128 bits is what an empty prefix needs and what the operator does not allow.
    (entry.prefix ^ address).checked_shr(128 - entry.bits).unwrap_or(0) == 0
}
