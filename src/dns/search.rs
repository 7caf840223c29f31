//! The search list of resolv.conf(5): which names are asked for one that was given, and which error counts in
//! the end.
//!
//! The rules are those of glibc's res_search. A name with enough dots is asked as it is first, any other
//! last. The list goes on after an answer that there is nothing, and after SERVFAIL; any other failure ends
//! it, and then the name as it is still gets its turn.
use super::failure::{Failure, HostError, Status};
use super::outcome::Cause;
use super::resolv_conf::ResolvConf;

/// A domain of the list as it is put behind a name and a dot: a dot before it is not part of it, and both
/// `""` and `"."` are the root.
pub fn domain(conf: &ResolvConf, index: u16) -> Option<&[u8]> {
    let domain: &[u8] = conf.search.get(usize::from(index))?;
    Some(domain.strip_prefix(b".").unwrap_or(domain))
}

/// A name to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidate {
    AsItIs,
    /// With the domain of this index of the list.
    In(u16),
}

/// How a name that was asked has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Miss {
    pub error: HostError,
    /// The errno that glibc is left with: none after an answer.
    pub cause: Option<Cause>,
    /// It was a SERVFAIL.
    pub servfail: bool,
}

impl Miss {
    /// After an answer, or without a query.
    pub fn told(error: HostError) -> Miss {
        Miss { error, cause: None, servfail: false }
    }

    /// The failure of the source whose search ended with this miss and with `error`: the status goes by what
    /// came last.
    pub fn failure(self, error: HostError) -> Failure {
        let status = match self.cause {
            Some(Cause::Refused | Cause::TimedOut) => Status::Unavailable,
            Some(Cause::Other) | None => Status::NotFound,
        };
        // glibc forgets the errno of a search that ends so, and then no code but that of an unknown name is
        // left of it.
        let forgotten = error == HostError::NoRecovery && status == Status::Unavailable;
        Failure { status, error: if forgotten { HostError::HostNotFound } else { error } }
    }
}

/// How far a search has come.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    place: Place,
    has_dot: bool,
    /// A dot at the end: the name is asked as it is, and that is all.
    is_absolute: bool,
    /// The error of the name as it is, if that was asked first.
    first_error: Option<HostError>,
    root_in_list: bool,
    got_no_data: bool,
    got_servfail: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The name as it is, the list to come.
    First,
    InList(u16),
    /// The name as it is, after the list.
    Last,
}

impl Search {
    /// The search for `name`, and the name to ask first.
    pub fn new(name: &[u8], conf: &ResolvConf) -> (Search, Candidate) {
        let dots = name.iter().filter(|octet| **octet == b'.').count();
        let mut search = Search {
            place: Place::First,
            has_dot: dots > 0,
            is_absolute: name.ends_with(b"."),
            first_error: None,
            root_in_list: false,
            got_no_data: false,
            got_servfail: false,
        };
        let as_it_is_first = search.is_absolute || dots >= conf.ndots as usize || conf.search.is_empty();
        let first = if as_it_is_first { Candidate::AsItIs } else { search.enter(0, conf) };
        (search, first)
    }

    /// The name that was asked has failed: the next one to ask, or the error of the whole search.
    pub fn next(&mut self, miss: Miss, conf: &ResolvConf) -> Result<Candidate, HostError> {
        let next = match self.place {
            Place::First if self.is_absolute => return Err(miss.error),
            Place::First => {
                self.first_error = Some(miss.error);
                Some(0)
            }
            Place::InList(index) => {
                // Nobody is there to ask.
                if miss.cause == Some(Cause::Refused) {
                    return Err(HostError::TryAgain);
                }
                let servfail = miss.error == HostError::TryAgain && miss.servfail;
                self.got_servfail |= servfail;
                self.got_no_data |= miss.error == HostError::NoData;
                let goes_on = servfail || matches!(miss.error, HostError::NoData | HostError::HostNotFound);
                if goes_on { index.checked_add(1) } else { None }
            }
            Place::Last => return Err(self.error(miss)),
        };
        if let Some(index) = next.filter(|index| domain(conf, *index).is_some()) {
            return Ok(self.enter(index, conf));
        }
        let as_it_is = self.first_error.is_none() && !self.root_in_list && (self.has_dot || !conf.no_tld_query);
        if !as_it_is {
            return Err(self.error(miss));
        }
        self.place = Place::Last;
        Ok(Candidate::AsItIs)
    }

    fn enter(&mut self, index: u16, conf: &ResolvConf) -> Candidate {
        self.place = Place::InList(index);
        self.root_in_list |= domain(conf, index) == Some(b"");
        Candidate::In(index)
    }

    /// Which error wins: that of the name as it is if it was asked first, then "no such data", then a failed
    /// server, then the last.
    fn error(&self, last: Miss) -> HostError {
        match self.first_error {
            Some(error) => error,
            None if self.got_no_data => HostError::NoData,
            None if self.got_servfail => HostError::TryAgain,
            None => last.error,
        }
    }
}
