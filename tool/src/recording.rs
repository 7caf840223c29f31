//! How a race gets into its record: step by step, as the library traces it.

use crate::names;
use crate::record::{
    Attempt, AttemptState, Binding, Ending, Error, Event, Lookup, LookupOutcome, Record, Source, SourceKind, Status,
    Step, Wait, WaitKind, address_text, ms,
};
use happysock::ServiceBinding;
use happysock::race::{AnsweredBy, AttemptOutcome, Family, Limit, Outcome, TraceKind};

impl Record {
    /// Takes in a step of the race.
    pub fn note(&mut self, time_ms: f64, kind: &TraceKind) {
        let step = self.step(time_ms, kind);
        self.events.push(Event { time_ms, step });
    }

    /// Takes in why libc was asked, which is known at the end.
    pub fn note_why_libc(&mut self, why: Option<&'static str>) {
        let sources = self
            .lookups
            .iter_mut()
            .filter(|lookup| lookup.question != "local")
            .filter_map(|lookup| lookup.source.as_mut());
        for source in sources.filter(|source| source.kind == SourceKind::Libc) {
            source.reason = why.map(str::to_owned);
        }
    }

    /// Takes in what led to the winner, which is known at the end.
    pub fn note_binding(&mut self, binding: Option<&ServiceBinding>) {
        if let (Some(result), Some(binding)) = (&mut self.result, binding) {
            result.binding = Some(Binding::from(binding));
        }
    }

    fn step(&mut self, at: f64, kind: &TraceKind) -> Step {
        match *kind {
            TraceKind::LookupStarted { lookup, question, .. } => {
                let question = names::question(question);
                let outcome = LookupOutcome::Running;
                let (addresses, source) = (Vec::new(), None);
                // Lookups are numbered in the order in which they start.
                let entry = Lookup {
                    question: question.clone(),
                    started_ms: at,
                    ended_ms: None,
                    outcome,
                    source,
                    addresses,
                    error: None,
                };
                self.lookups.push(entry);
                Step::LookupStarted { lookup: lookup.0, question }
            }
            TraceKind::LookupAnswered { lookup, question, addresses, by } => {
                self.end_lookup(lookup.0, at, LookupOutcome::Answered, by, None);
                Step::LookupAnswered { lookup: lookup.0, question: names::question(question), count: addresses }
            }
            TraceKind::LookupFailed { lookup, question, error, by } => {
                let error = Error::from(error);
                self.end_lookup(lookup.0, at, LookupOutcome::Failed, by, Some(error.clone()));
                Step::LookupFailed { lookup: lookup.0, question: names::question(question), error }
            }
            TraceKind::LookupAbandoned { lookup, question } => {
                self.end_lookup(lookup.0, at, LookupOutcome::Abandoned, AnsweredBy::Nobody, None);
                Step::LookupAbandoned { lookup: lookup.0, question: names::question(question) }
            }
            TraceKind::LookupHastened { lookup, question } => {
                Step::LookupHastened { lookup: lookup.0, question: names::question(question) }
            }
            TraceKind::ResolutionDelayStarted { delay } => {
                self.waits.push(Wait { kind: WaitKind::ResolutionDelay, started_ms: at, ended_ms: None });
                Step::ResolutionDelayStarted { delay_ms: ms(delay) }
            }
            TraceKind::ResolutionDelayExpired => {
                self.end_waits(at);
                Step::ResolutionDelayExpired
            }
            TraceKind::CandidateAdded { address, .. } => {
                let text = address_text(&address);
                // The addresses of an answer follow it at once.
                if let Some(Event { step: Step::LookupAnswered { lookup, .. }, .. }) = self.last_but_candidates()
                    && let Some(entry) = self.lookups.get_mut(lookup as usize)
                {
                    entry.addresses.push(text.clone());
                }
                Step::CandidateAdded { address: text, port: address.port() }
            }
            TraceKind::CandidateDropped { address, .. } => {
                Step::CandidateDropped { address: address_text(&address), port: address.port() }
            }
            TraceKind::AddressSynthesized { address, v4, .. } => {
                Step::AddressSynthesized { address: address_text(&address), port: address.port(), from: v4.to_string() }
            }
            TraceKind::AttemptStarted { attempt, address } => {
                self.end_waits(at);
                let family = if address.is_ipv6() { Family::V6 } else { Family::V4 };
                self.attempts.push(Attempt {
                    address: address_text(&address),
                    port: address.port(),
                    family: names::family(family).to_owned(),
                    started_ms: at,
                    connected_ms: None,
                    ended_ms: None,
                    outcome: AttemptState::Running,
                    error: None,
                });
                Step::AttemptStarted { attempt: attempt.0, address: address_text(&address), port: address.port() }
            }
            TraceKind::AttemptHeld { attempt, address } => {
                if let Some(entry) = self.attempts.get_mut(attempt.0 as usize) {
                    entry.connected_ms = Some(at);
                }
                Step::AttemptHeld { attempt: attempt.0, address: address_text(&address), port: address.port() }
            }
            TraceKind::AttemptEnded { attempt, address, outcome } => {
                let (state, error) = match outcome {
                    AttemptOutcome::Running => (AttemptState::Running, None),
                    AttemptOutcome::Connected => (AttemptState::Connected, None),
                    AttemptOutcome::Failed(failure) => (AttemptState::Failed, Some(Error::from(failure))),
                    AttemptOutcome::TimedOut(_) => (AttemptState::TimedOut, None),
                    AttemptOutcome::Abandoned => (AttemptState::Abandoned, None),
                };
                if let Some(entry) = self.attempts.get_mut(attempt.0 as usize) {
                    (entry.ended_ms, entry.outcome, entry.error) = (Some(at), state, error);
                }
                Step::AttemptEnded {
                    attempt: attempt.0,
                    address: address_text(&address),
                    port: address.port(),
                    outcome: state,
                }
            }
            TraceKind::NextAttemptTimerSet { delay } => {
                self.end_waits(at);
                self.waits.push(Wait { kind: WaitKind::ConnectionAttemptDelay, started_ms: at, ended_ms: None });
                Step::NextAttemptTimerSet { delay_ms: ms(delay) }
            }
            TraceKind::NextAttemptTimerFired => {
                self.end_waits(at);
                Step::NextAttemptTimerFired
            }
            TraceKind::FamilyUnanswered { family } => {
                Step::FamilyUnanswered { family: names::family(family).to_owned() }
            }
            TraceKind::Finished { outcome, .. } => {
                self.end_waits(at);
                let ending = self.ending(at, outcome);
                let status = ending.status;
                self.result = Some(ending);
                Step::Finished { status }
            }
        }
    }

