//! The race itself: what it remembers, and the ladder of decisions that [`Race::next_action`] climbs.
//!
//! [`Race::handle`] (in `notes`) only takes note. Everything is decided here, after all that is ready was
//! handed in, so no failure hides a success that was reported with it. Each step of the ladder answers with
//! one action or passes to the next; what expires by time alone (in `limits`) is settled before the first
//! step.
use super::action::{Action, Permits, Wanted};
use super::attempt::{Attempt, AttemptId, AttemptOutcome, CandidateId};
use super::bindings::{Group, Service};
use super::candidates::{Candidate, Candidates};
use super::family::{Family, FamilySet};
use super::log::Log;
use super::lookup_error::LookupError;
use super::lookups::Lookups;
use super::loopback::is_loopback;
use super::nat64::Nat64;
use super::order::{Placed, Rank, Route};
use super::outcome::Outcome;
use super::settings::{
    CONNECTION_ATTEMPT_DELAY_MAX, CONNECTION_ATTEMPT_DELAY_MIN, CONNECTION_ATTEMPT_DELAY_RECOMMENDED_MIN, Limit,
    PUNCTUAL, Settings,
};
use super::trace::{Trace, TraceKind};
use super::translation::Translation;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// One race. See the module's documentation.
#[derive(Debug)]
pub struct Race {
    pub(super) settings: Settings,
    pub(super) started: Instant,
    pub(super) lookups: Lookups,
    /// When a lookup that gives way to others is hastened.
    pub(super) hasten_at: Option<Instant>,
    /// Of the remote lookups that failed, the more telling error.
    pub(super) resolve_error: Option<LookupError>,
    /// The families of the local address, once they are known.
    pub(super) local_families: Option<FamilySet>,
    /// Families without a network, as an attempt has found.
    pub(super) retired: FamilySet,
    /// Families whose attempts go unanswered.
    pub(super) unanswered: FamilySet,
    /// What is known of the latest attempt: when the first packet of its handshake would be sent again.
    pub(super) handshake_expected: Option<Duration>,
    /// Families without a network, as the surroundings say: their answers are not waited for.
    pub(super) unconnected: FamilySet,
    /// Families of which the surroundings were asked for that.
    connectivity_asked: FamilySet,
    /// In a box, since few races have it.
    pub(super) translation: Option<Box<Translation>>,
    /// As the translation.
    pub(super) service: Option<Box<Service>>,
    pub(super) candidates: Candidates,
    /// The number of the next one. Not in the struct above, where it would take eight octets.
    next_candidate: u32,
    /// Since when there are candidates, if there are.
    pub(super) candidates_since: Instant,
    /// The candidate that went first, of its group, as long as its place in the whole list may matter.
    pub(super) head: Option<Candidate>,
    pub(super) attempts: Vec<Attempt>,
    /// From when the delay to the next attempt counts: the latest start, or when that was due if it came
    /// punctually.
    delay_counts_from: Instant,
    /// How many of `attempts` are in flight.
    pub(super) running: u32,
    /// Until when the first attempt waits for the preferred family's answer.
    pub(super) resolution_delay_ends: Option<Instant>,
    /// Since when an attempt is due and only the permit is missing.
    pub(super) withheld_since: Option<Instant>,
    /// An attempt ended without success since the latest start: the next one does not wait for the delay.
    pub(super) pulled_forward: bool,
    /// A limit was reached that ends attempts and not the race: those in flight are being given up.
    pub(super) attempts_over: Option<Limit>,
    /// Until when the latest attempt has its share of the open limit.
    pub(super) share_ends: Option<Instant>,
    /// A candidate was dropped because the local address has no address of its family.
    pub(super) local_mismatch: bool,
    /// The trace was told of the time of the next attempt.
    pub(super) timer_traced: bool,
    pub(super) last_setback: Option<Setback>,
    /// How it ends; what is still running is wound up before that is announced.
    pub(super) end: Option<Outcome>,
    finished: bool,
    pub(super) log: Log,
}

/// What last took the race's hope away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setback {
    Failure(AttemptId),
    Limit(Limit),
}

