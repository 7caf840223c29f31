//! What a connect wants to know of a service, and what it is told of the one that it has reached (RFC 9460).

use crate::lookup::ServiceQuestion;

/// What a connect asks for beside the addresses of its host.
#[derive(Clone)]
pub(super) struct ServicePlan {
    pub question: ServiceQuestion,
    /// The protocols that the caller speaks; none: any.
    pub alpn: Vec<Vec<u8>>,
}

/// What a service binding says of the server behind a connection: the record that led there (RFC 9460).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceBinding {
    /// `SvcPriority`; 0 where AliasMode records alone led to the target.
    pub priority: u16,
    /// The name whose address was connected to, in presentation form without the dot at the end. TLS names the
    /// host that the caller has asked for, and not this one (RFC 9460, section 9.1).
    pub target: String,
    /// The port of the record, where it has one.
    pub port: Option<u16>,
    /// The ids of the protocols that can be spoken there (ALPN), in the record's order: those that it offers
    /// and the caller speaks. Empty: the record names none.
    pub alpn: Vec<Vec<u8>>,
    /// What Encrypted Client Hello needs: an `ECHConfigList` as it is on the wire (RFC 9849).
    pub ech: Option<Vec<u8>>,
}
