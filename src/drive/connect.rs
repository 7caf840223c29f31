//! One race, waited for with poll(2) or by a foreign scheduler.

use super::few::Few;
use super::key::Key;
use super::plan::Plan;
use super::reactor::{InFlight, Reactor};
use super::report::Report;
use super::running::Running;
use crate::lookup::{Client, Mailbox, Query, Reason, ServiceQuestion, WalkId, Watcher};
use crate::race::{Permits, Placed};
use crate::sys::epoll::{Epoll, Ready};
use crate::sys::poll::{self, PollFd, milliseconds_until};
use crate::sys::timer::Timer;
use crate::sys::{Interest, fork};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What other threads and signal handlers may do to a connect. Lock-free; lives as long as anybody holds it.
pub struct Signals {
    cancelled: AtomicBool,
    interrupted: AtomicBool,
    mailbox: Arc<Mailbox>,
    generation: u64,
}

impl Signals {
    /// Whether it belongs to another process: it was made before a fork.
    pub fn is_forked(&self) -> bool {
        self.generation != fork::generation()
    }

    /// The race ends, unless it has.
    pub fn cancel(&self) {
        self.raise(&self.cancelled);
    }

    /// A running wait returns, or else the next one.
    pub fn interrupt(&self) {
        self.raise(&self.interrupted);
    }

    fn raise(&self, flag: &AtomicBool) {
        // In the child of a fork the wake-up descriptor is still the parent's too: it is left alone.
        if !self.is_forked() {
            flag.store(true, Ordering::Release);
            self.mailbox.waker().wake();
        }
    }
}

/// One connect.
pub struct Connect {
    running: Running,
    signals: Arc<Signals>,
    /// Nobody else can reach `signals`: waits need no descriptor for them.
    private: bool,
    surroundings: Surroundings,
    tokens: Vec<u64>,
    /// A step is due whatever the race says: nothing was done yet, or the caller has answered for an attempt.
    step_due: bool,
    /// Of a rehearsal that is over: what would have been attempted.
    order: Option<Vec<Placed>>,
}

/// What surrounds the race.
struct Surroundings {
    mailbox: Arc<Mailbox>,
    watch: Watch,
    /// Made when the first name is looked up.
    client: Option<Box<Client>>,
    /// Attempts may start; a rehearsal makes none.
    attempts: bool,
    /// The present wait is one that only its own end can end: nobody can interrupt it, and it has no limit.
    may_block: bool,
    /// Somebody can answer for an attempt that is held: the present call returns before it is over, or can be
    /// interrupted.
    may_hold: bool,
}

/// Who waits for the sockets: nobody but the next poll(2), or a set whose descriptor was given away.
enum Watch {
    Poll(Vec<PollFd>),
    Epoll { set: Epoll, timer: Timer, armed: Option<Instant>, ready: Vec<Ready> },
}

impl Watch {
    fn add(&mut self, key: Key, fd: RawFd, interest: Interest) -> io::Result<()> {
        match self {
            Watch::Poll(_) => Ok(()),
            Watch::Epoll { set, .. } => set.add(fd, interest, key.to_bits()),
        }
    }

    fn remove(&mut self, fd: RawFd) {
        if let Watch::Epoll { set, .. } = self {
            // The winner stays open and must leave the set; that a loser has left it already is no error.
            let _ = set.remove(fd);
        }
    }
}

impl Watcher for Watch {
    fn watch(&mut self, socket: u32, fd: RawFd, interest: Interest) -> io::Result<()> {
        self.add(Key::Lookup(socket), fd, interest)
    }

    fn unwatch(&mut self, _socket: u32, fd: RawFd) {
        self.remove(fd);
    }
}

impl Reactor for Surroundings {
    fn watch(&mut self, key: Key, fd: RawFd, interest: Interest) -> io::Result<()> {
        self.watch.add(key, fd, interest)
    }

    fn unwatch(&mut self, _key: Key, fd: RawFd) {
        self.watch.remove(fd);
    }

    fn permits(&self, _own: InFlight) -> Permits {
        Permits { lookups: true, attempts: self.attempts }
    }

    fn mailbox(&self) -> (&Arc<Mailbox>, u64) {
        (&self.mailbox, 0)
    }

