//! A lookup with a limit, as an object: started, waited for, cancelled, watched through one descriptor, and
//! its answer taken.

use super::answer::Answer;
use super::lone::{Begun, Lone};
use super::mailbox::Mailbox;
use super::query::Query;
use super::request::{Request, StartError};
use crate::race::AnsweredBy;
use crate::sys::epoll::Epoll;
use crate::sys::poll::milliseconds_until;
use crate::sys::timer::Timer;
use crate::sys::{Interest, fork};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// How long a wait lasts at most where no wake-up descriptor could be made.
const WITHOUT_WAKE_UP: Duration = Duration::from_millis(10);

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
///
/// Where the system's configuration allows it no thread is behind it: whoever waits for it, or dispatches it,
/// does the work.
pub struct Lookup {
    request: Arc<Request>,
    mailbox: Arc<Mailbox>,
    timeout: Option<Duration>,
    /// Held for moments only, never while somebody waits; and never by the child of a fork, which is refused
    /// before.
    progress: Mutex<Progress>,
    /// What is looked up without a thread. Held by whoever drives it, for as long as that waits: only those
    /// wait for the lock that have come to wait.
    lone: Mutex<Option<Box<Lone>>>,
    /// Set before there is an answer, once somebody is asked.
    answered_by: OnceLock<AnsweredBy>,
}

/// How far it has come.
struct Progress {
    started: bool,
    /// Set by the start, where there is a limit.
    deadline: Option<Instant>,
    /// Made when the descriptor is first asked for, unless the wake-up is all there is to be waited for.
    watch: Option<Watch>,
}

