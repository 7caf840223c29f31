//! A connect under way for an event loop of a Rust program.

use super::blocking::ConnectError;
use super::connect::{Connect, Signals};
use super::plan::Options;
use super::target::Target;
use crate::race::Outcome;
use crate::sys::poll::{PollFd, poll};
use crate::sys::{Interest, errno_of};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// One connect under way, to be driven by any event loop or async runtime.
///
/// Its descriptor is readable whenever [`dispatch`](Connecting::dispatch) has something to do, timers
/// included: a runtime watches it for reading and needs nothing else. Dropping it ends the connect at once
/// and closes what is left of it. One thread at a time drives it; which one may change.
///
/// ```
/// use happysock::{Connecting, Options};
///
/// # fn readable(fd: std::os::fd::BorrowedFd<'_>) {
/// #     use std::os::fd::AsRawFd;
/// #     let mut fds = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
/// #     // SAFETY: one pollfd, which outlives the call.
/// #     unsafe { libc::poll(&mut fds, 1, -1) };
/// # }
/// # use std::os::fd::AsFd;
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let port = listener.local_addr()?.port();
/// let mut connecting = Connecting::new(("localhost", port), &Options::default())?;
/// let stream = loop {
///     match connecting.dispatch() {
///         Some(done) => break done?,
///         None => readable(connecting.as_fd()), // The runtime's part.
///     }
/// };
/// # drop(stream);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Connecting {
    /// With its descriptor made.
    connect: Connect,
    finished: bool,
}

impl Connecting {
    /// Begins a connect: its limits count from here; lookups run from the first dispatch on. Fails for a
    /// refused argument, and where there is no descriptor left.
    pub fn new<'a>(target: impl Into<Target<'a>>, options: &Options<'_>) -> Result<Connecting, ConnectError> {
        let mut connect = Connect::new(target.into().plan(options)?);
        connect.descriptor().map_err(|error| ConnectError::Failed {
            outcome: Outcome::Broken { sys_errno: errno_of(&error) },
            attempts: Vec::new(),
        })?;
        Ok(Connecting { connect, finished: false })
    }

    /// Does what is due, without waiting. None: it goes on. The stream is in blocking mode, unless the
    /// options ask otherwise.
    ///
    /// # Panics
    /// When it was finished before.
    pub fn dispatch(&mut self) -> Option<Result<TcpStream, ConnectError>> {
        assert!(!self.finished, "a connect is dispatched after it has finished");
        if !self.connect.dispatch() {
            return None;
        }
        self.finished = true;
        let report = self.connect.report().expect("a finished connect has a report");
        Some(ConnectError::stream_of(report))
    }

    /// Answers for an attempt that is held, as [`Connect::confirm`]; then dispatch.
    pub fn confirm(&mut self, fd: RawFd, wanted: bool) -> bool {
        self.connect.confirm(fd, wanted)
    }

    /// Whether the descriptor is readable at this moment: for runtimes that are told of a change only, and
    /// not for as long as it lasts.
    pub fn is_ready(&self) -> bool {
        // An error of poll(2) here is for the dispatch to find.
        !matches!(poll(&mut [PollFd::new(self.as_raw_fd(), Interest::Readable)], Some(Duration::ZERO)), Ok(0))
    }

    /// What other threads may use to cancel it.
    pub fn signals(&mut self) -> &Arc<Signals> {
        self.connect.signals()
    }
}

impl AsFd for Connecting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connect.made_descriptor().expect("made by new")
    }
}

impl AsRawFd for Connecting {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
