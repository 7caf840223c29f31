//! What one connect is to do, checked.

use super::binding::ServicePlan;
use crate::history::History;
use crate::lookup::{Form, Hints, LookupCallback, Query, QueryArgument, Rejection, ServiceQuestion};
use crate::race::{Families, Family, IPV4_ONLY, Nat64, Settings};
use std::ffi::{CStr, CString};
use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// What is to become of an attempt that has connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It wins.
    Yes,
    /// It has failed with this errno, and is closed; the next attempt starts.
    No(i32),
    /// It is held until the answer is given by `confirm` of what drives the connect.
    Later,
}

/// What the caller lets a connect call while it runs. All are called on the thread that drives the connect.
pub trait Hooks: Send + Sync {
    /// Sees a socket before it is bound and connected; an errno fails the attempt.
    fn configure_socket(&self, fd: RawFd, address: &SocketAddr) -> Result<(), i32>;
    /// Sees a step of the race that began at `began`.
    fn trace(&self, began: std::time::Instant, trace: &crate::race::Trace);
    /// With [`Options::confirm`]: whether the connection of an attempt is wanted. The socket is in
    /// non-blocking mode and stays the library's; it may be read and written, by a TLS handshake for
    /// instance, at once or (after [`Verdict::Later`]) until it is answered for or released.
    fn confirm(&self, _fd: BorrowedFd<'_>, _address: &SocketAddr) -> Verdict {
        Verdict::Yes
    }
    /// A socket that is held is closed next, without an answer: another attempt has won, a limit was reached,
    /// or the connect was cancelled or dropped.
    fn release_socket(&self, _fd: RawFd) {}
}

/// An argument of a connect, to be named where it is refused or where the connect fails because of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// The name or literal to connect to.
    RemoteHost,
    /// The port, or the service's name.
    RemoteService,
    /// The options as a whole: their size, or what this version does not know.
    Options,
    /// [`Options::local_host`].
    LocalHost,
    /// [`Options::local_service`].
    LocalService,
    /// [`Options::local_v4`].
    LocalV4,
    /// [`Options::local_v6`].
    LocalV6,
    /// [`Options::addresses`].
    Addresses,
    /// [`Options::families`].
    Family,
    /// [`Options::preferred_family`].
    PreferredFamily,
    /// [`Options::fast_fallback`] and [`Options::nonblocking`], which are flags in the C ABI.
    Flags,
    /// [`Options::resolv_timeout`].
    ResolvTimeout,
    /// [`Options::connect_timeout`].
    ConnectTimeout,
    /// [`Options::open_timeout`].
    OpenTimeout,
    /// [`Options::resolution_delay`].
    ResolutionDelay,
    /// [`Options::connection_attempt_delay`].
    ConnectionAttemptDelay,
    /// [`Options::first_address_family_count`].
    FirstAddressFamilyCount,
    /// [`Hooks::release_socket`], which is an option of its own in the C ABI.
    ReleaseSocket,
    /// [`Options::nat64`].
    Nat64,
    /// [`Options::service`].
    Service,
    /// [`Options::alpn`].
    Alpn,
    /// The handle itself.
    Handle,
    /// Who is told of the end.
    Done,
    /// Where the new handle goes.
    RetConnect,
    /// Where the result goes.
    RetResult,
}

impl Argument {
    /// Its name in the C ABI.
    pub const fn name(self) -> &'static CStr {
        match self {
            Argument::RemoteHost => c"remote_host",
            Argument::RemoteService => c"remote_service",
            Argument::Options => c"options",
            Argument::LocalHost => c"local_host",
            Argument::LocalService => c"local_service",
            Argument::LocalV4 => c"local_v4",
            Argument::LocalV6 => c"local_v6",
            Argument::Addresses => c"addresses",
            Argument::Family => c"family",
            Argument::PreferredFamily => c"preferred_family",
            Argument::Flags => c"flags",
            Argument::ResolvTimeout => c"resolv_timeout_ms",
            Argument::ConnectTimeout => c"connect_timeout_ms",
            Argument::OpenTimeout => c"open_timeout_ms",
            Argument::ResolutionDelay => c"resolution_delay_ms",
            Argument::ConnectionAttemptDelay => c"connection_attempt_delay_ms",
            Argument::FirstAddressFamilyCount => c"first_address_family_count",
            Argument::ReleaseSocket => c"release_socket",
            Argument::Nat64 => c"nat64",
            Argument::Service => c"service",
            Argument::Alpn => c"alpn",
            Argument::Handle => c"self",
            Argument::Done => c"done",
            Argument::RetConnect => c"ret_connect",
            Argument::RetResult => c"ret_result",
        }
    }
}

