//! One race, run on a thread of its own while this one watches.

use crate::interrupt::Interrupts;
use crate::record::{Record, ms};
use happysock::race::{Placed, Trace};
use happysock::{Connect, Hooks};
use std::net::TcpStream;
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
    pub socket: Option<TcpStream>,
    /// Of a rehearsal that came to its end: the addresses in their order.
    pub order: Option<Vec<Placed>>,
    /// Why libc was asked for the host, if it was.
    why_libc: Option<&'static str>,
}

/// Passes what the race traces on to the thread that watches.
pub struct Watcher(Sender<News>);

impl Hooks for Watcher {
    fn configure_socket(&self, _fd: i32, _address: &std::net::SocketAddr) -> Result<(), i32> {
        Ok(())
    }

    fn trace(&self, began: Instant, trace: &Trace) {
        // Nobody listens any more only where the process is about to end.
        let _ = self.0.send(News::Step(began, *trace));
    }
}

/// A race that was not started yet: its hooks go into the plan.
pub struct Starter {
    watcher: Arc<Watcher>,
    news: Receiver<News>,
}

impl Starter {
    pub fn new() -> Starter {
        let (sender, news) = channel();
        Starter { watcher: Arc::new(Watcher(sender)), news }
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
        let done = self.watcher.0.clone();
        let driver = std::thread::Builder::new().name("race".to_owned()).spawn(move || {
            // Nobody interrupts it; a wait that ends has finished.
            while !connect.wait() {}
            let report = connect.report();
            let why_libc = report.as_ref().and_then(|report| report.why_libc);
            let socket = report.and_then(|report| report.socket).map(TcpStream::from);
            let order = connect.order().map(<[Placed]>::to_vec);
            let _ = done.send(News::Ended(Box::new(End { socket, order, why_libc })));
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
        driver.join().map_err(|_| std::io::Error::other("the race ended in a panic"))?;
        Ok(end)
    }
}
