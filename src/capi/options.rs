//! What a caller asks of one connect.

use super::status::{HAPPY_EINVALID, HAPPY_ENOMEM, set_message};
use crate::drive::{Options, Plan, PlanError};
use crate::lookup::LookupCallback;
use crate::race::{Families, Family};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::{offset_of, size_of};
use std::sync::Arc;
use std::time::Duration;

use super::hooks::{CallerHooks, Userdata};
use super::trace::happy_trace_event;

/// Attempts one address after the other in the system's order, without a race: the next only when the one before has
/// failed or used up `connect_timeout_ms`.
pub const HAPPY_FLAG_NO_FAST_FALLBACK: u32 = 1;
/// Hands the socket over in non-blocking mode.
pub const HAPPY_FLAG_NONBLOCKING: u32 = 2;

/// Stands in for getaddrinfo(3): same arguments, same answer (0 or an `EAI_*` code, errno with `EAI_SYSTEM`).
///
/// Called on a worker thread of the library with all signals blocked, for each address family that is asked for
/// (`hints->ai_family`), possibly at the same time; it may block as long as it likes. `node` and `service` live until it
/// returns. A host that is an IP literal is not asked.
pub type happy_lookup_fn = Option<
    unsafe extern "C" fn(
        node: *const c_char,
        service: *const c_char,
        hints: *const libc::addrinfo,
        ret_res: *mut *mut libc::addrinfo,
        userdata: *mut c_void,
    ) -> c_int,
>;

/// Frees a list that a `happy_lookup_fn` gave. Any thread.
pub type happy_lookup_free_fn = Option<unsafe extern "C" fn(res: *mut libc::addrinfo, userdata: *mut c_void)>;

/// Sees each socket after it was made and before it is bound and connected, to set socket options.
///
/// Returns 0, or an errno with which this attempt fails. It must not close the descriptor. Called on the thread that
/// drives the connect.
pub type happy_configure_socket_fn = Option<
    unsafe extern "C" fn(
        fd: c_int,
        address: *const libc::sockaddr,
        address_length: libc::socklen_t,
        userdata: *mut c_void,
    ) -> c_int,
>;

/// Sees each step of the race as it happens, on the thread that drives the connect. `event` lives until it returns.
pub type happy_trace_fn = Option<unsafe extern "C" fn(event: *const happy_trace_event, userdata: *mut c_void)>;

/// Frees `userdata`. Any thread.
pub type happy_userdata_free_fn = Option<unsafe extern "C" fn(userdata: *mut c_void)>;

/// What one connect is to do. Start from `HAPPY_OPTIONS_INIT` and change what you need:
///
/// ```c
/// happy_options options = HAPPY_OPTIONS_INIT;
/// options.open_timeout_ms = 5000;
/// ```
///
/// The library copies what it needs before the call returns, strings included. Limits and delays are in milliseconds.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct happy_options {
    /// sizeof(happy_options) as the caller was compiled. Fields that a shorter struct lacks have their defaults.
    pub size: usize,
    /// The local address to bind to, or NULL. As getaddrinfo(3) takes it.
    pub local_host: *const c_char,
    /// The local port to bind to, or NULL. As getaddrinfo(3) takes it.
    pub local_service: *const c_char,
    /// AF_UNSPEC (both families), AF_INET or AF_INET6.
    pub family: i32,
    /// `HAPPY_FLAG_*`, added up.
    pub flags: u32,
    /// `AI_*` flags for the lookup of the remote host, such as AI_NUMERICSERV.
    pub lookup_flags: i32,
    /// Limit for the lookups, from the start; -1 none, 0 over at once. Not together with `open_timeout_ms`.
    pub resolv_timeout_ms: i32,
    /// Limit for connecting, from the start of the last candidate's attempt; -1 none, 0 over at once. Not together with
    /// `open_timeout_ms`.
    pub connect_timeout_ms: i32,
    /// Limit over everything, from the start; -1 none, 0 over at once.
    pub open_timeout_ms: i32,
    /// Resolution Delay: how long an A answer waits for the AAAA answer (RFC 8305, section 3). 50.
    pub resolution_delay_ms: i32,
    /// Connection Attempt Delay: the time between two attempts (RFC 8305, section 5), held within 10 to 2000. 250.
    pub connection_attempt_delay_ms: i32,
    /// First Address Family Count: how many addresses of the first family come before the families alternate (RFC 8305,
    /// section 4). At least 1.
    pub first_address_family_count: u32,
    /// The greatest number of attempts in flight at the same time; 0: no cap. Where it is reached, the oldest attempt is
    /// abandoned for the next address once the Connection Attempt Delay is over; the last ones keep running. A path slower
    /// than the delay needs a cap above 1.
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
    /// Called exactly once when the library will not touch `userdata` any more, on whichever thread that happens: a lookup
    /// that was given up may outlive the connect. Not called when the options were refused (the call that took them
    /// answered HAPPY_EINVALID, HAPPY_ENOMEM or HAPPY_EFORKED). NULL: nothing is called.
    pub userdata_free: happy_userdata_free_fn,
}

