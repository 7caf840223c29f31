//! One lookup by a worker.

use super::answer::Answer;
use super::handoff::{Handoff, Taken};
use super::joint::{Joint, Waiter};
use super::mailbox::{Mailbox, Note};
use super::pool::{self, Job, Place};
use super::query::Query;
use crate::race::LookupError;
use crate::sys::atomic::{AtomicPtr, Ordering};
use crate::sys::fork;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Why a request did not start. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// There is no worker, and the system gives no thread (`EAGAIN`), however often it was asked.
    OutOfThreads,
    /// The request was made before a fork, by another process.
    Forked,
    AlreadyStarted,
}

/// One lookup, which ends once: with an answer, by [`cancel`](Request::cancel) or by
/// [`give_up`](Request::give_up). However it ends, its token is put into its mailbox. Dropping the last
/// reference abandons it: its token never comes; if nobody else waits for the same, it leaves the queue, or a
/// worker that is busy with it frees what it finds.
pub struct Request {
    query: Query,
    mailbox: Arc<Mailbox>,
    handoff: Handoff<Answer>,
    /// Taken by whoever ends the request.
    note: AtomicPtr<Note>,
    generation: u64,
    /// What it waits for, with others perhaps who ask the same.
    joint: Mutex<Arc<Joint>>,
}

impl Request {
    pub fn new(query: Query, mailbox: Arc<Mailbox>, token: u64) -> Arc<Request> {
        Request::make(query, mailbox, token, Place::now())
    }

    /// One that others may follow: while every worker is busy, a few of them are kept from it, so that those
    /// that can wait do not wait for ever where this one hangs.
    pub fn leading(query: Query, mailbox: Arc<Mailbox>, token: u64) -> Arc<Request> {
        Request::make(query, mailbox, token, Place::leading())
    }

    /// One that is served when there is time for it: while every worker is busy it gives way to others. If
    /// its leader finds something before its turn has come, it is not served at all before it is
    /// [hastened](Request::hasten).
    pub fn when_free(query: Query, mailbox: Arc<Mailbox>, token: u64, leader: Option<&Request>) -> Arc<Request> {
        Request::make(
            query,
            mailbox,
            token,
            Place::when_free(leader.map(|leader| leader.joint()).as_ref().map(|leader| leader.place())),
        )
    }

    fn make(query: Query, mailbox: Arc<Mailbox>, token: u64, place: Place) -> Arc<Request> {
        Arc::new_cyclic(|request| Request {
            joint: Mutex::new(Arc::new(Joint::new(query.clone(), place, Weak::clone(request) as _))),
            query,
            mailbox,
            handoff: Handoff::new(),
            note: AtomicPtr::new(Box::into_raw(Note::new(token))),
            generation: fork::generation(),
        })
    }

    /// Starts the lookup and returns at once. What needs no worker (numeric or refused) ends here.
    ///
    /// # Errors
    /// See [`StartError`]. After `OutOfThreads` it may be tried again.
    pub fn start(self: &Arc<Self>) -> Result<(), StartError> {
        Request::start_all(std::slice::from_ref(self))
    }

    /// Starts several, to be served in their order, with one visit to the pool and at most one wake-up. If it
    /// fails, none that needs a worker was started.
    pub fn start_all(requests: &[Arc<Request>]) -> Result<(), StartError> {
        let generation = fork::generation();
        if requests.iter().any(|request| request.generation != generation) {
            return Err(StartError::Forked);
        }
        for (position, request) in requests.iter().enumerate() {
            // A request that was cancelled before it was started counts as started: it has ended, and its token was
            // posted.
            if !request.handoff.queue() && !request.handoff.is_ended() {
                for queued in &requests[..position] {
                    queued.handoff.unqueue();
                }
                return Err(StartError::AlreadyStarted);
            }
        }
        for request in requests {
            if let Some(answer) = request.query.answer_at_once()
                && request.handoff.claim()
            {
                request.answer(answer);
            }
        }
        // What has not ended by now needs a worker, unless one is at the same question for somebody else.
        let unanswered = requests.iter().filter(|request| !request.is_finished());
        let jobs: Vec<Arc<Joint>> = unanswered.filter_map(Request::join_or_ask).collect();
        if !jobs.is_empty() && !pool::submit(&jobs) {
            let is_own = |waiter: &dyn Waiter| requests.iter().any(|own| std::ptr::addr_eq(Arc::as_ptr(own), waiter));
            jobs.iter().for_each(|job| job.take_back(is_own));
            for request in requests {
                request.handoff.unqueue();
            }
            return Err(StartError::OutOfThreads);
        }
        Ok(())
    }

