//! A name that is asked of systemd-resolved over its socket, without a thread.
//!
//! What is said, and what the reply means, is the business of [`dns::varlink`](crate::dns::varlink); here is
//! the connection. One for each name, as nss-resolve(8) does it, since the server answers one call of a
//! connection after the other; dropped, it ends the search in the server too.

use crate::dns::Families;
use crate::dns::failure::Failure;
use crate::dns::varlink::{Call, Outcome, UNAVAILABLE};
use crate::sys::socket::Socket;
use crate::sys::{Interest, local};
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// A server that lets nobody in just now is tried again after so long, then after twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(640);

/// A name that is being asked. Its driver waits for its descriptor, if it has one, and for its deadline, and
/// then calls [`Asked::go_on`].
#[derive(Debug)]
pub struct Asked {
    call: Call,
    door: Door,
}

#[derive(Debug)]
enum Door {
    /// The server lets nobody in; tried again at this time, and after such a pause.
    Full {
        again: Instant,
        pause: Duration,
    },
    Open(Socket),
}

impl Asked {
    /// Asks the server that listens at `path` for a name: connects and sends, and waits for nothing.
    /// `tells_no_data` is described at [`Call::new`].
    ///
    /// # Errors
    /// It is known at once how the source fails: nobody listens there, most often.
    pub fn begin(
        path: &Path,
        name: &[u8],
        families: Families,
        tells_no_data: bool,
        now: Instant,
    ) -> Result<Asked, Failure> {
        let call = Call::new(name, families, tells_no_data, now)?;
        let mut asked = Asked { call, door: Door::Full { again: now, pause: FIRST_PAUSE } };
        asked.enter(path, now)?;
        asked.send()?;
        Ok(asked)
    }

    /// What to wait for besides the deadline. None while the server lets nobody in; another descriptor than
    /// before after [`Asked::go_on`] was let in.
    pub fn waits_for(&self) -> Option<(RawFd, Interest)> {
        match &self.door {
            Door::Full { .. } => None,
            Door::Open(stream) => {
                let interest = if self.call.unsent().is_empty() { Interest::Readable } else { Interest::Writable };
                Some((stream.as_raw_fd(), interest))
            }
        }
    }

    /// When [`Asked::go_on`] is to be called although no descriptor is ready.
    pub fn deadline(&self) -> Instant {
        match self.door {
            Door::Full { again, .. } => again.min(self.call.deadline()),
            Door::Open(_) => self.call.deadline(),
        }
    }

    /// Does what can be done without waiting: sends, and reads what is there into `buffer`, once, so that no
    /// reply keeps the driver from the rest. `path` is the one that it began with; the buffer has to have
    /// room, and what is in it does not matter. None: the reply is not there yet. Once there was an outcome
    /// it is over, and to be dropped.
    pub fn go_on(&mut self, path: &Path, now: Instant, buffer: &mut Vec<u8>) -> Option<Outcome> {
        // What has come counts, however late it is read.
        match self.try_to_go_on(path, now, buffer) {
            Ok(outcome) => outcome.or_else(|| self.call.expire(now)),
            Err(failure) => Some(Err(failure)),
        }
    }

    fn try_to_go_on(&mut self, path: &Path, now: Instant, buffer: &mut Vec<u8>) -> Result<Option<Outcome>, Failure> {
        self.enter(path, now)?;
        if self.send()? { self.receive(buffer) } else { Ok(None) }
    }

    /// Connects, unless that was done or is not to be tried yet.
    fn enter(&mut self, path: &Path, now: Instant) -> Result<(), Failure> {
        if let Door::Full { again, pause } = self.door
            && now >= again
        {
            self.door = match local::connect(path) {
                Ok(socket) => Door::Open(socket),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    Door::Full { again: now + pause, pause: (pause * 2).min(LONGEST_PAUSE) }
                }
                Err(_) => return Err(UNAVAILABLE),
            };
        }
        Ok(())
    }

    /// Sends what was not sent. Whether that is all.
    fn send(&mut self) -> Result<bool, Failure> {
        let Door::Open(socket) = &self.door else { return Ok(false) };
        while !self.call.unsent().is_empty() {
            match socket.send(self.call.unsent()) {
                Ok(count) => self.call.sent(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(_) => return Err(UNAVAILABLE),
            }
        }
        Ok(true)
    }

    fn receive(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Outcome>, Failure> {
        let Door::Open(socket) = &self.door else { return Ok(None) };
        match socket.receive(buffer) {
            Ok(0) => Err(UNAVAILABLE),
            Ok(_) => Ok(self.call.receive(buffer)),
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => Ok(None),
            Err(_) => Err(UNAVAILABLE),
        }
    }
}
