//! What a connect came to.

use super::binding::BindingBytes;
use super::boundary::{Length, Status, export, set_errno};
use super::codes::*;
use super::message::set_message;
use super::options::Refusal;
use super::trace::{address_family_of, in_network_order, source_name};
use crate::drive::{Argument, Report, ServiceBinding, system_call};
use crate::race::{Attempt, AttemptOutcome, Family, LookupError, Operation, Outcome};
use crate::sys::address::{RawAddress, socket_address};
use crate::sys::words::{errno_text, gai_text};
use std::ffi::{CStr, c_char, c_int};
use std::mem::{MaybeUninit, offset_of, size_of};
use std::os::fd::IntoRawFd;
use std::time::Instant;

/// One attempt of a connect.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct happy_attempt {
    /// AF_INET or AF_INET6.
    pub family: i32,
    /// `HAPPY_OUTCOME_*`.
    pub outcome: i32,
    /// errno of a failure, ETIMEDOUT when a limit ended it, else 0.
    pub sys_errno: i32,
    /// The length of `address`.
    pub address_length: libc::socklen_t,
    /// What failed, such as "connect(2)" (static), or NULL.
    pub syscall: *const c_char,
    /// When it started, in nanoseconds since the race began.
    pub started_ns: u64,
    /// When it ended, in nanoseconds since the race began.
    pub ended_ns: u64,
    /// The address that was attempted.
    pub address: libc::sockaddr_storage,
    /// 1: the address leads to a translator and stands for an IPv4 address (`nat64` of the options); else 0.
    pub synthesized: i32,
    /// That IPv4 address in network byte order, as in_addr has it; else 0.
    pub synthesized_from: u32,
}

