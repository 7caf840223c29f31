//! A race with its lookups and sockets: carries out actions, hands in events.

use super::plan::{Hooks, Plan, address_family};
use super::report::Report;
use crate::race::{
    self, Action, AttemptId, Event, Failure, Families, Family, Operation, Outcome, Permits, Question, Race, Route,
    Wanted,
};
use crate::resolve::{LookupError, Mailbox, Query, Request, StartError};
use crate::sys::errno_of;
use crate::sys::route::source_address;
use crate::sys::socket::{Connecting, Socket};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What surrounds a race: who waits for its sockets, and what it may do at this moment.
pub trait Around {
    /// Begins to wait until the socket can be written. An error fails the attempt.
    fn watch(&mut self, attempt: AttemptId, socket: &Socket) -> io::Result<()>;
    /// Ends that; the socket is closed or handed over next.
    fn unwatch(&mut self, attempt: AttemptId, socket: &Socket);
    /// What may be started besides that which this race has in flight.
    fn permits(&self, _own: InFlight) -> Permits {
        Permits::ALL
    }
}

/// How much is in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InFlight {
    pub lookups: u32,
    pub attempts: u32,
}

/// Lookups at most: one a family, and the local one.
const LOOKUPS: usize = 3;

/// A lookup's place, which is also the low part of its token in the mailbox.
fn place(question: Question) -> usize {
    match question {
        Question::Remote(Family::V6) | Question::RemoteAny => 0,
        Question::Remote(Family::V4) => 1,
        Question::Local => 2,
    }
}

/// How many low bits of a token name the lookup; the rest is the driver's own.
pub const TOKEN_BITS: u32 = 2;

/// A race and what it holds in the world. Thousands may be in memory at once: what only some need is in a box.
pub struct Running {
    race: Race,
    began: Instant,
    nonblocking: bool,
    hooks: Option<Arc<dyn Hooks>>,
    lookups: Option<Box<Lookups>>,
    /// What attempts are bound to, where that is not looked up.
    local_addresses: Box<[SocketAddr]>,
    sockets: Vec<(AttemptId, Socket)>,
    winner: Option<Socket>,
}

/// What a race has that looks something up.
struct Lookups {
    remote: Query,
    local: Option<Query>,
    families: Families,
    mailbox: Arc<Mailbox>,
    token: u64,
    running: [Option<(Question, Arc<Request>)>; LOOKUPS],
    /// When the lookup of the other family, which still waits for a worker, is worth its cost all the same.
    hasten_at: Option<Instant>,
    local_addresses: Vec<SocketAddr>,
}

/// How long after one family's answer, or the attempt that it led to, the other's lookup is hastened if there is no connection yet. Only where
/// every worker was busy does it still wait by then. As long as the Resolution Delay (RFC 8305, section 3), and well within the Connection
/// Attempt Delay after which its addresses could be attempted.
const HASTEN_AFTER: Duration = Duration::from_millis(50);

impl Running {
    /// Begins a race: its limits count from `now`. Answers of lookups come through `mailbox` under `token`, shifted by `TOKEN_BITS`.
    pub fn new(plan: Plan, now: Instant, mailbox: &Arc<Mailbox>, token: u64) -> Running {
        let Plan { remote, local, local_addresses, literal, settings, nonblocking, hooks } = plan;
        let lookups = (literal.addresses().is_none() || local.is_some()).then(|| {
            Box::new(Lookups {
                remote,
                local,
                families: settings.families,
                mailbox: Arc::clone(mailbox),
                token,
                running: [const { None }; LOOKUPS],
                hasten_at: None,
                local_addresses: Vec::new(),
            })
        });
        let race = match literal.addresses() {
            Some(addresses) => Race::with_addresses(settings, addresses, now),
            None => Race::new(settings, now),
        };
        Running { race, began: now, nonblocking, hooks, lookups, local_addresses, sockets: Vec::new(), winner: None }
    }

    /// A lookup has left its token in the mailbox: hands its answer to the race.
    pub fn lookup_finished(&mut self, now: Instant, token: u64) {
        let place = (token & ((1 << TOKEN_BITS) - 1)) as usize;
        let Some(lookups) = &mut self.lookups else { return };
        let Some(Some((question, request))) = lookups.running.get(place) else { return };
        let question = *question;
        // A request answers once: a token that comes twice finds nothing.
        let Some(answer) = request.take() else { return };
        lookups.running[place] = None;
        match answer {
            Ok(list) => {
                let addresses: Vec<SocketAddr> = list.iter().collect();
                self.race.handle(now, Event::Answered { question, addresses: &addresses });
                if lookups.running.iter().flatten().any(|(_, other)| other.is_waiting()) {
                    lookups.hasten_at = Some(now + HASTEN_AFTER);
                }
                if question == Question::Local {
                    lookups.local_addresses = addresses;
                }
            }
            Err(LookupError { gai_error, sys_errno }) => {
                let error = race::LookupError { gai_error, sys_errno };
                self.race.handle(now, Event::LookupFailed { question, error });
                lookups.hasten();
            }
        }
    }

