//! The lookups of a race in the world: which question goes to which source.

use super::lookup_source::LookupSource;
use super::plan::address_family;
use super::reactor::Reactor;
use crate::lookup::{Answer, Form, Found, Mailbox, Query, Reason, Source, Told, WalkId};
use crate::race::{Families, Family, LookupError, LookupId, Question, QuestionKind, Urgency};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// What a race has that looks something up. A race without a lookup has none of it.
pub(super) struct Lookups {
    remote: Query,
    local: Option<Query>,
    families: Families,
    mailbox: Arc<Mailbox>,
    /// By which the driver knows whose answer has come.
    token: u64,
    /// Those that were asked and have not ended, in the order in which they were asked.
    running: Vec<(LookupId, Question, Source)>,
    /// How many of them, the last ones, were not started yet.
    unstarted: usize,
    /// How the host is looked up.
    host: Host,
    /// What came of it for families that were not asked for yet.
    early: Vec<(Family, Answer)>,
}

/// How the host is looked up. A name is walked as a whole, as getaddrinfo(3) walks it for `AF_UNSPEC`: what it has
/// in one family depends on what it has in the other.
enum Host {
    NotBegun,
    /// By the driver's client: each family is told as soon as it is known.
    Walks(WalkId),
    /// By libc, which is asked once, and answers when it knows both families; and why.
    Whole(Source, Reason),
    /// Each question by itself: one family is all that is wanted, or the caller's function is asked.
    Apart,
}

/// The family that something was told of.
pub(super) fn family_of(told: &Told) -> Family {
    if told.family == libc::AF_INET6 { Family::V6 } else { Family::V4 }
}

impl Lookups {
    /// Answers of workers come through `mailbox` under `token`.
    pub fn new(remote: Query, local: Option<Query>, families: Families, mailbox: &Arc<Mailbox>, token: u64) -> Lookups {
        let host = if remote.has_callback() { Host::Apart } else { Host::NotBegun };
        let (mailbox, running, early) = (Arc::clone(mailbox), Vec::new(), Vec::new());
        Lookups { remote, local, families, mailbox, token, running, unstarted: 0, host, early }
    }

    /// Takes a question in, to be started with those that come in a row with it.
    pub fn ask(&mut self, lookup: LookupId, question: Question, urgency: Urgency) {
        let source = match question.kind.family() {
            Some(family) if !matches!(self.host, Host::Apart) => match self.take_early(family) {
                Some(answer) => Source::Ready(Some(Box::new(answer))),
                None => Source::of_host(&self.query(question)),
            },
            _ => self.worker(question, urgency),
        };
        if self.running.is_empty() {
            // A name has two questions; a vector would make room for four.
            self.running.reserve_exact(2);
        }
        self.running.push((lookup, question, source));
        self.unstarted += 1;
    }

    /// The source for a question that libc has to answer.
    fn worker(&self, question: Question, urgency: Urgency) -> Source {
        let (query, token) = (self.query(question), self.token);
        match urgency {
            // Where both families are asked for, the other one's question may follow this one.
            Urgency::Now if question.kind.family().is_some() && self.families == Families::Both => {
                Source::leading(query, &self.mailbox, token)
            }
            Urgency::Now => Source::now(query, &self.mailbox, token),
            Urgency::WhenFree => {
                // It can wait since the other family of the same name is being asked already.
                let leader = self.running.iter().rfind(|(_, other, _)| other.name == question.name);
                Source::when_free(query, &self.mailbox, token, leader.map(|(_, _, source)| source))
            }
        }
    }

    /// Whether something was asked that was not started.
    pub fn has_unstarted(&self) -> bool {
        self.unstarted > 0
    }

    /// Starts what was asked since the last time, together.
    pub fn start(&mut self, now: Instant, reactor: &mut impl Reactor) {
        let first = self.running.len() - std::mem::take(&mut self.unstarted);
        let of_host = self.running[first..].iter().any(|(.., source)| matches!(source, Source::Host));
        if of_host && matches!(self.host, Host::NotBegun) {
            self.begin_host(now, reactor);
        }
        Source::start(self.running[first..].iter().map(|(_, _, source)| source));
    }

    fn begin_host(&mut self, now: Instant, reactor: &mut impl Reactor) {
        let query = self.remote.with(address_family(self.families), Form::Unsorted);
        self.host = match reactor.look_up(now, &query) {
            Ok(walk) => Host::Walks(walk),
            Err(reason) => {
                let whole = Source::now(query, &self.mailbox, self.token);
                Source::start(std::iter::once(&whole));
                Host::Whole(whole, reason)
            }
        };
    }

    /// The driver's client has the last word of a family of the host.
    pub fn told(&mut self, told: Told) {
        let family = family_of(&told);
        let answer = told.into_answer(self.remote.port().unwrap_or(0));
        self.host_answered(family, answer);
    }

