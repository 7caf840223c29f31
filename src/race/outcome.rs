//! How a race ends.
use super::attempt::AttemptId;
use super::lookup_error::LookupError;
use super::settings::Limit;

/// How a race ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An attempt connected; the others were abandoned.
    Connected {
        /// The winner.
        attempt: AttemptId,
    },
    /// No attempt was made since the host's lookups failed; of two errors the more telling one.
    ResolveFailed {
        /// Why.
        error: LookupError,
    },
    /// The local address could not be resolved.
    LocalFailed {
        /// Why.
        error: LookupError,
    },
    /// Candidates there were, but none of a family of the local address.
    NoLocalAddress,
    /// Every attempt failed: the one that failed last.
    AttemptsFailed {
        /// The one that the failure is reported of.
        last: AttemptId,
    },
    /// A limit was reached before an attempt connected.
    TimedOut {
        /// Which one.
        limit: Limit,
    },
    /// The caller wanted no more of it (`Event::Cancelled`).
    Cancelled,
    /// The driver could not go on (`Event::Broken`).
    Broken {
        /// The errno that the event had.
        sys_errno: i32,
    },
}
