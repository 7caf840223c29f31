//! What a race asks: questions about names, and the lookups that carry them.
use super::family::Family;

/// A name within a race; what it stands for is the driver's to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(pub u32);

/// The host that the race is to.
pub const HOST: NameId = NameId(0);

/// What is asked of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QuestionKind {
    /// Its IPv6 addresses.
    Aaaa,
    /// Its IPv4 addresses.
    A,
    /// Its addresses of both families in the system's own order: only asked without fast fallback.
    Both,
    /// The local address to bind to, on the way to that name. No attempt starts before it is answered.
    Local,
    /// The IPv6 addresses of [`IPV4_ONLY`](super::IPV4_ONLY), whatever the host is: they tell the prefixes of the
    /// network's translator (RFC 7050).
    Nat64Prefix,
    /// The service bindings of the host (RFC 9460), with `Settings::service`; answered by
    /// `Event::ServiceAnswered`.
    Service,
}

impl QuestionKind {
    /// The question for the addresses of one family.
    pub const fn of(family: Family) -> QuestionKind {
        match family {
            Family::V6 => QuestionKind::Aaaa,
            Family::V4 => QuestionKind::A,
        }
    }

    /// The one family that is asked for, if it is one.
    pub const fn family(self) -> Option<Family> {
        match self {
            QuestionKind::Aaaa => Some(Family::V6),
            QuestionKind::A => Some(Family::V4),
            QuestionKind::Both | QuestionKind::Local | QuestionKind::Nat64Prefix | QuestionKind::Service => None,
        }
    }
}

/// A question that a race can have. Each is asked at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Question {
    /// Which name.
    pub name: NameId,
    /// What is asked of it.
    pub kind: QuestionKind,
}

impl Question {
    /// A question about the host.
    pub const fn host(kind: QuestionKind) -> Question {
        Question { name: HOST, kind }
    }
}

/// A lookup, numbered from 0 in the order in which they are asked within the race.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LookupId(pub u32);

/// How soon a lookup has to be served where not all can be served at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Urgency {
    /// Something waits for its answer: serve it before those that can wait.
    Now,
    /// It may turn out not to be needed: worth asking, but others go first until it is hastened.
    WhenFree,
}