/// The size of the struct in 0.1.0, the first version: a smaller one is no struct but an accident.
const FIRST_SIZE: usize = offset_of!(happy_options, userdata_free) + size_of::<happy_userdata_free_fn>();
/// So is a larger one.
const GREATEST_SIZE: usize = 4096;

/// The defaults, as HAPPY_OPTIONS_INIT writes them.
const DEFAULTS: happy_options = happy_options {
    size: size_of::<happy_options>(),
    local_host: std::ptr::null(),
    local_service: std::ptr::null(),
    family: libc::AF_UNSPEC,
    flags: 0,
    lookup_flags: 0,
    resolv_timeout_ms: -1,
    connect_timeout_ms: -1,
    open_timeout_ms: -1,
    resolution_delay_ms: 50,
    connection_attempt_delay_ms: 250,
    first_address_family_count: 1,
    max_attempts: 0,
    lookup: None,
    lookup_free: None,
    configure_socket: None,
    trace: None,
    userdata: std::ptr::null_mut(),
    userdata_free: None,
};

/// Why a plan could not be made of a caller's arguments: the status, and what the result says of the argument.
pub(crate) struct Refusal {
    pub status: i32,
    pub gai_error: i32,
    pub argument: Option<&'static CStr>,
}

impl Refusal {
    fn argument(argument: &'static CStr, gai_error: i32, message: &str) -> Refusal {
        set_message(format!("{}: {message}", argument.to_string_lossy()));
        Refusal { status: HAPPY_EINVALID, gai_error, argument: Some(argument) }
    }

    fn no_memory() -> Refusal {
        set_message("out of memory");
        Refusal { status: HAPPY_ENOMEM, gai_error: 0, argument: None }
    }
}

impl happy_options {
    /// Copies what the caller gave; NULL gives the defaults.
    ///
    /// # Safety
    /// NULL, or readable for the `size` that it begins with.
    unsafe fn read(options: *const happy_options) -> Result<happy_options, Refusal> {
        // SAFETY: promised by the caller.
        let Some(size) = (unsafe { options.cast::<usize>().as_ref() }).copied() else { return Ok(DEFAULTS) };
        if !(FIRST_SIZE..=GREATEST_SIZE).contains(&size) {
            return Err(Refusal::argument(c"options", 0, "size is not sizeof(happy_options)"));
        }
        // SAFETY: readable for `size` bytes, promised by the caller.
        let bytes = unsafe { std::slice::from_raw_parts(options.cast::<u8>(), size) };
        // A newer caller may know more fields: what this library does not know must be unused.
        let known = size.min(size_of::<happy_options>());
        if bytes[known..].iter().any(|&byte| byte != 0) {
            return Err(Refusal::argument(c"options", 0, "a field is set that this version does not know"));
        }
        // An older caller knows fewer: those that its struct lacks have their defaults.
        let mut given = DEFAULTS;
        // SAFETY: `known` bytes can be read and written, and every bit pattern of the fields is a value of theirs.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut given).cast::<u8>(), known) };
        Ok(given)
    }

