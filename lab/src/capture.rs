//! What the client's interface sends and receives, with the kernel's time stamps.

use std::collections::HashSet;
use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use hickory_proto::op::{Message, MessageType};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg, setsockopt,
    socket, sockopt,
};
use serde::Serialize;

use crate::dns;
use crate::name_server::PORT;
use crate::worker::{Worker, wait};

/// One packet of interest. Others, data and acknowledgements among them, are not kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Packet {
    /// When it passed the client's interface.
    #[serde(skip)]
    pub at: SystemTime,
    /// Whether the client sent it.
    pub sent: bool,
    /// Where it came from.
    pub source: SocketAddr,
    /// Where it was going.
    pub destination: SocketAddr,
    /// What it was.
    pub kind: Kind,
}

/// What a packet was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The first packet of a TCP connection.
    Syn {
        /// The same SYN was sent before.
        again: bool,
    },
    /// The answer to a SYN: the client has a connection.
    SynAck,
    /// A connection was refused or aborted.
    Reset,
    /// A DNS question over UDP.
    Question {
        /// The name, without the final dot.
        name: String,
        /// "A", "AAAA", ...
        record_type: String,
    },
    /// A DNS reply over UDP.
    Reply {
        /// The name, without the final dot.
        name: String,
        /// "A", "AAAA", ...
        record_type: String,
        /// The number of answer records.
        answers: usize,
    },
}

/// A packet socket on the client's interface and what it has seen.
#[derive(Debug)]
pub struct Capture {
    seen: Arc<Seen>,
    _worker: Worker,
}

#[derive(Debug)]
struct Seen {
    socket: OwnedFd,
    interface: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    packets: Vec<Packet>,
    syns: HashSet<(SocketAddr, SocketAddr)>,
    observer: Option<Observer>,
}

/// Called for each packet of interest, on the capture's thread or on one that asks for the packets.
pub type Observer = Box<dyn FnMut(&Packet) + Send>;

impl std::fmt::Debug for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("State").field("packets", &self.packets).finish_non_exhaustive()
    }
}

impl Capture {
    /// Starts to watch `interface` in the network namespace of the calling thread.
    pub fn start(interface: &str) -> Result<Capture> {
        let interface = nix::net::if_::if_nametoindex(interface)? as usize;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Packet, SockType::Datagram, flags, SockProtocol::EthAll)
            .context("cannot open a packet socket")?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&socket, sockopt::RcvBufForce, &(16 << 20))
            .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &(4 << 20)))?;
        let seen = Arc::new(Seen { socket, interface, state: Mutex::default() });
        let for_worker = Arc::clone(&seen);
        let worker = Worker::start("capture", move |stop| {
            while !stop.requested() {
                let mut descriptors = [
                    PollFd::new(stop.as_fd(), PollFlags::POLLIN),
                    PollFd::new(for_worker.socket.as_fd(), PollFlags::POLLIN),
                ];
                wait(&mut descriptors, None)?;
                for_worker.drain()?;
            }
            Ok(())
        })?;
        Ok(Capture { seen, _worker: worker })
    }

    /// Everything of interest that has passed since the start or the last [`Capture::clear`].
    pub fn packets(&self) -> Result<Vec<Packet>> {
        // The kernel queues a packet at the socket before the sender's system call returns, so that whatever a
        // command did before it ended is in this answer.
        self.seen.drain()?;
        Ok(self.seen.state.lock().unwrap().packets.clone())
    }

    /// Forgets what was seen.
    pub fn clear(&self) -> Result<()> {
        self.seen.drain()?;
        let mut state = self.seen.state.lock().unwrap();
        state.packets.clear();
        state.syns.clear();
        Ok(())
    }

    /// Calls `observer` from now on, in place of an earlier one.
    pub fn observe(&self, observer: Observer) {
        self.seen.state.lock().unwrap().observer = Some(observer);
    }
}

impl Seen {
    fn drain(&self) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        let mut buffer = vec![0_u8; 65_536];
        let mut control = nix::cmsg_space!(libc::timespec);
        loop {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let message = match recvmsg::<LinkAddr>(
                self.socket.as_raw_fd(),
                &mut slices,
                Some(&mut control),
                MsgFlags::empty(),
            ) {
                Ok(message) => message,
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error).context("cannot read the packet socket"),
            };
            let length = message.bytes;
            let Some(link) = message.address else { continue };
            let stamp = message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::ScmTimestampns(stamp) => Some(stamp),
                _ => None,
            });
            if link.ifindex() != self.interface {
                continue;
            }
            let at = stamp.map_or_else(SystemTime::now, |stamp| SystemTime::UNIX_EPOCH + Duration::from(stamp));
            let sent = link.pkttype() == libc::PACKET_OUTGOING;
            if let Some(packet) = state.read(&buffer[..length], at, sent) {
                if let Some(observer) = &mut state.observer {
                    observer(&packet);
                }
                state.packets.push(packet);
            }
        }
    }
}

impl State {
    fn read(&mut self, bytes: &[u8], at: SystemTime, sent: bool) -> Option<Packet> {
        let packet = SlicedPacket::from_ip(bytes).ok()?;
        let (from, to) = match packet.net? {
            NetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
            NetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
            NetSlice::Arp(_) => return None,
        };
        let (source, destination, kind) = match packet.transport? {
            TransportSlice::Tcp(tcp) => {
                let source = SocketAddr::new(from, tcp.source_port());
                let destination = SocketAddr::new(to, tcp.destination_port());
                let kind = match (tcp.syn(), tcp.ack(), tcp.rst()) {
                    (_, _, true) => Kind::Reset,
                    (true, true, _) => Kind::SynAck,
                    (true, false, _) => Kind::Syn { again: !self.syns.insert((source, destination)) },
                    _ => return None,
                };
                (source, destination, kind)
            }
            TransportSlice::Udp(udp) if udp.source_port() == PORT || udp.destination_port() == PORT => {
                let source = SocketAddr::new(from, udp.source_port());
                let destination = SocketAddr::new(to, udp.destination_port());
                let message = Message::from_vec(udp.payload()).ok()?;
                let query = message.queries.first()?;
                let (name, record_type) = (dns::text_of(query.name()), query.query_type().to_string());
                let kind = match message.metadata.message_type {
                    MessageType::Query => Kind::Question { name, record_type },
                    MessageType::Response => Kind::Reply { name, record_type, answers: message.answers.len() },
                };
                (source, destination, kind)
            }
            _ => return None,
        };
        Some(Packet { at, sent, source, destination, kind })
    }
}