impl fmt::Display for Argument {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name().to_string_lossy())
    }
}

/// What a caller may choose. `Default` gives the standard's values and no limits; the defaults of the C ABI
/// are these.
#[derive(Clone)]
pub struct Options<'a> {
    /// The local address that attempts are bound to, as getaddrinfo(3) takes it; a name is looked up first.
    /// Where it has addresses of one family only, the other family is not attempted.
    pub local_host: Option<&'a CStr>,
    /// The local port that attempts are bound to, as getaddrinfo(3) takes it.
    pub local_service: Option<&'a CStr>,
    /// What attempts of each family are bound to; a family without one is not bound. Not together with a
    /// local host or service.
    pub local_v4: Option<SocketAddrV4>,
    /// As `local_v4`, for IPv6.
    pub local_v6: Option<SocketAddrV6>,
    /// Attempted instead of what a lookup finds, ports included; the host and the service are not used then.
    pub addresses: Option<&'a [SocketAddr]>,
    /// Which families are asked for and attempted.
    pub families: Families,
    /// Whose addresses go first; None: as the system's policy table says (RFC 6724, gai.conf).
    pub preferred_family: Option<Family>,
    /// false: one address after the other in the order that the system gives, without a race.
    pub fast_fallback: bool,
    /// Whether the winner is handed over in non-blocking mode.
    pub nonblocking: bool,
    /// `AI_*` flags for the lookup of the remote host.
    pub lookup_flags: i32,
    /// Limit for the lookups, from the start. Not together with `open_timeout`.
    pub resolv_timeout: Option<Duration>,
    /// Limit for connecting, from the start of the last candidate's attempt. Not together with
    /// `open_timeout`.
    pub connect_timeout: Option<Duration>,
    /// Limit over everything, from the start.
    pub open_timeout: Option<Duration>,
    /// Resolution Delay: how long an A answer waits for the AAAA answer (RFC 8305, section 3). 50 ms.
    pub resolution_delay: Duration,
    /// Connection Attempt Delay: the time between the starts of two attempts (RFC 8305, section 5), held
    /// within 10 ms to 2 s. 250 ms.
    pub connection_attempt_delay: Duration,
    /// Each delay after the first is twice the one before it, up to 2 s (version 3 of Happy Eyeballs lets
    /// delays grow). With a history, twice what the path asks for, and so on.
    pub growing_delay: bool,
    /// First Address Family Count: how many addresses of the first family come before the families alternate
    /// (RFC 8305, section 4). 0 counts as 1.
    pub first_address_family_count: u32,
    /// The greatest number of attempts in flight; 0: no cap. Where it is reached, the oldest is abandoned for
    /// the next address once the Connection Attempt Delay is over.
    pub max_attempts: u32,
    /// The remote host is looked up by libc, on a thread, also where the library could do it by itself.
    pub lookup_by_libc: bool,
    /// Without fast fallback and with `open_timeout`: each address gets an equal share of what is left of it,
    /// 2 s at least, and the last one all of it, so that one that does not answer leaves the others their
    /// turn.
    pub share_open_timeout: bool,
    /// The host is not asked for a family in which this system has no network, where it has one in the other:
    /// neither an address of its own nor a route, but for the loopback and the link (version 3 of Happy
    /// Eyeballs, section 4.2). One question less; what a name has in that family, loopback addresses too,
    /// is not found.
    pub only_connected_families: bool,
    /// What earlier connects have learnt of the networks, and where this one adds what it learns. The order
    /// of addresses, the family that is begun with and the Connection Attempt Delay follow it then.
    pub history: Option<Arc<History>>,
    /// What is done with IPv4 addresses on a network without IPv4: with [`Nat64::Discover`] or prefixes they are
    /// attempted through the network's translator (RFC 8305, section 7). Only with both families.
    pub nat64: Nat64,
    /// The service bindings of the host are asked for and followed (RFC 9460): `https`, `_PORT._https` for
    /// another port than 443, or `_PORT._SCHEME` or `_SCHEME`. They tell other names and ports to connect to,
    /// sooner or later than the host's own addresses, which come last; [`Report::binding`](super::Report::binding)
    /// says which one has won. Only where this library asks name servers itself; elsewhere, and for a host that
    /// is an address, it is as if there were none. Not together with `addresses`, `nat64` or without
    /// `fast_fallback`.
    pub service: Option<&'a str>,
    /// The protocols that the caller speaks, by their ALPN ids: bindings that offer none of them are left out.
    /// Empty: any. Of use only with `service`.
    pub alpn: &'a [&'a [u8]],
    /// Stands in for libc's lookup of the remote host.
    pub lookup: Option<Arc<LookupCallback>>,
    /// What the connect calls while it runs.
    pub hooks: Option<Arc<dyn Hooks>>,
    /// Whether [`Hooks::trace`] is called.
    pub trace: bool,
    /// Whether [`Hooks::confirm`] is asked before an attempt wins. The race goes on meanwhile, and all limits
    /// hold: `connect_timeout` counts on from the start of the last candidate's attempt.
    pub confirm: bool,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            local_host: None,
            local_service: None,
            local_v4: None,
            local_v6: None,
            addresses: None,
            lookup_by_libc: false,
            families: Families::Both,
            preferred_family: None,
            fast_fallback: true,
            nonblocking: false,
            lookup_flags: 0,
            resolv_timeout: None,
            connect_timeout: None,
            open_timeout: None,
            resolution_delay: crate::race::RESOLUTION_DELAY,
            connection_attempt_delay: crate::race::CONNECTION_ATTEMPT_DELAY,
            growing_delay: false,
            first_address_family_count: crate::race::FIRST_ADDRESS_FAMILY_COUNT,
            max_attempts: 0,
            share_open_timeout: false,
            only_connected_families: false,
            history: None,
            nat64: Nat64::Off,
            service: None,
            alpn: &[],
            lookup: None,
            hooks: None,
            trace: false,
            confirm: false,
        }
    }
}