    /// Checks all fields.
    ///
    /// # Safety
    /// The strings are NULL or end with a zero byte, and live as long as the answer.
    unsafe fn check<'a>(&self) -> Result<Options<'a>, Refusal> {
        let families = match self.family {
            libc::AF_UNSPEC => Families::Both,
            libc::AF_INET => Families::Only(Family::V4),
            libc::AF_INET6 => Families::Only(Family::V6),
            _ => return Err(Refusal::argument(c"family", libc::EAI_FAMILY, "neither AF_UNSPEC, AF_INET nor AF_INET6")),
        };
        if self.flags & !(HAPPY_FLAG_NO_FAST_FALLBACK | HAPPY_FLAG_NONBLOCKING) != 0 {
            return Err(Refusal::argument(c"flags", 0, "a flag is set that this version does not know"));
        }
        if self.first_address_family_count == 0 {
            return Err(Refusal::argument(c"first_address_family_count", 0, "must be at least 1"));
        }
        Ok(Options {
            // SAFETY: promised by the caller.
            local_host: unsafe { string(self.local_host) },
            // SAFETY: promised by the caller.
            local_service: unsafe { string(self.local_service) },
            families,
            fast_fallback: self.flags & HAPPY_FLAG_NO_FAST_FALLBACK == 0,
            nonblocking: self.flags & HAPPY_FLAG_NONBLOCKING != 0,
            lookup_flags: self.lookup_flags,
            resolv_timeout: limit(c"resolv_timeout_ms", self.resolv_timeout_ms)?,
            connect_timeout: limit(c"connect_timeout_ms", self.connect_timeout_ms)?,
            open_timeout: limit(c"open_timeout_ms", self.open_timeout_ms)?,
            resolution_delay: delay(c"resolution_delay_ms", self.resolution_delay_ms)?,
            connection_attempt_delay: delay(c"connection_attempt_delay_ms", self.connection_attempt_delay_ms)?,
            first_address_family_count: self.first_address_family_count,
            max_attempts: self.max_attempts,
            lookup: None,
            hooks: None,
            trace: self.trace.is_some(),
        })
    }
}

/// Makes a plan of what a caller gave.
///
/// # Safety
/// The strings are NULL or end with a zero byte; `options` is NULL or readable for the size that it begins with; its callbacks
/// keep the promises of their documentation.
pub(crate) unsafe fn plan(
    remote_host: *const c_char,
    remote_service: *const c_char,
    options: *const happy_options,
) -> Result<Plan, Refusal> {
    // SAFETY: promised by the caller.
    let given = unsafe { happy_options::read(options) }?;
    // SAFETY: promised by the caller; the strings outlive this call.
    let mut options = unsafe { given.check() }?;
    // SAFETY: promised by the caller.
    let (host, service) = unsafe { (string(remote_host), string(remote_service)) };
    // Until the arguments are accepted, userdata_free must not be called: it is armed at the end.
    let userdata = Userdata::new(given.userdata, given.userdata_free);
    if let Some(function) = given.lookup {
        // SAFETY: the caller promises what `happy_lookup_fn` demands, for as long as the userdata is not freed.
        options.lookup = Some(unsafe {
            LookupCallback::new(function, given.lookup_free, given.userdata, Arc::clone(&userdata) as Arc<_>)
        });
    }
    // The hooks keep the userdata also where there is nothing to call: it is freed with the connect.
    if given.configure_socket.is_some() || given.trace.is_some() || given.userdata_free.is_some() {
        options.hooks = Some(Arc::new(CallerHooks::new(given.configure_socket, given.trace, Arc::clone(&userdata))));
    }
    let plan = Plan::new(host, service, &options).map_err(|error| match error {
        PlanError::OutOfMemory => Refusal::no_memory(),
        PlanError::Invalid(invalid) => {
            let argument = match invalid.argument {
                "remote_host" => c"remote_host",
                "remote_service" => c"remote_service",
                "local_host" => c"local_host",
                "local_service" => c"local_service",
                _ => c"open_timeout_ms",
            };
            Refusal::argument(argument, invalid.gai_error, invalid.message)
        }
    })?;
    userdata.arm();
    Ok(plan)
}

/// # Safety
/// NULL, or ends with a zero byte and lives as long as the answer.
pub(crate) unsafe fn string<'a>(text: *const c_char) -> Option<&'a CStr> {
    // SAFETY: promised by the caller.
    if text.is_null() { None } else { Some(unsafe { CStr::from_ptr(text) }) }
}

/// A limit in milliseconds: -1 none.
fn limit(argument: &'static CStr, milliseconds: i32) -> Result<Option<Duration>, Refusal> {
    match milliseconds {
        -1 => Ok(None),
        0.. => Ok(Some(Duration::from_millis(milliseconds as u64))),
        _ => Err(Refusal::argument(argument, 0, "must be -1 (no limit) or more")),
    }
}

fn delay(argument: &'static CStr, milliseconds: i32) -> Result<Duration, Refusal> {
    match u64::try_from(milliseconds) {
        Ok(milliseconds) => Ok(Duration::from_millis(milliseconds)),
        Err(_) => Err(Refusal::argument(argument, 0, "must not be negative")),
    }
}
