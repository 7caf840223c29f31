//! What a caller asks of one connect.

use super::boundary::string;
use super::callbacks::*;
use super::codes::{HAPPY_EINVALID, HAPPY_ENOMEM};
use super::history::happy_history;
use super::hooks::{CallerHooks, Userdata};
use super::message::set_message;
use crate::drive::{Argument, Invalid, Options, Plan, PlanError};
use crate::lookup::LookupCallback;
use crate::race::{Families, Family, InvalidNat64, Nat64};
use crate::sys::address::socket_address;
use std::ffi::{CStr, c_char, c_void};
use std::mem::{offset_of, size_of};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Attempts one address after the other in the system's order, without a race: the next only when the one
/// before has failed or used up `connect_timeout_ms`. Known addresses are attempted in the order in which
/// they are given.
pub const HAPPY_FLAG_NO_FAST_FALLBACK: u32 = 1 << 0;
/// Hands the socket over in non-blocking mode.
pub const HAPPY_FLAG_NONBLOCKING: u32 = 1 << 1;
/// Have the remote host looked up by libc, on a thread, also where the library could do it without one. The
/// environment variable HAPPYSOCK_DNS=libc says so for a whole program, unless that has more rights than its
/// user (`AT_SECURE`, getauxval(3)).
pub const HAPPY_FLAG_LOOKUP_BY_LIBC: u32 = 1 << 2;
/// Each delay between attempts is twice the one before it, from `connection_attempt_delay_ms` or what the
/// history says up to 2000 (version 3 of Happy Eyeballs lets delays grow): a host with many dead addresses is
/// not sent as many SYNs in as short a time.
pub const HAPPY_FLAG_GROWING_DELAY: u32 = 1 << 3;
/// With HAPPY_FLAG_NO_FAST_FALLBACK and `open_timeout_ms`: each address gets an equal share of what is left
/// of that limit, 2000 at least, and the last one all of it. An address that does not answer leaves the
/// others their turn.
pub const HAPPY_FLAG_SHARE_TIMEOUT: u32 = 1 << 4;
/// Does not ask for addresses of a family in which this system has no network, where it has one in the other:
/// neither an address of its own nor a route, but for the loopback and the link. One question less; what the
/// host has in that family, loopback addresses too, is not found.
pub const HAPPY_FLAG_ONLY_CONNECTED_FAMILIES: u32 = 1 << 5;
/// The flags that there are.
const FLAGS: u32 = HAPPY_FLAG_NO_FAST_FALLBACK
    | HAPPY_FLAG_NONBLOCKING
    | HAPPY_FLAG_LOOKUP_BY_LIBC
    | HAPPY_FLAG_GROWING_DELAY
    | HAPPY_FLAG_SHARE_TIMEOUT
    | HAPPY_FLAG_ONLY_CONNECTED_FAMILIES;