/// An argument that is refused before anything is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Which one.
    pub argument: Argument,
    /// What getaddrinfo(3) would have answered, or 0.
    pub gai_error: i32,
    /// What is wrong with it, to be read behind its name.
    pub reason: &'static CStr,
}

/// Why no plan could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// An argument was refused.
    Invalid(Invalid),
    /// There was no memory to copy the arguments.
    OutOfMemory,
}

impl PlanError {
    pub(crate) const fn invalid(argument: Argument, reason: &'static CStr) -> PlanError {
        PlanError::Invalid(Invalid { argument, gai_error: 0, reason })
    }
}

/// A checked connect: what is asked, and how the race is set.
pub struct Plan {
    pub(super) remote: Query,
    pub(super) local: Option<Query>,
    /// What tells the prefixes of the network's translator, where they may have to be found out.
    pub(super) prefixes: Option<Query>,
    /// What is asked beside the addresses.
    pub(super) service: Option<Box<ServicePlan>>,
    /// What attempts are bound to, where that need not be looked up: one of a family at most.
    pub(super) local_addresses: Box<[SocketAddr]>,
    /// The addresses of a host that needs no lookup.
    pub(super) literal: Literal,
    /// All but the policy table, which is this system's, and what follows from it.
    pub(super) settings: Settings,
    /// Whose addresses go first, whatever the system's table says.
    pub(super) preferred_family: Option<Family>,
    pub(super) nonblocking: bool,
    /// A family without a network need not be asked for.
    pub(super) only_connected_families: bool,
    pub(super) hooks: Option<Arc<dyn Hooks>>,
    pub(super) history: Option<Arc<History>>,
}

