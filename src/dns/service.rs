//! Service bindings: what SVCB and HTTPS records say about where and how a service is reached (RFC 9460).
//!
//! Record data in wire form becomes a [`ServiceRecord`], or is malformed. Malformed is one thing, of no use
//! to this client another: for the first the whole set is thrown away, for the second the record alone
//! (sections 2.2 and 8), so that [`ServiceRecord::usable`] is asked record by record.
use super::name_wire::{NotAName, WireName};
use super::question::RecordType;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The keys of parameters that are known here (section 14.3.2; `ech` is RFC 9848's).
mod key {
    pub const MANDATORY: u16 = 0;
    pub const ALPN: u16 = 1;
    pub const NO_DEFAULT_ALPN: u16 = 2;
    pub const PORT: u16 = 3;
    pub const IPV4_HINT: u16 = 4;
    pub const ECH: u16 = 5;
    pub const IPV6_HINT: u16 = 6;
}

/// The protocol that a server of `https` speaks unless its record says otherwise (section 7.1).
pub(super) const HTTPS_DEFAULT_ALPN: &[u8] = b"http/1.1";

/// One SVCB or HTTPS record (RFC 9460, section 2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceRecord {
    /// `SvcPriority`: the lower, the sooner. 0 (AliasMode) never comes out of a lookup, which follows it.
    pub priority: u16,
    /// `TargetName`, the host whose addresses count, in presentation form without the dot at the end. Empty:
    /// the name that owns the record.
    pub target: String,
    /// The ids of the protocols that the server offers (ALPN, RFC 7301), without the one that goes without
    /// saying.
    pub alpn: Vec<Vec<u8>>,
    /// The protocol that goes without saying is not offered.
    pub no_default_alpn: bool,
    /// The port, where it is another than that of the service.
    pub port: Option<u16>,
    /// Addresses of the target, to be used until its own are known.
    pub ipv4_hints: Vec<Ipv4Addr>,
    /// As `ipv4_hints`.
    pub ipv6_hints: Vec<Ipv6Addr>,
    /// What Encrypted Client Hello needs: an `ECHConfigList` as it is on the wire (RFC 9849).
    pub ech: Option<Vec<u8>>,
    /// The keys that a client has to know and obey for the record to be of use.
    pub mandatory: Vec<u16>,
    /// The keys of all parameters, in ascending order.
    pub keys: Vec<u16>,
}

/// Why a record is of no use to a client, although it is well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unusable {
    /// It has to be understood in full, and this key of it is not known.
    UnknownMandatoryKey(u16),
    /// It calls a key mandatory that it does not have.
    MissingMandatoryKey(u16),
    /// It says that the default protocol is not offered, and names no other.
    NoProtocol,
    /// It offers no protocol that the client speaks.
    NoCommonProtocol,
}

/// The records that a name has, with the way that led to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Services {
    /// The name that owns the records: the one that was asked for, or the last one that AliasMode records led
    /// to, in presentation form without the dot at the end. Where it has no records it is the name to connect
    /// to (RFC 9460, section 3).
    pub owner: String,
    /// How many AliasMode records were followed.
    pub aliases: u8,
    /// The id of the protocol that goes without saying, for [`ServiceRecord::usable`]: `http/1.1` of `https`,
    /// none of others.
    pub default_alpn: Option<&'static [u8]>,
    /// In ascending order of priority; those of equal priority as the server has them.
    pub records: Vec<ServiceRecord>,
    /// For how many seconds they hold: the smallest time to live of what was used. None without records.
    pub ttl: Option<u32>,
}

/// What is asked for the bindings of a service, and how what comes is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceQuestion {
    /// In presentation form, with a dot at the end: no search list is used.
    pub name: Vec<u8>,
    /// HTTPS or SVCB.
    pub record_type: RecordType,
}

impl ServiceQuestion {
    /// The question for a service of a host (RFC 9460, sections 2.3 and 9.1): `https` for the default port,
    /// `_PORT._https`, `_PORT._SCHEME` or `_SCHEME` for others.
    ///
    /// # Errors
    /// That is none of them, or with the host it is no name.
    pub fn new(host: &[u8], service: &str) -> Result<ServiceQuestion, NotAName> {
        let is_scheme = |label: &str| {
            label.starts_with(|first: char| first.is_ascii_alphabetic())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let (port, scheme) = match service.rsplit_once('.') {
            None if service == "https" => (None, "https"),
            None => (None, service.strip_prefix('_').ok_or(NotAName)?),
            Some((port, scheme)) => {
                let port = port.strip_prefix('_').ok_or(NotAName)?;
                let digits = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
                let number: u16 = port.parse().ok().filter(|_| digits).ok_or(NotAName)?;
                (Some(number), scheme.strip_prefix('_').ok_or(NotAName)?)
            }
        };
        if !is_scheme(scheme) {
            return Err(NotAName);
        }
        let is_https = scheme.eq_ignore_ascii_case("https");
        let record_type = if is_https { RecordType::Https } else { RecordType::Svcb };
        let prefix = match port {
            // The default port of https has no labels of its own.
            None | Some(443) if is_https => String::new(),
            Some(port) => format!("_{port}._{scheme}."),
            None => format!("_{scheme}."),
        };
        let mut name = [prefix.as_bytes(), host].concat();
        if !name.ends_with(b".") {
            name.push(b'.');
        }
        if host.is_empty() || host == b"." {
            return Err(NotAName);
        }
        WireName::from_presentation(name.iter().copied())?;
        Ok(ServiceQuestion { name, record_type })
    }
}

impl ServiceRecord {
    /// The record that record data holds; None: it is malformed. A target is not compressed, keys ascend, and
    /// what is known has the form that it must have.
    pub fn read(data: &[u8]) -> Option<ServiceRecord> {
        let priority = u16::from_be_bytes(*data.first_chunk()?);
        let (target, after) = WireName::read(data, 2).ok()?;
        if data.get(2..after)? != target.octets() {
            return None;
        }
        let mut record = ServiceRecord { priority, target: target.to_string(), ..ServiceRecord::default() };
        // What follows in an AliasMode record is not looked at (section 2.4.2).
        if record.is_alias() {
            return Some(record);
        }
        let mut rest = &data[after..];
        while !rest.is_empty() {
            let (key, value);
            (key, value, rest) = read_parameter(rest)?;
            if record.keys.last().is_some_and(|last| *last >= key) {
                return None;
            }
            record.keys.push(key);
            record.set(key, value)?;
        }
        Some(record)
    }