    fn look_up(&mut self, now: Instant, query: &Query) -> Result<WalkId, Reason> {
        let client = self.client.get_or_insert_with(|| Box::new(Client::lone()));
        client.begin(now, query, 0, &mut self.watch)
    }

    fn look_up_services(&mut self, now: Instant, query: &Query, question: ServiceQuestion) -> Option<WalkId> {
        let client = self.client.get_or_insert_with(|| Box::new(Client::lone()));
        client.begin_services(now, query, question, 0, &mut self.watch).ok()
    }

    fn may_block(&self) -> bool {
        self.may_block
    }

    fn may_hold(&self) -> bool {
        self.may_hold
    }

    fn abandon(&mut self, now: Instant, walk: WalkId) {
        if let Some(client) = &mut self.client {
            client.abandon(now, walk, 0, &mut self.watch);
        }
    }
}

impl Surroundings {
    fn is_watching_lookups(&self) -> bool {
        self.client.as_ref().is_some_and(|client| client.is_watching())
    }

    fn lookup_deadline(&self) -> Option<Instant> {
        self.client.as_ref().and_then(|client| client.deadline())
    }
}

/// How long a wait lasts at most where no wake-up descriptor could be made.
const WITHOUT_WAKE_UP: Duration = Duration::from_millis(10);

impl Connect {
    /// Begins a connect: its limits count from now.
    pub fn new(plan: Plan) -> Connect {
        let mailbox = Mailbox::new();
        let signals = Arc::new(Signals {
            cancelled: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
            mailbox: Arc::clone(&mailbox),
            generation: fork::generation(),
        });
        Connect {
            running: Running::new(plan, Instant::now()),
            signals,
            private: true,
            surroundings: Surroundings {
                mailbox,
                watch: Watch::Poll(Vec::new()),
                client: None,
                attempts: true,
                may_block: false,
                may_hold: true,
            },
            tokens: Vec::new(),
            step_due: true,
            order: None,
        }
    }

    /// Begins a connect that makes no attempt: it looks up what a connect would, and finds the order of the
    /// addresses. It is over when every lookup has ended; then [`order`](Connect::order) answers, and its
    /// outcome is that of a race that was cancelled, or the reason why there is no address.
    pub fn rehearse(plan: Plan) -> Connect {
        let mut connect = Connect::new(plan);
        connect.surroundings.attempts = false;
        connect
    }

    /// What would have been attempted, once a [rehearsal](Connect::rehearse) is over: the addresses of both
    /// families in the order of RFC 6724, each with the rule that put it behind the one before. A race takes
    /// them by turns between the families. None before, where there is no address, and for a connect that
    /// is no rehearsal.
    pub fn order(&self) -> Option<&[Placed]> {
        self.order.as_deref()
    }

    /// What other threads may use to end or interrupt it.
    pub fn signals(&mut self) -> &Arc<Signals> {
        self.private = false;
        &self.signals
    }

    /// Drives the race until it is finished (true) or interrupted (false).
    pub fn wait(&mut self) -> bool {
        self.surroundings.may_block = self.private && !self.running.has_limit();
        self.surroundings.may_hold = !self.private;
        // After an interrupted wait something may be ready: it is looked at before anything new starts.
        self.gather(Some(Duration::ZERO));
        loop {
            let now = Instant::now();
            if self.step(now) {
                return true;
            }
            if self.signals.interrupted.swap(false, Ordering::Acquire) {
                return false;
            }
            let limit = self.deadline().map(|deadline| deadline.saturating_duration_since(now));
            self.gather(limit);
        }
    }

    /// Answers for an attempt that is held ([`Verdict::Later`](super::Verdict::Later)): wanted, it wins; else
    /// it has failed, and its socket is closed. The next wait or dispatch, which is due then, does the
    /// rest. False if no attempt is held with this socket: nothing has changed.
    pub fn confirm(&mut self, fd: RawFd, wanted: bool) -> bool {
        let answered = self.running.confirm(Instant::now(), fd, wanted, &mut self.surroundings);
        if answered {
            self.step_due = true;
            self.arm();
        }
        answered
    }

    /// Does what is due, without waiting. True once the race is finished.
    pub fn dispatch(&mut self) -> bool {
        self.surroundings.may_hold = true;
        self.gather(Some(Duration::ZERO));
        self.step(Instant::now())
    }