/// A host that needs no lookup: one address, or several (both loopback addresses of a NULL host, or what the
/// caller knows).
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
        let known = known_addresses(options)?;
        // Where the addresses are known, nothing is asked.
        let (host, service) = if known.is_some() { (None, None) } else { (host, service) };
        let remote = Query::new(host, service, hints(options.lookup_flags, libc::AF_UNSPEC), options.lookup.clone())
            .map_err(|_| PlanError::OutOfMemory)?;
        let remote = if options.lookup_by_libc { remote.for_libc() } else { remote };
        if known.is_none() {
            check(&remote, Argument::RemoteHost, Argument::RemoteService)?;
        }
        let local = match (options.local_host, options.local_service) {
            (None, None) => None,
            (host, service) => {
                // Without a host the wildcard address is meant: AI_PASSIVE, getaddrinfo(3).
                let query = Query::new(host, service, hints(libc::AI_PASSIVE, libc::AF_UNSPEC), None)
                    .map_err(|_| PlanError::OutOfMemory)?;
                check(&query, Argument::LocalHost, Argument::LocalService)?;
                Some(query)
            }
        };
        let local_addresses = local_addresses(options)?;
        if options.open_timeout.is_some() && (options.resolv_timeout.is_some() || options.connect_timeout.is_some()) {
            return Err(PlanError::invalid(
                Argument::OpenTimeout,
                c"cannot be set together with resolv_timeout_ms or connect_timeout_ms",
            ));
        }
        let bindings = service_plan(host, options)?;
        let settings = Settings {
            families: options.families,
            fast_fallback: options.fast_fallback,
            local: local.is_some(),
            resolution_delay: options.resolution_delay,
            connection_attempt_delay: options.connection_attempt_delay,
            growing_delay: options.growing_delay,
            first_address_family_count: options.first_address_family_count,
            max_attempts: options.max_attempts,
            resolve_limit: options.resolv_timeout,
            connect_limit: options.connect_timeout,
            open_limit: options.open_timeout,
            nat64: options.nat64.clone(),
            service: bindings.is_some(),
            share_open_limit: options.share_open_timeout,
            trace: options.trace,
            confirm: options.confirm && options.hooks.is_some(),
            ..Settings::default()
        };
        let literal = known.map_or_else(|| literal(host, service, &remote, options), Literal::Many);
        let (nonblocking, hooks) = (options.nonblocking, options.hooks.clone());
        let history = options.history.clone();
        let Options { preferred_family, only_connected_families, .. } = *options;
        let prefixes = prefixes(options)?;
        Ok(Plan {
            remote,
            local,
            prefixes,
            service: bindings,
            local_addresses,
            literal,
            settings,
            preferred_family,
            nonblocking,
            only_connected_families,
            hooks,
            history,
        })
    }
}

/// The question that tells the prefixes of the network's translator.
fn prefixes(options: &Options<'_>) -> Result<Option<Query>, PlanError> {
    if options.nat64 != Nat64::Discover {
        return Ok(None);
    }
    let name = CString::new(IPV4_ONLY).map_err(|_| PlanError::OutOfMemory)?;
    let query = Query::new(Some(&name), None, hints(0, libc::AF_INET6), options.lookup.clone())
        .map_err(|_| PlanError::OutOfMemory)?
        .with(libc::AF_INET6, Form::Unsorted);
    Ok(Some(if options.lookup_by_libc { query.for_libc() } else { query }))
}

