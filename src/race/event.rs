//! What happens to a race.
use super::attempt::{AttemptId, CandidateId, Failure};
use super::bindings::Binding;
use super::family::Family;
use super::lookup_error::LookupError;
use super::order::Route;
use super::question::LookupId;
use super::trace::AnsweredBy;
use std::net::SocketAddr;
use std::time::Duration;

/// Something that happened. Events about ids that are unknown or have ended are ignored.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A lookup's addresses, in the order given. Of the local address only the families matter; where one
    /// family was asked for only addresses of that family count. If none counts it is a failure with no data.
    Answered {
        /// Which one.
        lookup: LookupId,
        /// With their ports; may be empty.
        addresses: &'a [SocketAddr],
        /// Who has answered; for the trace alone.
        by: AnsweredBy,
    },
    /// A lookup ended without an answer.
    LookupFailed {
        /// Which one.
        lookup: LookupId,
        /// Why.
        error: LookupError,
        /// Who has said so; for the trace alone.
        by: AnsweredBy,
    },
    /// The bindings of a service that the client can use. None of them is a failure with no data: the race goes
    /// on as if it had not asked (RFC 9460, section 3).
    ServiceAnswered {
        /// Which one.
        lookup: LookupId,
        /// At most [`MOST_BINDINGS`](super::MOST_BINDINGS) are used.
        bindings: &'a [Binding],
        /// Who has answered; for the trace alone.
        by: AnsweredBy,
    },
    /// The answer to `Action::FindRoute`.
    RouteFound {
        /// As the action named it.
        candidate: CandidateId,
        /// What the surroundings know of the way.
        route: Route,
    },
    /// The answer to `Action::FindConnectivity`.
    ConnectivityFound {
        /// As the action named it.
        family: Family,
        /// Whether it has a network.
        connected: bool,
    },
    /// What earlier connects say of an attempt that has begun: when the first packet of its handshake would
    /// be sent again. That is the delay to the next attempt then (RFC 8305, section 5).
    HandshakeExpected {
        /// Which one.
        attempt: AttemptId,
        /// Counted from its start.
        within: Duration,
    },
    /// An attempt is connected. The first one that the race is told of wins; with `Settings::confirm` it is
    /// held until `Event::AttemptConfirmed` or `Event::AttemptFailed` says what becomes of it.
    AttemptConnected {
        /// Which one.
        attempt: AttemptId,
    },
    /// The caller wants the connection of an attempt that is held: it wins. Ignored for one that is not.
    AttemptConfirmed {
        /// Which one.
        attempt: AttemptId,
    },
    /// An attempt failed, or one that is held was rejected (`Operation::Confirm`). The next one starts
    /// without waiting for its delay.
    AttemptFailed {
        /// Which one.
        attempt: AttemptId,
        /// How.
        failure: Failure,
    },
    /// The caller wants no more of it.
    Cancelled,
    /// The driver cannot go on (out of descriptors for its own needs, fork): ends the race with this status.
    Broken {
        /// Why: an errno.
        sys_errno: i32,
    },
}