    /// A socket is ready: it is connected, or its error says why not.
    pub fn socket_ready(&mut self, now: Instant, attempt: AttemptId, around: &mut impl Around) {
        let Some((_, socket)) = self.sockets.iter().find(|(id, _)| *id == attempt) else { return };
        let connected = match socket.take_error() {
            Ok(()) => self.ready_to_hand_over(socket).map_err(|error| (Operation::HandOver, error)),
            Err(error) => Err((Operation::Connect, error)),
        };
        match connected {
            Ok(()) => self.race.handle(now, Event::AttemptConnected { attempt }),
            Err((operation, error)) => {
                self.release(attempt, around);
                self.failed(now, attempt, operation, errno_of(&error));
            }
        }
    }

    fn ready_to_hand_over(&self, socket: &Socket) -> io::Result<()> {
        if self.nonblocking { Ok(()) } else { socket.set_blocking() }
    }

    fn failed(&mut self, now: Instant, attempt: AttemptId, operation: Operation, sys_errno: i32) {
        // EAFNOSUPPORT: the kernel has no such family; ENETUNREACH: no way out in it.
        let family_unreachable = matches!(sys_errno, libc::ENETUNREACH | libc::EAFNOSUPPORT);
        let failure = Failure { sys_errno, operation, family_unreachable };
        if let Some(lookups) = &mut self.lookups {
            lookups.hasten();
        }
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
    pub fn advance(&mut self, mut now: Instant, around: &mut impl Around) -> bool {
        let mut asked = [const { None }; LOOKUPS];
        let mut count = 0;
        while !self.is_finished() {
            let mut own = self.in_flight();
            own.lookups += count as u32;
            let action = self.race.next_action(now, around.permits(own));
            // Questions that come in a row are started together: one hand-off to the workers.
            if let Some(Action::Ask(question)) = action {
                asked[count] = Some(question);
                count += 1;
                continue;
            }
            if count > 0 {
                now = self.ask(asked.iter().flatten().copied());
                asked = [None; LOOKUPS];
                count = 0;
                if action.is_none() {
                    // What needed no worker is answered already, and may have given something to do.
                    continue;
                }
            }
            match action {
                None => break,
                Some(action) => self.carry_out(now, action, around),
            }
        }
        if let Some(lookups) = &mut self.lookups
            && lookups.hasten_at.is_some_and(|at| at <= now)
        {
            lookups.hasten();
        }
        self.tell();
        self.is_finished()
    }

    fn carry_out(&mut self, now: Instant, action: Action, around: &mut impl Around) {
        match action {
            Action::Ask(_) => unreachable!("gathered by advance"),
            Action::FindRoute { candidate, destination } => {
                let route = Route { source: source_address(&destination), ..Route::default() };
                self.race.handle(now, Event::RouteFound { candidate, route });
            }
            Action::StartAttempt { attempt, destination } => {
                if let Err((operation, error)) = self.start(now, attempt, &destination, around) {
                    self.failed(now, attempt, operation, errno_of(&error));
                }
            }
            Action::AbandonAttempt { attempt } => {
                self.release(attempt, around);
            }
            Action::AbandonLookup(question) => {
                // Dropped, not cancelled: nobody waits for its token.
                if let Some(lookups) = &mut self.lookups {
                    lookups.running[place(question)] = None;
                }
            }
            Action::Finish(outcome) => self.finish(outcome, around),
        }
    }

    /// Starts lookups; answers with the time afterwards.
    fn ask(&mut self, questions: impl Iterator<Item = Question>) -> Instant {
        let lookups = self.lookups.as_mut().expect("a race asks only where there is something to look up");
        let mut requests: Vec<Arc<Request>> = Vec::with_capacity(LOOKUPS);
        let mut places = [0; LOOKUPS];
        for question in questions {
            let place = place(question);
            let token = lookups.token << TOKEN_BITS | place as u64;
            let (query, mailbox) = (lookups.query(question), Arc::clone(&lookups.mailbox));
            // Of the two families the second may turn out not to be needed.
            let second = lookups.running[..2].iter().any(Option::is_some) && question != Question::Local;
            let request =
                if second { Request::companion(query, mailbox, token) } else { Request::new(query, mailbox, token) };
            places[requests.len()] = place;
            requests.push(Arc::clone(&request));
            lookups.running[place] = Some((question, request));
        }
        if let Err(error) = Request::start_all(&requests) {
            let sys_errno = match error {
                StartError::OutOfThreads => libc::EAGAIN,
                StartError::Forked | StartError::AlreadyStarted => libc::EINVAL,
            };
            for request in &requests {
                request.give_up(sys_errno);
            }
        }
        // Starting may have made threads, which takes time.
        let now = Instant::now();
        // What needed no worker is answered already; its token finds nothing later.
        for (place, request) in places.into_iter().zip(requests) {
            if request.is_finished() {
                self.lookup_finished(now, place as u64);
            }
        }
        now
    }

    /// socket, configure, bind, connect. The error says at which of them it ended.
    fn start(
        &mut self,
        now: Instant,
        attempt: AttemptId,
        destination: &SocketAddr,
        around: &mut impl Around,
    ) -> Result<(), (Operation, io::Error)> {
        let socket = Socket::stream(destination).map_err(|error| (Operation::Socket, error))?;
        if let Some(hooks) = &self.hooks {
            hooks
                .configure_socket(socket.as_raw_fd(), destination)
                .map_err(|errno| (Operation::Configure, io::Error::from_raw_os_error(errno)))?;
        }
        let looked_up = self.lookups.iter().flat_map(|lookups| &lookups.local_addresses);
        let locals = looked_up.chain(&self.local_addresses);
        if let Some(local) = locals.into_iter().find(|local| local.is_ipv6() == destination.is_ipv6()) {
            socket.bind(local).map_err(|error| (Operation::Bind, error))?;
        }
        match socket.connect(destination).map_err(|error| (Operation::Connect, error))? {
            Connecting::Done => {
                self.ready_to_hand_over(&socket).map_err(|error| (Operation::HandOver, error))?;
                self.race.handle(now, Event::AttemptConnected { attempt });
            }
            Connecting::InProgress => {
                if let Some(at) = self.lookups.as_mut().and_then(|lookups| lookups.hasten_at.as_mut()) {
                    *at = now + HASTEN_AFTER;
                }
                around.watch(attempt, &socket).map_err(|error| (Operation::Wait, error))?;
            }
        }
        if self.sockets.is_empty() {
            // Most races make one attempt; a vector would make room for four.
            self.sockets.reserve_exact(1);
        }
        self.sockets.push((attempt, socket));
        Ok(())
    }

    /// Takes the attempt's socket out of the driver's hands.
    fn release(&mut self, attempt: AttemptId, around: &mut impl Around) -> Option<Socket> {
        let index = self.sockets.iter().position(|(id, _)| *id == attempt)?;
        let (_, socket) = self.sockets.swap_remove(index);
        around.unwatch(attempt, &socket);
        Some(socket)
    }

    fn finish(&mut self, outcome: Outcome, around: &mut impl Around) {
        if let Outcome::Connected { attempt } = outcome {
            self.winner = self.release(attempt, around);
        }
        self.close(around);
    }

    /// Closes every socket that is left, the winner excepted, and lets go of every lookup.
    pub fn close(&mut self, around: &mut impl Around) {
        for (attempt, socket) in self.sockets.drain(..) {
            around.unwatch(attempt, &socket);
        }
        self.lookups = None;
    }

    /// Tells the caller's hooks what the race has noted.
    fn tell(&mut self) {
        while let Some(trace) = self.race.next_trace() {
            if let Some(hooks) = &self.hooks {
                hooks.trace(self.began, &trace);
            }
        }
    }

    /// When to advance again although nothing happened.
    pub fn deadline(&self) -> Option<Instant> {
        let hasten_at = self.lookups.as_ref().and_then(|lookups| lookups.hasten_at);
        self.race.deadline().into_iter().chain(hasten_at).min()
    }

    /// The permits that it waits for.
    pub fn wants_permit(&self) -> Wanted {
        self.race.wants_permit()
    }

    pub fn is_finished(&self) -> bool {
        self.race.outcome().is_some()
    }

    /// Whether a lookup is still running.
    pub fn awaits_lookup(&self) -> bool {
        self.in_flight().lookups > 0
    }

    /// The lookups and attempts that are in flight.
    pub fn in_flight(&self) -> InFlight {
        let lookups = self.lookups.as_ref().map_or(0, |lookups| lookups.running.iter().flatten().count());
        InFlight { lookups: lookups as u32, attempts: self.sockets.len() as u32 }
    }

    /// The sockets that are being connected.
    pub fn sockets(&self) -> &[(AttemptId, Socket)] {
        &self.sockets
    }

    /// What it came to, once finished. The winner's socket is taken along: a second report has none.
    pub fn report(&mut self) -> Option<Report<'_>> {
        let outcome = self.race.outcome()?;
        let socket = self.winner.take().map(Socket::into_owned);
        Some(Report { outcome, socket, attempts: self.race.attempts(), began: self.began })
    }
}

impl Lookups {
    /// Has what still waits for a worker served next.
    fn hasten(&mut self) {
        self.hasten_at = None;
        for (_, request) in self.running.iter().flatten() {
            request.hasten();
        }
    }

    fn query(&self, question: Question) -> Query {
        match question {
            Question::Remote(Family::V6) => self.remote.for_race(libc::AF_INET6),
            Question::Remote(Family::V4) => self.remote.for_race(libc::AF_INET),
            Question::RemoteAny => self.remote.with_family(address_family(self.families)),
            Question::Local => self.local.clone().expect("a local address is asked for only where one was given"),
        }
    }
}
