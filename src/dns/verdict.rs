//! What the servers' answers say about one name: to a question for one family, or to the pair for both.
//!
//! The rules are those of glibc's res_query and of its nss_dns. They depend on which answer of a pair came
//! first, and so does what getaddrinfo(3) returns.
use super::Families;
use super::Family;
use super::answer::Addresses;
use super::failure::{Failure, HostError, Status};
use super::message::{Answer, Code, Records};
use super::outcome::{Outcome, Unanswered};
use super::search::Miss;

/// The outcome of a question without its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Reply { code: Code, records: Records },
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
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// In the order in which they came.
    heard: [Option<(Family, Heard)>; 2],
    /// Addresses whose worth hangs on the other answer.
    held: Option<Box<(Family, Addresses)>>,
}

const MALFORMED: Failure = Failure { status: Status::Unavailable, error: HostError::NoRecovery };

impl Outcomes {
    /// Takes an outcome, and gives back the addresses that can be told at once.
    pub(super) fn add(&mut self, family: Family, outcome: Outcome) -> Option<Addresses> {
        let (heard, addresses) = match outcome {
            Outcome::Unanswered(unanswered) => (Heard::Unanswered(unanswered), Addresses::default()),
            // To a question for addresses there is no such outcome.
            Outcome::Services(..) => return None,
            Outcome::Replied(Answer { code, records, addresses }) => (Heard::Reply { code, records }, addresses),
        };
        if let Some(place) = self.heard.iter_mut().find(|place| place.is_none()) {
            *place = Some((family, heard));
        }
        if addresses.list.is_empty() {
            None
        } else if self.found() {
            Some(addresses)
        } else {
            // Beside a good answer to the other question these count too.
            self.held = Some(Box::new((family, addresses)));
            None
        }
    }

    /// The addresses that could not be told when they came, if it has come to [`Verdict::Found`].
    pub(super) fn take_held(&mut self) -> Option<Box<(Family, Addresses)>> {
        self.held.take()
    }

    fn replies(&self) -> impl Iterator<Item = (Code, Records)> {
        self.heard.iter().flatten().filter_map(|(_, heard)| match heard {
            Heard::Reply { code, records } => Some((*code, *records)),
            Heard::Unanswered(_) => None,
        })
    }

    /// A reply holds records, and its code is NOERROR: then codes are not looked at any more.
    fn has_records(&self) -> bool {
        self.replies().any(|(code, records)| code == Code::NoError && records.is_any())
    }

    /// There are addresses, and the reply that came first does not forbid them.
    fn found(&self) -> bool {
        self.has_records()
            && !self.replies().next().is_some_and(|(_, records)| records.is_malformed())
            && self.replies().any(|(_, records)| records == Records::Addresses)
    }

    /// What follows, once every question has its outcome.
    pub(super) fn verdict(&self, families: Families) -> Verdict {
        if self.found() {
            let mut failures = [Failure::NO_DATA; 2];
            for (family, heard) in self.heard.iter().flatten() {
                failures[*family as usize] = heard.failure();
            }
            return Verdict::Found(failures);
        }
        if self.has_records() {
            let malformed = self.replies().any(|(_, records)| records.is_malformed());
            return Verdict::Failed(match families {
                _ if malformed => MALFORMED,
                Families::Only(_) => Failure { status: Status::TryAgain, error: HostError::NoRecovery },
                Families::Both => Failure::HOST_NOT_FOUND,
            });
        }
        // Of two answers the first that carries an error code counts.
        let codes = || self.replies().map(|(code, _)| code);
        if let Some(code) = codes().find(|code| *code != Code::NoError).or_else(|| codes().next()) {
            return Verdict::Missed(code.miss());
        }
        let unanswered = self.heard.iter().flatten().next();
        Verdict::Missed(unanswered.map_or(Miss::told(HostError::TryAgain), |(_, heard)| heard.miss()))
    }
}

impl Code {
    /// What it says of a name without records.
    fn miss(self) -> Miss {
        match self {
            Code::NoError => Miss::told(HostError::NoData),
            Code::NoSuchName => Miss::told(HostError::HostNotFound),
            Code::ServerFailure => Miss { servfail: true, ..Miss::told(HostError::TryAgain) },
            Code::Refusal => Miss::told(HostError::NoRecovery),
        }
    }
}

impl Records {
    /// The count of records is not 0.
    fn is_any(self) -> bool {
        !matches!(self, Records::Nothing | Records::WithoutQuestion)
    }

    fn is_malformed(self) -> bool {
        matches!(self, Records::Malformed | Records::WithoutQuestion)
    }
}

impl Heard {
    fn miss(self) -> Miss {
        match self {
            Heard::Reply { code, .. } => code.miss(),
            Heard::Unanswered(Unanswered { cause, servfail, as_if }) => match as_if {
                Some(code) => Miss { cause: Some(cause), ..code.miss() },
                None => Miss { error: HostError::TryAgain, cause: Some(cause), servfail },
            },
        }
    }

    /// How a family has failed beside one that was found.
    fn failure(self) -> Failure {
        match self {
            Heard::Reply { records: Records::Malformed | Records::WithoutQuestion, .. } => MALFORMED,
            Heard::Reply { records: Records::NoAddress, .. } => Failure::HOST_NOT_FOUND,
            _ => self.miss().failure(self.miss().error),
        }
    }
}
