//! One name asked of systemd-resolved, as nss-resolve(8) asks it: a call of the Varlink protocol over a
//! stream socket of this machine, and how its reply counts.
//!
//! A call is one JSON object and a zero byte, and so is its reply. What nss-resolve makes of a reply is kept
//! to the letter (`src/nss-resolve/nss-resolve.c` of systemd): with `[!UNAVAIL=return]` behind `resolve` in
//! nsswitch.conf(5), as nearly everywhere, everything but [`UNAVAILABLE`] is the last word about a name.
use super::answer::Address;
use super::failure::{Failure, HostError, Status};
use super::json::{self, Value};
use super::{Families, Family};
use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// How long systemd-resolved is waited for (`SD_RESOLVED_QUERY_TIMEOUT_USEC` of systemd): longer than any
/// lookup of its own takes.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The longest reply that is read. One message by TCP holds 4,095 A or 2,340 AAAA records, and an address is
/// at most 60 or 105 bytes of JSON; this is what both families come to, and some more.
pub const LONGEST_REPLY: usize = 512 * 1024;

/// Nobody is there who could tell, the connection has ended, or it is another protocol: the next source is
/// asked.
pub const UNAVAILABLE: Failure = Failure { status: Status::Unavailable, error: HostError::NoRecovery };
const TRY_AGAIN: Failure = Failure { status: Status::TryAgain, error: HostError::TryAgain };

/// Errors by which the protocol itself has failed.
const PROTOCOL_ERRORS: [&str; 6] = [
    "io.systemd.Disconnected",
    "io.systemd.TimedOut",
    "io.systemd.Protocol",
    "org.varlink.service.InterfaceNotFound",
    "org.varlink.service.MethodNotFound",
    "org.varlink.service.MethodNotImplemented",
];
/// Errors of a network that is not there, or of servers that do not answer.
const PASSING_ERRORS: [&str; 4] = [
    "io.systemd.Resolve.NoNameServers",
    "io.systemd.Resolve.QueryTimedOut",
    "io.systemd.Resolve.MaxAttemptsReached",
    "io.systemd.Resolve.NetworkDown",
];
/// The name exists, and has no such address. Any other error stands for a name that does not.
const NO_SUCH_RECORD: &str = "io.systemd.Resolve.NoSuchResourceRecord";

/// What systemd-resolved knows: its addresses of the families that were asked for, in its order.
pub type Outcome = Result<Vec<Address>, Failure>;

/// A call, until its reply is there in full. Bytes and time come in; it opens nothing.
#[derive(Debug)]
pub struct Call {
    families: Families,
    tells_no_data: bool,
    deadline: Instant,
    /// What was not sent yet.
    unsent: Vec<u8>,
    received: Vec<u8>,
}

