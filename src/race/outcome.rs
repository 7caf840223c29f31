//! How a race ends.
use super::attempt::AttemptId;
use super::lookup_error::LookupError;
use super::settings::Limit;

/// How a race ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Connected {
        attempt: AttemptId,
    },
    /// No attempt was made since the host's lookups failed; of two errors the more telling one.
    ResolveFailed {
        error: LookupError,
    },
    /// The local address could not be resolved.
    LocalFailed {
        error: LookupError,
    },
    /// Candidates there were, but none of a family of the local address.
    NoLocalAddress,
    /// Every attempt failed: the one that failed last.
    AttemptsFailed {
        last: AttemptId,
    },
    TimedOut {
        limit: Limit,
    },
    Cancelled,
    Broken {
        sys_errno: i32,
    },
}
