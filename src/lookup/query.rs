//! What is asked: the names, the hints, and whom to ask.

use super::callback::LookupCallback;
use std::ffi::CStr;
use std::hash::{Hash, Hasher};
use std::net::Ipv6Addr;
use std::sync::Arc;

/// A host name of this many bytes or more is refused (netdb.h, with the terminating zero).
const NI_MAXHOST: usize = 1025;
/// A service name of this many bytes or more is refused (netdb.h, with the terminating zero).
const NI_MAXSERV: usize = 32;

/// The hints of getaddrinfo(3): what its `struct addrinfo` argument says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hints {
    pub flags: i32,
    pub family: i32,
    pub socktype: i32,
    pub protocol: i32,
}

/// The names to look up could not be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// An argument of getaddrinfo(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryArgument {
    Node,
    Service,
}

/// An input that is refused before anything is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub argument: QueryArgument,
    /// The code that getaddrinfo(3) gives for it.
    pub gai_error: i32,
    /// What is wrong with it; "contains a space", as it were, behind the argument's name.
    pub reason: &'static CStr,
}

/// The names of a question, and whom to ask, which all who ask it share: thousands may be in flight.
#[derive(Clone)]
pub(super) struct Names(Arc<Shared>);

struct Shared {
    /// Two octets say how long the host is with its terminating zero (0: there is none); then the host and the
    /// service, each with its zero.
    text: Box<[u8]>,
    callback: Option<Arc<LookupCallback>>,
}

/// The names are equal; whom to ask does not count.
impl PartialEq for Names {
    fn eq(&self, other: &Names) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Names {}

impl Hash for Names {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

/// What stands before the host.
const NODE_LENGTH: usize = 2;

impl Names {
    fn new(
        node: Option<&CStr>,
        service: Option<&CStr>,
        callback: Option<Arc<LookupCallback>>,
    ) -> Result<Names, OutOfMemory> {
        let kept = |name: &CStr, most: usize| name.to_bytes().len().min(most);
        let node = node.map(|node| &node.to_bytes()[..kept(node, NI_MAXHOST)]);
        let service = service.map(|service| &service.to_bytes()[..kept(service, NI_MAXSERV)]);
        let with_zero = |name: Option<&[u8]>| name.map_or(0, |name| name.len() + 1);
        let mut text = Vec::new();
        text.try_reserve_exact(NODE_LENGTH + with_zero(node) + with_zero(service)).map_err(|_| OutOfMemory)?;
        text.extend_from_slice(&(with_zero(node) as u16).to_be_bytes());
        for name in [node, service].into_iter().flatten() {
            text.extend_from_slice(name);
            text.push(0);
        }
        Ok(Names(Arc::new(Shared { text: text.into_boxed_slice(), callback })))
    }

    pub fn node(&self) -> Option<&CStr> {
        let (_, names) = self.0.text.split_at(NODE_LENGTH);
        c_string(&names[..self.node_length()])
    }

    pub fn service(&self) -> Option<&CStr> {
        let (_, names) = self.0.text.split_at(NODE_LENGTH);
        c_string(&names[self.node_length()..])
    }

    /// The host as octets; none where there is no host.
    pub fn host(&self) -> &[u8] {
        let (_, names) = self.0.text.split_at(NODE_LENGTH);
        &names[..self.node_length().saturating_sub(1)]
    }

    fn node_length(&self) -> usize {
        self.0.text.first_chunk().map_or(0, |length| usize::from(u16::from_be_bytes(*length)))
    }
}

/// One question. Cheap to clone: the names are shared.
#[derive(Clone)]
pub struct Query {
    names: Names,
    hints: Hints,
    form: Form,
    for_libc: bool,
}

/// In which form the asker wants the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// The list that getaddrinfo(3) makes, with all that stands in it.
    List,
    /// Its addresses alone, in its order.
    Addresses,
    /// The addresses as the source has them: the asker sorts them itself.
    Unsorted,
}

impl Query {
    /// Copies the names. Of a name that is longer than any that is asked for, only so much is kept as shows
    /// that it is.
    pub fn new(
        node: Option<&CStr>,
        service: Option<&CStr>,
        hints: Hints,
        callback: Option<Arc<LookupCallback>>,
    ) -> Result<Query, OutOfMemory> {
        Ok(Query { names: Names::new(node, service, callback)?, hints, form: Form::List, for_libc: false })
    }

    /// The same question for an address family, with the answer in another form. [`Form::Unsorted`] costs
    /// less than the others, and leaves out the lock of libc that a fork leaves locked in the child (see
    /// `host.rs`).
    pub fn with(&self, family: i32, form: Form) -> Query {
        Query { hints: Hints { family, ..self.hints }, form, ..self.clone() }
    }

    /// The same question without these of its flags.
    pub fn without_flags(self, flags: i32) -> Query {
        Query { hints: Hints { flags: self.hints.flags & !flags, ..self.hints }, ..self }
    }

