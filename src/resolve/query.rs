//! What is asked, and how it is asked: of libc, or of the caller's own lookup function.

use super::{AddressList, Answer, LookupError, gate};
use std::any::Any;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::net::{Ipv6Addr, SocketAddr};
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

/// The shape of getaddrinfo(3), with the caller's userdata last. It answers 0 and a list, or an `EAI_*` code; with `EAI_SYSTEM` it
/// leaves errno. It runs on a worker thread, with all signals blocked; several calls may run at once.
pub type LookupFunction = unsafe extern "C" fn(
    node: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
    ret_res: *mut *mut libc::addrinfo,
    userdata: *mut c_void,
) -> c_int;

/// Frees a list that the lookup function gave.
pub type FreeFunction = unsafe extern "C" fn(list: *mut libc::addrinfo, userdata: *mut c_void);

/// The caller's stand-in for getaddrinfo(3).
pub struct LookupCallback {
    function: LookupFunction,
    free: Option<FreeFunction>,
    userdata: *mut c_void,
    /// What must live as long as the functions may be called: dropped with the callback.
    _keep: Arc<dyn Any + Send + Sync>,
}

// SAFETY: `new` demands that the functions may be called from any thread with the userdata.
unsafe impl Send for LookupCallback {}
// SAFETY: as above, and that they may be called at once.
unsafe impl Sync for LookupCallback {}

impl LookupCallback {
    /// `free` frees the lists that `function` gives; without it they are freed by freeaddrinfo(3). `keep` is
    /// dropped, on whatever thread drops the last reference, when no call runs or can come any more.
    ///
    /// # Safety
    /// Until `keep` is dropped, `function` and `free` may be called with `userdata` from any thread, several at once.
    pub unsafe fn new(
        function: LookupFunction,
        free: Option<FreeFunction>,
        userdata: *mut c_void,
        keep: Arc<dyn Any + Send + Sync>,
    ) -> Arc<LookupCallback> {
        Arc::new(LookupCallback { function, free, userdata, _keep: keep })
    }

    pub(super) fn has_own_free(&self) -> bool {
        self.free.is_some()
    }

    pub(super) fn free(&self, list: *mut libc::addrinfo) {
        match self.free {
            // SAFETY: promised to `new`; the caller of this owns the list, which came from the lookup function.
            Some(free) => unsafe { free(list, self.userdata) },
            // SAFETY: without a free function the lists are libc's.
            None => unsafe { libc::freeaddrinfo(list) },
        }
    }
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
    /// The asker sorts the addresses itself.
    unsorted: bool,
    callback: Option<Arc<LookupCallback>>,
}

impl Query {
    /// Copies the names. Of a name that is longer than any that is asked for, only so much is kept as shows that it is.
    pub fn new(
        node: Option<&CStr>,
        service: Option<&CStr>,
        hints: Hints,
        callback: Option<Arc<LookupCallback>>,
    ) -> Result<Query, OutOfMemory> {
        let copy = |name: Option<&CStr>, most: usize| name.map(|name| copy(name.to_bytes(), most)).transpose();
        let names = Names { node: copy(node, NI_MAXHOST)?, service: copy(service, NI_MAXSERV)? };
        Ok(Query { names: Arc::new(names), hints, unsorted: false, callback })
    }

    /// The same question for one address family.
    pub fn with_family(&self, family: i32) -> Query {
        Query { hints: Hints { family, ..self.hints }, ..self.clone() }
    }

    /// The same question for one address family, where the asker sorts the addresses itself: they come in the order in which NSS has
    /// them, at less cost, and without the lock of libc that a fork leaves locked in the child (see `resolve/host.rs`).
    pub fn for_race(&self, family: i32) -> Query {
        Query { unsorted: true, ..self.with_family(family) }
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

    /// Refuses what no resolver should be asked. What getaddrinfo(3) itself refuses at little cost (unknown flags and families) is left
    /// to it; bytes above 0x7f and trailing dots pass as they are.
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
        let mut flags = self.hints.flags;
        if service.is_some() {
            flags |= libc::AI_NUMERICSERV;
        }
        if node.is_some() {
            flags |= libc::AI_NUMERICHOST;
        }
        match ask_libc(self.node(), self.service(), Hints { flags, ..self.hints }) {
            // It only looked like an address ("1.example", "a:b"). An address with a scope that there is not
            // ("fe80::1%nosuch") is one all the same, and no name: getaddrinfo(3) asks nobody.
            Err(error)
                if error.gai_error == libc::EAI_NONAME
                    && self.hints.flags & libc::AI_NUMERICHOST == 0
                    && !node.is_some_and(is_scoped_address) =>
            {
                None
            }
            // The answer has the flags of the question, and these two were not asked for.
            Ok(mut list) => {
                list.set_flags(self.hints.flags);
                Some(Ok(list))
            }
            answer => Some(answer),
        }
    }

