//! The lookups of a race in the world: which question goes to which source.

use super::plan::address_family;
use super::reactor::Reactor;
use crate::lookup::{Answer, Form, Found, Mailbox, Query, Reason, Source, Told, WalkId, order};
use crate::race::{AnsweredBy, Families, Family, LookupError, LookupId, Question, QuestionKind, Urgency};
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
    /// The port of the remote service, once the host is looked up without a thread.
    port: u16,
    /// What came of it for families that were not asked for yet.
    early: Vec<(Family, Answer, AnsweredBy)>,
    /// Why libc was asked for the host, if it was.
    why_libc: Option<Reason>,
}

/// How the host is looked up. A name is walked as a whole, as getaddrinfo(3) walks it for `AF_UNSPEC`: what
/// it has in one family depends on what it has in the other.
enum Host {
    NotBegun,
    /// By the driver's client: each family is told as soon as it is known.
    Walks(WalkId),
    /// By libc, which is asked once, and answers when it knows both families.
    Whole(Source),
    /// Each question by itself: one family is all that is wanted, or the caller's function is asked.
    Apart,
}

impl Lookups {
    /// Answers of workers come through `mailbox` under `token`.
    pub fn new(remote: Query, local: Option<Query>, families: Families, mailbox: &Arc<Mailbox>, token: u64) -> Lookups {
        let host = if remote.has_callback() { Host::Apart } else { Host::NotBegun };
        let (mailbox, running, early) = (Arc::clone(mailbox), Vec::new(), Vec::new());
        Lookups { remote, local, families, mailbox, token, running, unstarted: 0, host, early, port: 0, why_libc: None }
    }