/// What one connect is to do. Start from `HAPPY_OPTIONS_INIT` and change what you need:
///
/// ```c
/// happy_options options = HAPPY_OPTIONS_INIT;
/// options.open_timeout_ms = 5000;
/// ```
///
/// The library copies what it needs before the call returns, strings and addresses included. Limits and
/// delays are in milliseconds. Fields that later versions append have 0 as their default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct happy_options {
    /// sizeof(happy_options) as the caller was compiled. Fields that a shorter struct lacks have their
    /// defaults.
    pub size: usize,
    /// The local address to bind to, or NULL. As getaddrinfo(3) takes it. Where it has addresses of one
    /// family only, the other family is not attempted.
    pub local_host: *const c_char,
    /// The local port to bind to, or NULL. As getaddrinfo(3) takes it.
    pub local_service: *const c_char,
    /// AF_UNSPEC (both families), AF_INET or AF_INET6.
    pub family: i32,
    /// The family whose addresses go first (AF_INET or AF_INET6), and that the Resolution Delay waits for.
    /// AF_UNSPEC: as the system says, which is IPv6 unless gai.conf(5) ranks IPv4 higher. Without a race
    /// (HAPPY_FLAG_NO_FAST_FALLBACK) it has no effect.
    pub preferred_family: i32,
    /// `HAPPY_FLAG_*`, added up.
    pub flags: u32,
    /// `AI_*` flags for the lookup of the remote host, such as AI_NUMERICSERV.
    pub lookup_flags: i32,
    /// Limit for the lookups, from the start; -1 none, 0 over at once. Not together with `open_timeout_ms`.
    pub resolv_timeout_ms: i32,
    /// Limit for connecting, from the start of the last candidate's attempt; -1 none, 0 over at once. Not
    /// together with `open_timeout_ms`.
    pub connect_timeout_ms: i32,
    /// Limit over everything, from the start; -1 none, 0 over at once.
    pub open_timeout_ms: i32,
    /// Resolution Delay: how long an A answer waits for the AAAA answer (RFC 8305, section 3). 50.
    pub resolution_delay_ms: i32,
    /// Connection Attempt Delay: the time between two attempts (RFC 8305, section 5), held within 10 to 2000.
    /// 250.
    pub connection_attempt_delay_ms: i32,
    /// First Address Family Count: how many addresses of the first family come before the families alternate
    /// (RFC 8305, section 4). At least 1.
    pub first_address_family_count: u32,
    /// The greatest number of attempts in flight at the same time; 0: no cap. Where it is reached, the oldest
    /// attempt is abandoned for the next address once the Connection Attempt Delay is over; the last ones
    /// keep running. A path slower than the delay needs a cap above 1.
    pub max_attempts: u32,
    /// Stands in for getaddrinfo(3), or NULL.
    pub lookup: happy_lookup_fn,
    /// Frees what `lookup` gave; NULL: freeaddrinfo(3) does.
    pub lookup_free: happy_lookup_free_fn,
    /// Sets options on each socket, or NULL.
    pub configure_socket: happy_configure_socket_fn,
    /// Sees each step of the race, or NULL.
    pub trace: happy_trace_fn,
    /// Handed to each callback.
    pub userdata: *mut c_void,
    /// Called exactly once when the library will not touch `userdata` any more, on whichever thread that
    /// happens: a lookup that was given up may outlive the connect. Not called when the call that took the
    /// options refused them or failed itself: when happy_connect_new or happy_multi_add answered anything but
    /// HAPPY_OK, or the result of init_inetsock_happy has HAPPY_EINVALID or HAPPY_ENOMEM. NULL: nothing is
    /// called.
    pub userdata_free: happy_userdata_free_fn,
    /// Addresses that are known already, or NULL: they are attempted instead of what a lookup finds. A list
    /// as getaddrinfo(3) gives it, or one that the caller has made: `ai_addr`, `ai_addrlen` and `ai_next` are
    /// read, and each address must be AF_INET or AF_INET6, with its port. Sorted and interleaved as the
    /// answer of a lookup is; at most 4096. The remote host and service are not used then and may be NULL.
    /// Not together with `lookup`.
    pub addresses: *const libc::addrinfo,
    /// What attempts over IPv4 are bound to, or NULL: they are not bound. Not together with `local_host` or
    /// `local_service`.
    pub local_v4: *const libc::sockaddr_in,
    /// What attempts over IPv6 are bound to, or NULL: they are not bound. Not together with `local_host` or
    /// `local_service`.
    pub local_v6: *const libc::sockaddr_in6,
    /// What earlier connects have learnt, and where this one adds what it learns; or NULL: nothing is known
    /// and nothing is kept. The connect keeps what it needs of it.
    pub history: *mut happy_history,
    /// What is done with IPv4 addresses on a network without IPv4 whose translator (NAT64) leads to them (RFC
    /// 8305, section 7), or NULL: they are attempted as they are. "discover": the translator's prefixes are
    /// asked for when they are needed (RFC 7050), as the remote host is. Or the prefixes, at most 8, with
    /// commas between, as in "64:ff9b::/96,2001:db8:64::/96" (RFC 6052). No IPv4: no address but for the
    /// loopback and the link, and no route. Only with both families.
    pub nat64: *const c_char,
    /// Asked whether the connection of an attempt is wanted before it wins, or NULL: the first connection
    /// wins. All limits hold meanwhile: `connect_timeout_ms` counts on from the start of the last
    /// candidate's attempt.
    pub confirm: happy_confirm_fn,
    /// Told when a socket that is held is closed without an answer, or NULL. Only with `confirm`.
    pub release_socket: happy_release_socket_fn,
}

/// The size of the struct in 0.1.0, the first version: a smaller one is no struct but an accident.
const FIRST_SIZE: usize = offset_of!(happy_options, release_socket) + size_of::<happy_release_socket_fn>();
// What is appended goes behind what was there, and padding would be a field of theirs with any value.
const _: () = assert!(FIRST_SIZE == size_of::<happy_options>(), "no padding behind the last field");
/// So is a larger one.
const GREATEST_SIZE: usize = 4096;