    fn step(&mut self, now: Instant) -> bool {
        self.step_due = false;
        if self.signals.cancelled.load(Ordering::Acquire) {
            self.running.cancel(now);
        }
        if let Some(client) = &mut self.surroundings.client {
            client.expire(now, &mut self.surroundings.watch);
        }
        let finished = loop {
            let told = self.hand_in_told(now);
            if self.running.advance(now, &mut self.surroundings) {
                break true;
            }
            // A name in hosts(5) is answered at once; its addresses may be attempted now.
            if !told && !self.surroundings.client.as_ref().is_some_and(|client| client.has_deliveries()) {
                break false;
            }
        };
        let finished = finished || self.end_rehearsal(now);
        self.arm();
        finished
    }

    /// A rehearsal is over when no lookup is left. True if it is.
    fn end_rehearsal(&mut self, now: Instant) -> bool {
        if self.surroundings.attempts || self.running.in_flight().lookups > 0 {
            return false;
        }
        self.order = Some(self.running.order());
        self.running.cancel(now);
        self.running.advance(now, &mut self.surroundings)
    }

    /// Hands in what the client has found out. Whether there was something.
    fn hand_in_told(&mut self, now: Instant) -> bool {
        let Some(client) = &mut self.surroundings.client else { return false };
        let mut any = false;
        while let Some(delivery) = client.next_delivery() {
            self.running.told(now, delivery.told);
            any = true;
        }
        any
    }

    /// When something is due although no descriptor is ready.
    fn deadline(&self) -> Option<Instant> {
        [self.running.deadline(), self.surroundings.lookup_deadline()].into_iter().flatten().min()
    }

    /// When the next dispatch is due although no descriptor is ready; None: not at all.
    fn due(&self, now: Instant) -> Option<Instant> {
        if self.step_due || self.running.is_finished() { Some(now) } else { self.deadline() }
    }

    /// Has the timer in the epoll set fire when the next dispatch is due. One that has fired stays readable
    /// until it is set again.
    fn arm(&mut self) {
        if matches!(self.surroundings.watch, Watch::Poll(_)) {
            return;
        }
        let now = Instant::now();
        let due = self.due(now);
        if let Watch::Epoll { timer, armed, .. } = &mut self.surroundings.watch
            && *armed != due
        {
            *armed = due;
            // It fails for a time that there is not, and only then.
            let _ = timer.set(due.map(|due| due.saturating_duration_since(now)));
        }
    }

    /// How long to wait before the next dispatch at most: -1 no limit, rounded up to milliseconds.
    pub fn timeout_ms(&self) -> i32 {
        let now = Instant::now();
        milliseconds_until(self.due(now), now)
    }

    /// The one descriptor, made on first use: readable whenever [`dispatch`](Connect::dispatch) has something
    /// to do, and once it is finished.
    pub fn descriptor(&mut self) -> io::Result<RawFd> {
        if let Watch::Epoll { set, .. } = &self.surroundings.watch {
            return Ok(set.as_raw_fd());
        }
        let (set, timer) = (Epoll::new()?, Timer::new()?);
        set.add(timer.as_raw_fd(), Interest::Readable, Key::Timer.to_bits())?;
        set.add(self.surroundings.mailbox.waker().descriptor()?, Interest::Readable, Key::WakeUp.to_bits())?;
        for (key, fd, interest) in self.watched() {
            set.add(fd, interest, key.to_bits())?;
        }
        let fd = set.as_raw_fd();
        self.surroundings.watch = Watch::Epoll { set, timer, armed: None, ready: Vec::with_capacity(16) };
        self.arm();
        Ok(fd)
    }

