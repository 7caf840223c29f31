//! The service bindings of a host, looked up without a thread: SVCB and HTTPS records (RFC 9460).

use super::client::{Client, Watcher};
use super::query::{Hints, Query};
use crate::dns::service::{ServiceQuestion, Services};
use crate::race::LookupError;
use crate::sys::Interest;
use crate::sys::poll::{self, PollFd};
use std::ffi::CStr;
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// Why there are no service bindings. In each case a client connects as if it had not asked (RFC 9460,
/// section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoServices {
    /// The host or the service is not one. Nobody was asked.
    NotAName,
    /// By the configuration of this system no name server is asked, or only libc knows which: the reason. It
    /// has no way to be asked for service bindings.
    NoServer(&'static str),
    /// The servers have none, or did not answer. A limit that was reached is `EAI_SYSTEM` with `ETIMEDOUT`.
    Failed(LookupError),
}

impl fmt::Display for NoServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoServices::NotAName => f.write_str("not a host and a service"),
            NoServices::NoServer(reason) => write!(f, "no name server can be asked: {reason}"),
            NoServices::Failed(LookupError { sys_errno: libc::ETIMEDOUT, .. }) => f.write_str("the limit was reached"),
            NoServices::Failed(LookupError { gai_error: libc::EAI_AGAIN, .. }) => {
                f.write_str("no name server answered")
            }
            NoServices::Failed(LookupError { gai_error, .. }) => {
                write!(f, "the name servers have none (code {gai_error} of getaddrinfo(3))")
            }
        }
    }
}

impl std::error::Error for NoServices {}

/// Who looks at the sockets itself.
struct Nobody;

impl Watcher for Nobody {
    fn watch(&mut self, _socket: u32, _fd: RawFd, _interest: Interest) -> io::Result<()> {
        Ok(())
    }

    fn unwatch(&mut self, _socket: u32, _fd: RawFd) {}
}

/// Looks up the service bindings of a host (RFC 9460), on the calling thread.
///
/// `service` is `https`, or `_PORT._https` for another port than 443 (both ask for HTTPS records), or
/// `_SCHEME` or `_PORT._SCHEME` (SVCB records). The name is asked as it is, without a search list. Up to
/// eight AliasMode records are followed. Without a limit it ends by the timeouts of resolv.conf(5).
///
/// A host that hosts(5) knows before any name server is asked has no bindings: the answer has no records.
///
/// ```no_run
/// let services = happysock::look_up_services(c"example.org", "https", None)?;
/// for record in &services.records {
///     // The protocols of ours by which a server of this record can be reached over TCP.
///     match record.usable(services.default_alpn, &[b"h2".to_vec(), b"http/1.1".to_vec()]) {
///         Ok(protocols) => println!("{} {:?}: {}", record.target, record.port, protocols.len()),
///         Err(why) => println!("{} cannot be used: {why:?}", record.target),
///     }
/// }
/// # Ok::<(), happysock::NoServices>(())
/// ```
///
/// # Errors
/// Why there are none. A set with a malformed record is thrown away as a whole, which is `EAI_NODATA`.
pub fn look_up_services(host: &CStr, service: &str, timeout: Option<Duration>) -> Result<Services, NoServices> {
    let began = Instant::now();
    let deadline = timeout.and_then(|timeout| began.checked_add(timeout));
    let question = ServiceQuestion::new(host.to_bytes(), service).map_err(|_| NoServices::NotAName)?;
    let hints = Hints { flags: 0, family: libc::AF_INET, socktype: libc::SOCK_STREAM, protocol: 0 };
    let query = Query::new(Some(host), None, hints, None)
        .map_err(|_| NoServices::Failed(LookupError { gai_error: libc::EAI_MEMORY, sys_errno: 0 }))?;
    let mut client = Client::lone();
    client.begin_services(began, &query, question, 0, &mut Nobody).map_err(|reason| {
        NoServices::NoServer(reason.map_or("nsswitch.conf names none for hosts", |reason| reason.text()))
    })?;
    loop {
        let now = Instant::now();
        client.expire(now, &mut Nobody);
        if let Some(delivery) = client.next_delivery() {
            return delivery.told.into_services().map_err(NoServices::Failed);
        }
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Err(NoServices::Failed(LookupError::system(libc::ETIMEDOUT)));
        }
        wait(&mut client, deadline, now);
    }
}

/// Waits for the client's sockets, until `deadline` or its own.
fn wait(client: &mut Client, deadline: Option<Instant>, now: Instant) {
    let deadline = deadline.into_iter().chain(client.deadline()).min();
    let watched: Vec<(u32, RawFd, Interest)> = client.watched().collect();
    let mut fds: Vec<PollFd> = watched.iter().map(|&(_, fd, interest)| PollFd::new(fd, interest)).collect();
    // An error is EINTR, or want of memory, which passes.
    if poll::poll(&mut fds, deadline.map(|deadline| deadline.saturating_duration_since(now))).is_err() {
        return;
    }
    let now = Instant::now();
    for ((socket, ..), _) in watched.iter().zip(&fds).filter(|(_, fd)| fd.is_ready()) {
        client.ready(now, *socket, &mut Nobody);
    }
}