    /// Asks, and takes as long as it takes. For worker threads.
    pub fn ask(&self) -> Answer {
        match &self.callback {
            #[cfg(target_env = "gnu")]
            None if self.is_plain() => gate::pass(|| self.ask_nss()),
            None => gate::pass(|| ask_libc(self.node(), self.service(), self.hints)),
            Some(callback) => {
                let function = |node, service, hints: *const _, list: *mut _| {
                    // SAFETY: promised to `LookupCallback::new`; the names and hints outlive the call.
                    unsafe { (callback.function)(node, service, hints, list, callback.userdata) }
                };
                ask_function(self.node(), self.service(), self.hints, function, Some(callback.clone()))
            }
        }
    }
}

#[cfg(target_env = "gnu")]
impl Query {
    /// Whether the question has none of the turns that getaddrinfo(3) would have to take.
    fn is_plain(&self) -> bool {
        let Hints { flags, family, socktype, protocol } = self.hints;
        self.unsorted
            // What looks like an address and is none ("300.1.1.1") each of libc's functions takes in its own way.
            && self.node().is_some_and(|node| !may_be_numeric(node.to_bytes()))
            && flags & !libc::AI_NUMERICSERV == 0
            && (family == libc::AF_INET6 || family == libc::AF_INET)
            && socktype == libc::SOCK_STREAM
            && (protocol == 0 || protocol == libc::IPPROTO_TCP)
    }

    fn ask_nss(&self) -> Answer {
        // Without a host getaddrinfo(3) has one address of the family to give, and the port with it.
        let port = match self.service() {
            None => 0,
            Some(_) => {
                let list = ask_libc(None, self.service(), self.hints)?;
                list.iter().next().map_or(0, |address| address.port())
            }
        };
        let Some(node) = self.node() else { return Err(LookupError { gai_error: libc::EAI_NONAME, sys_errno: 0 }) };
        let list = super::host::ask(node, port, self.hints)?;
        // A link-local address is of no use without its interface, which only getaddrinfo(3) gives (sin6_scope_id).
        let needs_interface =
            |address: SocketAddr| matches!(address, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local());
        if list.iter().any(needs_interface) {
            return ask_libc(self.node(), self.service(), self.hints);
        }
        Ok(list)
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
fn is_digits(service: &[u8]) -> bool {
    service.iter().all(u8::is_ascii_digit)
}

fn is_port(digits: &[u8]) -> bool {
    let significant = digits.iter().position(|&digit| digit != b'0').unwrap_or(digits.len());
    let digits = &digits[significant..];
    digits.len() <= 5 && digits.iter().fold(0u32, |number, digit| number * 10 + u32::from(digit - b'0')) <= 65535
}

/// An IPv6 address with a scope behind it, whether or not there is such a scope.
fn is_scoped_address(node: &[u8]) -> bool {
    let Some(percent) = node.iter().position(|&byte| byte == b'%') else { return false };
    std::str::from_utf8(&node[..percent]).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// Every form that inet_aton(3) takes starts with a digit, and every IPv6 address has a colon; few names do either.
fn may_be_numeric(node: &[u8]) -> bool {
    node.first().is_some_and(u8::is_ascii_digit) || node.contains(&b':')
}

fn ask_libc(node: Option<&CStr>, service: Option<&CStr>, hints: Hints) -> Answer {
    // SAFETY: the names are C strings, the hints are initialised, and the list is written only on success.
    ask_function(
        node,
        service,
        hints,
        |node, service, hints, list| unsafe { libc::getaddrinfo(node, service, hints, list) },
        None,
    )
}

fn ask_function(
    node: Option<&CStr>,
    service: Option<&CStr>,
    hints: Hints,
    function: impl FnOnce(*const c_char, *const c_char, *const libc::addrinfo, *mut *mut libc::addrinfo) -> c_int,
    maker: Option<Arc<LookupCallback>>,
) -> Answer {
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
        // SAFETY: the function succeeded, so the list is its own and now ours; it ends, or is let go of
        // unread below.
        0 if !from_caller || unsafe { ends(list) } => Ok(unsafe { AddressList::from_raw(list, maker) }),
        // It may have no end, and then nobody can free it.
        0 => Err(LookupError { gai_error: libc::EAI_FAIL, sys_errno: 0 }),
        gai_error => {
            let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
            Err(failure(gai_error, errno))
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

/// Whether getaddrinfo(3) has such a code: EAI_BADFLAGS to EAI_OVERFLOW of netdb.h, without a gap in glibc.
fn is_gai_error(code: c_int) -> bool {
    (libc::EAI_OVERFLOW..=libc::EAI_BADFLAGS).contains(&code)
}

pub(super) fn failure(gai_error: c_int, errno: i32) -> LookupError {
    // A caller's function may answer anything. What is no code must not pass for a status.
    if !is_gai_error(gai_error) {
        return LookupError { gai_error: libc::EAI_FAIL, sys_errno: 0 };
    }
    // With "mdns4_minimal [NOTFOUND=return]" in nsswitch.conf and no mDNS daemon, glibc reports the missing socket of the daemon for
    // a name that does not exist.
    if cfg!(target_os = "linux") && gai_error == libc::EAI_SYSTEM && errno == libc::ENOENT {
        return LookupError { gai_error: libc::EAI_NONAME, sys_errno: 0 };
    }
    LookupError { gai_error, sys_errno: if gai_error == libc::EAI_SYSTEM { errno } else { 0 } }
}