impl Race {
    /// A race that begins at `now`: its limits count from here.
    pub fn new(settings: Settings, now: Instant) -> Race {
        Race::start(settings, true, now)
    }

    /// A race towards addresses that need no lookup (an IP literal); no question about the remote side is
    /// asked. So the resolve limit bounds the lookup of the local address only. Without any address it ends
    /// as if there were no data.
    pub fn with_addresses(settings: Settings, addresses: &[SocketAddr], now: Instant) -> Race {
        let mut race = Race::start(settings, false, now);
        race.admit(now, addresses.iter());
        race
    }

    fn start(mut settings: Settings, remote: bool, now: Instant) -> Race {
        let unanswered = settings.unanswered;
        if unanswered == Some(settings.preferred_family) {
            settings.preferred_family = settings.preferred_family.other();
        }
        settings.service &= remote && settings.fast_fallback && settings.nat64 == Nat64::Off;
        settings.connection_attempt_delay =
            settings.connection_attempt_delay.clamp(CONNECTION_ATTEMPT_DELAY_MIN, CONNECTION_ATTEMPT_DELAY_MAX);
        let mut race = Race {
            started: now,
            lookups: Lookups::new(&settings, remote),
            hasten_at: None,
            resolve_error: None,
            local_families: None,
            retired: FamilySet::default(),
            unanswered: FamilySet::default(),
            handshake_expected: None,
            unconnected: FamilySet::default(),
            connectivity_asked: FamilySet::default(),
            translation: Translation::new(&settings),
            service: settings.service.then(Box::default),
            candidates: Candidates::default(),
            next_candidate: 0,
            candidates_since: now,
            head: None,
            attempts: Vec::new(),
            delay_counts_from: now,
            running: 0,
            resolution_delay_ends: None,
            withheld_since: None,
            pulled_forward: false,
            attempts_over: None,
            share_ends: None,
            local_mismatch: false,
            timer_traced: false,
            last_setback: None,
            end: None,
            finished: false,
            log: Log::new(settings.trace),
            settings,
        };
        if let Some(family) = unanswered {
            race.note_silence(now, family);
        }
        race
    }

    /// Takes in a candidate.
    pub(super) fn add(&mut self, address: SocketAddr, embedded: Option<Ipv4Addr>, group: Group) -> CandidateId {
        let id = CandidateId(self.next_candidate);
        self.next_candidate += 1;
        self.candidates.add(Candidate { id, address, embedded, group, rank: None });
        id
    }

    /// The next thing to do, None when there is nothing more at this moment.
    ///
    /// To be asked again until it is None, with the same `now`, after events were handed in and when
    /// [`Race::deadline`] has come.
    pub fn next_action(&mut self, now: Instant, permits: Permits) -> Option<Action> {
        if self.end.is_none() {
            self.settle(now, permits);
        }
        if let Some(outcome) = self.end {
            return self.wind_up(now, outcome);
        }
        self.give_up_attempt(now)
            .or_else(|| self.give_up_lookup(now))
            .or_else(|| self.hasten(now))
            .or_else(|| self.ask(now, permits))
            .or_else(|| self.find_connectivity())
            .or_else(|| self.find_route())
            .or_else(|| self.start_attempt(now, permits))
    }

    /// When [`Race::next_action`] is to be asked again although no event came; None: only an event can change
    /// anything.
    ///
    /// Absolute. Once [`Race::next_action`] has answered None at a time, the deadline is later than that
    /// time: an attempt that waits for a permit only sets none.
    pub fn deadline(&self) -> Option<Instant> {
        if self.end.is_some() {
            return (!self.finished).then_some(self.started);
        }
        let next_start = if self.withheld_since.is_none() { self.start_time() } else { None };
        let limits = [self.open_deadline(), self.resolve_deadline(), self.connect_deadline(), self.share_deadline()];
        limits.into_iter().chain([next_start, self.prefix_due(), self.hasten_at]).flatten().min()
    }

