//! The attempts of a race in the world: sockets that are being connected.

use super::key::Key;
use super::plan::{Hooks, Verdict};
use super::reactor::Reactor;
use crate::race::{AttemptId, Operation};
use crate::sys::Interest;
use crate::sys::socket::{Connecting, Socket};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// How far an attempt has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    /// Connected, and nobody has said whether it is wanted.
    Held,
    /// Connected, and it will win.
    Ready,
}

/// The socket of an attempt.
struct Dial {
    attempt: AttemptId,
    stage: Stage,
    socket: Socket,
}

/// The sockets that are being connected or held, and the one that has won.
pub(super) struct Dials {
    sockets: Vec<Dial>,
    winner: Option<Socket>,
    /// The winner is handed over in non-blocking mode.
    nonblocking: bool,
    /// The caller is asked whether a connection is wanted.
    confirm: bool,
    hooks: Option<Arc<dyn Hooks>>,
    /// The local addresses: an attempt binds to the first one of its family.
    locals: Box<[SocketAddr]>,
}

/// At which step an attempt failed, and why.
pub(super) type Failed = (Operation, io::Error);

impl Dials {
    pub fn new(nonblocking: bool, confirm: bool, hooks: Option<Arc<dyn Hooks>>, locals: Box<[SocketAddr]>) -> Dials {
        Dials { sockets: Vec::new(), winner: None, nonblocking, confirm, hooks, locals }
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
            Connecting::Done => self.connected(&socket)?,
            Connecting::InProgress => reactor
                .watch(Key::Attempt(attempt), socket.as_raw_fd(), Interest::Writable)
                .map_err(|error| (Operation::Wait, error))?,
        }
        if self.sockets.is_empty() {
            // Most races make one attempt; a vector would make room for four.
            self.sockets.reserve_exact(1);
        }
        self.sockets.push(Dial { attempt, stage: Stage::Connecting, socket });
        Ok(connecting == Connecting::Done)
    }

    /// The address that an attempt comes from: that of its route, or where none is known or the caller may
    /// have bound the socket what getsockname(2) says.
    pub fn source(&self, attempt: AttemptId, route: Option<IpAddr>) -> Option<IpAddr> {
        if route.is_some() && self.locals.is_empty() && self.hooks.is_none() {
            return route;
        }
        let Dial { socket, .. } = self.sockets.iter().find(|dial| dial.attempt == attempt)?;
        socket.local_address().ok()?.map(|address| address.ip().to_canonical())
    }

    /// The attempt's socket is ready: it is connected, or the error says why not and the socket is closed.
    /// None if nothing is waited for with it (any more).
    pub fn ready(&mut self, attempt: AttemptId, reactor: &mut impl Reactor) -> Option<Result<(), Failed>> {
        let connecting = |dial: &&Dial| dial.attempt == attempt && dial.stage == Stage::Connecting;
        let Dial { socket, .. } = self.sockets.iter().find(connecting)?;
        let connected = match socket.take_error() {
            Ok(()) => self.connected(socket),
            Err(error) => Err((Operation::Connect, error)),
        };
        if connected.is_err() {
            self.release(attempt, reactor);
        }
        Some(connected)
    }

    /// A socket that nobody has to confirm is the winner's, almost.
    fn connected(&self, socket: &Socket) -> Result<(), Failed> {
        if self.confirm { Ok(()) } else { self.make_ready(socket) }
    }

    /// Asks the caller whether the connection of an attempt is wanted. From here on the caller may wait for
    /// its socket, and nobody else does.
    pub fn hold(&mut self, attempt: AttemptId, destination: &SocketAddr, reactor: &mut impl Reactor) -> Verdict {
        let Some(dial) = self.sockets.iter_mut().find(|dial| dial.attempt == attempt) else { return Verdict::Later };
        dial.stage = Stage::Held;
        let fd = dial.socket.as_raw_fd();
        reactor.unwatch(Key::Attempt(attempt), fd);
        self.hooks.as_ref().map_or(Verdict::Yes, |hooks| hooks.confirm(dial.socket.as_fd(), destination))
    }

    /// The attempt that is held with this socket.
    pub fn held(&self, fd: RawFd) -> Option<AttemptId> {
        let is_held = |dial: &&Dial| dial.stage == Stage::Held && dial.socket.as_raw_fd() == fd;
        self.sockets.iter().find(is_held).map(|dial| dial.attempt)
    }

    /// The connection of an attempt that is held is wanted: its socket is made ready to be handed over.
    pub fn confirm(&mut self, attempt: AttemptId) -> Result<(), Failed> {
        let Some(index) = self.sockets.iter().position(|dial| dial.attempt == attempt) else { return Ok(()) };
        self.make_ready(&self.sockets[index].socket)?;
        self.sockets[index].stage = Stage::Ready;
        Ok(())
    }

    /// Closes the attempt's socket; who holds it is told before.
    pub fn abandon(&mut self, attempt: AttemptId, reactor: &mut impl Reactor) {
        if let Some(dial) = self.sockets.iter().find(|dial| dial.attempt == attempt) {
            self.tell_holder(dial);
        }
        self.release(attempt, reactor);
    }

    fn tell_holder(&self, dial: &Dial) {
        if let (Stage::Held, Some(hooks)) = (dial.stage, &self.hooks) {
            hooks.release_socket(dial.socket.as_raw_fd());
        }
    }

    /// Puts the socket into the mode in which it is handed over.
    fn make_ready(&self, socket: &Socket) -> Result<(), Failed> {
        if self.nonblocking { Ok(()) } else { socket.set_blocking().map_err(|error| (Operation::HandOver, error)) }
    }

    /// Takes the attempt's socket out of the reactor's hands.
    pub fn release(&mut self, attempt: AttemptId, reactor: &mut impl Reactor) -> Option<Socket> {
        let index = self.sockets.iter().position(|dial| dial.attempt == attempt)?;
        let Dial { socket, .. } = self.sockets.swap_remove(index);
        reactor.unwatch(Key::Attempt(attempt), socket.as_raw_fd());
        Some(socket)
    }

    /// Keeps the attempt's socket for [`take_winner`](Dials::take_winner).
    pub fn win(&mut self, attempt: AttemptId, reactor: &mut impl Reactor) {
        self.winner = self.release(attempt, reactor);
    }

    /// Closes every socket, the winner excepted.
    pub fn close(&mut self, reactor: &mut impl Reactor) {
        for dial in std::mem::take(&mut self.sockets) {
            self.tell_holder(&dial);
            reactor.unwatch(Key::Attempt(dial.attempt), dial.socket.as_raw_fd());
        }
    }

    pub fn take_winner(&mut self) -> Option<OwnedFd> {
        self.winner.take().map(Socket::into_owned)
    }

    /// How many are being connected or held.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// What is waited for.
    pub fn watched(&self) -> impl Iterator<Item = (Key, RawFd, Interest)> + '_ {
        let connecting = self.sockets.iter().filter(|dial| dial.stage == Stage::Connecting);
        connecting.map(|dial| (Key::Attempt(dial.attempt), dial.socket.as_raw_fd(), Interest::Writable))
    }

    /// What the caller lets a connect call.
    pub fn hooks(&self) -> Option<&Arc<dyn Hooks>> {
        self.hooks.as_ref()
    }
}
