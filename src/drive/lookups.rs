//! The lookups of a race in the world: which question goes to which source.

use super::plan::address_family;
use super::reactor::Reactor;
use crate::lookup::{Answer, Form, Mailbox, Query, Source, Told, WalkId};
use crate::race::{Families, Family, LookupId, Question, QuestionKind, Urgency};
use std::sync::Arc;
use std::time::Instant;

/// How many low bits of a token name the lookup; the rest is the driver's own.
pub const TOKEN_BITS: u32 = 6;

/// What a race has that looks something up. A race without a lookup has none of it.
pub(super) struct Lookups {
    remote: Query,
    local: Option<Query>,
    families: Families,
    mailbox: Arc<Mailbox>,
    /// The driver's own part of the tokens.
    token: u64,
    /// Those that were asked and have not ended, in the order in which they were asked.
    running: Vec<(LookupId, Question, Source)>,
    /// How many of them, the last ones, were not started yet.
    unstarted: usize,
    /// The host as it is looked up without a thread, both families in one.
    walk: Walk,
    /// What came of it for a family that was not asked for yet.
    early: Vec<(Family, Answer)>,
}

/// How far the lookup without a thread has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    NotBegun,
    Walks(WalkId),
    /// Libc has to do it.
    ByLibc,
}

impl Lookups {
    /// Answers of workers come through `mailbox` under `token`, shifted by [`TOKEN_BITS`].
    pub fn new(remote: Query, local: Option<Query>, families: Families, mailbox: &Arc<Mailbox>, token: u64) -> Lookups {
        let walk = if remote.is_for_libc() { Walk::ByLibc } else { Walk::NotBegun };
        let (mailbox, running, early) = (Arc::clone(mailbox), Vec::new(), Vec::new());
        Lookups { remote, local, families, mailbox, token, running, unstarted: 0, walk, early }
    }

    /// Takes a question in, to be started with those that come in a row with it.
    pub fn ask(&mut self, lookup: LookupId, question: Question, urgency: Urgency) {
        let source = match question.kind.family() {
            Some(family) if self.walk != Walk::ByLibc => match self.take_early(family) {
                Some(answer) => Source::Ready(Some(Box::new(answer))),
                None => Source::walked(&self.query(question)),
            },
            _ => self.worker(lookup, question, urgency),
        };
        if self.running.is_empty() {
            // A name has two questions; a vector would make room for four.
            self.running.reserve_exact(2);
        }
        self.running.push((lookup, question, source));
        self.unstarted += 1;
    }

    /// The source for a question that libc has to answer.
    fn worker(&self, lookup: LookupId, question: Question, urgency: Urgency) -> Source {
        let (query, token) = (self.query(question), self.token << TOKEN_BITS | u64::from(lookup.0));
        match urgency {
            // Where both families are asked for, the other one's question may follow this one.
            Urgency::Now if question.kind.family().is_some() && self.families == Families::Both => {
                Source::leading(query, &self.mailbox, token)
            }
            Urgency::Now => Source::now(query, &self.mailbox, token),
            Urgency::WhenFree => {
                // It can wait since the other family of the same name is being asked already.
                let leader = self.running.iter().rfind(|(id, other, _)| other.name == question.name && *id != lookup);
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
        let walks = self.running[first..].iter().any(|(.., source)| matches!(source, Source::Walk));
        if walks && self.walk == Walk::NotBegun {
            let query = self.remote.with(address_family(self.families), Form::Unsorted);
            self.walk = reactor.look_up(now, &query).map_or(Walk::ByLibc, Walk::Walks);
        }
        if walks && self.walk == Walk::ByLibc {
            for place in first..self.running.len() {
                let (lookup, question, _) = self.running[place];
                if matches!(self.running[place].2, Source::Walk) {
                    let urgency = if place == first { Urgency::Now } else { Urgency::WhenFree };
                    self.running[place].2 = self.worker(lookup, question, urgency);
                }
            }
        }
        Source::start(self.running[first..].iter().map(|(_, _, source)| source));
    }

    /// The lookup without a thread has the last word of a family: to whom it goes, if it was asked for already.
    pub fn take_told(&mut self, told: Told) -> Option<(LookupId, Question, Answer)> {
        let family = if told.family == libc::AF_INET6 { Family::V6 } else { Family::V4 };
        let answer = told.into_answer(self.remote.port().unwrap_or(0));
        let asked = |(_, question, source): &(LookupId, Question, Source)| {
            question.kind.family() == Some(family) && matches!(source, Source::Walk)
        };
        let Some(place) = self.running.iter().position(asked) else {
            self.early.push((family, answer));
            return None;
        };
        let (lookup, question, _) = self.running.remove(place);
        Some((lookup, question, answer))
    }

    fn take_early(&mut self, family: Family) -> Option<Answer> {
        let place = self.early.iter().position(|(of, _)| *of == family)?;
        Some(self.early.swap_remove(place).1)
    }

    /// Whether an answer may come through the mailbox.
    pub fn has_workers(&self) -> bool {
        self.running.iter().any(|(.., source)| matches!(source, Source::Worker(_)))
    }

    /// Lets go of all.
    pub fn close(self, now: Instant, reactor: &mut impl Reactor) {
        if let Walk::Walks(walk) = self.walk {
            reactor.abandon(now, walk);
        }
    }

    /// Takes an answer that is there without anybody having been waited for.
    pub fn next_answer(&mut self) -> Option<(LookupId, Question, Answer)> {
        let mut sources = self.running.iter_mut().map(|(.., source)| source).enumerate();
        let (place, answer) = sources.find_map(|(place, source)| Some((place, source.take()?)))?;
        let (lookup, question, _) = self.running.remove(place);
        Some((lookup, question, answer))
    }

    /// Takes the answer of the lookup that a token names. None if there is none: a token may come twice, or
    /// late.
    pub fn take_by_token(&mut self, token: u64) -> Option<(LookupId, Question, Answer)> {
        let place = self.place(LookupId((token & ((1 << TOKEN_BITS) - 1)) as u32))?;
        let answer = self.running[place].2.take()?;
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
        let walks = |(.., source): &(LookupId, Question, Source)| matches!(source, Source::Walk);
        // What has been asked with it goes on, if anybody waits for that still.
        if let (Source::Walk, Walk::Walks(walk)) = (source, self.walk)
            && !self.running.iter().any(walks)
        {
            reactor.abandon(now, walk);
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
