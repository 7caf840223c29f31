//! The lookups of a race in the world: which question goes to which source.

use super::few::Few;
use super::plan::address_family;
use super::reactor::Reactor;
use crate::lookup::{Answer, Form, Found, Query, Reason, Source, Told, WalkId, order};
use crate::race::{AnsweredBy, Families, Family, LookupError, LookupId, NameId, Question, QuestionKind, Urgency};
use std::net::SocketAddr;
use std::time::Instant;

/// What a race has that looks something up. A race without a lookup has none of it; thousands of names may be
/// in memory at once, so what few need is in a box.
pub(super) struct Lookups {
    /// What the race calls the host.
    name: NameId,
    remote: Query,
    local: Option<Box<Query>>,
    families: Families,
    /// How many of those that run, the last ones, were not started yet.
    unstarted: u8,
    /// The port of the remote service, once the host is looked up without a thread.
    port: u16,
    /// Why libc was asked for the host, if it was.
    why_libc: Option<Reason>,
    /// How the host is looked up.
    host: Host,
    /// Those that were asked and have not ended, in the order in which they were asked; and what came of the
    /// host for families that were not asked for yet.
    running: Few<Asked>,
}

/// A lookup that was asked.
struct Asked {
    /// None: not yet, but what will be asked is known already.
    lookup: Option<LookupId>,
    question: Question,
    /// None: it is of the host, which is looked up for both families at once, and nothing has come of it yet.
    source: Option<Box<Source>>,
}

/// How the host is looked up. A name is walked as a whole, as getaddrinfo(3) walks it for `AF_UNSPEC`: what
/// it has in one family depends on what it has in the other.
enum Host {
    NotBegun,
    /// By the driver's client: each family is told as soon as it is known.
    Walks(WalkId),
    /// By libc, which is asked once, and answers when it knows both families.
    Whole(Box<Source>),
    /// Each question by itself: one family is all that is wanted, or the caller's function is asked.
    Apart,
}

impl Asked {
    fn waits_for_host(&self) -> bool {
        self.source.is_none()
    }
}

impl Lookups {
    pub fn new(name: NameId, remote: Query, local: Option<Query>, families: Families) -> Lookups {
        Lookups {
            name,
            families,
            unstarted: 0,
            port: 0,
            why_libc: None,
            host: if remote.has_callback() { Host::Apart } else { Host::NotBegun },
            local: local.map(Box::new),
            remote,
            running: Few::new(),
        }
    }

    /// Takes a question in, to be started with those that come in a row with it.
    pub fn ask(&mut self, lookup: LookupId, question: Question, urgency: Urgency, reactor: &impl Reactor) {
        let early = self.running.take(|early| early.lookup.is_none() && early.question == question);
        let source = match (early, question.kind, &self.host) {
            (Some(early), ..) => early.source,
            (None, QuestionKind::Local, _) | (None, _, Host::Apart) => {
                Some(Box::new(self.worker(question, urgency, reactor)))
            }
            (None, ..) if self.remote.is_for_name() => None,
            (None, ..) => Source::at_once(&self.query(question)).map(Box::new),
        };
        self.running.push(Asked { lookup: Some(lookup), question, source });
        self.unstarted += 1;
    }

    /// The source for a question that libc has to answer.
    fn worker(&self, question: Question, urgency: Urgency, reactor: &impl Reactor) -> Source {
        let (query, (mailbox, token)) = (self.query(question), reactor.mailbox());
        match urgency {
            // Where both families are asked for, the other one's question may follow this one.
            Urgency::Now if question.kind.family().is_some() && self.families == Families::Both => {
                Source::leading(query, mailbox, token)
            }
            Urgency::Now => Source::now(query, mailbox, token),
            Urgency::WhenFree => {
                // It can wait since the other family of the same name is being asked already.
                let leader = self.running.iter().filter(|other| other.question.name == question.name).last();
                Source::when_free(query, mailbox, token, leader.and_then(|leader| leader.source.as_deref()))
            }
        }
    }

    /// Whether something was asked that was not started.
    pub fn has_unstarted(&self) -> bool {
        self.unstarted > 0
    }

    /// Starts what was asked since the last time, together.
    pub fn start(&mut self, now: Instant, reactor: &mut impl Reactor) {
        let unstarted = usize::from(std::mem::take(&mut self.unstarted));
        let started = self.running.iter().count() - unstarted;
        let of_host = self.running.iter().skip(started).any(Asked::waits_for_host);
        if of_host && matches!(self.host, Host::NotBegun) {
            self.begin_host(now, reactor);
        }
        Source::start(self.running.iter().skip(started).filter_map(|asked| asked.source.as_deref()));
    }