    /// The same question, to be asked of libc whatever this library could find out by itself.
    pub fn for_libc(self) -> Query {
        Query { for_libc: true, ..self }
    }

    /// Whether nobody but libc, or the caller's function, is to be asked.
    pub fn is_for_libc(&self) -> bool {
        self.for_libc || self.has_callback()
    }

    /// Whether the caller's function is asked.
    pub fn has_callback(&self) -> bool {
        self.callback().is_some()
    }

    /// The port, where no service has to be looked up for it: 0 if none is asked for.
    pub fn port(&self) -> Option<u16> {
        let Some(service) = self.service() else { return Some(0) };
        if service.is_empty() { Some(0) } else { service.to_str().ok()?.parse().ok() }
    }

    /// Whether the host is a name, where the question [passes](Query::check): somebody has to be asked for it.
    pub fn is_for_name(&self) -> bool {
        self.node().is_some_and(|node| !may_be_numeric(node.to_bytes()))
    }

    pub fn form(&self) -> Form {
        self.form
    }

    /// The function that stands in for getaddrinfo(3).
    pub(super) fn callback(&self) -> Option<&Arc<LookupCallback>> {
        self.names.0.callback.as_ref()
    }

    /// The names, to be kept for as long as somebody looks them up.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub fn hints(&self) -> Hints {
        self.hints
    }

    pub fn node(&self) -> Option<&CStr> {
        self.names.node()
    }

    pub fn service(&self) -> Option<&CStr> {
        self.names.service()
    }

    /// Refuses what no resolver should be asked. What getaddrinfo(3) itself refuses at little cost (unknown
    /// flags and families) is left to it; bytes above 0x7f and trailing dots pass as they are.
    pub fn check(&self) -> Result<(), Rejection> {
        let refuse = |argument, gai_error, reason| Err(Rejection { argument, gai_error, reason });
        let node = self.node().map(CStr::to_bytes);
        let service = self.service().map(CStr::to_bytes);
        if node.is_none() && service.is_none() {
            return refuse(QueryArgument::Node, libc::EAI_NONAME, c"neither a host nor a service is given");
        }
        if let Some(node) = node {
            if node.is_empty() {
                return refuse(QueryArgument::Node, libc::EAI_NONAME, c"the host is empty");
            }
            if node.len() >= NI_MAXHOST {
                return refuse(QueryArgument::Node, libc::EAI_NONAME, c"the host is longer than 1024 bytes");
            }
            if node.iter().any(|&byte| is_blank_or_control(byte)) {
                return refuse(
                    QueryArgument::Node,
                    libc::EAI_NONAME,
                    c"the host contains a space or a control character",
                );
            }
        }
        if let Some(service) = service {
            if service.len() >= NI_MAXSERV {
                return refuse(QueryArgument::Service, libc::EAI_SERVICE, c"the service is longer than 31 bytes");
            }
            if service.iter().any(|&byte| is_blank_or_control(byte)) {
                return refuse(
                    QueryArgument::Service,
                    libc::EAI_SERVICE,
                    c"the service contains a space or a control character",
                );
            }
            let digits = service.strip_prefix(b"-").or_else(|| service.strip_prefix(b"+")).unwrap_or(service);
            if is_digits(digits) && (digits.len() != service.len() || !is_port(digits)) {
                // glibc would take the number modulo 65536.
                return refuse(QueryArgument::Service, libc::EAI_SERVICE, c"the port is not a number from 0 to 65535");
            }
        }
        Ok(())
    }
}

/// One of the names, with its zero; none where there is no such name.
fn c_string(name: &[u8]) -> Option<&CStr> {
    // SAFETY: `Names::new` has copied it from a C string, and put a zero behind it.
    (!name.is_empty()).then(|| unsafe { CStr::from_bytes_with_nul_unchecked(name) })
}

fn is_blank_or_control(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f
}

/// True also for an empty service, which getaddrinfo(3) takes as port 0.
pub(super) fn is_digits(service: &[u8]) -> bool {
    service.iter().all(u8::is_ascii_digit)
}

fn is_port(digits: &[u8]) -> bool {
    let significant = digits.iter().position(|&digit| digit != b'0').unwrap_or(digits.len());
    let digits = &digits[significant..];
    digits.len() <= 5 && digits.iter().fold(0u32, |number, digit| number * 10 + u32::from(digit - b'0')) <= 65535
}

/// An IPv6 address with a scope behind it, whether or not there is such a scope.
pub(super) fn is_scoped_address(node: &[u8]) -> bool {
    let Some(percent) = node.iter().position(|&byte| byte == b'%') else { return false };
    std::str::from_utf8(&node[..percent]).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// Every form that inet_aton(3) takes starts with a digit, and every IPv6 address has a colon; few names do
/// either.
pub(super) fn may_be_numeric(node: &[u8]) -> bool {
    node.first().is_some_and(u8::is_ascii_digit) || node.contains(&b':')
}
