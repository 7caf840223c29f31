//! Control-C and its like: told to whoever is at work, or else the end of the process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Added to a signal's number for the exit code, as shells do.
const SIGNAL_CODE: i32 = 128;

type Listener = Box<dyn Fn() + Send>;

/// Whether a signal has come, for those who look and for one who waits.
pub struct Stop {
    set: Arc<AtomicBool>,
    woken: Receiver<()>,
}

impl Stop {
    pub fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    /// Waits for so long; true when a signal came instead.
    pub fn wait(&self, limit: Duration) -> bool {
        self.woken.recv_timeout(limit).is_ok() || self.is_set()
    }
}

/// What a signal does at this moment.
#[derive(Clone, Default)]
pub struct Interrupts(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    listener: Option<Listener>,
    signal: Option<i32>,
}

impl Interrupts {
    /// Begins to listen for SIGINT, SIGTERM and SIGHUP, on a thread of its own.
    pub fn listen() -> std::io::Result<Interrupts> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        let interrupts = Interrupts::default();
        let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM])?;
        let heard = interrupts.clone();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                heard.hear(signal);
            }
        })?;
        Ok(interrupts)
    }

    fn hear(&self, signal: i32) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever asks twice wants no good-bye.
        if state.signal.replace(signal).is_some() || state.listener.is_none() {
            std::process::exit(SIGNAL_CODE + signal);
        }
        if let Some(listener) = &state.listener {
            listener();
        }
    }

    /// While `work` runs, a signal calls `listener` (on the listening thread) and does not end the process; a
    /// second one does.
    pub fn during<T>(&self, listener: impl Fn() + Send + 'static, work: impl FnOnce() -> T) -> T {
        self.set(Some(Box::new(listener)));
        let done = work();
        self.set(None);
        done
    }

    /// While `work` runs, a signal only sets what it is given; a second one ends the process.
    pub fn until_stopped<T>(&self, work: impl FnOnce(&Stop) -> T) -> T {
        let (wake, woken) = channel();
        let stop = Stop { set: Arc::default(), woken };
        let set = Arc::clone(&stop.set);
        let listener = move || {
            set.store(true, Ordering::Release);
            // Whoever waits is gone only with the work.
            let _ = wake.send(());
        };
        self.during(listener, || work(&stop))
    }

    /// The exit code for the signal that came, if one did.
    pub fn exit_code(&self) -> Option<u8> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.signal.map(|signal| (SIGNAL_CODE + signal) as u8)
    }

    fn set(&self, listener: Option<Listener>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).listener = listener;
    }
}
