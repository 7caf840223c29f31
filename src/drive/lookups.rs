//! The lookups of a race in the world: which question goes to which source.

use super::plan::address_family;
use crate::lookup::{Answer, Form, Mailbox, Query, Source};
use crate::race::{Families, LookupId, Question, QuestionKind, Urgency};
use std::sync::Arc;

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
}

impl Lookups {
    /// Answers come through `mailbox` under `token`, shifted by [`TOKEN_BITS`].
    pub fn new(remote: Query, local: Option<Query>, families: Families, mailbox: &Arc<Mailbox>, token: u64) -> Lookups {
        let mailbox = Arc::clone(mailbox);
        Lookups { remote, local, families, mailbox, token, running: Vec::new(), unstarted: 0 }
    }

    /// Takes a question in, to be started with those that come in a row with it.
    pub fn ask(&mut self, lookup: LookupId, question: Question, urgency: Urgency) {
        let (query, token) = (self.query(question), self.token << TOKEN_BITS | u64::from(lookup.0));
        let source = match urgency {
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
        };
        if self.running.is_empty() {
            // A name has two questions; a vector would make room for four.
            self.running.reserve_exact(2);
        }
        self.running.push((lookup, question, source));
        self.unstarted += 1;
    }

    /// Whether something was asked that was not started.
    pub fn has_unstarted(&self) -> bool {
        self.unstarted > 0
    }

    /// Starts what was asked since the last time, together.
    pub fn start(&mut self) {
        let first = self.running.len() - std::mem::take(&mut self.unstarted);
        Source::start(self.running[first..].iter().map(|(_, _, source)| source));
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
    pub fn abandon(&mut self, lookup: LookupId) {
        if let Some(place) = self.place(lookup) {
            self.running.remove(place);
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
