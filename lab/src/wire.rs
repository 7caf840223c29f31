//! The wire: carries packets between two TUN devices, late or never where a path says so.
//!
//! Delay and loss are made here and not by netem, which many kernels lack; a path belongs to an address on
//! the server side, is changed at any moment, and needs no queueing discipline or filter for each address.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::poll::{PollFd, PollFlags};

use crate::scenario::{Family, Path, Translator};
use crate::translator::Translation;
use crate::worker::{Stop, Worker, wait};

/// Which path the packets of an address take. Shared between the wire and whoever changes the paths.
#[derive(Debug, Default)]
pub struct Paths {
    table: Mutex<Table>,
    /// Counts the calls of [`Paths::forget_queued`]; a packet queued under an earlier count is dropped.
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    by_address: HashMap<IpAddr, Path>,
    by_family: HashMap<Family, Path>,
}

impl Paths {
    /// The path to `address` from now on.
    pub fn set_address(&self, address: IpAddr, path: Path) {
        self.table.lock().unwrap().by_address.insert(address, path);
    }

    /// The path to the addresses of a family that have none of their own, from now on.
    pub fn set_family(&self, family: Family, path: Path) {
        self.table.lock().unwrap().by_family.insert(family, path);
    }

    /// Forgets every path but those of `kept`.
    pub fn clear_except(&self, kept: &[IpAddr]) {
        let mut table = self.table.lock().unwrap();
        table.by_family.clear();
        table.by_address.retain(|address, _| kept.contains(address));
    }

    /// Drops the packets that are still on their way.
    pub fn forget_queued(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    fn of(&self, address: IpAddr) -> Path {
        let table = self.table.lock().unwrap();
        let by_address = table.by_address.get(&address);
        *by_address.or_else(|| table.by_family.get(&Family::of(address))).unwrap_or(&Path::default())
    }
}

/// The two ends of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Client,
    Server,
}

/// A packet on its way, ordered by the time it is due and then by its arrival.
type Queued = Reverse<(Instant, u64, QueuedPacket)>;

#[derive(Debug, PartialEq, Eq)]
struct QueuedPacket {
    to: End,
    generation: u64,
    bytes: Vec<u8>,
}

impl PartialOrd for QueuedPacket {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for QueuedPacket {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        // Due time and arrival, which come first, are never equal for two packets.
        std::cmp::Ordering::Equal
    }
}

/// Starts the thread that carries the packets, through a translator if there is one.
pub fn start(
    client: File,
    server: File,
    paths: Arc<Paths>,
    translator: Option<Translator>,
    seed: u64,
) -> Result<Worker> {
    Worker::start("wire", move |stop| {
        let wire = Wire {
            client,
            server,
            paths,
            translation: translator.map(Translation::new),
            random: fastrand::Rng::with_seed(seed),
            queue: BinaryHeap::new(),
            arrivals: 0,
        };
        wire.run(&stop)
    })
}

struct Wire {
    client: File,
    server: File,
    paths: Arc<Paths>,
    translation: Option<Translation>,
    random: fastrand::Rng,
    queue: BinaryHeap<Queued>,
    arrivals: u64,
}

impl Wire {
    fn run(mut self, stop: &Stop) -> Result<()> {
        let mut buffer = vec![0_u8; 65_536];
        while !stop.requested() {
            let due = self.queue.peek().map(|Reverse((due, ..))| *due);
            let mut descriptors = [
                PollFd::new(stop.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.client.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.server.as_fd(), PollFlags::POLLIN),
            ];
            wait(&mut descriptors, due)?;
            self.take_in(End::Client, &mut buffer)?;
            self.take_in(End::Server, &mut buffer)?;
            self.deliver_due()?;
        }
        Ok(())
    }

    /// Reads what has arrived at one end and decides when each packet reaches the other, if at all.
    fn take_in(&mut self, from: End, buffer: &mut [u8]) -> Result<()> {
        let to = if from == End::Client { End::Server } else { End::Client };
        loop {
            let length = match self.device(from).read(buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let now = Instant::now();
            let packet = &buffer[..length];
            // Paths belong to addresses of the server side: they are those of the packet as it is there.
            let (there, packet) = match (&mut self.translation, from) {
                (None, _) => (addresses_of(packet), Some(packet.to_vec())),
                (Some(translation), End::Client) => {
                    let translated = translation.towards_server(packet);
                    (translated.as_deref().and_then(addresses_of), translated)
                }
                (Some(translation), End::Server) => (addresses_of(packet), translation.towards_client(packet)),
            };
            let (Some((source, destination)), Some(bytes)) = (there, packet) else { continue };
            let path = self.paths.of(if from == End::Client { destination } else { source });
            if path.black_hole || self.random.f64() * 100.0 < path.loss_percent {
                continue;
            }
            let delay = Duration::from_secs_f64(path.round_trip_ms / 2.0 / 1000.0);
            let generation = self.paths.generation.load(Ordering::SeqCst);
            self.arrivals += 1;
            let queued = QueuedPacket { to, generation, bytes };
            self.queue.push(Reverse((now + delay, self.arrivals, queued)));
        }
    }

    fn deliver_due(&mut self) -> Result<()> {
        let now = Instant::now();
        while self.queue.peek().is_some_and(|Reverse((due, ..))| *due <= now) {
            let Some(Reverse((_, _, packet))) = self.queue.pop() else { break };
            if packet.generation != self.paths.generation.load(Ordering::SeqCst) {
                continue;
            }
            match self.device(packet.to).write(&packet.bytes) {
                Ok(_) => (),
                // A full queue loses the packet, as a network does; anything else breaks the wire.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => (),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => (),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn device(&mut self, end: End) -> &mut File {
        match end {
            End::Client => &mut self.client,
            End::Server => &mut self.server,
        }
    }
}

/// The source and destination of an IP packet; None for what is not one.
fn addresses_of(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    match etherparse::IpSlice::from_slice(packet).ok()? {
        etherparse::IpSlice::Ipv4(slice) => {
            Some((slice.header().source_addr().into(), slice.header().destination_addr().into()))
        }
        etherparse::IpSlice::Ipv6(slice) => {
            Some((slice.header().source_addr().into(), slice.header().destination_addr().into()))
        }
    }
}
