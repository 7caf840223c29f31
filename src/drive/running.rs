//! A race with its lookups and sockets: carries out actions, hands in events.

use super::dials::{Dials, Failed};
use super::discovery::Discovery;
use super::key::Key;
use super::learning::Learning;
use super::lookups::Lookups;
use super::plan::{Plan, Verdict, address_family};
use super::reactor::{InFlight, Reactor};
use super::report::Report;
use super::service::{Service, ToldBindings};
use crate::lookup::order::Surroundings;
use crate::lookup::{Answer, Found, Reason, Told, by_configured_families, policy};
use crate::race::{
    Action, AnsweredBy, AttemptId, Event, Failure, Family, HOST, LookupId, NameId, Nat64, Operation, Outcome, Placed,
    PolicyTable, Question, QuestionKind, Race, Settings, Wanted,
};
use crate::sys::{Interest, errno_of};
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Instant;

/// A race and what it holds in the world. Thousands may be in memory at once: what only some need is in a
/// box.
pub struct Running {
    race: Race,
    began: Instant,
    lookups: Option<Box<Lookups>>,
    discovery: Option<Box<Discovery>>,
    service: Option<Box<Service>>,
    dials: Dials,
    /// Its lookups or all of it has a limit.
    has_limit: bool,
    /// Who has answered the last lookup of the host.
    answered_by: AnsweredBy,
    /// Why libc was asked for the host, if it was.
    why_libc: Option<Reason>,
    learning: Option<Box<Learning>>,
}

impl Running {
    /// Begins a race: its limits count from `now`.
    pub fn new(plan: Plan, now: Instant) -> Running {
        let Plan { remote, local, prefixes, service, local_addresses, literal, settings, preferred_family, .. } = plan;
        let (nonblocking, hooks, history) = (plan.nonblocking, plan.hooks, plan.history);
        let policy = match preferred_family {
            None => policy(),
            Some(family) => Arc::new(PolicyTable::preferring(&policy(), family)),
        };
        let learning = history.map(|history| Box::new(Learning::new(history, now)));
        let preferred_family = policy.preferred_family();
        let unanswered = learning.as_ref().and_then(|learning| learning.unanswered_family(now, preferred_family));
        let may_be_left_out = plan.only_connected_families && literal.addresses().is_none();
        // The IPv4 addresses are asked for where a translator may lead to them (version 3).
        let is_translated = |family| settings.nat64 != Nat64::Off && family == Family::V4;
        let not_asked = if may_be_left_out { family_without_network() } else { None };
        let not_asked = not_asked.filter(|&family| !is_translated(family));
        let (remote, not_configured) = match literal.addresses() {
            None => by_configured_families(remote, address_family(settings.families)),
            Some(_) => (remote, None),
        };
        let not_asked = not_configured.or(not_asked);
        let settings = Settings { preferred_family, unanswered, not_asked, policy, ..settings };
        let service = service.filter(|_| settings.service && literal.addresses().is_none());
        let service = service.map(|plan| Box::new(Service::new(remote.clone(), *plan, settings.asked())));
        let lookups = (literal.addresses().is_none() || local.is_some())
            .then(|| Box::new(Lookups::new(HOST, remote, local, settings.asked())));
        let discovery = prefixes.map(|query| Box::new(Discovery::new(query)));
        let has_limit = settings.resolve_limit.is_some() || settings.open_limit.is_some();
        let confirm = settings.confirm;
        let race = match literal.addresses() {
            Some(addresses) => Race::with_addresses(settings, addresses, now),
            None => Race::new(settings, now),
        };
        Running {
            race,
            began: now,
            has_limit,
            answered_by: AnsweredBy::Nobody,
            why_libc: None,
            lookups,
            discovery,
            service,
            learning,
            dials: Dials::new(nonblocking, confirm, hooks, local_addresses),
        }
    }

    /// A lookup has left its token in the mailbox: hands what has been answered to the race.
    pub fn lookup_finished(&mut self, now: Instant) {
        loop {
            let answer = self.every_lookups().find_map(Lookups::next_answer);
            let Some((lookup, question, answer, by)) = answer else { break };
            self.answered(now, lookup, question, (answer, by));
        }
        if let Some((lookup, answer, by)) = self.discovery.as_mut().and_then(|discovery| discovery.take()) {
            self.discovered(now, lookup, answer, by);
        }
    }

    fn discovered(&mut self, now: Instant, lookup: LookupId, answer: Answer, by: AnsweredBy) {
        match answer.map(Found::into_addresses) {
            Ok(addresses) => self.race.handle(now, Event::Answered { lookup, addresses: &addresses, by }),
            Err(error) => self.race.handle(now, Event::LookupFailed { lookup, error, by }),
        }
    }

