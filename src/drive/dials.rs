//! The attempts of a race in the world: sockets that are being connected.

use super::key::Key;
use super::plan::Hooks;
use super::reactor::Reactor;
use crate::race::{AttemptId, Operation};
use crate::sys::Interest;
use crate::sys::socket::{Connecting, Socket};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// The sockets that are being connected, and the one that has won.
pub(super) struct Dials {
    sockets: Vec<(AttemptId, Socket)>,
    winner: Option<Socket>,
    /// The winner is handed over in non-blocking mode.
    nonblocking: bool,
    hooks: Option<Arc<dyn Hooks>>,
    /// The local addresses: an attempt binds to the first one of its family.
    locals: Box<[SocketAddr]>,
}

/// At which step an attempt failed, and why.
pub(super) type Failed = (Operation, io::Error);

impl Dials {
    pub fn new(nonblocking: bool, hooks: Option<Arc<dyn Hooks>>, locals: Box<[SocketAddr]>) -> Dials {
        Dials { sockets: Vec::new(), winner: None, nonblocking, hooks, locals }
    }

    /// Attempts that begin from here on bind to one of these.
    pub fn bind_to(&mut self, locals: Vec<SocketAddr>) {
        self.locals = locals.into();
    }

    /// socket, configure, bind, connect. True if it is connected already.
    pub fn begin(
        &mut self,
        attempt: AttemptId,
        destination: &SocketAddr,
        reactor: &mut impl Reactor,
    ) -> Result<bool, Failed> {
        let socket = Socket::stream(destination).map_err(|error| (Operation::Socket, error))?;
        if let Some(hooks) = &self.hooks {
            hooks
                .configure_socket(socket.as_raw_fd(), destination)
                .map_err(|errno| (Operation::Configure, io::Error::from_raw_os_error(errno)))?;
        }
        if let Some(local) = self.locals.iter().find(|local| local.is_ipv6() == destination.is_ipv6()) {
            socket.bind(local).map_err(|error| (Operation::Bind, error))?;
        }
        let connecting = socket.connect(destination).map_err(|error| (Operation::Connect, error))?;
        match connecting {
            Connecting::Done => self.make_ready(&socket)?,
            Connecting::InProgress => reactor
                .watch(Key::Attempt(attempt), socket.as_raw_fd(), Interest::Writable)
                .map_err(|error| (Operation::Wait, error))?,
        }
        if self.sockets.is_empty() {
            // Most races make one attempt; a vector would make room for four.
            self.sockets.reserve_exact(1);
        }
        self.sockets.push((attempt, socket));
        Ok(connecting == Connecting::Done)
    }

    /// The address that an attempt comes from: that of its route, or where none is known or the caller may
    /// have bound the socket what getsockname(2) says.
    pub fn source(&self, attempt: AttemptId, route: Option<IpAddr>) -> Option<IpAddr> {
        if route.is_some() && self.locals.is_empty() && self.hooks.is_none() {
            return route;
        }
        let (_, socket) = self.sockets.iter().find(|(id, _)| *id == attempt)?;
        socket.local_address().ok()?.map(|address| address.ip().to_canonical())
    }

    /// The attempt's socket is ready: it is connected, or the error says why not and the socket is closed.
    /// None if there is no such socket (any more).
    pub fn ready(&mut self, attempt: AttemptId, reactor: &mut impl Reactor) -> Option<Result<(), Failed>> {
        let (_, socket) = self.sockets.iter().find(|(id, _)| *id == attempt)?;
        let connected = match socket.take_error() {
            Ok(()) => self.make_ready(socket),
            Err(error) => Err((Operation::Connect, error)),
        };
        if connected.is_err() {
            self.release(attempt, reactor);
        }
        Some(connected)
    }

    /// Puts the socket into the mode in which it is handed over.
    fn make_ready(&self, socket: &Socket) -> Result<(), Failed> {
        if self.nonblocking { Ok(()) } else { socket.set_blocking().map_err(|error| (Operation::HandOver, error)) }
    }

    /// Takes the attempt's socket out of the reactor's hands.
    pub fn release(&mut self, attempt: AttemptId, reactor: &mut impl Reactor) -> Option<Socket> {
        let index = self.sockets.iter().position(|(id, _)| *id == attempt)?;
        let (_, socket) = self.sockets.swap_remove(index);
        reactor.unwatch(Key::Attempt(attempt), socket.as_raw_fd());
        Some(socket)
    }

    /// Keeps the attempt's socket for [`take_winner`](Dials::take_winner).
    pub fn win(&mut self, attempt: AttemptId, reactor: &mut impl Reactor) {
        self.winner = self.release(attempt, reactor);
    }

    /// Closes every socket, the winner excepted.
    pub fn close(&mut self, reactor: &mut impl Reactor) {
        for (attempt, socket) in self.sockets.drain(..) {
            reactor.unwatch(Key::Attempt(attempt), socket.as_raw_fd());
        }
    }

    pub fn take_winner(&mut self) -> Option<OwnedFd> {
        self.winner.take().map(Socket::into_owned)
    }

    /// How many are being connected.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// What is waited for.
    pub fn watched(&self) -> impl Iterator<Item = (Key, RawFd, Interest)> + '_ {
        self.sockets.iter().map(|(attempt, socket)| (Key::Attempt(*attempt), socket.as_raw_fd(), Interest::Writable))
    }

    /// What the caller lets a connect call.
    pub fn hooks(&self) -> Option<&Arc<dyn Hooks>> {
        self.hooks.as_ref()
    }
}
