//! What a race notes of each event. Nothing is decided here except what no later event can change.
use super::attempt::{Attempt, AttemptId, AttemptOutcome, CandidateId, Failure};
use super::bindings::UNBOUND;
use super::event::Event;
use super::family::Family;
use super::lookup_error::LookupError;
use super::machine::{Race, Setback};
use super::order::{Rank, Route};
use super::outcome::Outcome;
use super::question::{HOST, LookupId, QuestionKind};
use super::trace::{AnsweredBy, TraceKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What a delay counts as that reaches past the end of the clock: 136 years.
const FAR_AWAY: Duration = Duration::from_secs(u32::MAX as u64);

impl Race {
    /// Takes note of an event; does nothing by itself.
    pub fn handle(&mut self, now: Instant, event: Event<'_>) {
        // The first end stands: a success stays one although a cancel comes in the same wake-up.
        if self.end.is_some() {
            return;
        }
        match event {
            Event::Answered { lookup, addresses, by } => self.note_answer(now, lookup, addresses, by),
            Event::LookupFailed { lookup, error, by } => self.note_lookup_failure(now, lookup, error, by),
            Event::ServiceAnswered { lookup, bindings, by } => self.note_bindings(now, lookup, bindings, by),
            Event::RouteFound { candidate, route } => self.note_route(now, candidate, route),
            Event::ConnectivityFound { family, connected } => self.note_connectivity(family, connected),
            Event::HandshakeExpected { attempt, within } => {
                // The delay counts from the latest attempt: of the others it has been.
                if attempt.0 as usize + 1 == self.attempts.len() {
                    self.handshake_expected = Some(within);
                }
            }
            Event::AttemptConnected { attempt } => self.note_connection(now, attempt),
            Event::AttemptConfirmed { attempt } => {
                if self.attempts.get(attempt.0 as usize).is_some_and(Attempt::is_held) {
                    self.win(now, attempt);
                }
            }
            Event::AttemptFailed { attempt, failure } => self.note_attempt_failure(now, attempt, failure),
            Event::Cancelled => self.end = Some(Outcome::Cancelled),
            Event::Broken { sys_errno } => self.end = Some(Outcome::Broken { sys_errno }),
        }
    }

    fn is_running(&self, attempt: AttemptId) -> bool {
        self.attempts.get(attempt.0 as usize).is_some_and(|entry| entry.outcome == AttemptOutcome::Running)
    }

    fn note_answer(&mut self, now: Instant, lookup: LookupId, addresses: &[SocketAddr], by: AnsweredBy) {
        let Some(question) = self.lookups.pending(lookup) else { return };
        if question.kind == QuestionKind::Nat64Prefix {
            return self.note_prefixes(now, lookup, addresses, by);
        }
        if question.kind == QuestionKind::Service {
            // Addresses are no bindings.
            return self.note_lookup_failure(now, lookup, LookupError::NO_DATA, by);
        }
        // A lookup callback may answer with both families whatever it was asked. Only what was asked for
        // counts.
        let family = question.kind.family();
        let asked_for = |address: &&SocketAddr| family.is_none_or(|family| Family::of(address) == family);
        if !addresses.iter().any(|address| asked_for(&address)) {
            return self.note_lookup_failure(now, lookup, LookupError::NO_DATA, by);
        }
        self.lookups.ended(lookup);
        self.log.add(now, TraceKind::LookupAnswered { lookup, question, addresses: addresses.len() as u32, by });
        self.hasten_later(now);
        if question.kind == QuestionKind::Local {
            self.local_families = Some(addresses.iter().map(Family::of).collect());
            return;
        }
        if self.service.is_some() {
            self.note_addresses(now, question, addresses.iter().filter(asked_for).copied().collect());
        } else {
            self.admit(now, addresses.iter().filter(asked_for));
        }
        self.begin_resolution_delay(now);
    }

    pub(super) fn note_lookup_failure(&mut self, now: Instant, lookup: LookupId, error: LookupError, by: AnsweredBy) {
        let Some(question) = self.lookups.pending(lookup) else { return };
        self.lookups.ended(lookup);
        self.log.add(now, TraceKind::LookupFailed { lookup, question, error, by });
        // That a service has no bindings says nothing of the addresses.
        if question.kind != QuestionKind::Service {
            self.hasten_at_once(now);
        }
        match question.kind {
            QuestionKind::Local => self.end = Some(Outcome::LocalFailed { error }),
            // A network without a translator is no fault of the host.
            QuestionKind::Nat64Prefix | QuestionKind::Service => {}
            // The host is what the caller has asked for.
            _ if question.name != HOST => {}
            QuestionKind::Aaaa | QuestionKind::A | QuestionKind::Both => {
                self.resolve_error = Some(self.resolve_error.map_or(error, |earlier| earlier.or_more_telling(error)));
            }
        }
    }

    /// RFC 8305, section 3: a positive answer waits for the preferred family's, counted from this answer on.
    /// So does one for the bindings of the service (version 3, section 4.2).
    /// There is nothing to wait for if that family's answer is here, or if loopback is all there is: both
    /// families of it are one host.
    pub(super) fn begin_resolution_delay(&mut self, now: Instant) {
        let delay = self.settings.resolution_delay;
        if self.resolution_delay_is_moot() || self.only_loopback() || delay.is_zero() {
            return;
        }
        if let Some(service) = &mut self.service
            && (std::mem::replace(&mut service.delayed, true) || !self.attempts.is_empty())
        {
            return;
        }
        self.resolution_delay_ends = Some(now.checked_add(delay).unwrap_or(now + FAR_AWAY));
        self.log.add(now, TraceKind::ResolutionDelayStarted { delay });
    }

    fn note_route(&mut self, now: Instant, candidate: CandidateId, route: Route) {
        let head = self.head.as_mut().filter(|head| head.id == candidate && head.rank.is_some());
        if let Some(candidate) = self.candidates.with_route(candidate).or(head) {
            candidate.rank = Some(Rank::new(candidate.sorted_as(), &route, &self.settings.policy));
            if route.unanswered {
                let family = Family::of_packets(&candidate.address);
                self.note_silence(now, family);
            }
        }
    }

    /// With `Settings::confirm` a connection alone decides nothing: the attempt stays in flight, and
    /// everything goes on as if it were connecting still.
    fn note_connection(&mut self, now: Instant, attempt: AttemptId) {
        let Some(entry) = self.attempts.get_mut(attempt.0 as usize) else { return };
        if entry.outcome != AttemptOutcome::Running || entry.is_held() {
            return;
        }
        entry.connected = Some(now);
        let address = entry.destination;
        if self.settings.confirm {
            self.log.add(now, TraceKind::AttemptHeld { attempt, address });
        } else {
            self.win(now, attempt);
        }
    }

    fn win(&mut self, now: Instant, attempt: AttemptId) {
        self.end_attempt(now, attempt, AttemptOutcome::Connected);
        self.end = Some(Outcome::Connected { attempt });
    }

    fn note_attempt_failure(&mut self, now: Instant, attempt: AttemptId, failure: Failure) {
        if !self.is_running(attempt) {
            return;
        }
        self.end_attempt(now, attempt, AttemptOutcome::Failed(failure));
        self.last_setback = Some(Setback::Failure(attempt));
        // RFC 8305, section 5 waits for the delay or a failure, whichever comes first.
        self.pulled_forward = true;
        self.hasten_at_once(now);
        // Without fast fallback every address is tried in the order given.
        if failure.family_unreachable && self.settings.fast_fallback {
            self.retired.insert(Family::of(&self.attempts[attempt.0 as usize].destination));
        }
    }

    /// Takes in addresses, each once. A family's addresses all come from one answer, so none of them was tried
    /// before, unless it was synthesized too.
    pub(super) fn admit<'a>(&mut self, now: Instant, addresses: impl Iterator<Item = &'a SocketAddr> + Clone) {
        if self.candidates.is_empty() {
            self.candidates_since = now;
        }
        self.candidates.reserve(addresses.clone().count());
        for &address in addresses {
            if !self.is_known(&address) {
                let candidate = self.add(address, None, UNBOUND);
                self.log.add(now, TraceKind::CandidateAdded { candidate, address });
            }
        }
    }
}
