//! The worker threads.
//!
//! One pool in a process. It starts a worker when more requests are queued than workers are on their way to them, up to a limit; a
//! worker without work stays for a while and leaves. Requests are served in the order that `queue` says. A worker that is
//! stuck in libc stays stuck, alone: nothing waits for it, and what comes next gets another worker.
//!
//! The pool is a plain value behind a pointer. In the child of a fork its threads are gone and its lock may be held by one of them for
//! ever, so the child leaves it alone and makes another: see [`Pool::current`].

use super::queue::{Lane, Queue, is_ordinary};
use super::request::Request;
use super::{Answer, LookupError};
use crate::sys::wake::Waker;
use crate::sys::{fork, module, thread};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How many workers there may be unless [`set_thread_limit`] says otherwise.
const DEFAULT_THREAD_LIMIT: usize = 512;
/// How long a worker waits for work before it leaves.
const IDLE_TIME: Duration = Duration::from_secs(5);
/// How often the creation of a thread is tried: it may fail for a moment while others end.
const SPAWN_TRIES: usize = 3;
/// The stack of a worker, in the first process; see [`stack_size`]. libc's own lookups need some tens of KiB (long answers are on
/// the heap), and glibc takes the static thread-local storage of the whole program out of the stack. The rest is room for NSS
/// modules, which are written for the threads of any program (musl gives every thread 128 KiB). What is not touched takes no memory.
const STACK_SIZE: usize = 256 * 1024;
/// By how much a worker's stack grows with each fork: the largest page size there is.
const STACK_STEP: usize = 64 * 1024;
/// Beyond this many forks, one child of the other, stacks grow no more.
const STACK_STEPS: u64 = 1024;

static THREAD_LIMIT: AtomicUsize = AtomicUsize::new(DEFAULT_THREAD_LIMIT);

/// The greatest number of worker threads in this process.
pub fn thread_limit() -> usize {
    THREAD_LIMIT.load(Ordering::Relaxed)
}

/// Sets the greatest number of worker threads, at least 1. Requests that find all of them busy wait in the queue. With a lower limit
/// than there are workers, the surplus leaves when it has done its work.
pub fn set_thread_limit(limit: usize) {
    THREAD_LIMIT.store(limit.max(1), Ordering::Relaxed);
}

/// How long [`end_idle_workers`] waits for the threads that it has told to leave; they have nothing left to
/// do but that.
const LEAVE_TIME: Duration = Duration::from_secs(1);

/// Has the idle workers leave, and returns when their threads have ended. Whether there is no worker left:
/// one that is at a lookup is not waited for.
pub fn end_idle_workers() -> bool {
    let pool = Pool::current();
    let mut shared = pool.lock();
    let leaving = std::mem::take(&mut shared.idle);
    for seat in &leaving {
        seat.dismissed.store(true, Ordering::Relaxed);
    }
    shared.workers -= leaving.len();
    let none_left = shared.workers == 0;
    drop(shared);
    for seat in &leaving {
        seat.waker.wake();
    }
    let mut gone = true;
    for seat in &leaving {
        gone &= thread::wait_until_gone(seat.thread, LEAVE_TIME);
    }
    none_left && gone
}

struct Pool {
    generation: u64,
    shared: Mutex<Shared>,
}

struct Shared {
    /// A request whose owner has gone takes itself out, so what is in here is wanted, or was cancelled a moment ago.
    queue: Queue<Weak<Request>>,
    /// The last to come is the first to be called: its stack and cache are warm, and the others can grow old and leave.
    idle: Vec<Arc<Seat>>,
    workers: usize,
    /// Workers that were called or started, and have not yet come to the queue.
    coming: usize,
    /// Workers that serve a request of the ordinary lane.
    ordinary: usize,
}

/// Where an idle worker waits.
struct Seat {
    waker: Waker,
    /// It was taken from the idle ones and is counted as coming. Written under the lock.
    called: AtomicBool,
    /// It was taken from the idle ones to leave, and is counted no more. Written under the lock.
    dismissed: AtomicBool,
    /// The kernel's number of its thread.
    thread: libc::pid_t,
}

/// What is to be done, without the lock, to bring a worker that is already counted as coming.
enum Call {
    Wake(Arc<Seat>),
    Spawn,
}

impl Shared {
    /// Takes the next request to be served, with its ticket.
    fn take(&mut self) -> Option<(Weak<Request>, u64)> {
        let (request, ticket) = self.queue.pop(self.ordinary, self.workers)?;
        self.ordinary += usize::from(is_ordinary(ticket));
        Some((request, ticket))
    }