impl Call {
    /// The call for a name.
    ///
    /// `tells_no_data`: whether this system's nss-resolve tells a name without such an address from a name
    /// that does not exist. It does since systemd 254, and in what distributions made of older ones: its file
    /// names [`no_such_record`].
    ///
    /// # Errors
    /// What nss-resolve answers, without asking, for a name that is not UTF-8.
    pub fn new(name: &[u8], families: Families, tells_no_data: bool, now: Instant) -> Result<Call, Failure> {
        let name = std::str::from_utf8(name).map_err(|_| UNAVAILABLE)?;
        let mut unsent = Vec::with_capacity(100 + name.len());
        unsent.extend_from_slice(br#"{"method":"io.systemd.Resolve.ResolveHostname","parameters":{"name":"#);
        json::write_string(name, &mut unsent);
        if let Families::Only(family) = families {
            unsent.extend_from_slice(format!(",\"family\":{}", address_family(family)).as_bytes());
        }
        unsent.extend_from_slice(b",\"flags\":0}}\0");
        Ok(Call { families, tells_no_data, deadline: now + LIMIT, unsent, received: Vec::new() })
    }

    /// What is to be sent.
    pub fn unsent(&self) -> &[u8] {
        &self.unsent
    }

    /// So many bytes of it were sent.
    pub fn sent(&mut self, count: usize) {
        self.unsent.drain(..count.min(self.unsent.len()));
        if self.unsent.is_empty() {
            // Waiting costs no memory.
            self.unsent = Vec::new();
        }
    }

    /// A piece of the reply has come. None: it is not complete. Once there was an outcome the call is over.
    pub fn receive(&mut self, piece: &[u8]) -> Option<Outcome> {
        let end = piece.iter().position(|&byte| byte == 0);
        let piece = &piece[..end.unwrap_or(piece.len())];
        if piece.len() > LONGEST_REPLY - self.received.len() {
            return Some(Err(UNAVAILABLE));
        }
        if end.is_some() && self.received.is_empty() {
            return Some(self.outcome(piece));
        }
        self.received.extend_from_slice(piece);
        end.is_some().then(|| self.outcome(&self.received))
    }

    /// When it is given up.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Gives it up, if it is time.
    pub fn expire(&self, now: Instant) -> Option<Outcome> {
        (now >= self.deadline).then_some(Err(UNAVAILABLE))
    }

    fn outcome(&self, reply: &[u8]) -> Outcome {
        let reply = json::parse(reply).map_err(|_| UNAVAILABLE)?;
        let reply = Reply::of(&reply).ok_or(UNAVAILABLE)?;
        match reply.error {
            Some(error) => Err(self.failure(error)),
            None => {
                let addresses = reply.parameters.and_then(|parameters| self.addresses(parameters));
                addresses.ok_or(UNAVAILABLE)?.ok_or(Failure::HOST_NOT_FOUND)
            }
        }
    }

    fn failure(&self, error: &str) -> Failure {
        if PASSING_ERRORS.contains(&error) {
            TRY_AGAIN
        } else if PROTOCOL_ERRORS.contains(&error) {
            UNAVAILABLE
        } else if error == NO_SUCH_RECORD && self.tells_no_data {
            Failure::NO_DATA
        } else {
            Failure::HOST_NOT_FOUND
        }
    }

    /// The addresses that a reply brings. The outer None: it is not of the form that it should have; the
    /// inner one: there is none.
    fn addresses(&self, parameters: &Object) -> Option<Option<Vec<Address>>> {
        let [entries, name, flags] = fields(parameters, ["addresses", "name", "flags"])?;
        let well_formed =
            matches!(name, None | Some(Value::Text(_))) && matches!(flags, None | Some(Value::Integer(0..)));
        let Some(Value::Array(entries)) = entries.filter(|_| well_formed) else { return None };
        let mut addresses = Vec::with_capacity(entries.len());
        for entry in entries {
            addresses.extend(self.address(entry)?);
        }
        Some(Some(addresses).filter(|addresses| !addresses.is_empty()))
    }

    /// An address, if it is one of those that were asked for.
    fn address(&self, entry: &Value) -> Option<Option<Address>> {
        let Value::Object(entry) = entry else { return None };
        let [ifindex, family, octets] = fields(entry, ["ifindex", "family", "address"])?;
        let ifindex = match ifindex {
            None => 0,
            Some(Value::Integer(index)) => i32::try_from(*index).ok()?,
            Some(_) => return None,
        };
        let (Some(Value::Integer(number)), Some(Value::Array(octets))) = (family, octets) else { return None };
        let octets: Vec<u8> = octets.iter().map(octet).collect::<Option<_>>()?;
        if !matches!(octets.len(), 4 | 16) {
            return None;
        }
        let asked = |family| self.families == Families::Both || self.families == Families::Only(family);
        let wanted = [Family::V6, Family::V4].into_iter().find(|&family| *number == i64::from(address_family(family)));
        let Some(family) = wanted.filter(|&family| asked(family)) else { return Some(None) };
        let ip = match family {
            Family::V4 => IpAddr::from(<[u8; 4]>::try_from(octets).ok()?),
            Family::V6 => IpAddr::from(<[u8; 16]>::try_from(octets).ok()?),
        };
        Some(Some(Address { ip, scope_id: self.scope_id(ip, ifindex) }))
    }

    /// The interface counts for addresses of link-local scope. Asked for IPv6 alone, getaddrinfo(3) goes
    /// through a form (`struct hostent`) that has no place for it.
    fn scope_id(&self, ip: IpAddr, ifindex: i32) -> u32 {
        match ip {
            IpAddr::V6(ip) if Ipv6Addr::is_unicast_link_local(&ip) && self.families == Families::Both => {
                u32::try_from(ifindex).unwrap_or(0)
            }
            _ => 0,
        }
    }
}

/// What tells that a file of nss-resolve knows names without addresses: the string is in it.
pub fn no_such_record() -> &'static [u8] {
    NO_SUCH_RECORD.as_bytes()
}

type Object<'a> = [(Cow<'a, str>, Value<'a>)];

/// A reply's own fields.
struct Reply<'a> {
    error: Option<&'a str>,
    parameters: Option<&'a Object<'a>>,
}

impl<'a> Reply<'a> {
    /// None if it has not the form of a reply to a call that asked for one.
    fn of(reply: &'a Value<'a>) -> Option<Reply<'a>> {
        let Value::Object(reply) = reply else { return None };
        if reply.iter().any(|(name, _)| !matches!(&**name, "error" | "parameters" | "continues")) {
            return None;
        }
        let [error, parameters, continues] = fields(reply, ["error", "parameters", "continues"])?;
        if !matches!(continues, None | Some(Value::Bool(false))) {
            return None;
        }
        let error = match error {
            None => None,
            Some(Value::Text(error)) => Some(&**error).filter(|error| !error.is_empty()),
            Some(_) => return None,
        };
        let parameters = match parameters {
            None | Some(Value::Null) => None,
            Some(Value::Object(parameters)) => Some(&parameters[..]),
            Some(_) => return None,
        };
        Some(Reply { error, parameters })
    }
}

/// The values of these fields; None if one of them comes twice. Others are passed over.
fn fields<'a, const N: usize>(object: &'a Object<'a>, names: [&str; N]) -> Option<[Option<&'a Value<'a>>; N]> {
    let mut values = [None; N];
    for (name, value) in object {
        if let Some(place) = names.iter().position(|wanted| wanted == name)
            && values[place].replace(value).is_some()
        {
            return None;
        }
    }
    Some(values)
}

fn octet(value: &Value) -> Option<u8> {
    match value {
        Value::Integer(number) => u8::try_from(*number).ok(),
        _ => None,
    }
}

fn address_family(family: Family) -> i32 {
    match family {
        Family::V6 => libc::AF_INET6,
        Family::V4 => libc::AF_INET,
    }
}