/// What is asked for the bindings of the service; None: nothing is, or the host can have none.
fn service_plan(host: Option<&CStr>, options: &Options<'_>) -> Result<Option<Box<ServicePlan>>, PlanError> {
    let Some(service) = options.service else {
        let alone = PlanError::invalid(Argument::Alpn, c"is of use only together with service");
        return if options.alpn.is_empty() { Ok(None) } else { Err(alone) };
    };
    let refused = |reason| Err(PlanError::invalid(Argument::Service, reason));
    // Any host shows whether it is one.
    if ServiceQuestion::new(b"a", service).is_err() {
        return refused(c"is not of the form https, _PORT._https, _PORT._SCHEME or _SCHEME");
    }
    if options.addresses.is_some() {
        return refused(c"cannot be set together with addresses");
    }
    if !options.fast_fallback {
        return refused(c"needs fast fallback");
    }
    if options.nat64 != Nat64::Off {
        return refused(c"cannot be set together with nat64");
    }
    if options.alpn.iter().any(|id| id.is_empty() || id.len() > usize::from(u8::MAX)) {
        return Err(PlanError::invalid(Argument::Alpn, c"has an id that is not 1 to 255 bytes long"));
    }
    let question = host.and_then(|host| ServiceQuestion::new(host.to_bytes(), service).ok());
    let alpn = || options.alpn.iter().map(|id| id.to_vec()).collect();
    Ok(question.map(|question| Box::new(ServicePlan { question, alpn: alpn() })))
}

fn check(query: &Query, host: Argument, service: Argument) -> Result<(), PlanError> {
    query.check().map_err(|Rejection { argument, gai_error, reason }| {
        let argument = match argument {
            QueryArgument::Node => host,
            QueryArgument::Service => service,
        };
        PlanError::Invalid(Invalid { argument, gai_error, reason })
    })
}

/// The addresses that the caller knows, as far as they are of a family that is wanted.
fn known_addresses(options: &Options<'_>) -> Result<Option<Vec<SocketAddr>>, PlanError> {
    let Some(given) = options.addresses else { return Ok(None) };
    if options.lookup.is_some() {
        return Err(PlanError::invalid(Argument::Addresses, c"cannot be set together with lookup"));
    }
    let mut addresses = Vec::new();
    addresses.try_reserve_exact(given.len()).map_err(|_| PlanError::OutOfMemory)?;
    let wanted = |address: &&SocketAddr| match options.families {
        Families::Both => true,
        Families::Only(Family::V6) => address.is_ipv6(),
        Families::Only(Family::V4) => address.is_ipv4(),
    };
    addresses.extend(given.iter().filter(wanted));
    if addresses.is_empty() {
        let reason = c"none of them is of the family that is asked for";
        let gai_error = EAI_ADDRFAMILY;
        return Err(PlanError::Invalid(Invalid { argument: Argument::Addresses, gai_error, reason }));
    }
    Ok(Some(addresses))
}

/// What attempts are bound to without a lookup.
fn local_addresses(options: &Options<'_>) -> Result<Box<[SocketAddr]>, PlanError> {
    let (v4, v6) = (options.local_v4, options.local_v6);
    if (options.local_host.is_some() || options.local_service.is_some()) && (v4.is_some() || v6.is_some()) {
        let argument = if v4.is_some() { Argument::LocalV4 } else { Argument::LocalV6 };
        return Err(PlanError::invalid(argument, c"cannot be set together with local_host or local_service"));
    }
    Ok(v4.map(SocketAddr::from).into_iter().chain(v6.map(SocketAddr::from)).collect())
}

/// netdb.h of glibc; the libc crate has no name for it.
const EAI_ADDRFAMILY: i32 = -9;

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

/// The addresses of a host that needs no lookup. The plain forms are read here; for the rarer ones ("127.1",
/// a scope, NULL) libc is asked, which does no I/O for them. One that does not fit the family is left to the
/// lookup, which answers as libc does.
fn literal(host: Option<&CStr>, service: Option<&CStr>, remote: &Query, options: &Options<'_>) -> Literal {
    // Flags that are more than a promise (AI_ADDRCONFIG, unknown ones) may change the answer: they are libc's
    // to judge.
    let plain = options.lookup_flags & !(libc::AI_NUMERICHOST | libc::AI_NUMERICSERV) == 0;
    let address =
        host.filter(|_| plain).and_then(|host| host.to_str().ok()).and_then(|host| host.parse::<IpAddr>().ok());
    let port = service.map_or(Some(0), |service| service.to_str().ok().and_then(plain_port));
    if let (Some(address), Some(port)) = (address, port) {
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