    /// The driver's client has the last word of a family of a name: hands it to the race.
    pub fn told(&mut self, now: Instant, told: Told) {
        let told = match &mut self.discovery {
            None => Some(told),
            Some(discovery) => discovery.told(told),
        };
        let told = match (&mut self.lookups, told) {
            (Some(lookups), Some(told)) => lookups.told(told),
            (_, told) => told,
        };
        if let (Some(service), Some(told)) = (&mut self.service, told)
            && let Ok(Some(bindings)) = service.told(told)
        {
            self.bound(now, bindings);
        }
        self.lookup_finished(now);
    }

    /// The bindings of the service are known, or why they are not.
    fn bound(&mut self, now: Instant, (lookup, bindings, by): ToldBindings) {
        match bindings {
            Ok(bindings) => self.race.handle(now, Event::ServiceAnswered { lookup, bindings: &bindings, by }),
            Err(error) => self.race.handle(now, Event::LookupFailed { lookup, error, by }),
        }
    }

    /// The lookups of the host, and of the names that the bindings of the service lead to.
    fn every_lookups(&mut self) -> impl Iterator<Item = &mut Lookups> {
        let of_service = self.service.as_mut().map(|service| service.targets_mut()).unwrap_or_default();
        self.lookups.as_deref_mut().into_iter().chain(of_service)
    }

    fn answered(&mut self, now: Instant, lookup: LookupId, question: Question, (answer, by): (Answer, AnsweredBy)) {
        if question.kind != QuestionKind::Local && question.name == HOST {
            self.answered_by = by;
        }
        match answer.map(Found::into_addresses) {
            Ok(addresses) => {
                self.race.handle(now, Event::Answered { lookup, addresses: &addresses, by });
                if question.kind == QuestionKind::Local {
                    self.dials.bind_to(addresses);
                }
            }
            Err(error) => self.race.handle(now, Event::LookupFailed { lookup, error, by }),
        }
    }

    /// What is waited for is ready.
    pub fn ready(&mut self, now: Instant, key: Key, reactor: &mut impl Reactor) {
        let Key::Attempt(attempt) = key else { return };
        match self.dials.ready(attempt, reactor) {
            None => {}
            Some(Ok(())) => self.connected(now, attempt, reactor),
            Some(Err(failed)) => self.failed(now, attempt, failed),
        }
    }

    /// An attempt is connected: it wins, or the caller is asked.
    fn connected(&mut self, now: Instant, attempt: AttemptId, reactor: &mut impl Reactor) {
        self.race.handle(now, Event::AttemptConnected { attempt });
        let held = self.race.attempts().get(attempt.0 as usize).filter(|entry| entry.is_held());
        let Some(destination) = held.map(|entry| entry.destination) else { return };
        let verdict = match self.dials.hold(attempt, &destination, reactor) {
            // Nobody could ever answer, and the thread would wait for it.
            Verdict::Later if !reactor.may_hold() => Verdict::No(libc::EDEADLK),
            verdict => verdict,
        };
        self.decide(now, attempt, verdict, reactor);
    }

    fn decide(&mut self, now: Instant, attempt: AttemptId, verdict: Verdict, reactor: &mut impl Reactor) {
        let decided = match verdict {
            Verdict::Later => return,
            Verdict::Yes => self.dials.confirm(attempt),
            Verdict::No(sys_errno) => Err((Operation::Confirm, io::Error::from_raw_os_error(sys_errno))),
        };
        match decided {
            Ok(()) => self.race.handle(now, Event::AttemptConfirmed { attempt }),
            Err(failed) => {
                self.dials.release(attempt, reactor);
                self.failed(now, attempt, failed);
            }
        }
    }

    /// Whether an attempt is held with this socket.
    pub fn holds(&self, fd: RawFd) -> bool {
        self.dials.held(fd).is_some()
    }

    /// The caller's answer for the attempt that is held with this socket; false where none is, and nothing
    /// was done. Something may be due afterwards.
    pub fn confirm(&mut self, now: Instant, fd: RawFd, wanted: bool, reactor: &mut impl Reactor) -> bool {
        let Some(attempt) = self.dials.held(fd) else { return false };
        let verdict = if wanted { Verdict::Yes } else { Verdict::No(libc::ECONNABORTED) };
        self.decide(now, attempt, verdict, reactor);
        true
    }