/// What a connect came to. Start from `HAPPY_RESULT_INIT`; give `attempts` room if you want to see every
/// attempt:
///
/// ```c
/// happy_attempt attempts[16];
/// happy_result result = HAPPY_RESULT_INIT;
/// result.attempts = attempts;
/// result.attempts_capacity = 16;
/// ```
///
/// It owns nothing but `fd`, which is the caller's to close. All texts are static, but for those of a service
/// binding, which are in the caller's buffer: with `service` in the options, give that room too, if you want
/// to see them:
///
/// ```c
/// char buffer[4096];
/// result.binding_buffer = buffer;
/// result.binding_capacity = sizeof buffer;
/// ```
///
/// Fields that later versions append are 0 where there is nothing to say.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct happy_result {
    /// sizeof(happy_result) as the caller was compiled. Only fields that lie within it are written.
    pub size: usize,
    /// HAPPY_OK or `HAPPY_E*`.
    pub status: i32,
    /// The connected socket (close-on-exec, blocking unless asked otherwise), or -1.
    pub fd: i32,
    /// `EAI_*` code with HAPPY_ERESOLVE, and with HAPPY_EINVALID where getaddrinfo(3) would have given one;
    /// else 0.
    pub gai_error: i32,
    /// errno with HAPPY_ESYSCALL, ETIMEDOUT with HAPPY_ETIMEOUT, ECANCELED with HAPPY_ECANCELLED; with
    /// HAPPY_ERESOLVE and EAI_SYSTEM the errno of the lookup; else 0.
    pub sys_errno: i32,
    /// What failed: a system call, such as "connect(2)" or "bind(2)", or "configure_socket" or "confirm",
    /// the caller's functions; or NULL.
    pub syscall: *const c_char,
    /// The name of the argument at fault, such as "remote_host", or NULL.
    pub argument: *const c_char,
    /// What is wrong with the argument, in a few English words, with HAPPY_EINVALID; or NULL.
    pub reason: *const c_char,
    /// `HAPPY_LIMIT_*`: the limit that ended it with HAPPY_ETIMEOUT.
    pub limit: i32,
    /// 1: the local address was at fault (its lookup, its family, or bind); else 0.
    pub local_at_fault: i32,
    /// 1: connected, but not over the family that was attempted first: that one failed or had not answered by
    /// then; else 0.
    pub fell_back: i32,
    /// How many attempts were made, whatever the capacity.
    pub attempts_count: u32,
    /// The winner's address, or that of the attempt that failed last; `address_length` 0 when no attempt was
    /// made.
    pub address: libc::sockaddr_storage,
    /// The length of `address`.
    pub address_length: libc::socklen_t,
    /// Room for the attempts, in the order of their start, or NULL. The caller's. In a done callback: the
    /// library's, until the callback returns; go through them with happy_result_get_attempt there.
    pub attempts: *mut happy_attempt,
    /// How many attempts there is room for.
    pub attempts_capacity: usize,
    /// sizeof(happy_attempt) as whoever made the room was compiled: from one attempt to the next.
    pub attempt_size: usize,
    /// 1: IPv6 does not answer in this network, as earlier connects with the same history have found, or this
    /// one: an attempt had no answer in the time in which the other family had one after it. Else 0.
    pub unanswered_v6: i32,
    /// The same of IPv4.
    pub unanswered_v4: i32,
    /// Who has answered the last lookup of the remote host: "hosts" (the file), "dns" (name servers) or
    /// "resolve" (systemd-resolved), each asked by the library itself; "libc"; "lookup" (the caller's
    /// function). NULL where nobody had to be asked, or none has answered.
    pub source: *const c_char,
    /// 1: `address` leads to a translator and stands for an IPv4 address (`nat64` of the options); else 0.
    pub synthesized: i32,
    /// That IPv4 address in network byte order, as in_addr has it; else 0.
    pub synthesized_from: u32,
    /// Room for what the binding says that has led to the winner (`service` of the options), or NULL. The
    /// caller's; the target, the ids and what ECH needs are written there one behind the other, each where it
    /// fits as a whole into what is left. In a done callback: the library's, with room for all, until the
    /// callback returns. 66560 bytes are always enough: a DNS message has 65535 at most.
    pub binding_buffer: *mut c_char,
    /// How many bytes there is room for.
    pub binding_capacity: usize,
    /// How many bytes are needed, whatever the capacity. 0: no binding has led to the winner, whose address
    /// is the host's own.
    pub binding_length: usize,
    /// The name whose address was connected to, without the dot at its end, or NULL: no binding, or no room.
    /// TLS names the host that was asked for, and not this one (RFC 9460, section 9.1).
    pub binding_target: *const c_char,
    /// The ALPN ids of the protocols that can be spoken there, with commas between: those that the binding
    /// offers and the caller speaks, in the binding's order. Empty: it names none. Ids that have a comma or a
    /// zero byte in them are left out. NULL: no binding, or no room.
    pub binding_alpn: *const c_char,
    /// What Encrypted Client Hello needs: an ECHConfigList as it is on the wire (RFC 9849), or NULL: the
    /// binding has none, or there is no room for it, and then `binding_ech_length` is not 0. A program that
    /// must not speak without it closes the connection.
    pub binding_ech: *const u8,
    /// The length of the ECHConfigList, whatever the capacity; 0: the binding has none.
    pub binding_ech_length: usize,
    /// The port that the binding names, which is then that of `address`; 0: it names none.
    pub binding_port: i32,
    /// Its SvcPriority, where lower goes first; 0: aliases (AliasMode) alone have led to the target, or there
    /// is no binding.
    pub binding_priority: i32,
}

impl happy_attempt {
    pub(crate) fn new(attempt: &Attempt, began: Instant) -> happy_attempt {
        let raw = RawAddress::from(&attempt.destination);
        let (outcome, sys_errno, operation) = outcome_parts(attempt.outcome);
        let since = |time: Instant| time.saturating_duration_since(began).as_nanos() as u64;
        happy_attempt {
            family: address_family_of(&attempt.destination),
            outcome,
            sys_errno,
            address_length: raw.length(),
            syscall: operation.map_or(std::ptr::null(), |operation| system_call(operation).as_ptr()),
            started_ns: since(attempt.started),
            ended_ns: since(attempt.ended.unwrap_or(attempt.started)),
            address: *raw.storage(),
            synthesized: i32::from(attempt.embedded.is_some()),
            synthesized_from: attempt.embedded.map_or(0, in_network_order),
        }
    }
}

