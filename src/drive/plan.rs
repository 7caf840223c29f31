//! What one connect is to do, checked.

use crate::lookup::{Form, Hints, LookupCallback, Query};
use crate::race::{Families, Family, PolicyTable, Settings};
use std::ffi::CStr;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What the caller lets a connect call while it runs. Both are called on the thread that drives the connect.
pub trait Hooks: Send + Sync {
    /// Sees a socket before it is bound and connected; an errno fails the attempt.
    fn configure_socket(&self, fd: RawFd, address: &SocketAddr) -> Result<(), i32>;
    /// Sees a step of the race that began at `began`.
    fn trace(&self, began: std::time::Instant, trace: &crate::race::Trace);
}

/// What a caller may choose. `Default` gives the standard's values and no limits.
#[derive(Clone)]
pub struct Options<'a> {
    pub local_host: Option<&'a CStr>,
    pub local_service: Option<&'a CStr>,
    pub families: Families,
    pub fast_fallback: bool,
    pub nonblocking: bool,
    /// `AI_*` flags for the lookup of the remote host.
    pub lookup_flags: i32,
    pub resolv_timeout: Option<Duration>,
    pub connect_timeout: Option<Duration>,
    pub open_timeout: Option<Duration>,
    pub resolution_delay: Duration,
    pub connection_attempt_delay: Duration,
    pub first_address_family_count: u32,
    pub max_attempts: u32,
    pub lookup: Option<Arc<LookupCallback>>,
    pub hooks: Option<Arc<dyn Hooks>>,
    pub trace: bool,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            local_host: None,
            local_service: None,
            families: Families::Both,
            fast_fallback: true,
            nonblocking: false,
            lookup_flags: 0,
            resolv_timeout: None,
            connect_timeout: None,
            open_timeout: None,
            resolution_delay: crate::race::RESOLUTION_DELAY,
            connection_attempt_delay: crate::race::CONNECTION_ATTEMPT_DELAY,
            first_address_family_count: crate::race::FIRST_ADDRESS_FAMILY_COUNT,
            max_attempts: 0,
            lookup: None,
            hooks: None,
            trace: false,
        }
    }
}

/// An argument that is refused before anything is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The argument's name in the C ABI.
    pub argument: &'static str,
    /// What getaddrinfo(3) would have answered, or 0.
    pub gai_error: i32,
    pub message: &'static str,
}

/// Why no plan could be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    Invalid(Invalid),
    OutOfMemory,
}

/// A checked connect: what is asked, and how the race is set.
pub struct Plan {
    pub(super) remote: Query,
    pub(super) local: Option<Query>,
    /// The addresses of a host that needs no lookup.
    pub(super) literal: Literal,
    pub(super) settings: Settings,
    pub(super) nonblocking: bool,
    pub(super) hooks: Option<Arc<dyn Hooks>>,
}

/// A host that needs no lookup: one address, or for a NULL host both loopback addresses.
pub(super) enum Literal {
    No,
    One(SocketAddr),
    Many(Vec<SocketAddr>),
}

impl Literal {
    pub(super) fn addresses(&self) -> Option<&[SocketAddr]> {
        match self {
            Literal::No => None,
            Literal::One(address) => Some(std::slice::from_ref(address)),
            Literal::Many(addresses) => Some(addresses),
        }
    }
}

