//! Threads that serve the network until it is taken down.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::PollFd;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;

/// Tells a worker to end: a flag, and a descriptor that stays readable from then on.
#[derive(Clone, Debug)]
pub struct Stop(Arc<(AtomicBool, EventFd)>);

impl Stop {
    fn new() -> Result<Stop> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Stop(Arc::new((AtomicBool::new(false), event))))
    }

    /// Whether the worker is to end.
    pub fn requested(&self) -> bool {
        self.0.0.load(Ordering::SeqCst)
    }

    fn request(&self) {
        self.0.0.store(true, Ordering::SeqCst);
        // The counter of an eventfd cannot overflow here: it is written to once.
        let _ = self.0.1.write(1);
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.1.as_fd()
    }
}

/// A thread that ends when this is dropped.
#[derive(Debug)]
pub struct Worker {
    name: &'static str,
    stop: Stop,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Worker {
    /// Starts `work` on a thread of its own; it returns soon after the stop is requested.
    pub fn start(name: &'static str, work: impl FnOnce(Stop) -> Result<()> + Send + 'static) -> Result<Worker> {
        let stop = Stop::new()?;
        let for_thread = stop.clone();
        let thread = thread::Builder::new()
            .name(format!("lab {name}"))
            .spawn(move || {
                be_punctual();
                work(for_thread)
            })
            .with_context(|| format!("cannot start the thread of the {name}"))?;
        Ok(Worker { name, stop, thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.request();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => eprintln!("lab: the {} failed: {error:#}", self.name),
            Some(Err(_)) => eprintln!("lab: the {} panicked", self.name),
            _ => (),
        }
    }
}

/// Asks the kernel to wake this thread on time, also while others compute.
///
/// The thread's delays are what the lab measures with, and 50 us of timer slack (the default, prctl(2)) or a
/// busy machine would show in every figure. Real-time priority needs a privilege; without it the thread is
/// merely less exact.
fn be_punctual() {
    let _ = nix::sys::prctl::set_timerslack(1);
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: the call reads `priority`, which lives across it, and concerns only the calling thread. The flag
    // keeps threads and processes that come from this one at their ordinary priority.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &priority) };
}

/// Waits until a descriptor is ready or `due` has come; spurious returns are possible.
pub fn wait(descriptors: &mut [PollFd<'_>], due: Option<Instant>) -> Result<()> {
    let limit = due.map(|due| TimeSpec::from_duration(due.saturating_duration_since(Instant::now())));
    match nix::poll::ppoll(descriptors, limit, None) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
