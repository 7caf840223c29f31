//! How a question is asked: of libc, or of the caller's own lookup function.

use super::answer::{Answer, Found};
use super::callback::LookupCallback;
use super::fork_gate;
use super::list::AddressList;
use super::query::{Form, Hints, Query, is_digits, may_be_numeric};
use crate::race::LookupError;
use std::ffi::{CStr, c_char, c_int};
use std::net::SocketAddr;
use std::sync::Arc;

impl Query {
    /// The answer, if it needs no worker: a question that [`check`](Query::check) refuses, or a host and a service that are both
    /// numeric or not given. Does no I/O, but for `AI_ADDRCONFIG`, which makes libc ask the kernel for its addresses.
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
            // It only looked like an address ("1.example", "a:b").
            Err(error) if error.gai_error == libc::EAI_NONAME && self.hints().flags & libc::AI_NUMERICHOST == 0 => None,
            answer => Some(answer.map(|list| self.found(list))),
        }
    }

    /// Asks, and takes as long as it takes. For worker threads.
    pub fn ask(&self) -> Answer {
        let list = match self.callback() {
            #[cfg(target_env = "gnu")]
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

    /// The list in the form that was asked for. A list that nobody wants is freed here, by the thread that made it.
    fn found(&self, list: AddressList) -> Found {
        match self.form() {
            Form::List => Found::List(list),
            Form::Addresses | Form::Unsorted => Found::Addresses(list.iter().collect()),
        }
    }
}

#[cfg(target_env = "gnu")]
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
        let hosts = super::host::ask(node, self.hints().family).map_err(|failure| match failure.gai_error() {
            libc::EAI_SYSTEM => lookup_error(libc::EAI_SYSTEM, failure.errno),
            gai_error => LookupError { gai_error, sys_errno: 0 },
        })?;
        // A link-local address is of no use without its interface, which only getaddrinfo(3) gives (sin6_scope_id).
        if hosts.iter().any(|host| matches!(host, std::net::IpAddr::V6(v6) if v6.is_unicast_link_local())) {
            let list = ask_libc(self.node(), self.service(), self.hints())?;
            return Ok(list.iter().collect());
        }
        Ok(hosts.into_iter().map(|host| SocketAddr::new(host, port)).collect())
    }
}

fn ask_libc(node: Option<&CStr>, service: Option<&CStr>, hints: Hints) -> Result<AddressList, LookupError> {
    // SAFETY: the names are C strings, the hints are initialised, and the list is written only on success.
    let function = |node, service, hints, list| unsafe { libc::getaddrinfo(node, service, hints, list) };
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
    match function(pointer(node), pointer(service), &raw_hints, &mut list) {
        // SAFETY: the function succeeded, so the list is its own and now ours.
        0 => Ok(unsafe { AddressList::from_raw(list, maker) }),
        gai_error => {
            let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
            Err(lookup_error(gai_error, errno))
        }
    }
}

fn lookup_error(gai_error: c_int, errno: i32) -> LookupError {
    // With "mdns4_minimal [NOTFOUND=return]" in nsswitch.conf and no mDNS daemon, glibc reports the missing socket of the daemon for
    // a name that does not exist.
    if cfg!(target_os = "linux") && gai_error == libc::EAI_SYSTEM && errno == libc::ENOENT {
        return LookupError { gai_error: libc::EAI_NONAME, sys_errno: 0 };
    }
    LookupError { gai_error, sys_errno: if gai_error == libc::EAI_SYSTEM { errno } else { 0 } }
}
