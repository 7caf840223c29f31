//! The lookup that tells the prefixes of a network's translator, in the world: it goes the way of the host's.

use super::reactor::Reactor;
use crate::lookup::{Answer, Query, Source, Told, WalkId};
use crate::race::{AnsweredBy, LookupId};
use std::time::Instant;

/// What few races have: the lookup, before it is asked and while it runs.
pub(super) struct Discovery {
    query: Query,
    running: Option<(LookupId, Asked)>,
}

enum Asked {
    /// By the driver's client.
    Walks(WalkId),
    /// By libc or the caller's function; or it is answered.
    Source(Source),
}

impl Discovery {
    /// Nothing is asked yet.
    pub fn new(query: Query) -> Discovery {
        Discovery { query, running: None }
    }

    /// Asks.
    pub fn begin(&mut self, now: Instant, lookup: LookupId, reactor: &mut impl Reactor) {
        let asked = match reactor.look_up(now, &self.query) {
            Ok(walk) => Asked::Walks(walk),
            Err(_) => {
                let (mailbox, token) = reactor.mailbox();
                let source = Source::now(self.query.clone(), mailbox, token);
                Source::start(std::iter::once(&source));
                Asked::Source(source)
            }
        };
        self.running = Some((lookup, asked));
    }

    /// The driver's client has the answer of a lookup; hands it back if it was not this one.
    pub fn told(&mut self, told: Told) -> Option<Told> {
        if !matches!(&self.running, Some((_, Asked::Walks(walk))) if *walk == told.walk) {
            return Some(told);
        }
        if let Some((_, asked)) = &mut self.running {
            let by = told.by;
            *asked = Asked::Source(Source::ready(told.into_answer(0), by));
        }
        None
    }

    /// Takes the answer, if it is there.
    pub fn take(&mut self) -> Option<(LookupId, Answer, AnsweredBy)> {
        let (lookup, Asked::Source(source)) = self.running.as_mut()? else { return None };
        let (answer, by) = source.take()?;
        let lookup = *lookup;
        self.running = None;
        Some((lookup, answer, by))
    }

    /// Lets go of it, if it is the one that is meant (None: whichever it is). False if it was not.
    pub fn abandon(&mut self, now: Instant, meant: Option<LookupId>, reactor: &mut impl Reactor) -> bool {
        if self.running.as_ref().is_none_or(|(lookup, _)| meant.is_some_and(|meant| meant != *lookup)) {
            return false;
        }
        if let Some((_, Asked::Walks(walk))) = self.running.take() {
            reactor.abandon(now, walk);
        }
        true
    }

    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether the answer may come through the mailbox.
    pub fn has_worker(&self) -> bool {
        matches!(self.running, Some((_, Asked::Source(Source::Worker(_)))))
    }
}
