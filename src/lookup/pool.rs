//! The worker threads.
//!
//! A pool of jobs. It starts a worker when more jobs are queued than workers are on their way to them, up to
//! a limit; a worker without work stays for a while and leaves. Jobs are served in the order that `queue`
//! says. A worker that is stuck in its job stays stuck, alone: nothing waits for it, and what comes next gets
//! another worker. What a job is the pool does not know.
//!
//! In the child of a fork the threads are gone and the lock may be held by one of them for ever, so each
//! process has a pool of its own.

use super::queue::{Crew, Link, Priority, Queue};
use crate::sys::fork::PerProcess;
use crate::sys::wake::Waker;
use crate::sys::{fork, module, thread};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How many workers there may be unless [`set_thread_limit`] says otherwise.
const DEFAULT_THREAD_LIMIT: usize = 512;
/// How long a worker waits for work before it leaves.
const IDLE_TIME: Duration = Duration::from_secs(5);
/// How often the creation of a thread is tried: it may fail for a moment while others end.
const SPAWN_TRIES: usize = 3;
/// The stack of a worker, in the first process; see [`stack_size`]. libc's own lookups need some tens of KiB
/// (long answers are on the heap), and glibc takes the static thread-local storage of the whole program out
/// of the stack. The rest is room for NSS modules, which are written for the threads of any program (musl
/// gives every thread 128 KiB). What is not touched takes no memory.
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

/// Sets the greatest number of worker threads, at least 1. Jobs that find all of them busy wait in the queue.
/// With a lower limit than there are workers, the surplus leaves when it has done its work.
pub fn set_thread_limit(limit: usize) {
    THREAD_LIMIT.store(limit.max(1), Ordering::Relaxed);
}

/// How long [`end_idle_workers`] waits for workers whose job is done, and for the threads that it has told to
/// leave: they have nothing left to do but that.
const LEAVE_TIME: Duration = Duration::from_secs(1);

/// Has the idle workers leave, and returns when their threads have ended. Whether there is no worker left:
/// one that is at a job is not waited for. One whose outcome can be seen is not at it any more: whoever was
/// given an answer finds the worker that brought it among the idle ones.
pub(super) fn end_idle_workers<J: Job>() -> bool {
    end_idle_workers_within::<J>(LEAVE_TIME)
}

fn end_idle_workers_within<J: Job>(patience: Duration) -> bool {
    let pool = Pool::<J>::current();
    let mut shared = pool.lock();
    shared.awaited += 1;
    let still_returning = |_: &mut Shared<J>| pool.returning.load(Ordering::Relaxed) > 0;
    let waited = pool.returned.wait_timeout_while(shared, patience, still_returning);
    (shared, _) = waited.unwrap_or_else(PoisonError::into_inner);
    shared.awaited -= 1;
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
        gone &= thread::wait_until_gone(seat.thread, patience);
    }
    none_left && gone
}

/// Something to be done by a worker. The pool knows a job weakly: whoever drops the last reference has it
/// leave the queue.
pub(super) trait Job: Send + Sync + Sized + 'static {
    /// What a worker needs to do it, and what comes of it. While it is being done nothing of the job is held.
    type Work;
    type Outcome;

    /// Where the pool keeps what it notes of the job.
    fn place(&self) -> &Place;
    /// Whether nobody wants it done any more.
    fn is_over(&self) -> bool;
    /// Called by the worker that is to do it; None if nobody wants it done any more.
    fn begin(self: &Arc<Self>) -> Option<Self::Work>;
    /// Does it, for as long as it takes. Must not panic.
    fn work(work: Self::Work) -> Self::Outcome;
    /// Whether something was found that may spare the followers.
    fn has_found(outcome: &Self::Outcome) -> bool;
    /// Hands in what came of it.
    fn finish(&self, outcome: Self::Outcome);
    /// Ends it: no worker will come, for the reason that the errno says.
    fn give_up(&self, sys_errno: i32);
    /// Where the pool of these jobs is.
    fn pool() -> &'static PerProcess<Pool<Self>>;
}

/// What a pool notes of a job: part of the job, so that queueing it needs no memory but the queue's.
pub(super) struct Place {
    priority: Priority,
    /// Of a job that leads: to its followers, made for the first of them. Of one that can wait: to its
    /// leader.
    link: OnceLock<Arc<Link>>,
    /// In the queue; 0 while it is not. Written under the queue's lock.
    ticket: AtomicU64,
}

impl Place {
    pub fn now() -> Place {
        Place { priority: Priority::Now, link: OnceLock::new(), ticket: AtomicU64::new(0) }
    }

    /// Of a job that others may follow.
    pub fn leading() -> Place {
        Place { priority: Priority::Leading, link: OnceLock::new(), ticket: AtomicU64::new(0) }
    }