    /// A worker has served the request with this ticket. If that found something its companion rests; it is handed out, to be dropped
    /// without the lock.
    fn served(&mut self, ticket: u64, found: bool) -> Option<Arc<Request>> {
        self.ordinary -= usize::from(is_ordinary(ticket));
        if !found || !is_ordinary(ticket) {
            return None;
        }
        let place = self.queue.remove_companion(ticket)?;
        let companion = place.upgrade()?;
        self.queue.push(Lane::Resting, |ticket| {
            companion.ticket.store(ticket, Ordering::Relaxed);
            place
        });
        Some(companion)
    }

    /// Picks the next worker to come, if a request in the queue has none coming for it and there may be one more.
    fn call(&mut self) -> Option<Call> {
        if self.queue.len() <= self.coming {
            return None;
        }
        let call = if let Some(seat) = self.idle.pop() {
            seat.called.store(true, Ordering::Relaxed);
            Call::Wake(seat)
        } else if self.workers < thread_limit() {
            self.workers += 1;
            Call::Spawn
        } else {
            return None;
        };
        self.coming += 1;
        Some(call)
    }
}

/// Queues those of the requests that have not ended, and sees to it that a worker comes. If there is no worker and none can be had,
/// they are out of the queue again, and the answer is false.
pub(super) fn submit(requests: &[Arc<Request>]) -> bool {
    let pool = Pool::current();
    let mut shared = pool.lock();
    for request in requests.iter().filter(|request| !request.is_finished()) {
        let lane = if request.is_companion { Lane::Companion } else { Lane::Ordinary };
        shared.queue.push(lane, |ticket| {
            request.ticket.store(ticket, Ordering::Relaxed);
            Arc::downgrade(request)
        });
    }
    // One worker is brought from here, and each worker brings the next ones before it begins: so the caller pays for one
    // wake-up however many requests there are, and for none while a worker is on its way.
    let call = if shared.coming == 0 { shared.call() } else { None };
    drop(shared);
    call.is_none_or(|call| pool.carry_out(call) || pool.give_back(requests))
}

/// Takes a request out of the queue, if it is still there.
pub(super) fn withdraw(ticket: u64) {
    let mut shared = Pool::current().lock();
    let withdrawn = shared.queue.remove(ticket);
    // Freed without the lock.
    drop(shared);
    drop(withdrawn);
}

/// Serves a request next, if it is still in the queue.
pub(super) fn hasten(request: &Request) {
    let pool = Pool::current();
    let mut shared = pool.lock();
    // Under the lock nobody else changes the ticket of a request in the queue.
    let Some(place) = shared.queue.remove(request.ticket.load(Ordering::Relaxed)) else { return };
    shared.queue.push(Lane::Next, |ticket| {
        request.ticket.store(ticket, Ordering::Relaxed);
        place
    });
    // It may have rested, and the workers are idle.
    let call = if shared.coming == 0 { shared.call() } else { None };
    drop(shared);
    if let Some(call) = call
        && !pool.carry_out(call)
    {
        pool.give_back(&[]);
    }
}

