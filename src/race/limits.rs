//! What time alone changes: the Resolution Delay's end, the three limits, and the end of a race that has
//! nothing left.
use super::action::Permits;
use super::family::{Family, FamilySet};
use super::lookup_error::LookupError;
use super::machine::{Race, Setback};
use super::order::Rank;
use super::outcome::Outcome;
use super::settings::{LEAST_SHARE, Limit};
use super::trace::TraceKind;
use std::time::{Duration, Instant};

impl Race {
    /// Brings everything up to `now`, before any action is chosen.
    pub(super) fn settle(&mut self, now: Instant, permits: Permits) {
        self.expire_resolution_delay(now);
        self.expire_resolve_limit(now);
        self.translate(now);
        self.settle_hastening();
        self.drop_unusable(now);
        if self.ask_for_prefixes(now) {
            self.translate(now);
            self.drop_unusable(now);
        }
        self.note_permit(now, permits);
        self.expire_connect_limit(now);
        // What ended by itself says more than the limit that came at the same moment.
        let end = self.exhausted().or_else(|| self.open_limit_reached(now));
        self.end = self.end.or(end);
        self.trace_timer(now);
    }

    pub(super) fn open_deadline(&self) -> Option<Instant> {
        self.started.checked_add(self.settings.open_limit?)
    }

    /// None when there is no lookup left that it could end.
    pub(super) fn resolve_deadline(&self) -> Option<Instant> {
        let limit = self.settings.resolve_limit.filter(|_| self.lookups.any_unfinished())?;
        self.started.checked_add(limit)
    }

    pub(super) fn resolve_limit_is_over(&self, now: Instant) -> bool {
        let deadline = self.settings.resolve_limit.and_then(|limit| self.started.checked_add(limit));
        deadline.is_some_and(|at| at <= now)
    }

    /// The connect limit counts from the start of the latest attempt, once no other follows it by the delay:
    /// no candidate is left, or it is without fast fallback, so that each attempt gets the limit to itself.
    /// Where only the permit for the next attempt is missing it counts from the time at which that would have
    /// started; otherwise the attempts of a race could hold the very permits that it waits for, without end.
    pub(super) fn connect_deadline(&self) -> Option<Instant> {
        let limit = self.settings.connect_limit.filter(|_| self.running > 0)?;
        let none_is_left = self.candidates.is_empty() && !self.holds_addresses();
        let no_other_follows = none_is_left || !self.settings.fast_fallback;
        let from = if no_other_follows { self.attempts.last()?.started } else { self.withheld_since? };
        from.checked_add(limit)
    }

    /// When the latest attempt has had its share of the open limit. None when it has all of it.
    pub(super) fn share_deadline(&self) -> Option<Instant> {
        self.share_ends.filter(|_| self.running > 0)
    }

    /// Until when an attempt that starts now has its share of the open limit, if it has to leave something to
    /// addresses behind it.
    pub(super) fn share_of_open_limit(&self, now: Instant) -> Option<Instant> {
        let others = self.candidates.len() + self.held();
        if self.settings.fast_fallback || !self.settings.share_open_limit || others == 0 {
            return None;
        }
        let left = self.open_deadline()?.saturating_duration_since(now);
        let addresses = u32::try_from(others + 1).unwrap_or(u32::MAX);
        now.checked_add((left / addresses).max(LEAST_SHARE).min(left))
    }

    /// Whether the Resolution Delay has nothing to wait for: the preferred family's answer is here or will
    /// not come, or this system or the local address could not use it; and so is what bindings lead to.
    pub(super) fn resolution_delay_is_moot(&self) -> bool {
        let preferred = self.settings.preferred_family;
        let family_is_moot = !self.is_missing(preferred)
            || self.unconnected.contains(preferred)
            || self.local_families.is_some_and(|families| !families.contains(preferred));
        family_is_moot && !self.awaits_service()
    }

