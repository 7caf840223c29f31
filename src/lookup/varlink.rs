//! A name that is asked of systemd-resolved over its socket, without a thread.
//!
//! What is said, and what the reply means, is the business of [`dns::varlink`](crate::dns::varlink); here is
//! the connection. One for each name, as nss-resolve(8) does it, since the server answers one call of a
//! connection after the other; dropped, it ends the search in the server too.

use crate::dns::Families;
use crate::dns::failure::Failure;
use crate::dns::varlink::{Call, Outcome};
use crate::sys::Interest;
use crate::sys::local::LocalStream;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// A server that lets nobody in just now is tried again after so long, then after twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(640);

/// How much is read at a time: most replies, whole.
const PIECE: usize = 2048;
/// How many pieces of one reply are read at a time, so that none keeps its driver from the rest.
const PIECES: usize = 32;

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
    Open(LocalStream),
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
        match asked.go_on(path, now) {
            // There is no reply that soon, so there is no outcome but a failure.
            Some(outcome) => Err(outcome.err().unwrap_or(Failure::HOST_NOT_FOUND)),
            None => Ok(asked),
        }
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

    /// Does what can be done without waiting; `path` is the one that it began with. None: the reply is not
    /// there yet. Once there was an outcome it is over, and to be dropped.
    pub fn go_on(&mut self, path: &Path, now: Instant) -> Option<Outcome> {
        // What has come counts, however late it is read.
        let outcome = match self.enter(path, now) {
            Ok(false) => None,
            Ok(true) => self.converse(),
            Err(()) => Some(self.call.disconnected()),
        };
        outcome.or_else(|| self.call.expire(now))
    }

    /// Connects, unless that was done. Whether it is connected now.
    fn enter(&mut self, path: &Path, now: Instant) -> Result<bool, ()> {
        let Door::Full { again, pause } = self.door else { return Ok(true) };
        if now < again {
            return Ok(false);
        }
        match LocalStream::connect(path) {
            Ok(stream) => {
                self.door = Door::Open(stream);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.door = Door::Full { again: now + pause, pause: (pause * 2).min(LONGEST_PAUSE) };
                Ok(false)
            }
            Err(_) => Err(()),
        }
    }

    /// Sends what was not sent, and reads what is there.
    fn converse(&mut self) -> Option<Outcome> {
        let Door::Open(stream) = &self.door else { return None };
        while !self.call.unsent().is_empty() {
            match stream.send(self.call.unsent()) {
                Ok(count) => {
                    self.call.sent(count);
                    if self.call.unsent().is_empty() {
                        // It has only just been asked.
                        return None;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(_) => return Some(self.call.disconnected()),
            }
        }
        let mut buffer = [0; PIECE];
        for _ in 0..PIECES {
            match stream.receive(&mut buffer) {
                Ok(0) => return Some(self.call.disconnected()),
                Ok(count) => {
                    if let Some(outcome) = self.call.receive(&buffer[..count]) {
                        return Some(outcome);
                    }
                    // A piece that does not fill the buffer was the last one.
                    if count < PIECE {
                        return None;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(_) => return Some(self.call.disconnected()),
            }
        }
        None
    }
}
