//! The trace that a race keeps when it is asked to.
use super::trace::{Trace, TraceKind};
use std::collections::VecDeque;
use std::time::Instant;

/// Entries not yet taken.
#[derive(Debug)]
#[expect(clippy::box_collection, reason = "a race without a trace, which is most of them, pays one word for it")]
pub(super) struct Log(Option<Box<VecDeque<Trace>>>);

impl Log {
    pub(super) fn new(wanted: bool) -> Log {
        Log(wanted.then(Box::default))
    }

    pub(super) fn add(&mut self, at: Instant, kind: TraceKind) {
        if let Some(entries) = &mut self.0 {
            entries.push_back(Trace { at, kind });
        }
    }

    pub(super) fn take(&mut self) -> Option<Trace> {
        self.0.as_mut()?.pop_front()
    }
}