    /// The one descriptor, if it was made.
    pub(super) fn made_descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.surroundings.watch {
            Watch::Poll(_) => None,
            Watch::Epoll { set, .. } => Some(set.as_fd()),
        }
    }

    /// What it came to, once finished.
    pub fn report(&mut self) -> Option<Report<'_>> {
        self.running.report()
    }

    /// Waits for something to happen, up to `limit`, and hands in all that did.
    fn gather(&mut self, limit: Option<Duration>) {
        let gathered = match &self.surroundings.watch {
            Watch::Poll(_) => self.gather_by_poll(limit),
            Watch::Epoll { .. } => self.gather_by_epoll(limit),
        };
        let now = Instant::now();
        match gathered {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.running.broken(now, &error),
        }
        if self.surroundings.mailbox.waker().take() {
            self.surroundings.mailbox.collect(&mut self.tokens);
            if !self.tokens.is_empty() {
                self.tokens.clear();
                self.running.lookup_finished(now);
            }
        }
    }

    fn gather_by_poll(&mut self, limit: Option<Duration>) -> io::Result<()> {
        let waits = limit != Some(Duration::ZERO);
        if self.running.in_flight().attempts == 0 && !self.surroundings.is_watching_lookups() {
            // Only a worker or a signal can end this wait: a futex does, and no descriptor is made.
            if waits {
                self.surroundings.mailbox.waker().wait(limit.and_then(|limit| Instant::now().checked_add(limit)));
            }
            return Ok(());
        }
        let alone = self.private && !self.running.has_workers();
        if alone || !waits {
            return self.poll(None, limit);
        }
        // On the loopback a connect is done at once: look before a wake-up descriptor is made.
        if self.surroundings.mailbox.waker().existing_descriptor().is_none() && self.poll_ready()? {
            return Ok(());
        }
        match self.surroundings.mailbox.waker().descriptor() {
            Ok(wake_up) => self.poll(Some(wake_up), limit),
            // Out of descriptors: the race goes on with those that it has, and looks for wake-ups now and then.
            Err(_) => self.poll(None, Some(limit.map_or(WITHOUT_WAKE_UP, |limit| limit.min(WITHOUT_WAKE_UP)))),
        }
    }

    /// Polls without waiting; true if a socket was ready.
    fn poll_ready(&mut self) -> io::Result<bool> {
        self.poll(None, Some(Duration::ZERO))?;
        let Watch::Poll(fds) = &self.surroundings.watch else { return Ok(false) };
        Ok(fds.iter().any(PollFd::is_ready))
    }

    fn poll(&mut self, wake_up: Option<RawFd>, limit: Option<Duration>) -> io::Result<()> {
        let Watch::Poll(fds) = &mut self.surroundings.watch else { return Ok(()) };
        let mut fds = std::mem::take(fds);
        fds.clear();
        fds.extend(self.watched().map(|(_, fd, interest)| PollFd::new(fd, interest)));
        fds.extend(wake_up.map(|fd| PollFd::new(fd, Interest::Readable)));
        let polled = poll::poll(&mut fds, limit);
        let now = Instant::now();
        let mut ready = Few::new();
        if polled.is_ok() {
            self.watched().zip(&fds).filter(|(_, fd)| fd.is_ready()).for_each(|((key, ..), _)| ready.push(key));
        }
        self.surroundings.watch = Watch::Poll(fds);
        self.hand_in_ready(now, &ready);
        polled.map(drop)
    }

    /// The descriptors that are waited for.
    fn watched(&self) -> impl Iterator<Item = (Key, RawFd, Interest)> + '_ {
        let of_lookups = self.surroundings.client.iter().flat_map(|client| client.watched());
        let of_lookups = of_lookups.map(|(socket, fd, interest)| (Key::Lookup(socket), fd, interest));
        self.running.watched().chain(of_lookups)
    }

    fn hand_in_ready(&mut self, now: Instant, ready: &Few<Key>) {
        let Surroundings { watch, client, .. } = &mut self.surroundings;
        if let Some(client) = client {
            for key in ready.iter() {
                if let Key::Lookup(socket) = key {
                    client.ready(now, *socket, watch);
                }
            }
        }
        for key in ready.iter() {
            self.running.ready(now, *key, &mut self.surroundings);
        }
    }

    fn gather_by_epoll(&mut self, limit: Option<Duration>) -> io::Result<()> {
        let now = Instant::now();
        let Watch::Epoll { set, ready, .. } = &mut self.surroundings.watch else { return Ok(()) };
        set.wait(ready, milliseconds_until(limit.map(|limit| now + limit), now))?;
        let now = Instant::now();
        let mut keys = Few::new();
        ready.iter().for_each(|ready| keys.push(Key::from_bits(ready.token())));
        self.hand_in_ready(now, &keys);
        Ok(())
    }
}

impl Drop for Connect {
    fn drop(&mut self) {
        // In the child of a fork the epoll set is the parent's too: closing our descriptors takes nothing out of it,
        // removing would.
        if !self.signals.is_forked() {
            self.running.close(Instant::now(), &mut self.surroundings);
        }
    }
}