impl happy_result {
    /// A result with nothing but a status.
    pub(crate) fn of_status(status: i32) -> happy_result {
        happy_result {
            size: size_of::<happy_result>(),
            status,
            fd: -1,
            gai_error: 0,
            sys_errno: 0,
            syscall: std::ptr::null(),
            argument: std::ptr::null(),
            reason: std::ptr::null(),
            limit: HAPPY_LIMIT_NONE,
            local_at_fault: 0,
            fell_back: 0,
            // SAFETY: sockaddr_storage is plain data for which all zeros is a value.
            address: unsafe { MaybeUninit::zeroed().assume_init() },
            address_length: 0,
            attempts_count: 0,
            attempts: std::ptr::null_mut(),
            attempts_capacity: 0,
            attempt_size: size_of::<happy_attempt>(),
            unanswered_v6: 0,
            unanswered_v4: 0,
            source: std::ptr::null(),
            synthesized: 0,
            synthesized_from: 0,
            binding_buffer: std::ptr::null_mut(),
            binding_capacity: 0,
            binding_length: 0,
            binding_target: std::ptr::null(),
            binding_alpn: std::ptr::null(),
            binding_ech: std::ptr::null(),
            binding_ech_length: 0,
            binding_port: 0,
            binding_priority: 0,
        }
    }

    pub(crate) fn of_refusal(refusal: &Refusal) -> happy_result {
        happy_result {
            gai_error: refusal.gai_error,
            argument: refusal.argument.map_or(std::ptr::null(), |argument| argument.name().as_ptr()),
            reason: refusal.reason.map_or(std::ptr::null(), CStr::as_ptr),
            ..happy_result::of_status(refusal.status)
        }
    }

    /// What a race came to; the winner's descriptor is the result's from here. The attempts and what a binding
    /// says are left to [`write`](happy_result::write).
    pub(crate) fn of_report(report: &mut Report<'_>) -> happy_result {
        let mut result = happy_result::of_status(status_of(&report.outcome));
        result.attempts_count = report.attempts.len() as u32;
        result.unanswered_v6 = i32::from(report.unanswered == Some(Family::V6));
        result.unanswered_v4 = i32::from(report.unanswered == Some(Family::V4));
        result.source = source_name(report.answered_by);
        if let Some(binding) = report.binding {
            result.binding_length = BindingBytes::of(binding).length();
            result.binding_ech_length = binding.ech.as_ref().map_or(0, Vec::len);
            result.binding_port = i32::from(binding.port.unwrap_or(0));
            result.binding_priority = i32::from(binding.priority);
        }
        // The winner's address, or that of the attempt that failed last: the latest to end.
        let shown = match report.outcome {
            Outcome::Connected { attempt } | Outcome::AttemptsFailed { last: attempt } => {
                report.attempts.get(attempt.0 as usize)
            }
            _ => report.attempts.iter().max_by_key(|attempt| attempt.ended),
        };
        if let Some(attempt) = shown {
            let raw = RawAddress::from(&attempt.destination);
            result.address = *raw.storage();
            result.address_length = raw.length();
            result.synthesized = i32::from(attempt.embedded.is_some());
            result.synthesized_from = attempt.embedded.map_or(0, in_network_order);
        }
        match report.outcome {
            Outcome::Connected { .. } => {
                result.fd = report.socket.take().map_or(-1, IntoRawFd::into_raw_fd);
                let is_v6 = |attempt: &Attempt| attempt.destination.is_ipv6();
                result.fell_back = i32::from(report.attempts.first().map(is_v6) != shown.map(is_v6));
            }
            Outcome::ResolveFailed { error } => {
                result.resolve_failed(error, Argument::RemoteHost, Argument::RemoteService);
            }
            Outcome::LocalFailed { error } => {
                result.resolve_failed(error, Argument::LocalHost, Argument::LocalService);
                result.local_at_fault = 1;
            }
            Outcome::NoLocalAddress => {
                result.sys_errno = libc::EAFNOSUPPORT;
                result.syscall = c"bind(2)".as_ptr();
                result.argument = Argument::LocalHost.name().as_ptr();
                result.local_at_fault = 1;
            }
            Outcome::AttemptsFailed { .. } => {
                if let Some(AttemptOutcome::Failed(failure)) = shown.map(|attempt| attempt.outcome) {
                    result.sys_errno = failure.sys_errno;
                    result.syscall = system_call(failure.operation).as_ptr();
                    result.local_at_fault = i32::from(failure.operation == Operation::Bind);
                }
            }
            Outcome::TimedOut { limit } => {
                result.sys_errno = libc::ETIMEDOUT;
                result.limit = limit_of(limit);
            }
            Outcome::Cancelled => result.sys_errno = libc::ECANCELED,
            Outcome::Broken { sys_errno } => {
                result.sys_errno = sys_errno;
                result.syscall = c"ppoll(2)".as_ptr();
            }
        }
        result.explain();
        result
    }

