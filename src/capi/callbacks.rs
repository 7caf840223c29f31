//! The shapes of the caller's functions, and what they are given. Imports nothing of `capi`.
//!
//! What holds for all of them is said in the header's introduction.

use std::ffi::{c_char, c_int, c_void};

/// Stands in for getaddrinfo(3): same arguments, same answer (0 or an `EAI_*` code, errno with EAI_SYSTEM).
///
/// Called on a worker thread of the library with all signals blocked, for each address family that is asked
/// for (`hints->ai_family`), possibly at the same time; it may block as long as it likes. A host that is an
/// IP literal is not asked. A list of more than 4096 nodes counts as EAI_FAIL and is not freed: it may have
/// no end.
///
/// Parameters
///   node, service, hints
///                     what is asked for, as rb_getaddrinfo_happy took it; they live until it returns
///   ret_res           for the list, with 0; it is freed with `lookup_free`, or freeaddrinfo(3) without one
///   userdata          that of the options
///
/// Returns
///   0                 and a list in `*ret_res`
///   EAI_*             as getaddrinfo(3), with errno for EAI_SYSTEM; counts as EAI_FAIL where it is no such
///                     code
///
/// Threads: a worker of the library, and two at the same time where both families are asked for
pub type happy_lookup_fn = Option<
    unsafe extern "C" fn(
        node: *const c_char,
        service: *const c_char,
        hints: *const libc::addrinfo,
        ret_res: *mut *mut libc::addrinfo,
        userdata: *mut c_void,
    ) -> c_int,
>;

/// Frees a list that a `happy_lookup_fn` gave.
///
/// Parameters
///   res               the list; not NULL
///   userdata          that of the options
///
/// Threads: any, a worker of the library too
pub type happy_lookup_free_fn = Option<unsafe extern "C" fn(res: *mut libc::addrinfo, userdata: *mut c_void)>;

/// Sees each socket after it was made and before it is bound and connected, to set socket options. It may
/// bind the socket where the options give no local address of its family. It must not connect or close it.
///
/// Parameters
///   fd                the socket, which stays the library's
///   address, address_length
///                     where it is going; they live until it returns
///   userdata          that of the options
///
/// Returns
///   0                 go on
///   an errno          this attempt fails with it; `syscall` is "configure_socket"
///   -1                as with the errno that it left
///
/// Threads: the one that drives the connect
pub type happy_configure_socket_fn = Option<
    unsafe extern "C" fn(
        fd: c_int,
        address: *const libc::sockaddr,
        address_length: libc::socklen_t,
        userdata: *mut c_void,
    ) -> c_int,
>;

/// Sees each step of the race as it happens.
///
/// Parameters
///   event             the step; it and what it points to live until it returns
///   userdata          that of the options
///
/// Threads: the one that drives the connect
pub type happy_trace_fn = Option<unsafe extern "C" fn(event: *const happy_trace_event, userdata: *mut c_void)>;

/// Says whether the connection of an attempt is wanted, where to be connected is not all that counts. The
/// race goes on while it is held, as if it were connecting still.
///
/// The socket stays the library's until it wins, and is in non-blocking mode. The caller may do I/O on it,
/// such as a TLS handshake: here, while nothing else of the connect goes on, or after HAPPY_CONFIRM_LATER
/// in a loop of its own, until it has answered for it or `release_socket` takes it back. A connection that
/// the other side ends while it is held is for the caller to notice.
///
/// Parameters
///   fd                the socket; to be neither closed nor kept beyond what is said above
///   address, address_length
///                     where it is connected to; they live until it returns
///   userdata          that of the options
///
/// Returns
///   HAPPY_CONFIRM_YES   it wins; the others are closed
///   HAPPY_CONFIRM_NO    the attempt fails with ECONNABORTED, `syscall` is "confirm", and the next one
///                       starts
///   HAPPY_CONFIRM_LATER held until happy_connect_confirm or happy_multi_confirm answers. With
///                       init_inetsock_happy nobody could: the attempt fails with EDEADLK
///   any other number    the attempt fails with EINVAL
///
/// Threads: the one that drives the connect
pub type happy_confirm_fn = Option<
    unsafe extern "C" fn(
        fd: c_int,
        address: *const libc::sockaddr,
        address_length: libc::socklen_t,
        userdata: *mut c_void,
    ) -> c_int,
>;

/// Takes back a socket that is held and was not answered for: it is closed next. Another attempt has won,
/// a limit was reached, it made room under `max_attempts`, or the connect was cancelled or freed. Stop
/// watching it, and free what was made for it.
///
/// Parameters
///   fd                the socket, open still
///   userdata          that of the options
///
/// Threads: the one that drives the connect, or frees it
pub type happy_release_socket_fn = Option<unsafe extern "C" fn(fd: c_int, userdata: *mut c_void)>;

/// Frees `userdata`.
///
/// Parameters
///   userdata          that of the options, which is the callee's now
///
/// Threads: any, a worker of the library too
pub type happy_userdata_free_fn = Option<unsafe extern "C" fn(userdata: *mut c_void)>;

/// One step of a race.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct happy_trace_event {
    /// sizeof(happy_trace_event) as the library was compiled.
    pub size: usize,
    /// Nanoseconds since the race began.
    pub time_ns: u64,
    /// `HAPPY_TRACE_*`.
    pub kind: i32,
    /// AF_INET, AF_INET6, AF_UNSPEC for a lookup of both, or -1 where there is none (also for the lookups of
    /// the local address and of a translator's prefixes).
    pub family: i32,
    /// The attempt's number, from 0 in the order of start, or -1.
    pub attempt: i32,
    /// `HAPPY_OUTCOME_*`, or -1.
    pub outcome: i32,
    /// `HAPPY_*` status of the whole race with HAPPY_TRACE_FINISHED, else HAPPY_OK.
    pub status: i32,
    /// `EAI_*` code, or 0.
    pub gai_error: i32,
    /// errno, or 0.
    pub sys_errno: i32,
    /// The length of a timer in milliseconds, or -1.
    pub delay_ms: i32,
    /// The number of addresses in an answer.
    pub count: u32,
    /// The length of `address`.
    pub address_length: libc::socklen_t,
    /// The address, or NULL. With HAPPY_TRACE_LOOKUP_ANSWERED the name server that was asked last, where
    /// `source` is "dns".
    pub address: *const libc::sockaddr,
    /// The system call that failed, such as "connect(2)", or NULL.
    pub syscall: *const c_char,
    /// Who has answered, with HAPPY_TRACE_LOOKUP_ANSWERED: "hosts" (the file), "dns" (name servers) or
    /// "resolve" (systemd-resolved), each asked by the library itself; "libc"; "lookup" (the caller's
    /// function). NULL where nobody had to be asked.
    pub source: *const c_char,
    /// 1: `address` was synthesized from an IPv4 address, with HAPPY_TRACE_ADDRESS_SYNTHESIZED; else 0.
    pub synthesized: i32,
    /// That IPv4 address in network byte order, as in_addr has it; else 0.
    pub synthesized_from: u32,
}
