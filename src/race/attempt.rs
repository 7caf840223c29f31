//! Candidates and attempts: their numbers, and how an attempt stands.
use super::bindings::BindingId;
use super::family::Family;
use super::settings::Limit;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

/// A candidate, numbered from 0 in the order of arrival within its race.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CandidateId(pub u32);

/// An attempt, numbered from 0 in the order of start within its race: an index into `Race::attempts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId(pub u32);

/// An attempt and how it stands.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Where it leads.
    pub destination: SocketAddr,
    /// The IPv4 address that the destination stands for, where it leads to a translator (NAT64): the
    /// destination was synthesized from it, here or by a name server.
    pub embedded: Option<Ipv4Addr>,
    /// The binding of the service that leads there (`Settings::service`); None: it is the host's own address.
    pub binding: Option<BindingId>,
    /// When the driver was told to begin.
    pub started: Instant,
    /// When its connection was made; None before. With `Settings::confirm` it is held from then on.
    pub connected: Option<Instant>,
    /// When its outcome became final; None while it runs or is held.
    pub ended: Option<Instant>,
    /// How it stands.
    pub outcome: AttemptOutcome,
}

impl Attempt {
    /// Whether it is connected and waits for the caller's word (`Settings::confirm`).
    pub fn is_held(&self) -> bool {
        self.connected.is_some() && self.outcome == AttemptOutcome::Running
    }

    /// The family whose turn it has taken.
    pub(super) fn family(&self) -> Family {
        if self.embedded.is_some() { Family::V4 } else { Family::of_packets(&self.destination) }
    }
}

/// Exactly one final outcome for every attempt that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// It has not ended, held or not: the only value that changes.
    Running,
    /// It won the race.
    Connected,
    /// Its system call or its connection failed, or the caller has rejected it.
    Failed(Failure),
    /// A limit ended it.
    TimedOut(Limit),
    /// Another attempt won, the race was cancelled, or it made room for the next under
    /// `Settings::max_attempts`.
    Abandoned,
}

/// How an attempt failed. The driver says whether the errno means that the whole family has no network
/// (`ENETUNREACH`, `EAFNOSUPPORT`), so that the machine needs to know no errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The errno of the operation, or what the caller's function answered.
    pub sys_errno: i32,
    /// Where it failed.
    pub operation: Operation,
    /// There is no network of this family: candidates of it that have no route are dropped.
    pub family_unreachable: bool,
}

/// The step at which an attempt failed: a system call, or the caller's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Making the socket.
    Socket,
    /// The caller's function that sets options on it.
    Configure,
    /// Binding it to the local address.
    Bind,
    /// Connecting it, at once or later.
    Connect,
    /// Waiting for the attempt (poll, epoll).
    Wait,
    /// The caller's word on a connection that was held.
    Confirm,
    /// Making the connected socket ready for its new owner (back to blocking mode).
    HandOver,
}