    /// Takes a question in, to be started with those that come in a row with it.
    pub fn ask(&mut self, lookup: LookupId, question: Question, urgency: Urgency) {
        let early = question.kind.family().and_then(|family| self.take_early(family));
        let source = match (early, question.kind, &self.host) {
            (Some((answer, by)), ..) => Source::ready(answer, by),
            (None, QuestionKind::Local, _) | (None, _, Host::Apart) => self.worker(question, urgency),
            (None, ..) => Source::of_host(&self.query(question)),
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
        // Of both families in one list the order matters; else the race sorts.
        let both = self.running.iter().any(|(_, question, _)| question.kind == QuestionKind::Both);
        let form = if both { Form::Addresses } else { Form::Unsorted };
        let query = self.remote.with(address_family(self.families), form);
        self.host = match reactor.look_up(now, &query) {
            Ok(walk) => match self.remote.service_port() {
                Ok(port) => {
                    self.port = port;
                    Host::Walks(walk)
                }
                // Nothing is asked where the service is unknown.
                Err(error) => {
                    reactor.abandon(now, walk);
                    Host::Whole(Source::ready(Err(error), AnsweredBy::Nobody))
                }
            },
            Err(reason) => {
                self.why_libc = Some(reason);
                let whole = Source::now(query.clone(), &self.mailbox, self.token);
                // A thread that waits for nothing else can do it where no other is to be had.
                Host::Whole(if !reactor.may_block() {
                    Source::start(std::iter::once(&whole));
                    whole
                } else if whole.try_to_start() {
                    whole
                } else {
                    Source::ready(query.ask(), AnsweredBy::Libc)
                })
            }
        };
    }

    /// Why libc was asked for the host; None: it was not, or nobody could have been asked instead.
    pub fn why_libc(&self) -> Option<Reason> {
        self.why_libc
    }

    /// The driver's client has the last word of a family of the host.
    pub fn told(&mut self, told: Told) {
        let family = if told.family == libc::AF_INET6 { Family::V6 } else { Family::V4 };
        let by = told.by;
        let answer = told.into_answer(self.port);
        self.host_answered(family, answer, by);
    }

    /// A family of the host is known: what asks for it already is ready.
    fn host_answered(&mut self, family: Family, answer: Answer, by: AnsweredBy) {
        let asked = |(_, question, source): &&mut (LookupId, Question, Source)| {
            question.kind.family() == Some(family) && matches!(source, Source::Host)
        };
        match self.running.iter_mut().find(asked) {
            Some((.., source)) => *source = Source::ready(answer, by),
            None => {
                self.early.push((family, answer, by));
                self.join_both();
            }
        }
    }

    /// Where both families are asked for in one list, and both are known: makes the list, in getaddrinfo(3)'s
    /// order.
    fn join_both(&mut self) {
        let both = |(_, question, source): &(LookupId, Question, Source)| {
            question.kind == QuestionKind::Both && matches!(source, Source::Host)
        };
        let (Some(place), 2) = (self.running.iter().position(both), self.early.len()) else { return };
        let mut addresses = Vec::new();
        let mut failure = LookupError::NO_DATA;
        let mut answered_by = AnsweredBy::Nobody;
        for (_, answer, by) in self.early.drain(..) {
            answered_by = by;
            match answer {
                Ok(found) => addresses.extend(found.into_addresses()),
                Err(error) => failure = error,
            }
        }
        order::sort(&mut addresses, |address| *address);
        let answer = if addresses.is_empty() { Err(failure) } else { Ok(Found::Addresses(addresses)) };
        self.running[place].2 = Source::ready(answer, answered_by);
    }

    /// Libc has answered for both families, or for the one that is wanted.
    fn take_whole(&mut self) {
        let Host::Whole(source) = &mut self.host else { return };
        let Some((answer, by)) = source.take() else { return };
        let wanted = match self.families {
            Families::Both => &[Family::V6, Family::V4][..],
            Families::Only(Family::V6) => &[Family::V6],
            Families::Only(Family::V4) => &[Family::V4],
        };
        let answer = answer.map(Found::into_addresses);
        let both = |(_, question, source): &&mut (LookupId, Question, Source)| {
            question.kind == QuestionKind::Both && matches!(source, Source::Host)
        };
        if let Some((.., source)) = self.running.iter_mut().find(both) {
            *source = Source::ready(answer.map(Found::Addresses), by);
            return;
        }
        for &family in wanted {
            let of_family = answer.as_ref().map_err(|error| *error).and_then(|addresses| {
                let of_family = addresses.iter().copied().filter(|address| Family::of(address) == family);
                let of_family: Vec<SocketAddr> = of_family.collect();
                if of_family.is_empty() { Err(LookupError::NO_DATA) } else { Ok(Found::Addresses(of_family)) }
            });
            self.host_answered(family, of_family, by);
        }
    }

    fn take_early(&mut self, family: Family) -> Option<(Answer, AnsweredBy)> {
        let place = self.early.iter().position(|(of, ..)| *of == family)?;
        let (_, answer, by) = self.early.swap_remove(place);
        Some((answer, by))
    }

    /// Whether an answer may come through the mailbox.
    pub fn has_workers(&self) -> bool {
        let works = |source: &Source| matches!(source, Source::Worker(_));
        matches!(&self.host, Host::Whole(whole) if works(whole))
            || self.running.iter().any(|(.., source)| works(source))
    }

    /// Lets go of all.
    pub fn close(self, now: Instant, reactor: &mut impl Reactor) {
        if let Host::Walks(walk) = self.host {
            reactor.abandon(now, walk);
        }
    }

    /// Takes an answer that is there without anybody having been waited for.
    pub fn next_answer(&mut self) -> Option<(LookupId, Question, Answer, AnsweredBy)> {
        self.take_whole();
        let mut sources = self.running.iter_mut().map(|(.., source)| source).enumerate();
        let (place, (answer, by)) = sources.find_map(|(place, source)| Some((place, source.take()?)))?;
        let (lookup, question, _) = self.running.remove(place);
        Some((lookup, question, answer, by))
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
                Host::NotBegun | Host::Whole(_) | Host::Apart => {}
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