    /// What only a permit is missing for, as of the last time [`Race::next_action`] answered None.
    ///
    /// Both can be missing at once, and each alone lets the race go on.
    pub fn wants_permit(&self) -> Wanted {
        if self.end.is_some() {
            return Wanted::default();
        }
        Wanted { lookup: self.lookups.any_wanted(), attempt: self.withheld_since.is_some() }
    }

    /// How it ended, once [`Action::Finish`] has been given.
    pub fn outcome(&self) -> Option<Outcome> {
        self.end.filter(|_| self.finished)
    }

    /// Every attempt that was started, in the order of start.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Whether another attempt may come after those that were started: there is a candidate left, or a lookup
    /// may bring one.
    pub fn others_may_follow(&self) -> bool {
        !self.candidates.is_empty() || self.holds_addresses() || self.lookups.remote_unfinished()
    }

    /// The candidates that were not attempted yet, in the order of RFC 6724 and with what decided it. The
    /// attempts go by turns between the families (RFC 8305, section 4), within each of them in this
    /// order.
    pub fn order(&self) -> Vec<Placed> {
        self.candidates.placed()
    }

    /// The next trace entry, oldest first; None without `Settings::trace`.
    pub fn next_trace(&mut self) -> Option<Trace> {
        self.log.take()
    }

    /// After the end: abandons what is still running, one thing a call, then says how it ended, once.
    fn wind_up(&mut self, now: Instant, outcome: Outcome) -> Option<Action> {
        if self.finished {
            return None;
        }
        let of_attempts = match outcome {
            Outcome::TimedOut { limit } => AttemptOutcome::TimedOut(limit),
            _ => AttemptOutcome::Abandoned,
        };
        self.abandon_attempt(now, of_attempts).or_else(|| self.abandon_lookup(now)).or_else(|| {
            self.finished = true;
            self.find_silence(now);
            self.candidates.clear();
            self.head = None;
            let winner = match outcome {
                Outcome::Connected { attempt } => self.attempts.get(attempt.0 as usize),
                _ => None,
            };
            let address = winner.map(|attempt| attempt.destination);
            self.log.add(now, TraceKind::Finished { outcome, address });
            Some(Action::Finish(outcome))
        })
    }

    /// The connect limit was reached, or the share of the open limit is used up: the attempts in flight go,
    /// one a call.
    fn give_up_attempt(&mut self, now: Instant) -> Option<Action> {
        let limit = self.attempts_over?;
        let action = self.abandon_attempt(now, AttemptOutcome::TimedOut(limit));
        // The next attempt then starts at once, as after any other end without success.
        self.attempts_over = (self.running > 0).then_some(limit);
        self.pulled_forward = true;
        self.last_setback = Some(Setback::Limit(limit));
        action
    }

    /// The resolve limit was reached: the lookups still pending go, one a call.
    fn give_up_lookup(&mut self, now: Instant) -> Option<Action> {
        if self.resolve_deadline().is_some_and(|at| at <= now) { self.abandon_lookup(now) } else { None }
    }

    /// Asks the next question. Both families are asked within one run of the ladder (RFC 8305, section 3).
    fn ask(&mut self, now: Instant, permits: Permits) -> Option<Action> {
        if !permits.lookups {
            return None;
        }
        let (lookup, question, urgency) = self.lookups.ask_next()?;
        self.log.add(now, TraceKind::LookupStarted { lookup, question, urgency });
        Some(Action::Ask { lookup, question, urgency })
    }

    /// Asks whether the preferred family has a network, where its answer would be waited for: without a network
    /// the answer is of no use, and a host with IPv4 alone would wait for nothing. Asks it of IPv4 where its
    /// addresses would else be synthesized.
    fn find_connectivity(&mut self) -> Option<Action> {
        let preferred = self.resolution_delay_ends.map(|_| self.settings.preferred_family);
        let of_ipv4 = self.awaits_connectivity().then_some(Family::V4);
        let mut wanted = preferred.into_iter().chain(of_ipv4);
        let family = wanted.find(|&family| !self.connectivity_asked.contains(family))?;
        self.connectivity_asked.insert(family);
        Some(Action::FindConnectivity { family })
    }