/// What is behind the one descriptor: an epoll set of the wake-up descriptor, a timer and the sockets of the
/// lookup.
struct Watch {
    set: Arc<Epoll>,
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
            lone: Mutex::new(None),
            answered_by: OnceLock::new(),
        }
    }

    /// Starts it and returns at once. What needs nobody is answered here. A start that fails changes nothing.
    pub fn start(&self) -> Result<(), Refused> {
        let mut progress = self.progress()?;
        if progress.started {
            return Err(Refused::AlreadyStarted);
        }
        let needs_nobody = self.request.query().answer_at_once().is_some();
        // Over at once: only what needs no time at all is answered.
        if self.timeout == Some(Duration::ZERO) && !needs_nobody {
            self.request.give_up(libc::ETIMEDOUT);
            progress.started = true;
            return Ok(());
        }
        let now = Instant::now();
        let deadline = self.timeout.and_then(|timeout| now.checked_add(timeout));
        if needs_nobody || !self.begin_alone(now, &progress) {
            self.request.start().map_err(|error| match error {
                StartError::OutOfThreads => Refused::OutOfThreads,
                StartError::Forked => Refused::Forked,
                StartError::AlreadyStarted => Refused::AlreadyStarted,
            })?;
            if !needs_nobody {
                let _ = self.answered_by.set(AnsweredBy::Libc);
            }
        }
        progress.started = true;
        progress.deadline = deadline;
        progress.arm(self.lone_deadline());
        Ok(())
    }

    /// Begins it without a thread. False if that cannot be.
    fn begin_alone(&self, now: Instant, progress: &Progress) -> bool {
        let set = progress.watch.as_ref().map(|watch| Arc::clone(&watch.set));
        let Ok(begun) = Lone::begin(now, self.request.query(), set) else { return false };
        if !self.request.claim() {
            // It was cancelled before: that counts as started.
            return self.request.is_finished();
        }
        match begun {
            Begun::Answer(answer) => self.request.answer(answer),
            Begun::Lone(mut lone) => match lone.step(now) {
                Some(answer) => {
                    let _ = self.answered_by.set(lone.answered_by());
                    self.request.answer(answer);
                }
                None => *self.lone.lock().unwrap_or_else(PoisonError::into_inner) = Some(lone),
            },
        }
        true
    }

    /// Waits until it has an answer; reaching its limit and being cancelled are answers too. Signals do not
    /// end the wait.
    pub fn wait(&self) -> Result<(), Refused> {
        let deadline = self.deadline()?;
        while !self.request.is_finished() {
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                self.request.give_up(libc::ETIMEDOUT);
                break;
            }
            let mut lone = self.lone.lock().unwrap_or_else(PoisonError::into_inner);
            if lone.is_some() {
                self.drive(&mut lone, deadline);
            } else {
                drop(lone);
                // The wake-up is never taken: it stays for every waiter, and keeps the descriptor readable.
                self.mailbox.waker().wait(deadline);
            }
        }
        Ok(())
    }

    /// Waits once for what is looked up without a thread, and does what is due.
    fn drive(&self, lone: &mut Option<Box<Lone>>, deadline: Option<Instant>) {
        let Some(driven) = lone.as_mut() else { return };
        let wake_up = self.mailbox.waker().descriptor().ok();
        // Out of descriptors: it looks for a cancel now and then.
        let deadline = if wake_up.is_some() { deadline } else { Some(Instant::now() + WITHOUT_WAKE_UP) };
        // An error is EINTR, or want of memory, which passes: the next round waits again.
        let _ = driven.wait(deadline, wake_up);
        self.step(lone);
    }

    fn step(&self, lone: &mut Option<Box<Lone>>) {
        let now = Instant::now();
        let Some(driven) = lone.as_mut() else { return };
        if self.request.is_finished() {
            driven.abandon(now);
            *lone = None;
        } else if let Some(answer) = driven.step(now) {
            let _ = self.answered_by.set(driven.answered_by());
            self.request.answer(answer);
            *lone = None;
        }
    }

    /// Does what is due, without waiting. Whether there is an answer.
    pub fn dispatch(&self) -> Result<bool, Refused> {
        let deadline = self.deadline()?;
        // Where somebody else waits for it, that thread does all there is to do.
        if let Ok(mut lone) = self.lone.try_lock()
            && lone.is_some()
        {
            if let Some(driven) = lone.as_mut() {
                let _ = driven.wait(Some(Instant::now()), None);
            }
            self.step(&mut lone);
        }
        if !self.request.is_finished() && deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            self.request.give_up(libc::ETIMEDOUT);
            if let Ok(mut lone) = self.lone.try_lock() {
                self.step(&mut lone);
            }
        }
        self.progress()?.arm(self.lone_deadline());
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
        if let Some(watch) = &progress.watch {
            return Ok(watch.set.as_raw_fd());
        }
        let wake_up = self.mailbox.waker().descriptor()?;
        let watch = Watch { set: Arc::new(Epoll::new()?), timer: Timer::new()? };
        watch.set.add(wake_up, Interest::Readable, 0)?;
        watch.set.add(watch.timer.as_raw_fd(), Interest::Readable, 1)?;
        // Where somebody waits for it already, that thread does all there is to do, to the end.
        if let Ok(mut lone) = self.lone.try_lock()
            && let Some(lone) = lone.as_mut()
        {
            lone.be_watched(&watch.set)?;
        }
        let fd = watch.set.as_raw_fd();
        progress.watch = Some(watch);
        progress.arm(self.lone_deadline());
        Ok(fd)
    }

    /// How long to wait before the next dispatch at most, in milliseconds, rounded up: -1 no limit, 0 once
    /// there is an answer.
    pub fn timeout_ms(&self) -> Result<i32, Refused> {
        let deadline = self.deadline()?;
        let due = [deadline, self.lone_deadline()].into_iter().flatten().min();
        Ok(if self.request.is_finished() { 0 } else { milliseconds_until(due, Instant::now()) })
    }

    /// Who has answered, once there is an answer.
    pub fn answered_by(&self) -> AnsweredBy {
        if self.is_forked() || !self.request.is_finished() {
            return AnsweredBy::Nobody;
        }
        self.answered_by.get().copied().unwrap_or_default()
    }

    /// The answer, once.
    pub fn take(&self) -> Result<Answer, Refused> {
        if !self.dispatch()? {
            return Err(Refused::Running);
        }
        self.request.take().ok_or(Refused::Taken)
    }

    /// When what is looked up without a thread has something to do; None also while somebody else does it.
    fn lone_deadline(&self) -> Option<Instant> {
        self.lone.try_lock().ok().and_then(|lone| lone.as_ref().and_then(|lone| lone.deadline()))
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

impl Drop for Lookup {
    fn drop(&mut self) {
        if !self.is_forked() {
            return;
        }
        // A thread of the parent's may have been at work in here at the moment of the fork: what it held locked is in
        // no state that could be taken apart, and its descriptors may be closed already. It is left as it is.
        if is_held(&self.lone) {
            std::mem::forget(self.lone.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        }
        if is_held(&self.progress) {
            std::mem::forget(self.progress.get_mut().unwrap_or_else(PoisonError::into_inner).watch.take());
        }
    }
}

/// Whether a lock was held at the moment of the fork, by a thread that is not here.
fn is_held<T>(lock: &Mutex<T>) -> bool {
    matches!(lock.try_lock(), Err(TryLockError::WouldBlock))
}

impl Progress {
    /// Has the timer of the descriptor, if there is one, fire when the next dispatch is due.
    fn arm(&self, of_lone: Option<Instant>) {
        if let Some(watch) = &self.watch {
            let due = [self.deadline, of_lone].into_iter().flatten().min();
            let now = Instant::now();
            // It fails for a time that there is not, and only then.
            let _ = watch.timer.set(due.map(|due| due.saturating_duration_since(now).max(Duration::from_nanos(1))));
        }
    }
}