    /// Whether whoever calls this answers the request itself, by [`answer`](Request::answer): false if it was
    /// started or has ended before.
    pub fn claim(&self) -> bool {
        self.handoff.queue() && self.handoff.claim()
    }

    /// Hands the answer of a request that was [claimed](Request::claim) to its owner, or frees it if the
    /// request has ended meanwhile.
    pub fn answer(&self, answer: Answer) {
        if self.handoff.finish(answer).is_ok() {
            self.post();
        }
    }

    /// Has it served next, if it still waits for a worker. Not for signal handlers.
    pub fn hasten(&self) {
        if self.generation == fork::generation() {
            self.joint().hasten();
        }
    }

    /// Ends the lookup if it has not ended yet: its answer is `EAI_SYSTEM` with `ECANCELED`. Any thread, any
    /// signal handler, any number of times; takes microseconds and never waits. The caller must hold a
    /// reference, as for every method.
    pub fn cancel(&self) {
        self.end(libc::ECANCELED);
    }

    /// Ends the lookup as [`cancel`](Request::cancel) does, with another errno (`ETIMEDOUT`), and takes it
    /// out of the queue, unless somebody else waits for the same. Not for signal handlers.
    pub fn give_up(&self, sys_errno: i32) {
        self.end(sys_errno);
        if self.generation == fork::generation() {
            self.joint().leave();
        }
    }

    pub fn is_finished(&self) -> bool {
        self.handoff.is_over()
    }

    /// Takes the answer, once. `None` while there is none, when it was taken, and in the child of a fork.
    pub fn take(&self) -> Option<Answer> {
        if self.generation != fork::generation() {
            return None;
        }
        self.handoff.take().map(|taken| match taken {
            Taken::Answer(answer) => answer,
            Taken::Ended(sys_errno) => Err(LookupError::system(sys_errno)),
        })
    }

    /// The fork generation it was made in: see [`fork::generation`].
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn query(&self) -> &Query {
        &self.query
    }

    /// Has it wait for an equal question that is under way. Else the job by which it is asked.
    fn join_or_ask(self: &Arc<Self>) -> Option<Arc<Joint>> {
        let own = self.joint();
        match Joint::join_equal(&own, self) {
            Some(equal) => {
                *self.joint.lock().unwrap_or_else(PoisonError::into_inner) = equal;
                None
            }
            None => Some(own),
        }
    }

    pub(super) fn joint(&self) -> Arc<Joint> {
        Arc::clone(&self.joint.lock().unwrap_or_else(PoisonError::into_inner))
    }

    #[cfg(all(test, loom))]
    pub(super) fn handoff(&self) -> &Handoff<Answer> {
        &self.handoff
    }

    fn end(&self, sys_errno: i32) {
        if self.handoff.end(sys_errno) {
            self.post();
        }
    }

    /// Called once, by whoever ended the request.
    fn post(&self) {
        let note = self.note.swap(std::ptr::null_mut(), Ordering::Relaxed);
        if !note.is_null() {
            // SAFETY: the swap made this thread the owner of the box that `new` made.
            self.mailbox.post(unsafe { Box::from_raw(note) });
        }
    }
}

impl Waiter for Request {
    fn take_up(&self) -> bool {
        self.handoff.claim()
    }

    fn is_finished(&self) -> bool {
        Request::is_finished(self)
    }

    fn answer(&self, answer: Answer) {
        Request::answer(self, answer);
    }

    fn give_up(&self, sys_errno: i32) {
        Request::give_up(self, sys_errno);
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let note = self.note.swap(std::ptr::null_mut(), Ordering::Relaxed);
        if !note.is_null() {
            // SAFETY: as in `post`.
            drop(unsafe { Box::from_raw(note) });
        }
    }
}

/// See [`pool::end_idle_workers`].
pub fn end_idle_workers() -> bool {
    pool::end_idle_workers::<Joint>()
}

/// Lets the compiler check what the module says: requests and answers cross threads.
const _: fn() = || {
    fn crosses_threads<T: Send + Sync>() {}
    crosses_threads::<Request>();
    crosses_threads::<Answer>();
    crosses_threads::<Mailbox>();
};