    /// Of a job that is served when there is time for it, and held back once its leader has found something.
    pub fn when_free(leader: Option<&Place>) -> Place {
        let link = leader.map(|leader| leader.link.get_or_init(Arc::default).clone());
        let link = link.map_or_else(OnceLock::new, OnceLock::from);
        Place { priority: Priority::WhenFree, link, ticket: AtomicU64::new(0) }
    }

    /// Whether it neither follows one nor may be followed.
    pub fn is_alone(&self) -> bool {
        self.priority == Priority::Now
    }

    /// Whether it is in the queue, as far as can be told without the lock: a stale answer costs a needless or
    /// a fruitless visit.
    pub fn is_queued(&self) -> bool {
        self.ticket.load(Ordering::Relaxed) != 0
    }
}

pub(super) struct Pool<J: Job> {
    shared: Mutex<Shared<J>>,
    /// Workers that have handed in an outcome, or are about to, and have not come back to the queue. Raised
    /// before the outcome can be seen, lowered under the lock.
    returning: AtomicUsize,
    /// Signalled when one of those has come back and somebody waits for it.
    returned: Condvar,
}

struct Shared<J> {
    /// A job whose owner has gone takes itself out, so what is in here is wanted, or was ended a moment ago.
    queue: Queue<Weak<J>>,
    /// The last to come is the first to be called: its stack and cache are warm, and the others can grow old
    /// and leave.
    idle: Vec<Arc<Seat>>,
    workers: usize,
    /// Workers that were called or started, and have not yet come to the queue.
    coming: usize,
    /// How many wait for workers to come back.
    awaited: usize,
    /// What the workers do.
    crew: Crew,
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

impl<J: Job> Shared<J> {
    /// Takes the next job to be done, with its ticket.
    fn take(&mut self) -> Option<(Weak<J>, u64)> {
        let crew = Crew { workers: self.workers, most: thread_limit(), ..self.crew };
        let (job, ticket) = self.queue.pop(crew)?;
        self.crew.begins(ticket);
        Some((job, ticket))
    }

