//! One TCP connection to a server, for one question.

use crate::dns::Family;
use crate::dns::exchange::{TcpFailure, Transmission};
use crate::sys::Interest;
use crate::sys::socket::{Connecting, Socket};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};

/// The connection.
pub struct Stream {
    socket: Socket,
    pub walk: u32,
    pub family: Family,
    pub transmission: Transmission,
    connected: bool,
    /// What of the question is to be sent yet, with its length before it.
    unsent: Vec<u8>,
}

/// What has come of a connection that is ready.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing yet.
    Waits,
    /// The connection stands, and the question was begun to be sent.
    Connected,
    /// The question is on its way: from here on it is read from.
    Sent,
    /// Something has come, and lies in the buffer.
    Data,
    Failed(TcpFailure),
}

impl Stream {
    pub fn open(
        server: &SocketAddr,
        packet: &[u8],
        walk: u32,
        family: Family,
        transmission: Transmission,
    ) -> Result<Stream, TcpFailure> {
        let socket = Socket::stream(server).map_err(|error| failure(&error))?;
        // One that is connected at once is ready to be written to, as any is that is connected later.
        let (Connecting::Done | Connecting::InProgress) = socket.connect(server).map_err(|error| failure(&error))?;
        Ok(Stream { socket, walk, family, transmission, connected: false, unsent: packet.to_vec() })
    }

    /// What it waits for.
    pub fn interest(&self) -> Interest {
        if self.unsent.is_empty() { Interest::Readable } else { Interest::Writable }
    }

    /// It is ready. To be asked again after [`Step::Connected`].
    pub fn ready(&mut self, buffer: &mut Vec<u8>) -> Step {
        if !self.connected {
            if let Err(error) = self.socket.take_error() {
                return Step::Failed(failure(&error));
            }
            self.connected = true;
            return Step::Connected;
        }
        if !self.unsent.is_empty() {
            return match self.socket.send(&self.unsent) {
                Ok(count) => {
                    self.unsent.drain(..count);
                    if self.unsent.is_empty() { Step::Sent } else { Step::Waits }
                }
                Err(error) if is_passing(&error) => Step::Waits,
                Err(error) => Step::Failed(failure(&error)),
            };
        }
        match self.socket.receive(buffer) {
            Ok(0) => Step::Failed(TcpFailure::Closed),
            Ok(_) => Step::Data,
            Err(error) if is_passing(&error) => Step::Waits,
            Err(error) => Step::Failed(failure(&error)),
        }
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn failure(error: &io::Error) -> TcpFailure {
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => TcpFailure::Refused,
        Some(libc::ECONNRESET | libc::EPIPE) => TcpFailure::Reset,
        Some(libc::ETIMEDOUT) => TcpFailure::TimedOut,
        _ => TcpFailure::Other,
    }
}