/// The longest list of known addresses.
const MOST_ADDRESSES: usize = 4096;

/// The defaults: those of [`Options`].
fn defaults() -> happy_options {
    let Options {
        local_host: None,
        local_service: None,
        local_v4: None,
        local_v6: None,
        addresses: None,
        families: Families::Both,
        preferred_family: None,
        fast_fallback: true,
        nonblocking: false,
        lookup_by_libc: false,
        growing_delay: false,
        share_open_timeout: false,
        only_connected_families: false,
        lookup_flags,
        resolv_timeout,
        connect_timeout,
        open_timeout,
        resolution_delay,
        connection_attempt_delay,
        first_address_family_count,
        max_attempts,
        history: None,
        nat64: Nat64::Off,
        service: None,
        alpn: [],
        lookup: None,
        hooks: None,
        trace: false,
        confirm: false,
    } = Options::default()
    else {
        unreachable!("the defaults are those that zero and NULL stand for")
    };
    let milliseconds = |time: Duration| time.as_millis() as i32;
    happy_options {
        size: size_of::<happy_options>(),
        local_host: std::ptr::null(),
        local_service: std::ptr::null(),
        family: libc::AF_UNSPEC,
        preferred_family: libc::AF_UNSPEC,
        flags: 0,
        lookup_flags,
        resolv_timeout_ms: resolv_timeout.map_or(-1, milliseconds),
        connect_timeout_ms: connect_timeout.map_or(-1, milliseconds),
        open_timeout_ms: open_timeout.map_or(-1, milliseconds),
        resolution_delay_ms: milliseconds(resolution_delay),
        connection_attempt_delay_ms: milliseconds(connection_attempt_delay),
        first_address_family_count,
        max_attempts,
        lookup: None,
        lookup_free: None,
        configure_socket: None,
        trace: None,
        userdata: std::ptr::null_mut(),
        userdata_free: None,
        addresses: std::ptr::null(),
        local_v4: std::ptr::null(),
        local_v6: std::ptr::null(),
        history: std::ptr::null_mut(),
        nat64: std::ptr::null(),
        confirm: None,
        release_socket: None,
    }
}

/// Why a call was refused: the status, and what the result says of the argument.
pub(crate) struct Refusal {
    pub status: i32,
    pub gai_error: i32,
    pub argument: Option<Argument>,
    pub reason: Option<&'static CStr>,
}

impl Refusal {
    /// For a reason that is no argument's; the text for happy_error_message() is set by whoever knows more.
    pub fn of_status(status: i32) -> Refusal {
        Refusal { status, gai_error: 0, argument: None, reason: None }
    }

    pub fn of_argument(argument: Argument, reason: &'static CStr) -> Refusal {
        Refusal::from(PlanError::invalid(argument, reason))
    }
}

impl From<PlanError> for Refusal {
    fn from(error: PlanError) -> Refusal {
        match error {
            PlanError::OutOfMemory => {
                set_message("out of memory");
                Refusal::of_status(HAPPY_ENOMEM)
            }
            PlanError::Invalid(Invalid { argument, gai_error, reason }) => {
                set_message(format!("{argument}: {}", reason.to_string_lossy()));
                Refusal { status: HAPPY_EINVALID, gai_error, argument: Some(argument), reason: Some(reason) }
            }
        }
    }
}

fn invalid(argument: Argument, reason: &'static CStr) -> PlanError {
    PlanError::invalid(argument, reason)
}

impl happy_options {
    /// Copies what the caller gave; NULL gives the defaults.
    ///
    /// # Safety
    /// NULL, or readable for the `size` that it begins with.
    unsafe fn read(options: *const happy_options) -> Result<happy_options, PlanError> {
        let mut given = defaults();
        // SAFETY: promised by the caller.
        let Some(size) = (unsafe { options.cast::<usize>().as_ref() }).copied() else { return Ok(given) };
        if !(FIRST_SIZE..=GREATEST_SIZE).contains(&size) {
            return Err(invalid(Argument::Options, c"size is not sizeof(happy_options)"));
        }
        // SAFETY: readable for `size` bytes, promised by the caller.
        let bytes = unsafe { std::slice::from_raw_parts(options.cast::<u8>(), size) };
        // A newer caller may know more fields: what this library does not know must be unused.
        let known = size.min(size_of::<happy_options>());
        if bytes[known..].iter().any(|&byte| byte != 0) {
            return Err(invalid(Argument::Options, c"a field is set that this version does not know"));
        }
        // An older caller knows fewer: those that its struct lacks have their defaults. SAFETY: `known` bytes
        // can be read and written, and every bit pattern of the fields is a value of theirs.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut given).cast::<u8>(), known) };
        Ok(given)
    }