    /// Asks for the routes that the order depends on; one candidate alone needs none.
    fn find_route(&mut self) -> Option<Action> {
        if !self.settings.fast_fallback || self.candidates.len() < 2 {
            return None;
        }
        // The list as a whole begins with the family of its best address, which may have been tried.
        let head = self.head.as_mut().filter(|head| head.rank.is_none() && self.candidates.are_mixed());
        let candidate = self.candidates.next_without_route().or(head)?;
        candidate.rank = Some(Rank::new(candidate.sorted_as(), &Route::default(), &self.settings.policy));
        Some(Action::FindRoute { candidate: candidate.id, destination: candidate.address })
    }

    /// Starts the next attempt if it is due. The earlier ones go on (RFC 8305, section 5), except that under
    /// a cap the one that was started longest ago makes room first: it has had its delay, and a dead address
    /// must not hide the others.
    fn start_attempt(&mut self, now: Instant, permits: Permits) -> Option<Action> {
        let due = self.start_time().filter(|due| permits.attempts && *due <= now)?;
        if self.at_cap() {
            return self.abandon_attempt(now, AttemptOutcome::Abandoned);
        }
        let candidate = if self.settings.fast_fallback {
            self.candidates.take_best(self.next_family())?
        } else {
            self.candidates.take_oldest()?
        };
        let (destination, embedded) = (candidate.address, candidate.embedded);
        let binding = self.service.as_ref().and_then(|service| service.binding(candidate.group));
        let is_head = !self.attempts.iter().any(|attempt| attempt.binding == binding);
        // Only what is still to come can make it matter.
        if is_head && self.others_may_follow() {
            self.head = Some(candidate);
        }
        if self.timer_traced && !self.pulled_forward {
            self.log.add(now, TraceKind::NextAttemptTimerFired);
        }
        let by_timer = !self.attempts.is_empty() && !self.pulled_forward;
        self.delay_counts_from = if by_timer && now - due <= PUNCTUAL { due } else { now };
        self.timer_traced = false;
        self.pulled_forward = false;
        self.handshake_expected = None;
        let attempt = AttemptId(self.attempts.len() as u32);
        if self.attempts.is_empty() {
            // Most races make one attempt; a vector would make room for four.
            self.attempts.reserve_exact(1);
        }
        self.attempts.push(Attempt {
            destination,
            embedded,
            binding,
            started: now,
            connected: None,
            ended: None,
            outcome: AttemptOutcome::Running,
        });
        self.running += 1;
        self.share_ends = self.share_of_open_limit(now);
        self.postpone_hastening(now);
        self.log.add(now, TraceKind::AttemptStarted { attempt, address: destination });
        Some(Action::StartAttempt { attempt, destination })
    }

    /// The family whose turn it is (RFC 8305, section 4): First Address Family Count addresses of the first
    /// family, then by turns, the other one first. None before the first attempt, which goes to the head of
    /// the order. Without a candidate of its own the turn passes to the other family.
    ///
    /// Decided at each start, over the whole list, tried and untried: a family that answers late is placed as
    /// if it had been there from the beginning (version 3, section 7).
    fn next_family(&self) -> Option<Family> {
        let group = self.candidates.first_group();
        let head = self.head.as_ref().filter(|head| head.group == group)?;
        let first = self.candidates.first_family(head);
        let binding = self.service.as_ref().and_then(|service| service.binding(group));
        let of_group = self.attempts.iter().filter(|attempt| attempt.binding == binding);
        let tried = of_group.clone().filter(|attempt| attempt.family() == first).count();
        let tried_of_other = of_group.count() - tried;
        let first_count = self.settings.first_address_family_count.max(1) as usize;
        // So many of the first family go before the next one of the other.
        Some(if tried < first_count + tried_of_other { first } else { first.other() })
    }

    /// When the next attempt may start, permits aside; None if an event has to come first.
    pub(super) fn start_time(&self) -> Option<Instant> {
        let local_unknown = self.settings.local && self.local_families.is_none();
        let none = self.candidates.is_empty() || local_unknown || self.goes_one_by_one();
        (!none).then(|| self.earliest_start())
    }

