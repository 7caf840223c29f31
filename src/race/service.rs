//! Service bindings in a race (RFC 9460), grouped as version 3 of Happy Eyeballs has it.
//!
//! The question for them is asked beside those for addresses, and the race waits for its answer within the
//! Resolution Delay. What a binding leads to is a group: lower priorities first, all of a group before the next
//! one, and within it the order of RFC 6724 with the families by turns. The host's own addresses, to which no
//! binding leads, are the last group.
use super::bindings::{Binding, BindingId, Group, MOST_BINDINGS, UNBOUND};
use super::family::Family;
use super::lookup_error::LookupError;
use super::machine::Race;
use super::question::{HOST, LookupId, Question, QuestionKind};
use super::settings::Families;
use super::trace::{AnsweredBy, TraceKind};
use std::net::SocketAddr;
use std::time::Instant;

impl Race {
    /// The bindings of the service are known.
    pub(super) fn note_bindings(&mut self, now: Instant, lookup: LookupId, bindings: &[Binding], by: AnsweredBy) {
        let Some(question) = self.lookups.pending(lookup) else { return };
        if question.kind != QuestionKind::Service {
            return;
        }
        if bindings.is_empty() {
            return self.note_lookup_failure(now, lookup, LookupError::NO_DATA, by);
        }
        self.lookups.ended(lookup);
        let addresses = bindings.len() as u32;
        self.log.add(now, TraceKind::LookupAnswered { lookup, question, addresses, by });
        self.hasten_later(now);
        let numbers = (0u32..).map(BindingId);
        let mut sorted: Vec<(BindingId, Binding)> = numbers.zip(bindings.iter().cloned()).collect();
        sorted.sort_by_key(|(_, binding)| binding.priority);
        sorted.truncate(MOST_BINDINGS);
        let leads_elsewhere = self.ask_for_targets(&sorted);
        if let Some(service) = &mut self.service {
            service.bindings = sorted;
            // The targets have the same time to answer as the host has had.
            service.delayed &= !leads_elsewhere;
        }
        self.regroup(now);
        if !self.candidates.is_empty() {
            self.begin_resolution_delay(now);
        }
    }

    /// Has the addresses of the targets asked for, each name once. Whether there is any.
    fn ask_for_targets(&mut self, bindings: &[(BindingId, Binding)]) -> bool {
        let mut asked = vec![HOST];
        for (_, Binding { target, .. }) in bindings {
            if asked.contains(target) {
                continue;
            }
            asked.push(*target);
            for family in self.families() {
                self.lookups.want(Question { name: *target, kind: QuestionKind::of(family) });
            }
        }
        asked.len() > 1
    }

    /// The families that are asked for and attempted, the preferred one first.
    fn families(&self) -> Vec<Family> {
        let preferred = self.settings.preferred_family;
        match self.settings.asked() {
            Families::Both => vec![preferred, preferred.other()],
            Families::Only(family) => vec![family],
        }
    }

    /// A name has been answered in a family.
    pub(super) fn note_addresses(&mut self, now: Instant, question: Question, addresses: Vec<SocketAddr>) {
        if let (Some(service), Some(family)) = (&mut self.service, question.kind.family()) {
            service.answers.push((question.name, family, addresses));
        }
        self.regroup(now);
    }

    /// Makes the candidates those that can be attempted by what is known now.
    fn regroup(&mut self, now: Instant) {
        let Some(service) = &self.service else { return };
        let endpoints = service.endpoints(&self.families());
        let is = |address: &SocketAddr, (known, _): &&(SocketAddr, Group)| known == address;
        let group_of =
            |address: &SocketAddr| endpoints.iter().find(|known| is(address, known)).map(|(_, group)| *group);
        let log = &mut self.log;
        self.candidates.retain(|candidate| {
            let kept = group_of(&candidate.address).is_some();
            if !kept {
                log.add(now, TraceKind::CandidateDropped { candidate: candidate.id, address: candidate.address });
            }
            kept
        });
        self.candidates.regroup(group_of);
        // What is attempted already may lead where a binding does.
        for attempt in &mut self.attempts {
            let group = group_of(&attempt.destination);
            attempt.binding = attempt.binding.or(group.and_then(|group| service.binding(group)));
        }
        if let Some(head) = &mut self.head {
            head.group = group_of(&head.address).unwrap_or(head.group);
        }
        if self.candidates.is_empty() {
            self.candidates_since = now;
        }
        for (address, group) in endpoints {
            if !self.is_known(&address) {
                let candidate = self.add(address, None, group);
                self.log.add(now, TraceKind::CandidateAdded { candidate, address });
            }
        }
    }

    /// Whether what is known of the service is waited for within the Resolution Delay: its bindings; or, where
    /// only the host's own addresses are there, those of the names that the bindings lead to (RFC 9460, section
    /// 3: the host's own come last).
    pub(super) fn awaits_service(&self) -> bool {
        if self.service.is_none() {
            return false;
        }
        let elsewhere = |question: &Question| question.name != HOST;
        self.lookups.any_unfinished_of(|question| question.kind == QuestionKind::Service)
            || (self.lookups.any_unfinished_of(elsewhere)
                && !self.candidates.any(|candidate| candidate.group != UNBOUND))
    }

    /// Whether an address of a family may come, and none is there. A hint or the address of a target is as good
    /// as the host's own.
    pub(super) fn is_missing(&self, family: Family) -> bool {
        let kind = QuestionKind::of(family);
        if self.service.is_none() {
            return self.lookups.is_unfinished(Question::host(kind));
        }
        self.lookups.any_unfinished_of(|question| question.kind == kind)
            && !self.candidates.any(|candidate| candidate.family() == family)
    }
}