    fn failed(&mut self, now: Instant, attempt: AttemptId, (operation, error): Failed) {
        let sys_errno = errno_of(&error);
        // EAFNOSUPPORT: the kernel has no such family; ENETUNREACH: no way out in it.
        let family_unreachable = matches!(sys_errno, libc::ENETUNREACH | libc::EAFNOSUPPORT);
        let failure = Failure { sys_errno, operation, family_unreachable };
        self.race.handle(now, Event::AttemptFailed { attempt, failure });
    }

    pub fn cancel(&mut self, now: Instant) {
        self.race.handle(now, Event::Cancelled);
    }

    /// The driver itself cannot go on.
    pub fn broken(&mut self, now: Instant, error: &io::Error) {
        self.race.handle(now, Event::Broken { sys_errno: errno_of(error) });
    }

    /// Does all that is due. True once the race is finished.
    pub fn advance(&mut self, mut now: Instant, reactor: &mut impl Reactor) -> bool {
        // Of one moment: it is not kept for the next turn.
        let mut surroundings = Surroundings::default();
        while !self.is_finished() {
            let action = self.race.next_action(now, reactor.permits(self.in_flight()));
            if let Some(Action::Ask { lookup, question, urgency }) = action {
                match question.kind {
                    QuestionKind::Nat64Prefix => now = self.discover(now, lookup, reactor),
                    QuestionKind::Service => self.ask_for_service(now, lookup, reactor),
                    _ => self.lookups(question.name).ask(lookup, question, urgency, reactor),
                }
                continue;
            }
            // Questions that come in a row are started together: one hand-off to the workers.
            if self.every_lookups().any(|lookups| lookups.has_unstarted()) {
                now = self.start_lookups(now, reactor);
                if action.is_none() {
                    // What needed no worker is answered already, and may have given something to do.
                    continue;
                }
            }
            match action {
                None => break,
                Some(action) => self.carry_out(now, action, &mut surroundings, reactor),
            }
        }
        self.tell();
        self.is_finished()
    }

    fn carry_out(&mut self, now: Instant, action: Action, surroundings: &mut Surroundings, reactor: &mut impl Reactor) {
        match action {
            Action::Ask { .. } => unreachable!("taken in by advance"),
            Action::Hasten { lookup } => self.every_lookups().for_each(|lookups| lookups.hasten(lookup)),
            Action::AbandonLookup { lookup } => {
                let discovery = self.discovery.as_mut();
                if !discovery.is_some_and(|discovery| discovery.abandon(now, Some(lookup), reactor)) {
                    self.lookups(HOST).abandon(now, lookup, reactor);
                }
                if let Some(service) = &mut self.service {
                    service.abandon(now, lookup, reactor);
                }
            }
            Action::FindConnectivity { family } => {
                let connected = surroundings.has_connectivity(family);
                self.race.handle(now, Event::ConnectivityFound { family, connected });
            }
            Action::FindRoute { candidate, destination } => {
                let route = surroundings.route(&destination);
                let route = match &mut self.learning {
                    None => route,
                    Some(learning) => learning.add_to(now, destination.ip(), route),
                };
                self.race.handle(now, Event::RouteFound { candidate, route });
            }
            Action::StartAttempt { attempt, destination } => match self.dials.begin(attempt, &destination, reactor) {
                Ok(connected) => {
                    self.begun(now, attempt, destination);
                    if connected {
                        self.connected(now, attempt, reactor);
                    }
                }
                Err(failed) => self.failed(now, attempt, failed),
            },
            Action::AbandonAttempt { attempt } => self.dials.abandon(attempt, reactor),
            Action::Finish(outcome) => {
                if let Outcome::Connected { attempt } = outcome {
                    self.dials.win(attempt, reactor);
                }
                if let Some(learning) = &self.learning {
                    learning.learn(now, &self.race);
                }
                self.close(now, reactor);
            }
        }
    }

    /// An attempt has begun: tells the race what is known of its handshake.
    fn begun(&mut self, now: Instant, attempt: AttemptId, destination: SocketAddr) {
        let Some(learning) = &mut self.learning else { return };
        let others_may_follow = self.race.others_may_follow();
        let source_of = |route| self.dials.source(attempt, route);
        if let Some(within) = learning.begun(now, attempt, destination.ip(), others_may_follow, source_of) {
            self.race.handle(now, Event::HandshakeExpected { attempt, within });
        }
    }

    /// Starts the lookups that were asked and hands in what is answered already; answers with the time
    /// afterwards, since starting may have made threads.
    fn start_lookups(&mut self, now: Instant, reactor: &mut impl Reactor) -> Instant {
        self.every_lookups().for_each(|lookups| lookups.start(now, reactor));
        self.why_libc = self.lookups.as_ref().and_then(|lookups| lookups.why_libc());
        let now = Instant::now();
        self.lookup_finished(now);
        now
    }