    /// Whether the attempt in flight has to end before the next one may start.
    pub(super) fn goes_one_by_one(&self) -> bool {
        !self.settings.fast_fallback && self.running > 0
    }

    /// When the delays are over that an attempt has to wait for.
    pub(super) fn earliest_start(&self) -> Instant {
        match self.attempts.last() {
            None => self.resolution_delay_ends.unwrap_or(self.started),
            Some(_) if self.pulled_forward => self.apart_from_running().unwrap_or(self.started),
            Some(latest) => (self.delay_counts_from + self.connection_attempt_delay())
                .max(latest.started + CONNECTION_ATTEMPT_DELAY_MIN)
                .max(self.candidates_since),
        }
    }

    /// How early an attempt may start beside those in flight (RFC 8305, section 5: "MUST NOT be started
    /// within 10 milliseconds of the previous attempt"). One that has ended is no reason to wait: where
    /// nothing is in flight the next one starts at once.
    fn apart_from_running(&self) -> Option<Instant> {
        let running = self.attempts.iter().rfind(|attempt| attempt.outcome == AttemptOutcome::Running)?;
        Some(running.started + CONNECTION_ATTEMPT_DELAY_MIN)
    }

    pub(super) fn start_is_due(&self, now: Instant) -> bool {
        self.start_time().is_some_and(|at| at <= now)
    }

    /// Whether as many attempts are in flight as there may be.
    fn at_cap(&self) -> bool {
        self.settings.max_attempts != 0 && self.running >= self.settings.max_attempts
    }

    /// The time from the latest attempt to the next: when the first packet of its handshake would be sent
    /// again, where that is known (RFC 8305, section 5), within what is recommended. Loopback answers or
    /// refuses at once, so what does not answer there is not worth the whole delay.
    fn connection_attempt_delay(&self) -> Duration {
        let set = self.settings.connection_attempt_delay;
        if self.only_loopback() {
            return CONNECTION_ATTEMPT_DELAY_MIN;
        }
        let least = set.min(CONNECTION_ATTEMPT_DELAY_RECOMMENDED_MIN);
        let delay = self.handshake_expected.map_or(set, |expected| expected.clamp(least, CONNECTION_ATTEMPT_DELAY_MAX));
        if !self.settings.growing_delay {
            return delay;
        }
        let doublings = (self.attempts.len() as u32).saturating_sub(1);
        delay.saturating_mul(2u32.saturating_pow(doublings)).min(CONNECTION_ATTEMPT_DELAY_MAX)
    }

    /// Whether all candidates, tried or not, are loopback.
    pub(super) fn only_loopback(&self) -> bool {
        self.attempts.iter().all(|attempt| is_loopback(attempt.destination.ip())) && self.candidates.only_loopback()
    }

    /// Gives the oldest attempt in flight its outcome and has it closed.
    fn abandon_attempt(&mut self, now: Instant, outcome: AttemptOutcome) -> Option<Action> {
        if self.running == 0 {
            return None;
        }
        let place = self.attempts.iter().position(|attempt| attempt.outcome == AttemptOutcome::Running)?;
        let attempt = AttemptId(place as u32);
        self.end_attempt(now, attempt, outcome);
        Some(Action::AbandonAttempt { attempt })
    }

    fn abandon_lookup(&mut self, now: Instant) -> Option<Action> {
        let (lookup, question) = self.lookups.any_pending()?;
        self.lookups.ended(lookup);
        self.log.add(now, TraceKind::LookupAbandoned { lookup, question });
        Some(Action::AbandonLookup { lookup })
    }

    /// The one place where an attempt ends.
    pub(super) fn end_attempt(&mut self, now: Instant, attempt: AttemptId, outcome: AttemptOutcome) {
        let entry = &mut self.attempts[attempt.0 as usize];
        entry.ended = Some(now);
        entry.outcome = outcome;
        let address = entry.destination;
        self.running -= 1;
        self.log.add(now, TraceKind::AttemptEnded { attempt, address, outcome });
    }
}