    fn last_but_candidates(&self) -> Option<Event> {
        let mut events = self.events.iter().rev();
        events.find(|event| !matches!(event.step, Step::CandidateAdded { .. })).cloned()
    }

    fn end_lookup(&mut self, lookup: u32, at: f64, outcome: LookupOutcome, by: AnsweredBy, error: Option<Error>) {
        let Some(entry) = self.lookups.get_mut(lookup as usize) else { return };
        (entry.ended_ms, entry.outcome, entry.error) = (Some(at), outcome, error);
        entry.source = Source::of(by);
    }

    fn end_waits(&mut self, at: f64) {
        for wait in self.waits.iter_mut().filter(|wait| wait.ended_ms.is_none()) {
            wait.ended_ms = Some(at);
        }
    }

    fn ending(&self, total_ms: f64, outcome: Outcome) -> Ending {
        let attempt = match outcome {
            Outcome::Connected { attempt } => Some(attempt.0 as usize),
            Outcome::AttemptsFailed { last } => Some(last.0 as usize),
            _ => None,
        };
        let limit = match outcome {
            Outcome::TimedOut { limit } => Some(names::limit(limit).to_owned()),
            _ => None,
        };
        let (status, message) = match outcome {
            Outcome::Connected { .. } => (Status::Connected, "connected".to_owned()),
            Outcome::ResolveFailed { error } => (Status::LookupFailed, names::lookup_error(error)),
            Outcome::LocalFailed { error } => {
                (Status::LocalLookupFailed, format!("the local address: {}", names::lookup_error(error)))
            }
            Outcome::NoLocalAddress => {
                (Status::NoLocalAddress, "the local address is of another family than every address".to_owned())
            }
            Outcome::AttemptsFailed { last } => (Status::AttemptsFailed, self.failure(last.0 as usize)),
            Outcome::TimedOut { limit } => (Status::TimedOut, timed_out(limit, total_ms)),
            Outcome::Cancelled => (Status::Cancelled, "ended before there was a connection".to_owned()),
            Outcome::Broken { sys_errno } => (Status::Broken, names::errno_text(sys_errno).to_owned()),
        };
        Ending { status, message, total_ms, attempt, limit, binding: None }
    }
}

fn timed_out(limit: Limit, total_ms: f64) -> String {
    format!("--{} was reached after {}", names::limit(limit), names::duration_ms(total_ms))
}
