//! What is asked: the names, the hints, and whom to ask.

use super::callback::LookupCallback;
use std::ffi::{CStr, CString};
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

#[derive(Debug)]
struct Names {
    node: Option<CString>,
    service: Option<CString>,
}

/// One question. Cheap to clone: the names are shared.
#[derive(Clone)]
pub struct Query {
    names: Arc<Names>,
    hints: Hints,
    form: Form,
    for_libc: bool,
    callback: Option<Arc<LookupCallback>>,
}

/// In which form the asker wants the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        let copy = |name: Option<&CStr>, most: usize| name.map(|name| copy(name.to_bytes(), most)).transpose();
        let names = Names { node: copy(node, NI_MAXHOST)?, service: copy(service, NI_MAXSERV)? };
        Ok(Query { names: Arc::new(names), hints, form: Form::List, for_libc: false, callback })
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
        self.for_libc || self.callback.is_some()
    }

    /// Whether the caller's function is asked.
    pub fn has_callback(&self) -> bool {
        self.callback.is_some()
    }

    /// The port, where no service has to be looked up for it: 0 if none is asked for.
    pub fn port(&self) -> Option<u16> {
        let Some(service) = self.service() else { return Some(0) };
        if service.is_empty() { Some(0) } else { service.to_str().ok()?.parse().ok() }
    }

    pub fn form(&self) -> Form {
        self.form
    }

    /// The function that stands in for getaddrinfo(3).
    pub(super) fn callback(&self) -> Option<&Arc<LookupCallback>> {
        self.callback.as_ref()
    }

    pub fn hints(&self) -> Hints {
        self.hints
    }

    pub fn node(&self) -> Option<&CStr> {
        self.names.node.as_deref()
    }

    pub fn service(&self) -> Option<&CStr> {
        self.names.service.as_deref()
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

fn copy(name: &[u8], most: usize) -> Result<CString, OutOfMemory> {
    let kept = &name[..name.len().min(most)];
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(kept.len() + 1).map_err(|_| OutOfMemory)?;
    bytes.extend_from_slice(kept);
    // SAFETY: the bytes come from a CStr and contain no zero. The reserved byte takes the terminator.
    Ok(unsafe { CString::from_vec_unchecked(bytes) })
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