    fn expire_resolution_delay(&mut self, now: Instant) {
        let Some(ends) = self.resolution_delay_ends else { return };
        if self.resolution_delay_is_moot() {
            self.resolution_delay_ends = None;
        } else if ends <= now {
            self.resolution_delay_ends = None;
            self.log.add(now, TraceKind::ResolutionDelayExpired);
        }
    }

    fn expire_resolve_limit(&mut self, now: Instant) {
        if self.resolve_deadline().is_none_or(|at| at > now) {
            return;
        }
        self.lookups.forget_unasked();
        self.last_setback = Some(Setback::Limit(Limit::Resolve));
        // Without its local address the race can make no attempt.
        if self.settings.local && self.local_families.is_none() {
            self.end = Some(Outcome::TimedOut { limit: Limit::Resolve });
        }
    }

    fn expire_connect_limit(&mut self, now: Instant) {
        if self.connect_deadline().is_some_and(|at| at <= now) {
            self.attempts_over = Some(Limit::Connect);
        }
        if self.share_deadline().is_some_and(|at| at <= now) {
            self.attempts_over = Some(Limit::Open);
        }
        // A limit of zero is over before an attempt could start.
        if self.settings.connect_limit == Some(Duration::ZERO) && self.start_is_due(now) {
            self.end = Some(Outcome::TimedOut { limit: Limit::Connect });
        }
    }

    fn open_limit_reached(&self, now: Instant) -> Option<Outcome> {
        self.open_deadline().filter(|at| *at <= now).map(|_| Outcome::TimedOut { limit: Limit::Open })
    }

    /// How a race ends that has no attempt, no candidate and no lookup left.
    fn exhausted(&self) -> Option<Outcome> {
        let more_may_come = self.lookups.remote_unfinished() || self.holds_addresses();
        if self.running > 0 || !self.candidates.is_empty() || more_may_come {
            return None;
        }
        Some(match self.last_setback {
            Some(Setback::Limit(limit)) => Outcome::TimedOut { limit },
            Some(Setback::Failure(last)) => Outcome::AttemptsFailed { last },
            None if self.local_mismatch => Outcome::NoLocalAddress,
            None => Outcome::ResolveFailed { error: self.resolve_error.unwrap_or(LookupError::NO_DATA) },
        })
    }

    /// Drops the candidates that no attempt can reach: of a family that the local address does not have, or
    /// of one without a network, unless the system knows a way to this very address (policy routing).
    fn drop_unusable(&mut self, now: Instant) {
        let (local, retired) = (self.local_families, self.retired);
        // What family an attempt would be of is to be known first.
        if (local.is_none() && retired == FamilySet::default()) || self.awaits_connectivity() {
            return;
        }
        let Race { candidates, log, local_mismatch, .. } = self;
        candidates.retain(|candidate| {
            let family = Family::of(&candidate.address);
            let mismatch = local.is_some_and(|families| !families.contains(family));
            *local_mismatch |= mismatch;
            let unreachable = retired.contains(family) && !candidate.rank.as_ref().is_some_and(Rank::is_usable);
            if mismatch || unreachable {
                log.add(now, TraceKind::CandidateDropped { candidate: candidate.id, address: candidate.address });
            }
            !mismatch && !unreachable
        });
    }

    fn note_permit(&mut self, now: Instant, permits: Permits) {
        let withheld = !permits.attempts && self.start_is_due(now);
        self.withheld_since = withheld.then(|| self.withheld_since.unwrap_or(now));
    }

    /// Tells the trace, once, for when the next attempt is set.
    fn trace_timer(&mut self, now: Instant) {
        if self.timer_traced || self.attempts.is_empty() || self.end.is_some() {
            return;
        }
        if let Some(at) = self.start_time().filter(|at| *at > now) {
            self.timer_traced = true;
            self.log.add(now, TraceKind::NextAttemptTimerSet { delay: at - now });
        }
    }
}
