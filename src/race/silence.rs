//! A family that does not answer in this network: what a race finds of it, and says (RFC 8305, section 9: the
//! race hides it from everybody else).
use super::attempt::{Attempt, AttemptId, AttemptOutcome};
use super::family::Family;
use super::machine::Race;
use super::outcome::Outcome;
use super::settings::CONNECTION_ATTEMPT_DELAY_RECOMMENDED_MIN;
use super::trace::TraceKind;
use std::time::Instant;

impl Race {
    /// Whether an attempt of a finished race has had no answer in the time in which one was to be expected:
    /// the winner is of the other family, was started later by at least the least recommended delay, and has
    /// taken less than half of the time that this one was given.
    ///
    /// An attempt towards a slow host may pass for one. It is a guess that costs little: the other family is
    /// begun with for a while, and it has been faster.
    pub fn went_unanswered(&self, attempt: AttemptId) -> bool {
        let Some(Outcome::Connected { attempt: winner }) = self.outcome() else { return false };
        let of = |id: AttemptId| self.attempts().get(id.0 as usize);
        let (Some(attempt), Some(winner)) = (of(attempt), of(winner)) else { return false };
        let time = |attempt: &Attempt| {
            attempt.connected.or(attempt.ended).map(|ended| ended.saturating_duration_since(attempt.started))
        };
        let (Some(given), Some(taken)) = (time(attempt), time(winner)) else { return false };
        // One that was held has been answered.
        attempt.outcome == AttemptOutcome::Abandoned
            && attempt.connected.is_none()
            && Family::of_packets(&attempt.destination) != Family::of_packets(&winner.destination)
            && attempt.started + CONNECTION_ATTEMPT_DELAY_RECOMMENDED_MIN <= winner.started
            && taken * 2 < given
    }

    /// Whether attempts of a family go unanswered in this network, as earlier connects have found or this
    /// race.
    pub fn is_unanswered(&self, family: Family) -> bool {
        self.unanswered.contains(family)
    }

    /// Notes it of a family, and tells the trace once.
    pub(super) fn note_silence(&mut self, now: Instant, family: Family) {
        if !self.unanswered.contains(family) {
            self.unanswered.insert(family);
            self.log.add(now, TraceKind::FamilyUnanswered { family });
        }
    }

    /// Looks for it at the end.
    pub(super) fn find_silence(&mut self, now: Instant) {
        let unanswered =
            (0..self.attempts().len() as u32).map(AttemptId).find(|&attempt| self.went_unanswered(attempt));
        if let Some(attempt) = unanswered {
            let family = Family::of_packets(&self.attempts()[attempt.0 as usize].destination);
            self.note_silence(now, family);
        }
    }
}
