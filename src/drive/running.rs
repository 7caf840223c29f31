//! A race with its lookups and sockets: carries out actions, hands in events.

use super::plan::{Plan, address_family};
use super::report::Report;
use crate::race::{
    self, Action, AttemptId, Event, Failure, Family, Operation, Outcome, Permits, Question, Race, Route, Wanted,
};
use crate::resolve::{Answer, LookupError, Mailbox, Query, Request, StartError};
use crate::sys::errno_of;
use crate::sys::route::source_address;
use crate::sys::socket::{Connecting, Socket};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Instant;

/// What surrounds a race: who waits for its sockets, and what it may do at this moment.
pub trait Around {
    /// Begins to wait until the socket can be written. An error fails the attempt.
    fn watch(&mut self, attempt: AttemptId, socket: &Socket) -> io::Result<()>;
    /// Ends that; the socket is closed or handed over next.
    fn unwatch(&mut self, attempt: AttemptId, socket: &Socket);
    fn permits(&self) -> Permits {
        Permits::ALL
    }
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

/// A race and what it holds in the world.
pub struct Running {
    race: Race,
    plan: Plan,
    began: Instant,
    mailbox: Arc<Mailbox>,
    token: u64,
    lookups: [Option<(Question, Arc<Request>)>; LOOKUPS],
    sockets: Vec<(AttemptId, Socket)>,
    local_addresses: Vec<SocketAddr>,
    outcome: Option<Outcome>,
    winner: Option<Socket>,
}

impl Running {
    /// Begins a race: its limits count from `now`. Answers of lookups come through `mailbox` under `token`, shifted by `TOKEN_BITS`.
    pub fn new(plan: Plan, now: Instant, mailbox: Arc<Mailbox>, token: u64) -> Running {
        let settings = plan.settings.clone();
        let race = match plan.literal.addresses() {
            Some(addresses) => Race::with_addresses(settings, addresses, now),
            None => Race::new(settings, now),
        };
        Running {
            race,
            plan,
            began: now,
            mailbox,
            token,
            lookups: [const { None }; LOOKUPS],
            sockets: Vec::new(),
            local_addresses: Vec::new(),
            outcome: None,
            winner: None,
        }
    }

    /// A lookup has left its token in the mailbox: hands its answer to the race.
    pub fn lookup_finished(&mut self, now: Instant, token: u64) {
        let place = (token & ((1 << TOKEN_BITS) - 1)) as usize;
        let Some(Some((question, request))) = self.lookups.get(place) else { return };
        let question = *question;
        // A request answers once: a token that comes twice finds nothing.
        if let Some(answer) = request.take() {
            self.lookups[place] = None;
            self.hand_in(now, question, answer);
        }
    }

