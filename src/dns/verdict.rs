//! What the servers' answers say about one name: to a question for one family, or to the pair for both.
//!
//! The rules are those of glibc's res_query and of its nss_dns. They depend on which answer of a pair came
//! first, and so does what getaddrinfo(3) returns.
use super::Families;
use super::Family;
use super::answer::Addresses;
use super::failure::{Failure, HostError, Status};
use super::message::Reply;
use super::outcome::{Outcome, Unanswered};
use super::search::Miss;

/// The outcome of a question without its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Addresses,
    Malformed,
    NoAddress,
    NoData,
    NoSuchName,
    Refusal,
    /// SERVFAIL, by TCP.
    ServerFailure,
    Unanswered(Unanswered),
}

/// What follows for the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is an address; a family without one has failed so (IPv6, IPv4).
    Found([Failure; 2]),
    /// The source ends here, without the rest of the search list.
    Failed(Failure),
    /// The next name of the search list.
    Missed(Miss),
}

/// What has been heard of one name so far.
#[derive(Debug)]
pub(super) struct Outcomes {
    families: Families,
    /// In the order in which they came.
    heard: [Option<(Family, Heard)>; 2],
}

const MALFORMED: Failure = Failure { status: Status::Unavailable, error: HostError::NoRecovery };

impl Outcomes {
    pub(super) fn new(families: Families) -> Outcomes {
        Outcomes { families, heard: [None; 2] }
    }

    /// Takes an outcome, and gives back the addresses that can be told at once.
    pub(super) fn add(&mut self, family: Family, outcome: Outcome) -> Option<Addresses> {
        let (heard, addresses) = match outcome {
            Outcome::Unanswered(unanswered) => (Heard::Unanswered(unanswered), None),
            Outcome::Replied(reply) => match reply {
                Reply::Addresses(addresses) => (Heard::Addresses, Some(addresses).filter(|_| !self.begins_malformed())),
                // What a message holds before it breaks off is taken beside good addresses of the other
                // family.
                Reply::Malformed(addresses) => (Heard::Malformed, Some(addresses).filter(|_| self.found())),
                Reply::NoAddress => (Heard::NoAddress, None),
                Reply::NoData => (Heard::NoData, None),
                Reply::NoSuchName => (Heard::NoSuchName, None),
                Reply::ServerFailure { .. } => (Heard::ServerFailure, None),
                // A walk takes what it has asked for, and has asked for no services here.
                Reply::Services(..) => (Heard::NoAddress, None),
                // The first three are not outcomes.
                Reply::Ignored | Reply::TooShort | Reply::Truncated | Reply::Refusal => (Heard::Refusal, None),
            },
        };
        if let Some(place) = self.heard.iter_mut().find(|place| place.is_none()) {
            *place = Some((family, heard));
        }
        addresses.filter(|addresses| !addresses.list.is_empty())
    }

    /// There are addresses, and the answer that came first does not forbid them.
    fn found(&self) -> bool {
        let mut heard = self.heard.iter().flatten().map(|(_, heard)| *heard);
        !self.begins_malformed() && heard.any(|heard| heard == Heard::Addresses)
    }

    /// A malformed answer that came first fails both families, whatever the other answer is.
    fn begins_malformed(&self) -> bool {
        matches!(self.heard[0], Some((_, Heard::Malformed)))
    }

    /// What follows, once every question has its outcome.
    pub(super) fn verdict(&self) -> Verdict {
        if self.begins_malformed() {
            return Verdict::Failed(MALFORMED);
        }
        if self.found() {
            let mut failures = [Failure::NO_DATA; 2];
            for (family, heard) in self.heard.iter().flatten() {
                failures[*family as usize] = heard.failure();
            }
            return Verdict::Found(failures);
        }
        let mut replies = self.heard.iter().flatten().map(|(_, heard)| *heard);
        let mut replied = replies.clone().filter(|heard| !matches!(heard, Heard::Unanswered(_)));
        let Some(first) = replied.next() else {
            let unanswered = replies.next();
            return Verdict::Missed(unanswered.map_or(Miss::told(HostError::TryAgain), Heard::miss));
        };
        let second = replied.next();
        if first.has_records() || second.is_some_and(Heard::has_records) {
            return Verdict::Failed(match (self.families, second.unwrap_or(first)) {
                (_, Heard::Malformed) => MALFORMED,
                (Families::Only(_), _) => Failure { status: Status::TryAgain, error: HostError::NoRecovery },
                (Families::Both, _) => Failure::HOST_NOT_FOUND,
            });
        }
        // Of two answers without records the first that carries an error code counts.
        let telling = if first == Heard::NoData { second.unwrap_or(first) } else { first };
        Verdict::Missed(telling.miss())
    }
}

impl Heard {
    /// The name has records, of whatever use they are: the search list ends with it.
    fn has_records(self) -> bool {
        matches!(self, Heard::Malformed | Heard::NoAddress)
    }

    fn miss(self) -> Miss {
        match self {
            Heard::NoData => Miss::told(HostError::NoData),
            Heard::NoSuchName => Miss::told(HostError::HostNotFound),
            Heard::ServerFailure => Miss { servfail: true, ..Miss::told(HostError::TryAgain) },
            Heard::Unanswered(Unanswered { cause, servfail, as_if_empty }) => {
                let error = if as_if_empty { HostError::NoData } else { HostError::TryAgain };
                Miss { error, cause: Some(cause), servfail }
            }
            Heard::Addresses | Heard::Malformed | Heard::NoAddress | Heard::Refusal => {
                Miss::told(HostError::NoRecovery)
            }
        }
    }

    /// How a family has failed beside one that was found.
    fn failure(self) -> Failure {
        match self {
            Heard::Malformed => MALFORMED,
            Heard::NoAddress => Failure::HOST_NOT_FOUND,
            _ => self.miss().failure(self.miss().error),
        }
    }
}
