//! What happens to a race.
use super::attempt::{AttemptId, CandidateId, Failure};
use super::lookup_error::LookupError;
use super::order::Route;
use super::question::LookupId;
use std::net::SocketAddr;

/// Something that happened. Events about ids that are unknown or have ended are ignored.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A lookup's addresses, in the order given. Of the local address only the families matter; where one
    /// family was asked for only addresses of that family count. If none counts it is a failure with no data.
    Answered {
        lookup: LookupId,
        addresses: &'a [SocketAddr],
    },
    LookupFailed {
        lookup: LookupId,
        error: LookupError,
    },
    /// The answer to `Action::FindRoute`.
    RouteFound {
        candidate: CandidateId,
        route: Route,
    },
    AttemptConnected {
        attempt: AttemptId,
    },
    AttemptFailed {
        attempt: AttemptId,
        failure: Failure,
    },
    /// An address disappeared (RFC 8305, section 6): dropped if not started, a running attempt is kept.
    AddressWithdrawn {
        address: SocketAddr,
    },
    /// The caller wants no more of it.
    Cancelled,
    /// The driver cannot go on (out of descriptors for its own needs, fork): ends the race with this status.
    Broken {
        sys_errno: i32,
    },
}
