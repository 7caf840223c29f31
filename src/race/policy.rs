//! The policy table of RFC 6724, section 2.1, and the gai.conf(5) that may replace it.
use super::family::Family;
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The greatest label, precedence or scope that libc takes from gai.conf(5) (`INT_MAX`).
const GREATEST_VALUE: u32 = i32::MAX as u32;
/// What `::/0` gets when gai.conf(5) replaces a table and leaves it out, as in glibc.
const FALLBACK_LABEL: u32 = 1;
const FALLBACK_PRECEDENCE: u32 = 40;
/// Scopes (RFC 4291, section 2.7; RFC 6724, section 3.1).
const SCOPE_LINK_LOCAL: u32 = 0x2;
const SCOPE_SITE_LOCAL: u32 = 0x5;
const SCOPE_GLOBAL: u32 = 0xe;

/// One line of a table: the addresses under a prefix, and what they get. IPv4 stands here as IPv4-mapped IPv6
/// (RFC 6724, section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    prefix: u128,
    bits: u32,
    value: u32,
}

const fn entry(segments: [u16; 8], bits: u32, value: u32) -> Entry {
    let [a, b, c, d, e, f, g, h] = segments;
    Entry { prefix: Ipv6Addr::new(a, b, c, d, e, f, g, h).to_bits(), bits, value }
}