    /// Asks for the prefixes of the network's translator; answers with the time afterwards.
    fn discover(&mut self, now: Instant, lookup: LookupId, reactor: &mut impl Reactor) -> Instant {
        self.discovery.as_mut().expect("asked for only where they are to be discovered").begin(now, lookup, reactor);
        let now = Instant::now();
        self.lookup_finished(now);
        now
    }

    /// Asks for the bindings of the service; where nobody can be asked there are none.
    fn ask_for_service(&mut self, now: Instant, lookup: LookupId, reactor: &mut impl Reactor) {
        let service = self.service.as_mut().expect("asked for only where they are wanted");
        if !service.begin(now, lookup, reactor) {
            self.bound(now, (lookup, Ok(Vec::new()), AnsweredBy::Nobody));
        }
    }

    fn lookups(&mut self, name: NameId) -> &mut Lookups {
        let lookups = match &mut self.service {
            Some(service) if name != HOST => service.target(name),
            _ => self.lookups.as_deref_mut(),
        };
        lookups.expect("a race asks only where there is something to look up")
    }

    /// Closes every socket that is left, the winner excepted, and lets go of every lookup.
    pub fn close(&mut self, now: Instant, reactor: &mut impl Reactor) {
        self.dials.close(reactor);
        if let Some(lookups) = self.lookups.take() {
            lookups.close(now, reactor);
        }
        if let Some(mut discovery) = self.discovery.take() {
            discovery.abandon(now, None, reactor);
        }
        if let Some(service) = &mut self.service {
            service.close(now, reactor);
        }
    }

    /// Whether the answer of a lookup may come through the mailbox.
    pub fn has_workers(&self) -> bool {
        let of_service = self.service.as_ref().map(|service| service.targets()).unwrap_or_default();
        self.lookups.as_deref().into_iter().chain(of_service).any(Lookups::has_workers)
            || self.discovery.as_ref().is_some_and(|discovery| discovery.has_worker())
    }

    /// Tells the caller's hooks what the race has noted.
    fn tell(&mut self) {
        while let Some(trace) = self.race.next_trace() {
            if let Some(hooks) = self.dials.hooks() {
                hooks.trace(self.began, &trace);
            }
        }
    }

    /// The candidates that were not attempted, in their order.
    pub fn order(&self) -> Vec<Placed> {
        self.race.order()
    }

    /// Whether a limit may end its lookups.
    pub fn has_limit(&self) -> bool {
        self.has_limit
    }

    /// When to advance again although nothing happened.
    pub fn deadline(&self) -> Option<Instant> {
        self.race.deadline()
    }

    /// The permits that it waits for.
    pub fn wants_permit(&self) -> Wanted {
        self.race.wants_permit()
    }

    pub fn is_finished(&self) -> bool {
        self.race.outcome().is_some()
    }

    /// The lookups and attempts that are in flight.
    pub fn in_flight(&self) -> InFlight {
        let discovers = self.discovery.as_ref().is_some_and(|discovery| discovery.is_running());
        let of_service = self.service.as_ref().map_or(0, |service| service.len());
        let lookups = self.lookups.as_ref().map_or(0, |lookups| lookups.len()) + usize::from(discovers) + of_service;
        InFlight { lookups: lookups as u32, attempts: self.dials.len() as u32 }
    }

    /// The descriptors that are waited for.
    pub fn watched(&self) -> impl Iterator<Item = (Key, RawFd, Interest)> + '_ {
        self.dials.watched()
    }

    /// What it came to, once finished. The winner's socket is taken along: a second report has none.
    pub fn report(&mut self) -> Option<Report<'_>> {
        let outcome = self.race.outcome()?;
        let socket = self.dials.take_winner();
        let winner = match outcome {
            Outcome::Connected { attempt } => self.race.attempts().get(attempt.0 as usize),
            _ => None,
        };
        let binding = winner.and_then(|attempt| self.service.as_ref()?.binding(attempt.binding?));
        let unanswered = [Family::V6, Family::V4].into_iter().find(|&family| self.race.is_unanswered(family));
        Some(Report {
            outcome,
            socket,
            attempts: self.race.attempts(),
            began: self.began,
            unanswered,
            answered_by: self.answered_by,
            binding,
            why_libc: self.why_libc.map(Reason::text),
        })
    }
}

/// A family in which this system has no network, where it has one in the other.
fn family_without_network() -> Option<Family> {
    let mut surroundings = Surroundings::default();
    match [Family::V6, Family::V4].map(|family| surroundings.has_connectivity(family)) {
        [false, true] => Some(Family::V6),
        [true, false] => Some(Family::V4),
        _ => None,
    }
}
