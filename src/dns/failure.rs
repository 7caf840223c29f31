//! How a lookup fails: the status of a source, libc's host error, and the `EAI_*` code that getaddrinfo(3)
//! makes of them.
//!
//! Two values, because libc keeps two: the status decides by nsswitch.conf whether the next source is asked,
//! the host error (`h_errno` of netdb.h) which code the caller reads. They do not follow from each other:
//! silence of every server is `Unavailable` with `TryAgain`, a server that closes the TCP connection
//! `NotFound` with `TryAgain`.

use super::{Families, Family};

/// What a source of nsswitch.conf(5) ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    Success,
    NotFound,
    Unavailable,
    TryAgain,
}

/// libc's `h_errno`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostError {
    /// `HOST_NOT_FOUND`: there is no such name.
    HostNotFound,
    /// `TRY_AGAIN`: no server gave an answer.
    TryAgain,
    /// `NO_RECOVERY`: an answer that says nothing about the name.
    NoRecovery,
    /// `NO_DATA`: the name exists, and has no such address.
    NoData,
    /// `NETDB_INTERNAL`: a system call failed, with this errno.
    Internal { sys_errno: i32 },
}

/// How a source failed, or the walk through all of them: then it is the failure of the source that was asked
/// last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    pub status: Status,
    pub error: HostError,
}

impl Failure {
    pub const HOST_NOT_FOUND: Failure = Failure { status: Status::NotFound, error: HostError::HostNotFound };
    pub const NO_DATA: Failure = Failure { status: Status::NotFound, error: HostError::NoData };

    /// The `EAI_*` code that getaddrinfo(3) returns when every source has been asked and this is how the last
    /// one failed.
    ///
    /// It depends on what was asked for. For IPv4 alone (without `AI_CANONNAME`) glibc goes through
    /// gethostbyname2_r(3), and tells a temporary failure only if the status is not `NotFound`; the other
    /// ways look at the host error alone.
    pub fn gai_error(self, families: Families) -> i32 {
        let only_v4 = families == Families::Only(Family::V4);
        match (self.error, only_v4) {
            (HostError::Internal { .. }, _) => libc::EAI_SYSTEM,
            (HostError::NoData, _) => libc::EAI_NODATA,
            (HostError::TryAgain, true) if self.status == Status::NotFound => libc::EAI_NONAME,
            (HostError::TryAgain, _) => libc::EAI_AGAIN,
            (HostError::NoRecovery, true) if self.status != Status::NotFound => libc::EAI_NODATA,
            (HostError::HostNotFound | HostError::NoRecovery, _) => libc::EAI_NONAME,
        }
    }

    /// The errno that belongs to [`Failure::gai_error`]; 0 unless that is `EAI_SYSTEM`.
    pub fn sys_errno(self) -> i32 {
        match self.error {
            HostError::Internal { sys_errno } => sys_errno,
            _ => 0,
        }
    }
}