impl Pool {
    /// The pool of this process. In the child of a fork the parent's is left behind, untouched, and a fresh one is put in its place;
    /// there is no fork handler, and so no lock to be taken in one.
    fn current() -> &'static Pool {
        static CURRENT: AtomicPtr<Pool> = AtomicPtr::new(std::ptr::null_mut());
        let generation = fork::generation();
        let current = CURRENT.load(Ordering::Acquire);
        // SAFETY: a pool is never freed once it has been put here.
        if let Some(pool) = unsafe { current.as_ref() }.filter(|pool| pool.generation == generation) {
            return pool;
        }
        let shared = Shared { queue: Queue::new(), idle: Vec::new(), workers: 0, coming: 0, ordinary: 0 };
        let fresh = Box::into_raw(Box::new(Pool { generation, shared: Mutex::new(shared) }));
        match CURRENT.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: as above.
            Ok(_) => unsafe { &*fresh },
            Err(other) => {
                // SAFETY: nobody else has seen `fresh`; `other` was put in place by another thread of this process, so it is of this
                // generation.
                unsafe {
                    drop(Box::from_raw(fresh));
                    &*other
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // No code that can panic runs under the lock.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False if it was to start a thread and the system gives none.
    fn carry_out(&self, call: Call) -> bool {
        match call {
            Call::Wake(seat) => seat.waker.wake(),
            Call::Spawn if spawn().is_err() => {
                let mut shared = self.lock();
                shared.workers -= 1;
                shared.coming -= 1;
                return false;
            }
            Call::Spawn => {}
        }
        true
    }

    /// After a thread could not be started. As long as there is another worker the requests stay in the queue (true): it will come to
    /// them, and with each request that it or a start takes up the creation of a thread is tried again. Without any worker they go
    /// back to their owners, who report it (false).
    fn give_back(&self, requests: &[Arc<Request>]) -> bool {
        let mut shared = self.lock();
        if shared.workers > 0 {
            return true;
        }
        for request in requests {
            drop(shared.queue.remove(request.ticket.swap(0, Ordering::Relaxed)));
        }
        // Others may have relied on the worker that was to come. They have been told that their lookup runs, so it ends.
        let stranded = shared.queue.drain();
        drop(shared);
        for request in stranded.iter().filter_map(Weak::upgrade) {
            request.give_up(libc::EAGAIN);
        }
        false
    }

    fn work(&'static self) {
        let seat = Arc::new(Seat {
            waker: Waker::new(),
            called: AtomicBool::new(false),
            dismissed: AtomicBool::new(false),
            thread: thread::id(),
        });
        let mut shared = self.lock();
        shared.coming -= 1;
        loop {
            while let Some((request, ticket)) = shared.take() {
                // Two, so that a long queue is met by a number of workers that doubles, and before the lookup, which may take for ever.
                let calls = [shared.call(), shared.call()];
                drop(shared);
                for call in calls.into_iter().flatten() {
                    self.carry_out(call);
                }
                let found = serve(&request);
                drop(request);
                shared = self.lock();
                if let Some(companion) = shared.served(ticket, found) {
                    drop(shared);
                    drop(companion);
                    shared = self.lock();
                }
            }
            if shared.workers > thread_limit() {
                break;
            }
            seat.called.store(false, Ordering::Relaxed);
            shared.idle.push(seat.clone());
            let deadline = Instant::now() + IDLE_TIME;
            loop {
                drop(shared);
                let woken = seat.waker.wait(Some(deadline));
                seat.waker.take();
                shared = self.lock();
                if seat.called.load(Ordering::Relaxed) {
                    shared.coming -= 1;
                    break;
                }
                if seat.dismissed.load(Ordering::Relaxed) {
                    return;
                }
                if !woken {
                    shared.idle.retain(|other| !Arc::ptr_eq(other, &seat));
                    shared.workers -= 1;
                    return;
                }
            }
        }
        shared.workers -= 1;
    }
}

/// The size of a worker's stack in this process: larger than in its parent.
///
/// In the child of a fork glibc keeps the stacks of the threads that the fork left behind and gives them to new threads, and with a
/// stack comes what its thread had: seen with glibc 2.36, a new thread that gets the stack of one that was in getaddrinfo(3) sends its
/// questions through the resolver socket of that one, which the child shares with the parent, and the parent reads the answers
/// (lookups of the child took 5 and 10 seconds, or failed). glibc never hands out a stack smaller than what is asked for, so a
/// worker that asks for more than any worker of an ancestor had gets a fresh one.
fn stack_size() -> usize {
    STACK_SIZE + STACK_STEP * fork::generation().min(STACK_STEPS) as usize
}

fn spawn() -> std::io::Result<()> {
    module::pin();
    let mut tries = 1;
    loop {
        match thread::spawn_detached(c"happysock-look", stack_size(), || Pool::current().work()) {
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) && tries < SPAWN_TRIES => tries += 1,
            outcome => return outcome,
        }
    }
}

/// Looks up for a request, if it is still wanted; true if its owner was given addresses. While libc is at it the worker holds nothing of the request but the question.
fn serve(request: &Weak<Request>) -> bool {
    let Some(wanted) = request.upgrade() else { return false };
    wanted.ticket.store(0, Ordering::Relaxed);
    if !wanted.handoff().claim() {
        return false;
    }
    let query = wanted.query().clone();
    drop(wanted);
    let answer: Answer = catch_unwind(AssertUnwindSafe(|| query.ask()))
        .unwrap_or(Err(LookupError { gai_error: libc::EAI_FAIL, sys_errno: 0 }));
    let found = answer.is_ok();
    match request.upgrade() {
        Some(wanted) => wanted.finish(answer),
        None => drop(answer),
    }
    found
}
