//! The transport of a name server: UDP and TCP sockets, and messages that leave when they are due. What is
//! said is a [`Responder`]'s business.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags};

use crate::worker::{Stop, Worker, wait};

/// The port of DNS.
pub const PORT: u16 = 53;
/// The largest number of TCP connections served at once; further ones wait in the backlog.
const MAX_CONNECTIONS: usize = 64;

/// How a question arrived.
#[derive(Clone, Copy, Debug)]
pub struct Via {
    /// The address of ours that it was sent to.
    pub server: IpAddr,
    /// Whether it came over TCP.
    pub tcp: bool,
}

/// One thing to do about a question.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// How long after the question's arrival.
    pub after: Duration,
    /// The message to send; over TCP its length goes before it. None: a TCP connection is closed, over UDP
    /// nothing happens.
    pub bytes: Option<Vec<u8>>,
    /// Over UDP: from another port than the question was sent to, as a forger would.
    pub from_elsewhere: bool,
    /// Handed to [`Responder::sending`] when the message is sent.
    pub mark: Option<usize>,
}

impl Outgoing {
    /// A message that nobody is told of.
    pub fn message(after: Duration, bytes: Vec<u8>) -> Outgoing {
        Outgoing { after, bytes: Some(bytes), from_elsewhere: false, mark: None }
    }

    /// The end of a TCP connection.
    pub fn hang_up(after: Duration) -> Outgoing {
        Outgoing { after, bytes: None, from_elsewhere: false, mark: None }
    }
}

/// Decides what a name server says.
pub trait Responder: Send + 'static {
    /// What to do about `question`, which may be any bytes. An empty list keeps silent.
    fn respond(&mut self, question: &[u8], via: Via) -> Vec<Outgoing>;

    /// A message with this mark is sent next: whoever has received it finds what is noted here.
    fn sending(&mut self, mark: usize) {
        let _ = mark;
    }
}

/// An address to serve.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// Where questions arrive.
    pub address: IpAddr,
    /// Whether TCP is served as well; otherwise connections are refused.
    pub tcp: bool,
}

/// Starts a name server on `endpoints`, whose addresses the namespace of the calling thread has. It ends with
/// what is returned.
pub fn start(endpoints: &[Endpoint], responder: impl Responder) -> Result<Worker> {
    let mut sockets = Vec::new();
    let mut listeners = Vec::new();
    for &Endpoint { address, tcp } in endpoints {
        let socket = UdpSocket::bind((address, PORT)).with_context(|| format!("cannot bind UDP {address}:{PORT}"))?;
        socket.set_nonblocking(true)?;
        let elsewhere = UdpSocket::bind((address, 0)).with_context(|| format!("cannot bind UDP {address}"))?;
        sockets.push(Sockets { address, socket, elsewhere });
        if tcp {
            let listener =
                TcpListener::bind((address, PORT)).with_context(|| format!("cannot bind TCP {address}:{PORT}"))?;
            listener.set_nonblocking(true)?;
            listeners.push((address, listener));
        }
    }
    Worker::start("name server", move |stop| {
        let server = Server {
            responder,
            sockets,
            listeners,
            connections: HashMap::new(),
            accepted: 0,
            pending: BinaryHeap::new(),
            scheduled: 0,
        };
        server.run(&stop)
    })
}

/// Where a reply goes: an index into the sockets, or the number of a connection.
#[derive(Clone, Copy, Debug)]
enum Origin {
    Udp(usize, SocketAddr),
    Tcp(u64),
}

/// The sockets of an address.
struct Sockets {
    address: IpAddr,
    socket: UdpSocket,
    /// Of another port; nothing is read from it.
    elsewhere: UdpSocket,
}

struct Connection {
    server: IpAddr,
    stream: TcpStream,
    received: Vec<u8>,
}

/// What is due: when, then in the order of scheduling.
struct Pending {
    due: Instant,
    number: u64,
    to: Origin,
    what: Outgoing,
}

impl Pending {
    fn order(&self) -> (Instant, u64) {
        (self.due, self.number)
    }
}

impl PartialEq for Pending {
    fn eq(&self, other: &Pending) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Pending {}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Pending) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pending {
    /// The heap gives out its greatest, which is to be the earliest.
    fn cmp(&self, other: &Pending) -> Ordering {
        other.order().cmp(&self.order())
    }
}