    /// Picks the next worker to come, if a job in the queue has none coming for it and there may be one more.
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

/// Queues those of the jobs that are not over, and sees to it that a worker comes. If there is no worker and
/// none can be had, they are out of the queue again, and the answer is false.
pub(super) fn submit<J: Job>(jobs: &[Arc<J>]) -> bool {
    let pool = Pool::<J>::current();
    let mut shared = pool.lock();
    for job in jobs.iter().filter(|job| !job.is_over()) {
        let place = job.place();
        let leader = place.link.get().filter(|_| place.priority == Priority::WhenFree).cloned();
        shared.queue.push(place.priority, leader, |ticket| {
            place.ticket.store(ticket, Ordering::Relaxed);
            Arc::downgrade(job)
        });
    }
    // One worker is brought from here, and each worker brings the next ones before it begins: so the caller pays
    // for one wake-up however many jobs there are, and for none while a worker is on its way.
    let call = if shared.coming == 0 { shared.call() } else { None };
    drop(shared);
    call.is_none_or(|call| pool.carry_out(call) || pool.give_back(jobs))
}

/// Takes a job out of the queue, if it is still there.
pub(super) fn withdraw<J: Job>(job: &J) {
    let mut shared = Pool::<J>::current().lock();
    // Under the lock nobody else changes the ticket of a job in the queue.
    let withdrawn = shared.queue.remove(job.place().ticket.load(Ordering::Relaxed));
    // Freed without the lock.
    drop(shared);
    drop(withdrawn);
}

/// Has a job done next, if it is still in the queue.
pub(super) fn raise<J: Job>(job: &J) {
    let pool = Pool::<J>::current();
    let mut shared = pool.lock();
    // As in `withdraw`.
    let Some(raised) = shared.queue.remove(job.place().ticket.load(Ordering::Relaxed)) else { return };
    shared.queue.push_raised(|ticket| {
        job.place().ticket.store(ticket, Ordering::Relaxed);
        raised
    });
    // It may have been held back, and the workers are idle.
    let call = if shared.coming == 0 { shared.call() } else { None };
    drop(shared);
    if let Some(call) = call
        && !pool.carry_out(call)
    {
        pool.give_back(&[]);
    }
}

impl<J: Job> Pool<J> {
    fn current() -> &'static Pool<J> {
        J::pool().get(|| Pool {
            shared: Mutex::new(Shared {
                queue: Queue::new(),
                idle: Vec::new(),
                workers: 0,
                coming: 0,
                awaited: 0,
                crew: Crew::default(),
            }),
            returning: AtomicUsize::new(0),
            returned: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Shared<J>> {
        // No code that can panic runs under the lock.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False if it was to start a thread and the system gives none.
    fn carry_out(&self, call: Call) -> bool {
        match call {
            Call::Wake(seat) => seat.waker.wake(),
            Call::Spawn if spawn::<J>().is_err() => {
                let mut shared = self.lock();
                shared.workers -= 1;
                shared.coming -= 1;
                return false;
            }
            Call::Spawn => {}
        }
        true
    }

    /// After a thread could not be started. As long as there is another worker the jobs stay in the queue
    /// (true): it will come to them, and with each job that it or a start takes up the creation of a
    /// thread is tried again. Without any worker they go back to their owners, who report it (false).
    fn give_back(&self, jobs: &[Arc<J>]) -> bool {
        let mut shared = self.lock();
        if shared.workers > 0 {
            return true;
        }
        for job in jobs {
            drop(shared.queue.remove(job.place().ticket.swap(0, Ordering::Relaxed)));
        }
        // Others may have relied on the worker that was to come. They have been told that their job is being done, so
        // it ends.
        let stranded = shared.queue.drain();
        drop(shared);
        for job in stranded.iter().filter_map(Weak::upgrade) {
            job.give_up(libc::EAGAIN);
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
            while let Some((job, ticket)) = shared.take() {
                // Two, so that a long queue is met by a number of workers that doubles, and before the job, which may
                // take for ever.
                let calls = [shared.call(), shared.call()];
                drop(shared);
                for call in calls.into_iter().flatten() {
                    self.carry_out(call);
                }
                let returns = self.serve(&job);
                drop(job);
                shared = self.lock();
                shared.crew.ends(ticket);
                if returns {
                    // Who waits goes on when the lock is free: then this worker is idle, or at its next job.
                    self.returning.fetch_sub(1, Ordering::Relaxed);
                    if shared.awaited > 0 {
                        self.returned.notify_all();
                    }
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

    /// Does a job, if it is still wanted. Meanwhile the worker holds nothing of it but the work. Whether an
    /// outcome was handed in: then the worker is counted as returning.
    fn serve(&self, job: &Weak<J>) -> bool {
        let Some(wanted) = job.upgrade() else { return false };
        wanted.place().ticket.store(0, Ordering::Relaxed);
        let Some(work) = wanted.begin() else { return false };
        drop(wanted);
        let outcome = J::work(work);
        let Some(wanted) = job.upgrade() else { return false };
        // Before the owner is given it, so that no follower is served that the owner is about to give up.
        let place = wanted.place();
        if J::has_found(&outcome)
            && place.priority == Priority::Leading
            && let Some(link) = place.link.get()
        {
            link.leader_has_found();
        }
        // Seen by whoever sees the outcome, which is released to its owner after this.
        self.returning.fetch_add(1, Ordering::Relaxed);
        wanted.finish(outcome);
        true
    }
}

/// The size of a worker's stack in this process: larger than in its parent.
///
/// In the child of a fork glibc keeps the stacks of the threads that the fork left behind and gives them to
/// new threads, and with a stack comes what its thread had: seen with glibc 2.36, a new thread that gets the
/// stack of one that was in getaddrinfo(3) sends its questions through the resolver socket of that one, which
/// the child shares with the parent, and the parent reads the answers (lookups of the child took 5 and 10
/// seconds, or failed). glibc never hands out a stack smaller than what is asked for, so a worker that asks
/// for more than any worker of an ancestor had gets a fresh one.
fn stack_size() -> usize {
    STACK_SIZE + STACK_STEP * fork::generation().min(STACK_STEPS) as usize
}

fn spawn<J: Job>() -> std::io::Result<()> {
    module::pin();
    let mut tries = 1;
    loop {
        match thread::spawn_detached(c"happysock-look", stack_size(), || Pool::<J>::current().work()) {
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) && tries < SPAWN_TRIES => tries += 1,
            outcome => return outcome,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Tells its number when it is begun, and ends at a word, which is whether it has found something.
    type Work = (mpsc::Sender<u32>, mpsc::Receiver<bool>, u32);

    struct Task {
        place: Place,
        work: Mutex<Option<Work>>,
        done: mpsc::Sender<u32>,
        number: u32,
    }

    impl Job for Task {
        type Work = Work;
        type Outcome = bool;
        fn place(&self) -> &Place {
            &self.place
        }
        fn is_over(&self) -> bool {
            false
        }
        fn begin(self: &Arc<Task>) -> Option<Work> {
            self.work.lock().unwrap().take()
        }
        fn work((begun, end, number): Work) -> bool {
            begun.send(number).unwrap();
            // Whoever drops the sender has no more use for it.
            end.recv().unwrap_or(false)
        }
        fn has_found(&found: &bool) -> bool {
            found
        }
        fn finish(&self, _found: bool) {
            self.done.send(self.number).unwrap();
        }
        fn give_up(&self, sys_errno: i32) {
            panic!("a thread can be had: {sys_errno}");
        }
        fn pool() -> &'static PerProcess<Pool<Task>> {
            static POOL: PerProcess<Pool<Task>> = PerProcess::new();
            &POOL
        }
    }

    /// Held back means: not begun although a worker has come to look for work after its leader had found
    /// something. So the pool is given one more job, and what begins is compared.
    #[test]
    fn a_follower_that_was_submitted_alone_is_held_back_by_its_leader_and_no_other() {
        let patience = Duration::from_secs(30);
        let ((begun, begins), (done, dones)) = (mpsc::channel(), mpsc::channel());
        let task = |number, place| {
            let (end, ends) = mpsc::channel();
            let work = Mutex::new(Some((begun.clone(), ends, number)));
            (Arc::new(Task { place, work, done: done.clone(), number }), end)
        };
        let (leader, end_leader) = task(1, Place::leading());
        let (stranger, end_stranger) = task(2, Place::leading());
        submit(&[leader.clone(), stranger.clone()]);
        let mut both = [begins.recv_timeout(patience).unwrap(), begins.recv_timeout(patience).unwrap()];
        both.sort_unstable();
        assert_eq!(both, [1, 2]);
        let (follower, _end_follower) = task(3, Place::when_free(Some(&leader.place)));
        let (free, end_free) = task(4, Place::when_free(Some(&stranger.place)));
        end_leader.send(true).unwrap();
        assert_eq!(dones.recv_timeout(patience), Ok(1));
        // Both followers are submitted after the leader has found something, the one right behind a stranger that is
        // still busy.
        submit(std::slice::from_ref(&follower));
        submit(std::slice::from_ref(&free));
        assert_eq!(begins.recv_timeout(patience), Ok(4), "its leader has found nothing");
        end_free.send(true).unwrap();
        end_stranger.send(true).unwrap();
        let mut ended = [dones.recv_timeout(patience).unwrap(), dones.recv_timeout(patience).unwrap()];
        ended.sort_unstable();
        assert_eq!(ended, [2, 4]);
        assert!(begins.try_recv().is_err() && follower.place.is_queued());
        raise(&*follower);
        assert_eq!(begins.recv_timeout(patience), Ok(3));
        assert!(!follower.place.is_queued());
    }

    /// A job whose outcome is seen before its worker goes on: that is told when it may.
    struct Answer {
        place: Place,
        seen: mpsc::Sender<()>,
        may_go_on: Mutex<mpsc::Receiver<()>>,
    }

    impl Job for Answer {
        type Work = ();
        type Outcome = ();
        fn place(&self) -> &Place {
            &self.place
        }
        fn is_over(&self) -> bool {
            false
        }
        fn begin(self: &Arc<Answer>) -> Option<()> {
            Some(())
        }
        fn work(_work: ()) {}
        fn has_found(_outcome: &()) -> bool {
            true
        }
        fn finish(&self, _outcome: ()) {
            self.seen.send(()).unwrap();
            // An error is the word as well: the sender is gone.
            let _ = self.may_go_on.lock().unwrap().recv();
        }
        fn give_up(&self, sys_errno: i32) {
            panic!("a thread can be had: {sys_errno}");
        }
        fn pool() -> &'static PerProcess<Pool<Answer>> {
            static POOL: PerProcess<Pool<Answer>> = PerProcess::new();
            &POOL
        }
    }

    #[test]
    fn a_worker_whose_outcome_was_seen_is_waited_for_and_ends() {
        let patience = Duration::from_secs(60);
        let (seen, sees) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel();
        let job = Arc::new(Answer { place: Place::now(), seen, may_go_on: Mutex::new(may_go_on) });
        assert!(submit(std::slice::from_ref(&job)));
        sees.recv_timeout(patience).unwrap();
        // Not before somebody waits for it.
        let let_go = std::thread::spawn(move || {
            while Pool::<Answer>::current().lock().awaited == 0 {
                std::thread::yield_now();
            }
            drop(go_on);
        });
        assert!(end_idle_workers_within::<Answer>(patience), "the worker is left");
        let_go.join().unwrap();
        assert_eq!(Pool::<Answer>::current().lock().workers, 0);
    }

    #[test]
    fn a_worker_at_a_job_is_not_waited_for() {
        let (begun, begins) = mpsc::channel();
        let (done, dones) = mpsc::channel();
        let (end, ends) = mpsc::channel();
        let task = Arc::new(Task { place: Place::now(), work: Mutex::new(Some((begun, ends, 1))), done, number: 1 });
        assert!(submit(std::slice::from_ref(&task)));
        let patience = Duration::from_secs(60);
        begins.recv_timeout(patience).unwrap();
        assert!(!end_idle_workers::<Task>());
        end.send(true).unwrap();
        dones.recv_timeout(patience).unwrap();
    }
}
