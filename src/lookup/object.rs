//! A lookup with a limit, as an object: started, waited for, cancelled, watched through one descriptor, and
//! its answer taken.

use super::answer::Answer;
use super::mailbox::Mailbox;
use super::query::Query;
use super::request::{Request, StartError};
use crate::sys::epoll::Epoll;
use crate::sys::poll::milliseconds_until;
use crate::sys::timer::Timer;
use crate::sys::{Interest, fork};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Why a function of a [`Lookup`] did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It was made before a fork, by another process.
    Forked,
    NotStarted,
    AlreadyStarted,
    /// There is no worker, and the system gives no thread (`EAGAIN`). The start may be tried again.
    OutOfThreads,
    /// There is no answer yet.
    Running,
    /// The answer was taken before.
    Taken,
}

/// One lookup. Any thread may call any function at any time; [`cancel`](Lookup::cancel) is async-signal-safe
/// too.
pub struct Lookup {
    request: Arc<Request>,
    mailbox: Arc<Mailbox>,
    timeout: Option<Duration>,
    /// Held for moments only, never while somebody waits; and never by the child of a fork, which is refused
    /// before.
    progress: Mutex<Progress>,
}

/// How far it has come.
struct Progress {
    started: bool,
    /// Set by the start, where there is a limit.
    deadline: Option<Instant>,
    /// Made when the descriptor is first asked for, where there is a limit.
    watch: Option<Watch>,
}

/// What is behind the one descriptor where there is a limit: an epoll set of the wake-up descriptor and a
/// timer.
struct Watch {
    set: Epoll,
    timer: Timer,
}

impl Lookup {
    /// Nothing is asked before the start; `timeout` counts from there (None: no limit; zero: over at once).
    pub fn new(query: Query, timeout: Option<Duration>) -> Lookup {
        let mailbox = Mailbox::new();
        Lookup {
            request: Request::new(query, Arc::clone(&mailbox), 0),
            mailbox,
            timeout,
            progress: Mutex::new(Progress { started: false, deadline: None, watch: None }),
        }
    }

    /// Starts it and returns at once. What needs no worker is answered here. A start that fails changes
    /// nothing.
    pub fn start(&self) -> Result<(), Refused> {
        let mut progress = self.progress()?;
        if progress.started {
            return Err(Refused::AlreadyStarted);
        }
        // Over at once: only what needs no time at all is answered.
        if self.timeout == Some(Duration::ZERO) && self.request.query().answer_at_once().is_none() {
            self.request.give_up(libc::ETIMEDOUT);
            progress.started = true;
            return Ok(());
        }
        let deadline = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.request.start().map_err(|error| match error {
            StartError::OutOfThreads => Refused::OutOfThreads,
            StartError::Forked => Refused::Forked,
            StartError::AlreadyStarted => Refused::AlreadyStarted,
        })?;
        progress.started = true;
        progress.deadline = deadline;
        progress.arm();
        Ok(())
    }

    /// Waits until it has an answer; reaching its limit and being cancelled are answers too. Signals do not
    /// end the wait.
    pub fn wait(&self) -> Result<(), Refused> {
        let deadline = self.deadline()?;
        // The wake-up is never taken: it stays for every waiter, and keeps the descriptor readable.
        while !self.request.is_finished() {
            if !self.mailbox.waker().wait(deadline) {
                self.request.give_up(libc::ETIMEDOUT);
            }
        }
        Ok(())
    }

    /// Does what is due, without waiting. Whether there is an answer.
    pub fn dispatch(&self) -> Result<bool, Refused> {
        let deadline = self.deadline()?;
        if !self.request.is_finished() && deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            self.request.give_up(libc::ETIMEDOUT);
        }
        Ok(self.request.is_finished())
    }

    /// Ends it, if there is no answer yet, with `ECANCELED`. Any thread, any signal handler, any number of
    /// times, before the start too.
    pub fn cancel(&self) {
        // In the child of a fork the wake-up descriptor is still the parent's too.
        if !self.is_forked() {
            self.request.cancel();
        }
    }

    /// The one descriptor: readable once there is an answer, and while [`dispatch`](Lookup::dispatch) has
    /// something to do. Made by the first call, and the same from then on.
    ///
    /// # Errors
    /// What eventfd(2), epoll_create1(2) and timerfd_create(2) say; `ESTALE` in the child of a fork.
    pub fn descriptor(&self) -> io::Result<RawFd> {
        let Ok(mut progress) = self.progress() else { return Err(io::Error::from_raw_os_error(libc::ESTALE)) };
        let wake_up = self.mailbox.waker().descriptor()?;
        // Without a limit nothing but the wake-up makes it readable.
        if self.timeout.is_none() {
            return Ok(wake_up);
        }
        if progress.watch.is_none() {
            let watch = Watch { set: Epoll::new()?, timer: Timer::new()? };
            watch.set.add(wake_up, Interest::Readable, 0)?;
            watch.set.add(watch.timer.as_raw_fd(), Interest::Readable, 1)?;
            progress.watch = Some(watch);
            progress.arm();
        }
        Ok(progress.watch.as_ref().map_or(wake_up, |watch| watch.set.as_raw_fd()))
    }

    /// How long to wait before the next dispatch at most, in milliseconds, rounded up: -1 no limit, 0 once
    /// there is an answer.
    pub fn timeout_ms(&self) -> Result<i32, Refused> {
        let deadline = self.deadline()?;
        Ok(if self.request.is_finished() { 0 } else { milliseconds_until(deadline, Instant::now()) })
    }

    /// The answer, once.
    pub fn take(&self) -> Result<Answer, Refused> {
        if !self.dispatch()? {
            return Err(Refused::Running);
        }
        self.request.take().ok_or(Refused::Taken)
    }

    fn is_forked(&self) -> bool {
        self.request.generation() != fork::generation()
    }

    /// Its limit, where it was started. One that was cancelled before its start needs none.
    fn deadline(&self) -> Result<Option<Instant>, Refused> {
        let progress = self.progress()?;
        if progress.started || self.request.is_finished() { Ok(progress.deadline) } else { Err(Refused::NotStarted) }
    }

    fn progress(&self) -> Result<MutexGuard<'_, Progress>, Refused> {
        // Before the lock: in the child of a fork it may be held by a thread that is not there.
        if self.is_forked() {
            return Err(Refused::Forked);
        }
        Ok(self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Progress {
    /// Has the timer of the descriptor, if there is one, fire at the deadline.
    fn arm(&self) {
        if let (Some(watch), Some(deadline)) = (&self.watch, self.deadline) {
            // It fails for a time that there is not, and only then.
            let _ = watch.timer.set(Some(deadline.saturating_duration_since(Instant::now())));
        }
    }
}
