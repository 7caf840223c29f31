//! How a question is asked: of libc, or of the caller's own lookup function.

use super::answer::{Answer, Found};
use super::callback::LookupCallback;
use super::fork_gate;
use super::list::AddressList;
use super::query::{Form, Hints, Query, is_digits, is_scoped_address, may_be_numeric};
use crate::race::LookupError;
use crate::sys::clear_errno;
use std::ffi::{CStr, c_char, c_int};
use std::net::SocketAddr;
use std::sync::Arc;

impl Query {
    /// The answer, if it needs no worker: a question that [`check`](Query::check) refuses, or a host and a
    /// service that are both numeric or not given. Does no I/O, but for `AI_ADDRCONFIG`, which makes libc
    /// ask the kernel for its addresses.
    pub fn answer_at_once(&self) -> Option<Answer> {
        if let Err(rejection) = self.check() {
            return Some(Err(LookupError { gai_error: rejection.gai_error, sys_errno: 0 }));
        }
        let node = self.node().map(CStr::to_bytes);
        let service = self.service().map(CStr::to_bytes);
        // A service by name is looked up in /etc/services or wherever else NSS says.
        if !service.is_none_or(is_digits) || !node.is_none_or(may_be_numeric) {
            return None;
        }
        let mut flags = self.hints().flags;
        if service.is_some() {
            flags |= libc::AI_NUMERICSERV;
        }
        if node.is_some() {
            flags |= libc::AI_NUMERICHOST;
        }
        match ask_libc(self.node(), self.service(), Hints { flags, ..self.hints() }) {
            // It only looked like an address ("1.example", "a:b"). An address with a scope that there is not
            // ("fe80::1%nosuch") is one all the same, and no name: getaddrinfo(3) asks nobody.
            Err(error)
                if error.gai_error == libc::EAI_NONAME
                    && self.hints().flags & libc::AI_NUMERICHOST == 0
                    && !node.is_some_and(is_scoped_address) =>
            {
                None
            }
            // The answer has the flags of the question, and these two were not asked for.
            Ok(mut list) => {
                list.set_flags(self.hints().flags);
                Some(Ok(self.found(list)))
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// The port of the service: libc is asked where it has a name. For a system whose services are in files.
    pub fn service_port(&self) -> Result<u16, LookupError> {
        if let Some(port) = self.port() {
            return Ok(port);
        }
        let flags = self.hints().flags & libc::AI_NUMERICSERV | libc::AI_NUMERICHOST;
        let hints = Hints { flags, family: libc::AF_INET, ..self.hints() };
        let list = ask_libc(Some(c"0.0.0.0"), self.service(), hints)?;
        Ok(list.iter().next().map_or(0, |address| address.port()))
    }

    /// Asks, and takes as long as it takes. For worker threads.
    pub fn ask(&self) -> Answer {
        let list = match self.callback() {
            None if self.is_plain() => return fork_gate::pass(|| self.ask_nss()).map(Found::Addresses),
            None => fork_gate::pass(|| ask_libc(self.node(), self.service(), self.hints())),
            Some(callback) => {
                // SAFETY: the names and hints outlive the call.
                let function = |node, service, hints, list| unsafe { callback.call(node, service, hints, list) };
                ask_function(self.node(), self.service(), self.hints(), function, Some(callback.clone()))
            }
        };
        list.map(|list| self.found(list))
    }

    /// The list in the form that was asked for. A list that nobody wants is freed here, by the thread that
    /// made it.
    fn found(&self, list: AddressList) -> Found {
        match self.form() {
            Form::List => Found::List(list),
            Form::Addresses | Form::Unsorted => Found::Addresses(list.iter().collect()),
        }
    }
}

impl Query {
    /// Whether the question has none of the turns that getaddrinfo(3) would have to take.
    fn is_plain(&self) -> bool {
        let Hints { flags, family, socktype, protocol } = self.hints();
        self.form() == Form::Unsorted
            // What looks like an address and is none ("300.1.1.1") each of libc's functions takes in its own way.
            && self.node().is_some_and(|node| !may_be_numeric(node.to_bytes()))
            && flags & !libc::AI_NUMERICSERV == 0
            && (family == libc::AF_INET6 || family == libc::AF_INET)
            && socktype == libc::SOCK_STREAM
            && (protocol == 0 || protocol == libc::IPPROTO_TCP)
    }

    fn ask_nss(&self) -> Result<Vec<SocketAddr>, LookupError> {
        // Without a host getaddrinfo(3) has one address of the family to give, and the port with it.
        let port = match self.service() {
            None => 0,
            Some(_) => {
                let list = ask_libc(None, self.service(), self.hints())?;
                list.iter().next().map_or(0, |address| address.port())
            }
        };
        let Some(node) = self.node() else { return Err(LookupError { gai_error: libc::EAI_NONAME, sys_errno: 0 }) };
        let hosts = super::host::ask(node, self.hints().family).map_err(|failure| {
            match failure.gai_error(self.hints().family) {
                libc::EAI_SYSTEM => lookup_error(libc::EAI_SYSTEM, failure.errno),
                gai_error => LookupError { gai_error, sys_errno: 0 },
            }
        })?;
        // A link-local address is of no use without its interface, which only getaddrinfo(3) gives (sin6_scope_id).
        if hosts.iter().any(|host| matches!(host, std::net::IpAddr::V6(v6) if v6.is_unicast_link_local())) {
            let list = ask_libc(self.node(), self.service(), self.hints())?;
            return Ok(list.iter().collect());
        }
        Ok(hosts.into_iter().map(|host| SocketAddr::new(host, port)).collect())
    }
}

pub(super) fn ask_libc(node: Option<&CStr>, service: Option<&CStr>, hints: Hints) -> Result<AddressList, LookupError> {
    let function = |node, service, hints, list| {
        clear_errno();
        // SAFETY: the names are C strings, the hints are initialised, and the list is written only on success.
        unsafe { libc::getaddrinfo(node, service, hints, list) }
    };
    ask_function(node, service, hints, function, None)
}

fn ask_function(
    node: Option<&CStr>,
    service: Option<&CStr>,
    hints: Hints,
    function: impl FnOnce(*const c_char, *const c_char, *const libc::addrinfo, *mut *mut libc::addrinfo) -> c_int,
    maker: Option<Arc<LookupCallback>>,
) -> Result<AddressList, LookupError> {
    // SAFETY: all zeros is a valid addrinfo: integers and null pointers.
    let mut raw_hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    raw_hints.ai_flags = hints.flags;
    raw_hints.ai_family = hints.family;
    raw_hints.ai_socktype = hints.socktype;
    raw_hints.ai_protocol = hints.protocol;
    let pointer = |name: Option<&CStr>| name.map_or(std::ptr::null(), CStr::as_ptr);
    let mut list = std::ptr::null_mut();
    let from_caller = maker.is_some();
    match function(pointer(node), pointer(service), &raw_hints, &mut list) {
        // SAFETY: the function succeeded, so the list is its own and now ours; it ends, or is let go of unread below.
        0 if !from_caller || unsafe { ends(list) } => Ok(unsafe { AddressList::from_raw(list, maker) }),
        // It may have no end, and then nobody can free it.
        0 => Err(LookupError { gai_error: libc::EAI_FAIL, sys_errno: 0 }),
        gai_error => {
            let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
            Err(lookup_error(gai_error, errno))
        }
    }
}

/// The longest list that is taken from a caller's function.
const LONGEST_LIST: usize = 4096;

/// Whether a list of a caller's function has an end, within the length that is taken.
///
/// # Safety
/// Null, or a node whose `ai_next` is such a list.
unsafe fn ends(mut list: *const libc::addrinfo) -> bool {
    for _ in 0..=LONGEST_LIST {
        // SAFETY: promised by the caller.
        match unsafe { list.as_ref() } {
            None => return true,
            Some(node) => list = node.ai_next,
        }
    }
    false
}

/// Whether getaddrinfo(3) has such a code: EAI_BADFLAGS to EAI_OVERFLOW of netdb.h, without a gap in glibc,
/// and EAI_INPROGRESS to EAI_IDN_ENCODE, which are GNU's.
fn is_gai_error(code: c_int) -> bool {
    (libc::EAI_OVERFLOW..=libc::EAI_BADFLAGS).contains(&code) || (-105..=-100).contains(&code)
}

fn lookup_error(gai_error: c_int, errno: i32) -> LookupError {
    // A caller's function may answer anything. What is no code must not pass for a status.
    if !is_gai_error(gai_error) {
        return LookupError { gai_error: libc::EAI_FAIL, sys_errno: 0 };
    }
    // With "mdns4_minimal [NOTFOUND=return]" in nsswitch.conf and no mDNS daemon, glibc reports the missing
    // socket of the daemon for a name that does not exist.
    if gai_error == libc::EAI_SYSTEM && errno == libc::ENOENT {
        return LookupError { gai_error: libc::EAI_NONAME, sys_errno: 0 };
    }
    LookupError { gai_error, sys_errno: if gai_error == libc::EAI_SYSTEM { errno } else { 0 } }
}