impl Plan {
    /// Checks the arguments and copies what is needed; nothing is opened or asked.
    pub fn new(host: Option<&CStr>, service: Option<&CStr>, options: &Options<'_>) -> Result<Plan, PlanError> {
        let remote = Query::new(host, service, hints(options.lookup_flags, libc::AF_UNSPEC), options.lookup.clone())
            .map_err(|_| PlanError::OutOfMemory)?;
        remote.check().map_err(|rejection| {
            let argument = if rejection.argument == "service" { "remote_service" } else { "remote_host" };
            PlanError::Invalid(Invalid { argument, gai_error: rejection.gai_error, message: rejection.message })
        })?;
        let local = match (options.local_host, options.local_service) {
            (None, None) => None,
            (host, service) => {
                // Without a host the wildcard address is meant: AI_PASSIVE, getaddrinfo(3).
                let query = Query::new(host, service, hints(libc::AI_PASSIVE, libc::AF_UNSPEC), None)
                    .map_err(|_| PlanError::OutOfMemory)?;
                query.check().map_err(|rejection| {
                    let argument = if rejection.argument == "service" { "local_service" } else { "local_host" };
                    PlanError::Invalid(Invalid { argument, gai_error: rejection.gai_error, message: rejection.message })
                })?;
                Some(query)
            }
        };
        if options.open_timeout.is_some() && (options.resolv_timeout.is_some() || options.connect_timeout.is_some()) {
            return Err(PlanError::Invalid(Invalid {
                argument: "open_timeout_ms",
                gai_error: 0,
                message: "cannot be set together with resolv_timeout_ms or connect_timeout_ms",
            }));
        }
        let policy = system_policy();
        let settings = Settings {
            families: options.families,
            preferred_family: policy.preferred_family(),
            fast_fallback: options.fast_fallback,
            local: local.is_some(),
            policy: Arc::clone(policy),
            resolution_delay: options.resolution_delay,
            connection_attempt_delay: options.connection_attempt_delay,
            first_address_family_count: options.first_address_family_count,
            max_attempts: options.max_attempts,
            resolve_limit: options.resolv_timeout,
            connect_limit: options.connect_timeout,
            open_limit: options.open_timeout,
            trace: options.trace,
        };
        let literal = literal(host, service, &remote, options);
        Ok(Plan { remote, local, literal, settings, nonblocking: options.nonblocking, hooks: options.hooks.clone() })
    }
}

fn hints(flags: i32, family: i32) -> Hints {
    Hints { flags, family, socktype: libc::SOCK_STREAM, protocol: libc::IPPROTO_TCP }
}

/// The `AF_*` of a choice of families.
pub(super) fn address_family(families: Families) -> i32 {
    match families {
        Families::Both => libc::AF_UNSPEC,
        Families::Only(Family::V6) => libc::AF_INET6,
        Families::Only(Family::V4) => libc::AF_INET,
    }
}

/// The addresses of a host that needs no lookup. The plain forms are read here; for the rarer ones ("127.1", a scope, NULL)
/// libc is asked, which does no I/O for them. One that does not fit the family is left to the lookup, which answers as libc does.
fn literal(host: Option<&CStr>, service: Option<&CStr>, remote: &Query, options: &Options<'_>) -> Literal {
    // Any other flag may change the answer, or be none that libc knows.
    let plain = options.lookup_flags & !(libc::AI_NUMERICHOST | libc::AI_NUMERICSERV) == 0;
    let address =
        host.filter(|_| plain).and_then(|host| host.to_str().ok()).and_then(|host| host.parse::<IpAddr>().ok());
    let port = service.map_or(Some(0), |service| service.to_str().ok().and_then(plain_port));
    // Flags that are more than a promise (AI_ADDRCONFIG, unknown ones) are libc's to judge.
    let plain = options.lookup_flags & !(libc::AI_NUMERICHOST | libc::AI_NUMERICSERV) == 0;
    if let (Some(address), Some(port), true) = (address, port, plain) {
        let family = if address.is_ipv6() { Family::V6 } else { Family::V4 };
        return match options.families {
            Families::Only(only) if only != family => Literal::No,
            _ => Literal::One(SocketAddr::new(address, port)),
        };
    }
    match remote.with(address_family(options.families), Form::Addresses).answer_at_once() {
        Some(Ok(list)) => Literal::Many(list.into_addresses()),
        _ => Literal::No,
    }
}

/// A port in digits alone: what `u16::from_str` takes, less the sign that it allows.
fn plain_port(text: &str) -> Option<u16> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// The policy table of this system: /etc/gai.conf, read once as libc does with `reload no`, or the standard's.
fn system_policy() -> &'static Arc<PolicyTable> {
    static POLICY: OnceLock<Arc<PolicyTable>> = OnceLock::new();
    POLICY.get_or_init(|| {
        let text = std::fs::read("/etc/gai.conf").unwrap_or_default();
        Arc::new(PolicyTable::from_gai_conf(&String::from_utf8_lossy(&text)))
    })
}