struct Server<R> {
    responder: R,
    sockets: Vec<Sockets>,
    listeners: Vec<(IpAddr, TcpListener)>,
    connections: HashMap<u64, Connection>,
    accepted: u64,
    pending: BinaryHeap<Pending>,
    scheduled: u64,
}

impl<R: Responder> Server<R> {
    fn run(mut self, stop: &Stop) -> Result<()> {
        while !stop.requested() {
            let mut descriptors = vec![PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
            descriptors.extend(self.sockets.iter().map(|of| PollFd::new(of.socket.as_fd(), PollFlags::POLLIN)));
            if self.connections.len() < MAX_CONNECTIONS {
                let listeners = self.listeners.iter();
                descriptors.extend(listeners.map(|(_, listener)| PollFd::new(listener.as_fd(), PollFlags::POLLIN)));
            }
            let connections = self.connections.values();
            descriptors.extend(connections.map(|connection| PollFd::new(connection.stream.as_fd(), PollFlags::POLLIN)));
            wait(&mut descriptors, self.pending.peek().map(|pending| pending.due))?;
            self.receive();
            self.accept()?;
            self.read_connections();
            self.send_due();
        }
        Ok(())
    }

    fn receive(&mut self) {
        let mut buffer = [0_u8; 4096];
        for index in 0..self.sockets.len() {
            // Any error is passed over: EAGAIN means that all is read, the rest that a client has gone.
            while let Ok((length, peer)) = self.sockets[index].socket.recv_from(&mut buffer) {
                let via = Via { server: self.sockets[index].address, tcp: false };
                self.take_question(&buffer[..length], via, Origin::Udp(index, peer));
            }
        }
    }

    fn accept(&mut self) -> Result<()> {
        for (server, listener) in &self.listeners {
            while self.connections.len() < MAX_CONNECTIONS {
                let Ok((stream, _)) = listener.accept() else { break };
                stream.set_nonblocking(true)?;
                self.accepted += 1;
                self.connections.insert(self.accepted, Connection { server: *server, stream, received: Vec::new() });
            }
        }
        Ok(())
    }

    fn read_connections(&mut self) {
        let mut questions = Vec::new();
        self.connections.retain(|number, connection| {
            let mut buffer = [0_u8; 4096];
            let open = loop {
                match connection.stream.read(&mut buffer) {
                    Ok(0) => break false,
                    Ok(length) => connection.received.extend_from_slice(&buffer[..length]),
                    Err(error) => break matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
                }
            };
            // Each message comes after its length (RFC 1035 section 4.2.2).
            while let [high, low, rest @ ..] = connection.received.as_slice() {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                let Some(message) = rest.get(..length) else { break };
                questions.push((*number, connection.server, message.to_vec()));
                connection.received.drain(..2 + length);
            }
            open
        });
        for (number, server, message) in questions {
            self.take_question(&message, Via { server, tcp: true }, Origin::Tcp(number));
        }
    }

    fn take_question(&mut self, bytes: &[u8], via: Via, origin: Origin) {
        let now = Instant::now();
        for what in self.responder.respond(bytes, via) {
            self.scheduled += 1;
            self.pending.push(Pending { due: now + what.after, number: self.scheduled, to: origin, what });
        }
    }

    fn send_due(&mut self) {
        let now = Instant::now();
        while self.pending.peek().is_some_and(|pending| pending.due <= now) {
            let Some(Pending { to, what, .. }) = self.pending.pop() else { break };
            let Outgoing { bytes, from_elsewhere, mark, .. } = what;
            let mut note = || mark.into_iter().for_each(|mark| self.responder.sending(mark));
            // A client that has gone, and gets nothing, does not matter.
            match (to, bytes) {
                (Origin::Udp(index, peer), Some(bytes)) => {
                    let sockets = &self.sockets[index];
                    let socket = if from_elsewhere { &sockets.elsewhere } else { &sockets.socket };
                    note();
                    let _ = socket.send_to(&bytes, peer);
                }
                (Origin::Tcp(number), Some(bytes)) => {
                    if let Some(connection) = self.connections.get_mut(&number) {
                        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
                        note();
                        let _ = connection.stream.write_all(&[length.as_slice(), &bytes].concat());
                    }
                }
                (Origin::Tcp(number), None) => {
                    self.connections.remove(&number);
                }
                (Origin::Udp(..), None) => (),
            }
        }
    }
}