    fn resolve_failed(&mut self, error: LookupError, host: Argument, service: Argument) {
        self.gai_error = error.gai_error;
        self.sys_errno = error.sys_errno;
        let at_fault = if error.gai_error == libc::EAI_SERVICE { service } else { host };
        self.argument = at_fault.name().as_ptr();
    }

    /// Writes what a binding says into a buffer, as far as it fits, and points there.
    ///
    /// # Safety
    /// `buffer` is NULL or can be written for `capacity` bytes, for as long as the result is read.
    pub(crate) unsafe fn put_binding(
        &mut self,
        binding: Option<&ServiceBinding>,
        buffer: *mut c_char,
        capacity: usize,
    ) {
        (self.binding_buffer, self.binding_capacity) = (buffer, capacity);
        let Some(binding) = binding else { return };
        // SAFETY: promised by the caller.
        let places = unsafe { BindingBytes::of(binding).put(buffer, capacity) };
        (self.binding_target, self.binding_alpn, self.binding_ech) = (places.target, places.alpn, places.ech);
    }

    /// Leaves the text for happy_error_message().
    fn explain(&self) {
        if self.status != HAPPY_OK {
            set_message(self.sentence());
        }
    }

    /// What a person reads.
    fn sentence(&self) -> String {
        // SAFETY: the address is a whole sockaddr_storage, and its length lies within it.
        let address = unsafe {
            let length = (self.address_length as usize).min(size_of::<libc::sockaddr_storage>());
            socket_address((&raw const self.address).cast(), length as libc::socklen_t)
        };
        let argument = text(self.argument).map(|argument| format!("{argument}: ")).unwrap_or_default();
        match self.status {
            HAPPY_OK => match address {
                Some(address) => format!("connected to {address}"),
                None => "connected".to_owned(),
            },
            HAPPY_ERESOLVE => format!("{argument}{}", gai_text(self.gai_error, self.sys_errno)),
            HAPPY_ESYSCALL => {
                let syscall = text(self.syscall).unwrap_or_else(|| "a system call".to_owned());
                let to = match (address, syscall.as_str()) {
                    // What was bound is not told; where the socket was to go is.
                    (Some(address), "connect(2)") => format!(" to {address}"),
                    (Some(address), _) => format!(" for {address}"),
                    (None, _) => String::new(),
                };
                format!("{argument}{syscall}{to}: {}", errno_text(self.sys_errno))
            }
            HAPPY_ETIMEOUT => match address {
                Some(address) => format!("{} was reached, last at {address}", self.limit_text()),
                None => format!("{} was reached", self.limit_text()),
            },
            HAPPY_EINVALID => match text(self.reason) {
                Some(reason) => format!("{argument}{reason}"),
                None => format!("{argument}invalid argument"),
            },
            status => format!("{argument}{}", status_name(status).to_string_lossy()),
        }
    }

    fn limit_text(&self) -> String {
        match self.limit {
            HAPPY_LIMIT_NONE => "a time limit".to_owned(),
            limit => limit_name(limit).to_string_lossy().into_owned(),
        }
    }

    /// The errno that stands for this result: one whose words in strerror(3) are true of it.
    fn errno(&self) -> i32 {
        match self.status {
            HAPPY_ERESOLVE => match self.gai_error {
                libc::EAI_SYSTEM => self.sys_errno,
                libc::EAI_AGAIN => libc::EAGAIN,
                libc::EAI_MEMORY => libc::ENOMEM,
                libc::EAI_FAMILY | EAI_ADDRFAMILY => libc::EAFNOSUPPORT,
                libc::EAI_FAIL => libc::EIO,
                libc::EAI_BADFLAGS => libc::EINVAL,
                _ => libc::ENXIO,
            },
            HAPPY_EINVALID | HAPPY_ESTATE => libc::EINVAL,
            HAPPY_EREENTRANT => libc::EBUSY,
            HAPPY_ENOMEM => libc::ENOMEM,
            HAPPY_EAGAIN => libc::EAGAIN,
            HAPPY_EFORKED => libc::ESTALE,
            HAPPY_EINTERNAL => libc::ENOTRECOVERABLE,
            _ => self.sys_errno,
        }
    }