    fn begin_host(&mut self, now: Instant, reactor: &mut impl Reactor) {
        // Of both families in one list the order matters; else the race sorts.
        let both = self.running.iter().any(|asked| asked.question.kind == QuestionKind::Both);
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
                    Host::Whole(Box::new(Source::ready(Err(error), AnsweredBy::Nobody)))
                }
            },
            Err(reason) => {
                self.why_libc = Some(reason);
                let (mailbox, token) = reactor.mailbox();
                let whole = Source::now(query.clone(), mailbox, token);
                // A thread that waits for nothing else can do it where no other is to be had.
                Host::Whole(Box::new(if !reactor.may_block() {
                    Source::start(std::iter::once(&whole));
                    whole
                } else if whole.try_to_start() {
                    whole
                } else {
                    Source::ready(query.ask(), AnsweredBy::Libc)
                }))
            }
        };
    }

    /// Why libc was asked for the host; None: it was not, or nobody could have been asked instead.
    pub fn why_libc(&self) -> Option<Reason> {
        self.why_libc
    }

    /// The driver's client has the last word of a family of a name; hands it back if it is not this host.
    pub fn told(&mut self, told: Told) -> Option<Told> {
        if !matches!(self.host, Host::Walks(walk) if walk == told.walk) {
            return Some(told);
        }
        let family = if told.family == libc::AF_INET6 { Family::V6 } else { Family::V4 };
        let by = told.by;
        let answer = told.into_answer(self.port);
        self.host_answered(family, answer, by);
        None
    }

    /// A family of the host is known: what asks for it already is ready.
    fn host_answered(&mut self, family: Family, answer: Answer, by: AnsweredBy) {
        let question = Question { name: self.name, kind: QuestionKind::of(family) };
        let source = Some(Box::new(Source::ready(answer, by)));
        let mut running = self.running.iter_mut();
        if let Some(asked) = running.find(|asked| asked.question == question && asked.waits_for_host()) {
            asked.source = source;
            return;
        }
        drop(running);
        self.running.push(Asked { lookup: None, question, source });
        self.join_both();
    }

    /// The question for both families in one list, while nothing has come of it.
    fn both(&mut self) -> Option<&mut Asked> {
        let mut running = self.running.iter_mut();
        running.find(|asked| asked.question.kind == QuestionKind::Both && asked.waits_for_host())
    }

    /// Where both families are asked for in one list, and both are known: makes the list, in getaddrinfo(3)'s
    /// order.
    fn join_both(&mut self) {
        if self.both().is_none() || self.running.iter().filter(|early| early.lookup.is_none()).count() < 2 {
            return;
        }
        let mut addresses = Vec::new();
        let mut failure = LookupError::NO_DATA;
        let mut answered_by = AnsweredBy::Nobody;
        while let Some(early) = self.running.take(|early| early.lookup.is_none()) {
            let Some((answer, by)) = early.source.and_then(|mut source| source.take()) else { continue };
            answered_by = by;
            match answer {
                Ok(found) => addresses.extend(found.into_addresses()),
                Err(error) => failure = error,
            }
        }
        order::sort(&mut addresses, |address| *address);
        let answer = if addresses.is_empty() { Err(failure) } else { Ok(Found::Addresses(addresses)) };
        if let Some(asked) = self.both() {
            asked.source = Some(Box::new(Source::ready(answer, answered_by)));
        }
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
        if let Some(asked) = self.both() {
            asked.source = Some(Box::new(Source::ready(answer.map(Found::Addresses), by)));
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

    /// Whether an answer may come through the mailbox.
    pub fn has_workers(&self) -> bool {
        let whole = if let Host::Whole(whole) = &self.host { Some(&**whole) } else { None };
        let mut sources = self.running.iter().filter_map(|asked| asked.source.as_deref()).chain(whole);
        sources.any(|source| matches!(source, Source::Worker(_)))
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
        let (lookup, question, (answer, by)) = self.running.iter_mut().find_map(|asked| {
            let lookup = asked.lookup?;
            Some((lookup, asked.question, asked.source.as_mut()?.take()?))
        })?;
        self.running.take(|asked| asked.lookup == Some(lookup));
        Some((lookup, question, answer, by))
    }

    /// Has a lookup served next, if it still waits.
    pub fn hasten(&mut self, lookup: LookupId) {
        let asked = self.running.iter().find(|asked| asked.lookup == Some(lookup));
        if let Some(source) = asked.and_then(|asked| asked.source.as_ref()) {
            source.hasten();
        }
    }

    /// Lets go of a lookup.
    pub fn abandon(&mut self, now: Instant, lookup: LookupId, reactor: &mut impl Reactor) {
        let Some(asked) = self.running.take(|asked| asked.lookup == Some(lookup)) else { return };
        // What has been asked with it goes on, if anybody waits for that still.
        if asked.waits_for_host() && !self.running.iter().any(Asked::waits_for_host) {
            match std::mem::replace(&mut self.host, Host::Apart) {
                Host::Walks(walk) => reactor.abandon(now, walk),
                Host::NotBegun | Host::Whole(_) | Host::Apart => {}
            }
        }
    }

    /// How many are running.
    pub fn len(&self) -> usize {
        self.running.iter().filter(|asked| asked.lookup.is_some()).count()
    }

    fn query(&self, question: Question) -> Query {
        match question.kind {
            QuestionKind::Aaaa => self.remote.with(libc::AF_INET6, Form::Unsorted),
            QuestionKind::A => self.remote.with(libc::AF_INET, Form::Unsorted),
            QuestionKind::Both => self.remote.with(address_family(self.families), Form::Addresses),
            QuestionKind::Nat64Prefix | QuestionKind::Service => unreachable!("no question for the host's addresses"),
            QuestionKind::Local => {
                let local = self.local.as_ref().expect("a local address is asked for only where one was given");
                local.with(libc::AF_UNSPEC, Form::Addresses)
            }
        }
    }
}