    /// AliasMode: the bindings of another name count in place of those of this one.
    pub fn is_alias(&self) -> bool {
        self.priority == 0
    }

    fn set(&mut self, key: u16, value: &[u8]) -> Option<()> {
        match key {
            key::MANDATORY => {
                self.mandatory = items(value, u16::from_be_bytes)?;
                let ascends = self.mandatory.windows(2).all(|pair| pair[0] < pair[1]);
                // It is mandatory itself without being listed, and must not be (section 8).
                (ascends && self.mandatory[0] != key::MANDATORY).then_some(())
            }
            key::ALPN => {
                self.alpn = read_alpn(value)?;
                Some(())
            }
            key::NO_DEFAULT_ALPN => {
                self.no_default_alpn = true;
                value.is_empty().then_some(())
            }
            key::PORT => {
                self.port = Some(u16::from_be_bytes(value.try_into().ok()?));
                Some(())
            }
            key::IPV4_HINT => {
                self.ipv4_hints = items(value, <Ipv4Addr as From<[u8; 4]>>::from)?;
                Some(())
            }
            key::ECH => {
                self.ech = Some(value.to_vec());
                (!value.is_empty()).then_some(())
            }
            key::IPV6_HINT => {
                self.ipv6_hints = items(value, <Ipv6Addr as From<[u8; 16]>>::from)?;
                Some(())
            }
            _ => Some(()),
        }
    }

    /// The protocols by which a client can use the record, in the record's order: those that it offers and
    /// that the client speaks; all that it offers where the client names none. No protocol at all is an
    /// answer where none is named on either side.
    ///
    /// # Errors
    /// Why the record is of no use (section 2.4.3, 7.1 and 8).
    pub fn usable<'a>(&'a self, default_alpn: Option<&'a [u8]>, spoken: &[Vec<u8>]) -> Result<Vec<&'a [u8]>, Unusable> {
        if let Some(unknown) = self.mandatory.iter().find(|key| **key > key::IPV6_HINT) {
            return Err(Unusable::UnknownMandatoryKey(*unknown));
        }
        if let Some(missing) = self.mandatory.iter().find(|key| !self.keys.contains(key)) {
            return Err(Unusable::MissingMandatoryKey(*missing));
        }
        if self.no_default_alpn && self.alpn.is_empty() {
            return Err(Unusable::NoProtocol);
        }
        let mut offered: Vec<&[u8]> = self.alpn.iter().map(Vec::as_slice).collect();
        let default_alpn = default_alpn.filter(|id| !self.no_default_alpn && !offered.contains(id));
        offered.extend(default_alpn);
        // Without a protocol by name the service has one of its own, which is not this client's to judge.
        if spoken.is_empty() || offered.is_empty() {
            return Ok(offered);
        }
        offered.retain(|id| spoken.iter().any(|spoken| spoken == id));
        if offered.is_empty() { Err(Unusable::NoCommonProtocol) } else { Ok(offered) }
    }
}

/// The first parameter: its key, its value, and what follows.
fn read_parameter(data: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (key, data) = data.split_first_chunk()?;
    let (length, data) = data.split_first_chunk()?;
    let (value, rest) = data.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((u16::from_be_bytes(*key), value, rest))
}

/// A list of things of one size, at least one.
fn items<const SIZE: usize, T>(value: &[u8], item: impl Fn([u8; SIZE]) -> T) -> Option<Vec<T>> {
    let (items, rest) = value.as_chunks::<SIZE>();
    (!items.is_empty() && rest.is_empty()).then(|| items.iter().map(|octets| item(*octets)).collect())
}

/// A list of ids, each with its length before it: at least one, and none is empty (section 7.1.1).
fn read_alpn(mut value: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut ids = Vec::new();
    while let Some((length, rest)) = value.split_first() {
        let (id, rest) = rest.split_at_checked(usize::from(*length))?;
        if id.is_empty() {
            return None;
        }
        ids.push(id.to_vec());
        value = rest;
    }
    (!ids.is_empty()).then_some(ids)
}