    /// Checks all fields. `addresses` has room for the known ones.
    ///
    /// # Safety
    /// The strings are NULL or end with a zero byte, and live as long as the answer; the addresses are NULL
    /// or can be read; the history is NULL or live.
    unsafe fn check<'a>(&self, addresses: &'a mut Vec<SocketAddr>) -> Result<Options<'a>, PlanError> {
        let families = match self.family {
            libc::AF_UNSPEC => Families::Both,
            libc::AF_INET => Families::Only(Family::V4),
            libc::AF_INET6 => Families::Only(Family::V6),
            _ => {
                let reason = c"neither AF_UNSPEC, AF_INET nor AF_INET6";
                let gai_error = libc::EAI_FAMILY;
                return Err(PlanError::Invalid(Invalid { argument: Argument::Family, gai_error, reason }));
            }
        };
        let preferred_family = match self.preferred_family {
            libc::AF_UNSPEC => None,
            libc::AF_INET => Some(Family::V4),
            libc::AF_INET6 => Some(Family::V6),
            _ => return Err(invalid(Argument::PreferredFamily, c"neither AF_UNSPEC, AF_INET nor AF_INET6")),
        };
        if self.release_socket.is_some() && self.confirm.is_none() {
            return Err(invalid(Argument::ReleaseSocket, c"needs confirm"));
        }
        if self.flags & !FLAGS != 0 {
            return Err(invalid(Argument::Flags, c"a flag is set that this version does not know"));
        }
        if self.first_address_family_count == 0 {
            return Err(invalid(Argument::FirstAddressFamilyCount, c"must be at least 1"));
        }
        // SAFETY: promised by the caller.
        let (v4, v6) =
            unsafe { (local(self.local_v4.cast(), self.local_v4), local(self.local_v6.cast(), self.local_v6)) };
        let local_v4 = match v4 {
            None => None,
            Some(Some(SocketAddr::V4(address))) => Some(address),
            Some(_) => return Err(invalid(Argument::LocalV4, c"sin_family is not AF_INET")),
        };
        let local_v6 = match v6 {
            None => None,
            Some(Some(SocketAddr::V6(address))) => Some(address),
            Some(_) => return Err(invalid(Argument::LocalV6, c"sin6_family is not AF_INET6")),
        };
        if !self.addresses.is_null() {
            // SAFETY: promised by the caller.
            unsafe { read_addresses(self.addresses, addresses) }?;
        }
        Ok(Options {
            // SAFETY: promised by the caller.
            local_host: unsafe { string(self.local_host) },
            // SAFETY: promised by the caller.
            local_service: unsafe { string(self.local_service) },
            local_v4,
            local_v6,
            addresses: if self.addresses.is_null() { None } else { Some(addresses) },
            families,
            preferred_family,
            fast_fallback: self.flags & HAPPY_FLAG_NO_FAST_FALLBACK == 0,
            nonblocking: self.flags & HAPPY_FLAG_NONBLOCKING != 0,
            lookup_by_libc: self.flags & HAPPY_FLAG_LOOKUP_BY_LIBC != 0,
            growing_delay: self.flags & HAPPY_FLAG_GROWING_DELAY != 0,
            share_open_timeout: self.flags & HAPPY_FLAG_SHARE_TIMEOUT != 0,
            only_connected_families: self.flags & HAPPY_FLAG_ONLY_CONNECTED_FAMILIES != 0,
            lookup_flags: self.lookup_flags,
            resolv_timeout: limit(Argument::ResolvTimeout, self.resolv_timeout_ms)?,
            connect_timeout: limit(Argument::ConnectTimeout, self.connect_timeout_ms)?,
            open_timeout: limit(Argument::OpenTimeout, self.open_timeout_ms)?,
            resolution_delay: delay(Argument::ResolutionDelay, self.resolution_delay_ms)?,
            connection_attempt_delay: delay(Argument::ConnectionAttemptDelay, self.connection_attempt_delay_ms)?,
            first_address_family_count: self.first_address_family_count,
            max_attempts: self.max_attempts,
            // SAFETY: NULL, or a live handle, promised by the caller.
            history: unsafe { self.history.as_ref() }.map(happy_history::shared),
            // SAFETY: promised by the caller.
            nat64: nat64(unsafe { string(self.nat64) })?,
            service: None,
            alpn: &[],
            lookup: None,
            hooks: None,
            trace: self.trace.is_some(),
            confirm: self.confirm.is_some(),
        })
    }
}