/// RFC 6724, section 2.1. Longest prefix first, as in every table here: the first entry that matches is the
/// one.
const DEFAULT_PRECEDENCES: &[Entry] = &[
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
const DEFAULT_LABELS: &[Entry] = &[
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

/// The scope of an IPv4 address (RFC 6724, section 3.2): link-local for 169.254/16 and 127/8; private
/// addresses are global.
const DEFAULT_SCOPES: &[Entry] = &[
    entry([0, 0, 0, 0, 0, 0xffff, 0xa9fe, 0], 112, SCOPE_LINK_LOCAL),
    entry([0, 0, 0, 0, 0, 0xffff, 0x7f00, 0], 104, SCOPE_LINK_LOCAL),
    entry([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, SCOPE_GLOBAL),
];

/// Labels, precedences and IPv4 scopes: what the order of RFC 6724 depends on besides the addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTable {
    labels: Cow<'static, [Entry]>,
    precedences: Cow<'static, [Entry]>,
    scopes: Cow<'static, [Entry]>,
    /// The family whose addresses all have a higher precedence than those of the other.
    preferred: Option<Family>,
}

/// What an address of a preferred family has more: higher than any precedence of a table.
const PREFERENCE: u32 = GREATEST_VALUE + 1;

impl Default for PolicyTable {
    /// RFC 6724, section 2.1.
    fn default() -> PolicyTable {
        PolicyTable {
            labels: Cow::Borrowed(DEFAULT_LABELS),
            precedences: Cow::Borrowed(DEFAULT_PRECEDENCES),
            scopes: Cow::Borrowed(DEFAULT_SCOPES),
            preferred: None,
        }
    }
}

impl PolicyTable {
    /// Reads the text of a gai.conf(5) file; lines that libc would not accept are skipped.
    ///
    /// As in glibc, one `label` line replaces the whole table of labels, and likewise for `precedence` and
    /// `scopev4`; a table without an entry for everything gets one; among equal prefixes the first line
    /// counts. `reload` is ignored: when to read the file again is for the caller to know.
    pub fn from_gai_conf(text: &str) -> PolicyTable {
        let (mut labels, mut precedences, mut scopes) = (Vec::new(), Vec::new(), Vec::new());
        for line in text.lines() {
            let content = line.split('#').next().unwrap_or_default();
            let mut words = content.split_ascii_whitespace();
            let keyword = words.next().unwrap_or_default();
            let prefix = words.next().unwrap_or_default();
            let value = words.next().unwrap_or_default();
            match keyword {
                "label" => labels.extend(parse_entry(prefix, value)),
                "precedence" => precedences.extend(parse_entry(prefix, value)),
                "scopev4" => scopes.extend(parse_scope(prefix, value)),
                _ => {}
            }
        }
        let default = PolicyTable::default();
        PolicyTable {
            labels: table(labels, entry([0; 8], 0, FALLBACK_LABEL), default.labels),
            precedences: table(precedences, entry([0; 8], 0, FALLBACK_PRECEDENCE), default.precedences),
            scopes: table(scopes, entry([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, SCOPE_GLOBAL), default.scopes),
            preferred: None,
        }
    }

    /// The same table with every address of a family above those of the other (rule 6); within each family
    /// nothing changes.
    pub fn preferring(&self, family: Family) -> PolicyTable {
        PolicyTable { preferred: Some(family), ..self.clone() }
    }

    /// The family whose global addresses rank first: the precedence of `::ffff:0:0/96` against that of
    /// `::/0`.
    pub fn preferred_family(&self) -> Family {
        if let Some(preferred) = self.preferred {
            return preferred;
        }
        let everything = self.precedences.last().map_or(FALLBACK_PRECEDENCE, |entry| entry.value);
        if self.precedence(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) > everything { Family::V4 } else { Family::V6 }
    }

    /// The label of an address (RFC 6724, section 2.1): equal for a source and a destination that fit
    /// together.
    pub fn label(&self, address: IpAddr) -> u32 {
        find(&self.labels, address)
    }

    /// The precedence of a destination (RFC 6724, section 2.1): the higher, the sooner.
    pub fn precedence(&self, address: IpAddr) -> u32 {
        let family = if address.is_ipv6() { Family::V6 } else { Family::V4 };
        let preference = if self.preferred == Some(family) { PREFERENCE } else { 0 };
        find(&self.precedences, address) + preference
    }

    /// The scope of an address (RFC 6724, sections 3.1 and 3.2): the higher, the wider.
    pub fn scope(&self, address: IpAddr) -> u32 {
        match address {
            IpAddr::V4(_) => find(&self.scopes, address),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => find(&self.scopes, IpAddr::V4(v4)),
                None => scope_of_v6(v6),
            },
        }
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

/// The lines of a file as a table: longest prefix first, `everything` at the end if no line says it; the
/// default if the file has no such line at all.
fn table(mut lines: Vec<Entry>, everything: Entry, default: Cow<'static, [Entry]>) -> Cow<'static, [Entry]> {
    if lines.is_empty() {
        return default;
    }
    if lines.iter().all(|line| line.bits != everything.bits) {
        lines.push(everything);
    }
    lines.sort_by_key(|line| std::cmp::Reverse(line.bits));
    Cow::Owned(lines)
}

fn parse_entry(prefix: &str, value: &str) -> Option<Entry> {
    let (address, bits) = split_prefix(prefix);
    let address: Ipv6Addr = address.parse().ok()?;
    let bits = bits.map_or(Some(128), |bits| parse_number(bits, 128))?;
    Some(Entry { prefix: address.to_bits(), bits, value: parse_number(value, GREATEST_VALUE)? })
}

/// `scopev4` takes an IPv4 address, or an IPv4-mapped one with at least 96 bits of prefix.
fn parse_scope(prefix: &str, value: &str) -> Option<Entry> {
    let (address, bits) = split_prefix(prefix);
    let value = parse_number(value, GREATEST_VALUE)?;
    let (address, bits) = match address.parse().ok()? {
        IpAddr::V4(v4) => (v4.to_ipv6_mapped(), bits.map_or(Some(32), |bits| parse_number(bits, 32))? + 96),
        IpAddr::V6(v6) => {
            v6.to_ipv4_mapped()?;
            (v6, bits.map_or(Some(128), |bits| parse_number(bits, 128)).filter(|bits| *bits >= 96)?)
        }
    };
    Some(Entry { prefix: address.to_bits(), bits, value })
}

fn split_prefix(prefix: &str) -> (&str, Option<&str>) {
    match prefix.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (prefix, None),
    }
}

/// A decimal number up to `greatest`. An empty word is 0, as it is for strtoul(3), with which libc reads it.
fn parse_number(word: &str, greatest: u32) -> Option<u32> {
    if word.is_empty() {
        return Some(0);
    }
    word.parse().ok().filter(|number| *number <= greatest)
}
