//! IPv4 addresses within IPv6 addresses, for a network whose translator (NAT64, RFC 6146) leads to IPv4: RFC
//! 6052, and how a host finds the prefix of its translator (RFC 7050).
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

/// The name whose IPv6 addresses tell the prefixes of a translator: it has IPv4 addresses alone, so that any
/// IPv6 address of it was made by the network (RFC 7050, section 3).
pub const IPV4_ONLY: &str = "ipv4only.arpa.";

/// The addresses of that name (RFC 7050, section 2.2).
const WELL_KNOWN_ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 0, 170), Ipv4Addr::new(192, 0, 0, 171)];

/// The lengths that a prefix may have (RFC 6052, section 2.2).
const LENGTHS: [u8; 6] = [32, 40, 48, 56, 64, 96];

/// How many prefixes are made use of at most: networks have one, or two while they change it, and each makes
/// another address of every IPv4 address.
pub const MOST_PREFIXES: usize = 8;

/// Where the bits 64 to 71 of an address are: they are zero (RFC 6052, section 2.2).
const U_OCTET: usize = 8;

/// The prefix of a translator, with its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nat64Prefix {
    octets: [u8; 16],
    length: u8,
}

/// What cannot be the prefix of a translator (RFC 6052, section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidNat64 {
    /// Not an IPv6 address with a length behind it, as in 64:ff9b::/96.
    Malformed,
    /// The length is none of 32, 40, 48, 56, 64 and 96.
    Length,
    /// A bit behind the length is set, or one of the bits 64 to 71.
    Bits,
    /// More than [`MOST_PREFIXES`] of them.
    TooMany,
}

impl Nat64Prefix {
    /// The Well-Known Prefix, 64:ff9b::/96 (RFC 6052, section 2.1).
    pub const WELL_KNOWN: Nat64Prefix =
        Nat64Prefix { octets: Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0).octets(), length: 96 };

    /// A prefix of `length` bits.
    pub fn new(prefix: Ipv6Addr, length: u8) -> Result<Nat64Prefix, InvalidNat64> {
        if !LENGTHS.contains(&length) {
            return Err(InvalidNat64::Length);
        }
        let octets = prefix.octets();
        let behind = &octets[usize::from(length / 8)..];
        if behind.iter().any(|&octet| octet != 0) || octets[U_OCTET] != 0 {
            return Err(InvalidNat64::Bits);
        }
        Ok(Nat64Prefix { octets, length })
    }

    /// The IPv6 address under which the translator knows an IPv4 address; None for one that it must not know
    /// or that means something on this host or link alone.
    pub fn synthesize(&self, address: Ipv4Addr) -> Option<Ipv6Addr> {
        let excluded = !is_translated(address) || (*self == Nat64Prefix::WELL_KNOWN && !is_global(address));
        (!excluded).then(|| self.embed(address))
    }

    /// The IPv4 address within an address under this prefix; None where there is none. The bits behind it are
    /// zero (RFC 6052, section 2.2), so that a native address under a short prefix is not taken for one.
    pub fn extract(&self, address: Ipv6Addr) -> Option<Ipv4Addr> {
        let octets = address.octets();
        let within = self.places().map(|place| octets[place]);
        let embedded = Ipv4Addr::from(within);
        (self.embed(embedded) == address).then_some(embedded)
    }

    /// The prefixes that the IPv6 addresses of [`IPV4_ONLY`] tell, each once, in the order of the answer (RFC
    /// 7050, section 3). A well-known address is looked for in all places where it may stand.
    pub fn discover(answer: &[SocketAddr]) -> Vec<Nat64Prefix> {
        let mut found = Vec::new();
        for address in answer {
            let SocketAddr::V6(address) = address else { continue };
            let prefix = LENGTHS.iter().find_map(|&length| Nat64Prefix::around(*address.ip(), length));
            if let Some(prefix) = prefix
                && !found.contains(&prefix)
                && found.len() < MOST_PREFIXES
            {
                found.push(prefix);
            }
        }
        found
    }

    /// The prefix of `length` bits before a well-known IPv4 address. It ends with an octet that is not zero
    /// and has only zeros behind it, so an address has it in one place at most.
    fn around(address: Ipv6Addr, length: u8) -> Option<Nat64Prefix> {
        let kept = u128::MAX << (128 - length);
        let prefix = Nat64Prefix::new(Ipv6Addr::from_bits(address.to_bits() & kept), length).ok()?;
        prefix.extract(address).filter(|embedded| WELL_KNOWN_ADDRESSES.contains(embedded)).map(|_| prefix)
    }

    fn embed(&self, address: Ipv4Addr) -> Ipv6Addr {
        let mut octets = self.octets;
        for (place, octet) in self.places().into_iter().zip(address.octets()) {
            octets[place] = octet;
        }
        Ipv6Addr::from(octets)
    }

    /// Where the octets of the IPv4 address stand: behind the prefix, around the bits 64 to 71.
    fn places(&self) -> [usize; 4] {
        let first = usize::from(self.length / 8);
        std::array::from_fn(|n| {
            let place = first + n;
            if first <= U_OCTET && place >= U_OCTET { place + 1 } else { place }
        })
    }
}