    /// Whether a caller's result can be written: NULL, or of sizes that this version knows how to fill. Else
    /// the argument is refused; there is no place where the result could say so.
    ///
    /// # Safety
    /// NULL, or readable for the `size` that it begins with.
    pub(crate) unsafe fn check(ret_result: *const happy_result) -> Result<(), Refusal> {
        // SAFETY: promised by the caller.
        let Some(&size) = (unsafe { ret_result.cast::<usize>().as_ref() }) else { return Ok(()) };
        if !(FIRST_SIZE..=GREATEST_SIZE).contains(&size) {
            return Err(Refusal::of_argument(Argument::RetResult, c"size is not sizeof(happy_result)"));
        }
        // SAFETY: the fields of the first version are there, promised by the caller.
        let (attempts, attempt_size) = unsafe { ((*ret_result).attempts, (*ret_result).attempt_size) };
        let aligned = attempt_size % align_of::<happy_attempt>() == 0;
        let fits = aligned && (FIRST_ATTEMPT_SIZE..=GREATEST_SIZE).contains(&attempt_size);
        if !attempts.is_null() && !fits {
            return Err(Refusal::of_argument(Argument::RetResult, c"attempt_size is not sizeof(happy_attempt)"));
        }
        Ok(())
    }

    /// Tells of a refusal: in the result, if that is there and can be written, in errno, and as the status.
    ///
    /// # Safety
    /// NULL, or readable and writable for the `size` that it begins with.
    pub(crate) unsafe fn refuse(refusal: &Refusal, ret_result: *mut happy_result) -> Status {
        // SAFETY: promised by the caller.
        let writable = unsafe { happy_result::check(ret_result) }.is_ok();
        let target = if writable { ret_result } else { std::ptr::null_mut() };
        // SAFETY: NULL or found fit just now; no attempts are written.
        unsafe { happy_result::of_refusal(refusal).write(target, None) };
        Status(refusal.status)
    }

    /// Gives the result to the caller, with as many attempts as there is room for, and sets errno on failure;
    /// returns the descriptor.
    ///
    /// # Safety
    /// `ret_result` is NULL or was found fit by [`check`](happy_result::check), and has room for
    /// `attempts_capacity` attempts where `attempts` is not NULL, and for `binding_capacity` bytes where
    /// `binding_buffer` is not.
    pub(crate) unsafe fn write(self, ret_result: *mut happy_result, report: Option<&Report<'_>>) -> libc::c_int {
        if !ret_result.is_null() {
            // SAFETY: the fields of the first version are there, promised by the caller.
            let (size, attempts, attempts_capacity, attempt_size) = unsafe {
                (
                    (*ret_result).size,
                    (*ret_result).attempts,
                    (*ret_result).attempts_capacity,
                    (*ret_result).attempt_size,
                )
            };
            if let (Some(report), false) = (report, attempts.is_null()) {
                for (index, attempt) in report.attempts.iter().take(attempts_capacity).enumerate() {
                    let attempt = happy_attempt::new(attempt, report.began);
                    let known = attempt_size.min(size_of::<happy_attempt>());
                    // SAFETY: there is room for `attempts_capacity` attempts of `attempt_size` bytes,
                    // promised by the caller.
                    unsafe {
                        let place = attempts.cast::<u8>().add(index * attempt_size);
                        std::ptr::copy_nonoverlapping((&raw const attempt).cast::<u8>(), place, known);
                    }
                }
            }
            let mut filled = happy_result { size, attempts, attempts_capacity, attempt_size, ..self };
            // SAFETY: the fields of the first version are there; the buffer is NULL or has room for so many
            // bytes, promised by the caller.
            unsafe {
                let (buffer, capacity) = ((*ret_result).binding_buffer, (*ret_result).binding_capacity);
                filled.put_binding(report.and_then(|report| report.binding), buffer, capacity);
            }
            // Only what the caller's struct has room for.
            let known = size.min(size_of::<happy_result>());
            // SAFETY: `known` bytes lie in both structs.
            unsafe { std::ptr::copy_nonoverlapping((&raw const filled).cast::<u8>(), ret_result.cast::<u8>(), known) };
        }
        if self.status != HAPPY_OK {
            set_errno(self.errno());
        }
        self.fd
    }
}

/// A static text of a result.
fn text(text: *const c_char) -> Option<String> {
    // SAFETY: NULL, or one of our static texts.
    unsafe { super::boundary::string(text) }.map(|text| text.to_string_lossy().into_owned())
}

