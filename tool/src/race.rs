//! One race, run on a thread of its own while this one watches.

use crate::interrupt::Interrupts;
use crate::pipe::Peer;
use crate::record::{Record, ms};
use crate::tls::{Handshakes, Tls};
use happysock::race::{Placed, Trace};
use happysock::{Connect, Hooks, ServiceBinding, Verdict};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How often what moves is drawn again.
const FRAME: Duration = Duration::from_millis(50);

enum News {
    /// A step of the race, this long after its beginning.
    Step(Instant, Trace),
    Ended(Box<End>),
}

/// What is left of a race.
#[derive(Default)]
pub struct End {
    pub peer: Option<Arc<dyn Peer>>,
    /// Of a rehearsal that came to its end: the addresses in their order.
    pub order: Option<Vec<Placed>>,
    /// The handshakes that have failed, and why.
    pub handshake_failures: Vec<(SocketAddr, String)>,
    /// Why libc was asked for the host, if it was.
    why_libc: Option<&'static str>,
    /// What led to the winner.
    binding: Option<ServiceBinding>,
}

/// Passes what the race traces on to the thread that watches, and what has connected to its handshake.
pub struct Watcher {
    news: Sender<News>,
    handshakes: Option<Handshakes>,
}

impl Hooks for Watcher {
    fn configure_socket(&self, _fd: i32, _address: &SocketAddr) -> Result<(), i32> {
        Ok(())
    }

    fn confirm(&self, fd: BorrowedFd<'_>, address: &SocketAddr) -> Verdict {
        self.handshakes.as_ref().map_or(Verdict::Yes, |handshakes| handshakes.begin(fd, *address))
    }

    fn release_socket(&self, fd: RawFd) {
        if let Some(handshakes) = &self.handshakes {
            handshakes.cancel(fd);
        }
    }

    fn trace(&self, began: Instant, trace: &Trace) {
        // Nobody listens any more only where the process is about to end.
        let _ = self.news.send(News::Step(began, *trace));
    }
}

/// A race that was not started yet: its hooks go into the plan.
pub struct Starter {
    watcher: Arc<Watcher>,
    news: Receiver<News>,
}

impl Starter {
    /// With `tls` an attempt counts when its handshake is done; the options have to say `confirm`.
    pub fn new(tls: Option<&Tls>) -> Starter {
        let (sender, news) = channel();
        let handshakes = tls.cloned().map(Handshakes::new);
        Starter { watcher: Arc::new(Watcher { news: sender, handshakes }), news }
    }

    pub fn hooks(&self) -> Arc<dyn Hooks> {
        self.watcher.clone()
    }

    /// Runs it to its end, or until a signal comes, and takes it down in `record`. `show` is called with the
    /// milliseconds that have passed whenever there is something new, and many times a second.
    pub fn run(
        self,
        mut connect: Connect,
        record: &mut Record,
        interrupts: &Interrupts,
        mut show: impl FnMut(&Record, f64),
    ) -> std::io::Result<End> {
        let signals = connect.signals().clone();
        let began = Instant::now();
        let watcher = Arc::clone(&self.watcher);
        if let Some(handshakes) = &watcher.handshakes {
            handshakes.belong_to(&signals);
        }
        let driver = std::thread::Builder::new().name("race".to_owned()).spawn(move || {
            // Only a handshake that has ended interrupts it.
            while !connect.wait() {
                if let Some(handshakes) = &watcher.handshakes {
                    handshakes.tell(&mut connect);
                }
            }
            let report = connect.report();
            let why_libc = report.as_ref().and_then(|report| report.why_libc);
            let binding = report.as_ref().and_then(|report| report.binding.cloned());
            let socket = report.and_then(|report| report.socket).map(TcpStream::from);
            let peer = socket.map(|socket| -> Arc<dyn Peer> {
                let handshakes = watcher.handshakes.as_ref();
                match handshakes.and_then(|handshakes| handshakes.take_done(socket.as_raw_fd())) {
                    // It has a descriptor of its own for the same connection.
                    Some(session) => Arc::new(session),
                    None => Arc::new(socket),
                }
            });
            let order = connect.order().map(<[Placed]>::to_vec);
            let failures = watcher.handshakes.as_ref().map(Handshakes::failures).unwrap_or_default();
            let end = End { peer, order, why_libc, binding, handshake_failures: failures };
            let _ = watcher.news.send(News::Ended(Box::new(end)));
        })?;
        let end = interrupts.during(
            move || signals.cancel(),
            || loop {
                let mut news = self.news.recv_timeout(FRAME);
                // All that has come is taken in before anything is drawn.
                loop {
                    match news {
                        Ok(News::Step(began, Trace { at, kind })) => {
                            record.note(ms(at.saturating_duration_since(began)), &kind);
                        }
                        Ok(News::Ended(end)) => return *end,
                        Err(RecvTimeoutError::Timeout) => break,
                        Err(RecvTimeoutError::Disconnected) => return End::default(),
                    }
                    news = self.news.try_recv().map_err(|_| RecvTimeoutError::Timeout);
                }
                show(record, ms(began.elapsed()));
            },
        );
        // It has sent its last; a panic of its own would be a fault of the library.
        record.note_why_libc(end.why_libc);
        record.note_binding(end.binding.as_ref());
        driver.join().map_err(|_| std::io::Error::other("the race ended in a panic"))?;
        Ok(end)
    }
}