    fn hand_in(&mut self, now: Instant, question: Question, answer: Answer) {
        match answer {
            Ok(list) => {
                let addresses: Vec<SocketAddr> = list.iter().collect();
                self.race.handle(now, Event::Answered { question, addresses: &addresses });
                if question == Question::Local {
                    self.local_addresses = addresses;
                }
            }
            Err(LookupError { gai_error, sys_errno }) => {
                let error = race::LookupError { gai_error, sys_errno };
                self.race.handle(now, Event::LookupFailed { question, error });
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
        if self.plan.nonblocking { Ok(()) } else { socket.set_blocking() }
    }

    fn failed(&mut self, now: Instant, attempt: AttemptId, operation: Operation, sys_errno: i32) {
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
    pub fn advance(&mut self, mut now: Instant, around: &mut impl Around) -> bool {
        let mut asked = [const { None }; LOOKUPS];
        let mut count = 0;
        while self.outcome.is_none() {
            let action = self.race.next_action(now, around.permits());
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
        self.tell();
        self.outcome.is_some()
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
                if let Some((_, request)) = self.lookups[place(question)].take() {
                    request.cancel();
                }
            }
            Action::Finish(outcome) => self.finish(outcome, around),
        }
    }

    /// Starts lookups; answers with the time afterwards.
    fn ask(&mut self, questions: impl Iterator<Item = Question>) -> Instant {
        let mut requests: Vec<Arc<Request>> = Vec::with_capacity(LOOKUPS);
        let mut places = [0; LOOKUPS];
        for question in questions {
            let place = place(question);
            let token = self.token << TOKEN_BITS | place as u64;
            let request = Request::new(self.query(question), Arc::clone(&self.mailbox), token);
            places[requests.len()] = place;
            requests.push(Arc::clone(&request));
            self.lookups[place] = Some((question, request));
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
        for &place in &places[..requests.len()] {
            if self.lookups[place].as_ref().is_some_and(|(_, request)| request.is_finished()) {
                self.lookup_finished(now, place as u64);
            }
        }
        now
    }

    fn query(&self, question: Question) -> Query {
        match question {
            Question::Remote(Family::V6) => self.plan.remote.with_family(libc::AF_INET6),
            Question::Remote(Family::V4) => self.plan.remote.with_family(libc::AF_INET),
            Question::RemoteAny => self.plan.remote.with_family(address_family(self.plan.settings.families)),
            Question::Local => self.plan.local.clone().expect("a local address is asked for only where one was given"),
        }
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
        if let Some(hooks) = &self.plan.hooks {
            hooks
                .configure_socket(socket.as_raw_fd(), destination)
                .map_err(|errno| (Operation::Configure, io::Error::from_raw_os_error(errno)))?;
        }
        if let Some(local) = self.local_addresses.iter().find(|local| local.is_ipv6() == destination.is_ipv6()) {
            socket.bind(local).map_err(|error| (Operation::Bind, error))?;
        }
        match socket.connect(destination).map_err(|error| (Operation::Connect, error))? {
            Connecting::Done => {
                self.ready_to_hand_over(&socket).map_err(|error| (Operation::HandOver, error))?;
                self.race.handle(now, Event::AttemptConnected { attempt });
            }
            Connecting::InProgress => {
                around.watch(attempt, &socket).map_err(|error| (Operation::Wait, error))?;
            }
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
        self.outcome = Some(outcome);
    }

    /// Closes every socket that is left, the winner excepted, and lets go of every lookup.
    pub fn close(&mut self, around: &mut impl Around) {
        for (attempt, socket) in self.sockets.drain(..) {
            around.unwatch(attempt, &socket);
        }
        for (_, request) in self.lookups.iter_mut().filter_map(Option::take) {
            request.cancel();
        }
    }

    /// Tells the caller's hooks what the race has noted.
    fn tell(&mut self) {
        while let Some(trace) = self.race.next_trace() {
            if let Some(hooks) = &self.plan.hooks {
                hooks.trace(self.began, &trace);
            }
        }
    }

    /// When to advance again although nothing happened.
    pub fn deadline(&self) -> Option<Instant> {
        self.race.deadline()
    }

    /// The permit that alone keeps it from going on.
    pub fn wants_permit(&self, now: Instant) -> Option<Wanted> {
        self.race.wants_permit(now)
    }

    pub fn is_finished(&self) -> bool {
        self.outcome.is_some()
    }

    /// Whether a lookup is still running.
    pub fn awaits_lookup(&self) -> bool {
        self.lookups.iter().any(Option::is_some)
    }

    /// The sockets that are being connected.
    pub fn sockets(&self) -> &[(AttemptId, Socket)] {
        &self.sockets
    }

    /// What it came to, once finished. The winner's socket is taken along: a second report has none.
    pub fn report(&mut self) -> Option<Report<'_>> {
        let outcome = self.outcome?;
        let socket = self.winner.take().map(Socket::into_owned);
        Some(Report { outcome, socket, attempts: self.race.attempts(), began: self.began })
    }
}