/// The local address behind a pointer; None: not given. What is none of IPv4 and IPv6 is `Some(None)`.
///
/// # Safety
/// NULL or a `T`, and `address` the same pointer.
unsafe fn local<T>(address: *const libc::sockaddr, typed: *const T) -> Option<Option<SocketAddr>> {
    // SAFETY: promised by the caller.
    (!typed.is_null()).then(|| unsafe { socket_address(address, size_of::<T>() as libc::socklen_t) })
}

/// Copies a list of known addresses.
///
/// # Safety
/// NULL, or a node whose address can be read and whose `ai_next` is such a list.
unsafe fn read_addresses(mut list: *const libc::addrinfo, into: &mut Vec<SocketAddr>) -> Result<(), PlanError> {
    // SAFETY: promised by the caller.
    while let Some(node) = unsafe { list.as_ref() } {
        if into.len() == MOST_ADDRESSES {
            return Err(invalid(Argument::Addresses, c"more than 4096"));
        }
        // SAFETY: promised by the caller.
        let Some(address) = (unsafe { socket_address(node.ai_addr, node.ai_addrlen) }) else {
            return Err(invalid(Argument::Addresses, c"one is neither AF_INET nor AF_INET6, or too short"));
        };
        into.try_reserve(1).map_err(|_| PlanError::OutOfMemory)?;
        into.push(address);
        list = node.ai_next;
    }
    Ok(())
}

/// Makes a plan of what a caller gave.
///
/// # Safety
/// The strings are NULL or end with a zero byte; `options` is NULL or readable for the size that it begins
/// with; its callbacks keep the promises of their documentation.
pub(crate) unsafe fn plan(
    remote_host: *const c_char,
    remote_service: *const c_char,
    options: *const happy_options,
) -> Result<Plan, Refusal> {
    // SAFETY: promised by the caller.
    let given = unsafe { happy_options::read(options) }?;
    let mut addresses = Vec::new();
    // SAFETY: promised by the caller; the strings outlive this call.
    let mut options = unsafe { given.check(&mut addresses) }?;
    // SAFETY: promised by the caller.
    let (host, service) = unsafe { (string(remote_host), string(remote_service)) };
    // Until the arguments are accepted, userdata_free must not be called: it is armed at the end.
    let userdata = Userdata::new(given.userdata, given.userdata_free);
    if let Some(function) = given.lookup {
        // SAFETY: the caller promises what `happy_lookup_fn` demands, for as long as the userdata is not
        // freed.
        options.lookup = Some(unsafe {
            LookupCallback::new(function, given.lookup_free, given.userdata, Arc::clone(&userdata) as Arc<_>)
        });
    }
    // The hooks keep the userdata also where there is nothing to call: it is freed with the connect.
    let happy_options { configure_socket, trace, confirm, release_socket, .. } = given;
    if configure_socket.is_some() || trace.is_some() || confirm.is_some() || given.userdata_free.is_some() {
        let userdata = Arc::clone(&userdata);
        options.hooks = Some(Arc::new(CallerHooks { configure_socket, trace, confirm, release_socket, userdata }));
    }
    let plan = Plan::new(host, service, &options)?;
    userdata.arm();
    Ok(plan)
}

/// What is done with IPv4 addresses on a network without IPv4.
fn nat64(text: Option<&CStr>) -> Result<Nat64, PlanError> {
    let Some(text) = text else { return Ok(Nat64::Off) };
    let parsed = text.to_str().map_err(|_| InvalidNat64::Malformed).and_then(str::parse);
    parsed.map_err(|error| invalid(Argument::Nat64, error.reason()))
}

/// A limit in milliseconds: -1 none.
fn limit(argument: Argument, milliseconds: i32) -> Result<Option<Duration>, PlanError> {
    match milliseconds {
        -1 => Ok(None),
        0.. => Ok(Some(Duration::from_millis(milliseconds as u64))),
        _ => Err(invalid(argument, c"must be -1 (no limit) or more")),
    }
}

fn delay(argument: Argument, milliseconds: i32) -> Result<Duration, PlanError> {
    match u64::try_from(milliseconds) {
        Ok(milliseconds) => Ok(Duration::from_millis(milliseconds)),
        Err(_) => Err(invalid(argument, c"must not be negative")),
    }
}