    /// A family of the host is known: what asks for it already is ready.
    fn host_answered(&mut self, family: Family, answer: Answer) {
        let asked = |(_, question, source): &&mut (LookupId, Question, Source)| {
            question.kind.family() == Some(family) && matches!(source, Source::Host)
        };
        match self.running.iter_mut().find(asked) {
            Some((.., source)) => *source = Source::Ready(Some(Box::new(answer))),
            None => self.early.push((family, answer)),
        }
    }

    /// Libc has answered for both families, or for the one that is wanted.
    fn take_whole(&mut self) {
        let Host::Whole(source, _) = &mut self.host else { return };
        let Some(answer) = source.take() else { return };
        let wanted = match self.families {
            Families::Both => &[Family::V6, Family::V4][..],
            Families::Only(Family::V6) => &[Family::V6],
            Families::Only(Family::V4) => &[Family::V4],
        };
        let answer = answer.map(Found::into_addresses);
        for &family in wanted {
            let of_family = answer.as_ref().map_err(|error| *error).and_then(|addresses| {
                let of_family = addresses.iter().copied().filter(|address| Family::of(address) == family);
                let of_family: Vec<SocketAddr> = of_family.collect();
                if of_family.is_empty() { Err(LookupError::NO_DATA) } else { Ok(Found::Addresses(of_family)) }
            });
            self.host_answered(family, of_family);
        }
    }

    /// Who answers what comes from no [`Told`], which says so itself.
    pub fn worker_source(&self) -> Option<LookupSource> {
        match &self.host {
            _ if self.remote.has_callback() => Some(LookupSource::Function),
            Host::Whole(_, reason) => Some(LookupSource::Libc(reason.text())),
            Host::NotBegun | Host::Walks(_) | Host::Apart => None,
        }
    }

    fn take_early(&mut self, family: Family) -> Option<Answer> {
        let place = self.early.iter().position(|(of, _)| *of == family)?;
        Some(self.early.swap_remove(place).1)
    }

    /// Whether an answer may come through the mailbox.
    pub fn has_workers(&self) -> bool {
        let works = |source: &Source| matches!(source, Source::Worker(_));
        matches!(&self.host, Host::Whole(whole, _) if works(whole))
            || self.running.iter().any(|(.., source)| works(source))
    }

    /// Lets go of all.
    pub fn close(self, now: Instant, reactor: &mut impl Reactor) {
        if let Host::Walks(walk) = self.host {
            reactor.abandon(now, walk);
        }
    }

    /// Takes an answer that is there without anybody having been waited for.
    pub fn next_answer(&mut self) -> Option<(LookupId, Question, Answer)> {
        self.take_whole();
        let mut sources = self.running.iter_mut().map(|(.., source)| source).enumerate();
        let (place, answer) = sources.find_map(|(place, source)| Some((place, source.take()?)))?;
        let (lookup, question, _) = self.running.remove(place);
        Some((lookup, question, answer))
    }

    /// Has a lookup served next, if it still waits.
    pub fn hasten(&mut self, lookup: LookupId) {
        if let Some(place) = self.place(lookup) {
            self.running[place].2.hasten();
        }
    }

    /// Lets go of a lookup.
    pub fn abandon(&mut self, now: Instant, lookup: LookupId, reactor: &mut impl Reactor) {
        let Some(place) = self.place(lookup) else { return };
        let (_, _, source) = self.running.remove(place);
        let of_host = |(.., source): &(LookupId, Question, Source)| matches!(source, Source::Host);
        // What has been asked with it goes on, if anybody waits for that still.
        if matches!(source, Source::Host) && !self.running.iter().any(of_host) {
            match std::mem::replace(&mut self.host, Host::Apart) {
                Host::Walks(walk) => reactor.abandon(now, walk),
                Host::NotBegun | Host::Whole(..) | Host::Apart => {}
            }
        }
    }

    /// How many are running.
    pub fn len(&self) -> usize {
        self.running.len()
    }

    fn place(&self, lookup: LookupId) -> Option<usize> {
        self.running.iter().position(|(id, ..)| *id == lookup)
    }

    fn query(&self, question: Question) -> Query {
        match question.kind {
            QuestionKind::Aaaa => self.remote.with(libc::AF_INET6, Form::Unsorted),
            QuestionKind::A => self.remote.with(libc::AF_INET, Form::Unsorted),
            QuestionKind::Both => self.remote.with(address_family(self.families), Form::Addresses),
            QuestionKind::Local => {
                let local = self.local.as_ref().expect("a local address is asked for only where one was given");
                local.with(libc::AF_UNSPEC, Form::Addresses)
            }
        }
    }
}