/// netdb.h of glibc; the libc crate has no name for it.
const EAI_ADDRFAMILY: i32 = -9;

/// The sizes of the structs in 0.1.0, the first version: a smaller one is no struct but an accident.
const FIRST_SIZE: usize = offset_of!(happy_result, binding_priority) + size_of::<i32>();
const FIRST_ATTEMPT_SIZE: usize = offset_of!(happy_attempt, synthesized_from) + size_of::<u32>();
// What is appended goes behind what was there, and padding would be a field of theirs with any value.
const _: () = assert!(FIRST_SIZE == size_of::<happy_result>(), "no padding behind the last field");
const _: () = assert!(FIRST_ATTEMPT_SIZE == size_of::<happy_attempt>(), "no padding behind the last field");
/// So is a larger one.
const GREATEST_SIZE: usize = 4096;

/// Writes the sentence that a person reads, such as `connect(2) to [2001:db8::77]:80: Connection refused`,
/// `remote_host: Name or service not known`, `open_timeout_ms was reached` or `connected to 192.0.2.7:80`.
/// The words of the system are those of strerror(3) and gai_strerror(3).
///
/// Parameters
///   result            a result that a function of the library has written
///   buffer            receives the sentence, with a zero byte at its end; may be NULL where `size` is 0
///   size              the bytes that there is room for, the zero byte included
///
/// Returns
///   0 or more         the length of the whole sentence without its zero byte, as snprintf(3): it was cut
///                     where that is not below `size`
///   -1                `result` or `buffer` is NULL, or `result->size` is not sizeof(happy_result); errno is
///                     EINVAL
///
/// Threads: any, at any time
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_result_message(result: *const happy_result, buffer: *mut c_char, size: usize) -> c_int {
    export!(Length, {
        // SAFETY: NULL or a happy_result, promised by the caller.
        let readable = !result.is_null() && unsafe { *result.cast::<usize>() } >= FIRST_SIZE;
        if !readable || (buffer.is_null() && size > 0) {
            set_message("result or buffer: NULL, or not a happy_result");
            set_errno(libc::EINVAL);
            return Length(-1);
        }
        let mut given = happy_result::of_status(HAPPY_OK);
        // SAFETY: so many bytes lie in both structs, promised by the caller, and every bit pattern of the
        // fields is a value of theirs.
        unsafe {
            let known = (*result.cast::<usize>()).min(size_of::<happy_result>());
            std::ptr::copy_nonoverlapping(result.cast::<u8>(), (&raw mut given).cast::<u8>(), known);
        }
        let sentence = given.sentence();
        let length = sentence.len().min(size.saturating_sub(1));
        if size > 0 {
            // SAFETY: `length` bytes and a zero byte fit into the `size` bytes that the caller has there.
            unsafe {
                std::ptr::copy_nonoverlapping(sentence.as_ptr(), buffer.cast::<u8>(), length);
                *buffer.add(length) = 0;
            }
        }
        Length(sentence.len() as c_int)
    })
}

/// The attempt with the number `index`, in the order of their start. It steps by `attempt_size`, so that it
/// finds them also where the library's happy_attempt has grown beyond that of the program: in a done
/// callback.
///
/// Parameters
///   result            a result with room for attempts, or that of a done callback
///   index             from 0, in the order of the start
///
/// Returns
///   an attempt        which lives as long as `result->attempts`
///   NULL              there is no such attempt in it, or `result` is NULL
///
/// Threads: any
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_result_get_attempt(result: *const happy_result, index: usize) -> *const happy_attempt {
    export!(*const happy_attempt, {
        // SAFETY: NULL or a happy_result, promised by the caller.
        if unsafe { happy_result::check(result) }.is_err() || result.is_null() {
            return std::ptr::null();
        }
        // SAFETY: found fit just now.
        let (attempts, capacity, count, stride) = unsafe {
            ((*result).attempts, (*result).attempts_capacity, (*result).attempts_count, (*result).attempt_size)
        };
        if attempts.is_null() || index >= capacity.min(count as usize) {
            return std::ptr::null();
        }
        // SAFETY: so many attempts of that size are there, promised by the caller.
        unsafe { attempts.cast::<u8>().add(index * stride).cast::<happy_attempt>() }
    })
}