impl FromStr for Nat64Prefix {
    type Err = InvalidNat64;

    fn from_str(text: &str) -> Result<Nat64Prefix, InvalidNat64> {
        let (prefix, length) = text.split_once('/').ok_or(InvalidNat64::Malformed)?;
        let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        if !digits {
            return Err(InvalidNat64::Malformed);
        }
        let prefix = prefix.parse().map_err(|_| InvalidNat64::Malformed)?;
        Nat64Prefix::new(prefix, length.parse().map_err(|_| InvalidNat64::Length)?)
    }
}

impl fmt::Display for Nat64Prefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", Ipv6Addr::from(self.octets), self.length)
    }
}

impl InvalidNat64 {
    /// What is wrong, to be read behind a name.
    pub const fn reason(self) -> &'static std::ffi::CStr {
        match self {
            InvalidNat64::Malformed => c"neither \"discover\" nor prefixes such as 64:ff9b::/96 with commas between",
            InvalidNat64::Length => c"the length of a prefix is none of 32, 40, 48, 56, 64 and 96",
            InvalidNat64::Bits => c"a prefix has a bit behind its length, or one of the bits 64 to 71",
            InvalidNat64::TooMany => c"more than 8 prefixes",
        }
    }
}

impl fmt::Display for InvalidNat64 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reason().to_string_lossy())
    }
}

impl std::error::Error for InvalidNat64 {}

/// What is done with IPv4 addresses on a network without IPv4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Nat64 {
    /// Nothing: they are attempted as they are.
    #[default]
    Off,
    /// They are attempted through the network's translator, whose prefixes are asked for when they are needed
    /// (RFC 7050).
    Discover,
    /// The same with prefixes that are known. Thousands of races wait with this in memory: one pointer.
    Prefixes(Arc<Vec<Nat64Prefix>>),
}

impl FromStr for Nat64 {
    type Err = InvalidNat64;

    /// "discover", or prefixes with commas between.
    fn from_str(text: &str) -> Result<Nat64, InvalidNat64> {
        if text == "discover" {
            return Ok(Nat64::Discover);
        }
        if text.split(',').count() > MOST_PREFIXES {
            return Err(InvalidNat64::TooMany);
        }
        Ok(Nat64::Prefixes(Arc::new(text.split(',').map(str::parse).collect::<Result<_, _>>()?)))
    }
}

/// Whether an address can be meant for a translator at all: not what is this host's or this link's alone
/// (version 3 of Happy Eyeballs: 0/8, 127/8, 169.254/16, 255.255.255.255), and not a group.
pub fn is_translated(address: Ipv4Addr) -> bool {
    let of_this_host = address.octets()[0] == 0 || address.is_loopback();
    !(of_this_host || address.is_link_local() || address.is_broadcast() || address.is_multicast())
}

/// Whether the Well-Known Prefix may stand before an address (RFC 6052, section 3.1): not before those of RFC
/// 1918, of RFC 5735, section 3, and, which came later, of RFC 6598.
fn is_global(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let of_protocols = (a, b, c) == (192, 0, 0);
    let of_benchmarks = a == 198 && b & 0xfe == 18;
    let shared = a == 100 && b & 0xc0 == 64;
    let of_6to4_relays = (a, b, c) == (192, 88, 99);
    let reserved = a >= 240;
    let set_aside = of_protocols || of_benchmarks || shared || of_6to4_relays || reserved;
    !(address.is_private() || address.is_documentation() || set_aside)
}
