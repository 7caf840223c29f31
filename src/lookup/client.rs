//! Names looked up without a thread: the sockets, ids and time that the walks of `dns` need.
//!
//! A [`Client`] belongs to whoever drives it, one thread at a time; it never blocks, and waits for nothing by
//! itself. Its driver waits for its descriptors, which it hands over through [`Watcher`], and for its
//! [deadline](Client::deadline); then calls [`Client::ready`] or [`Client::expire`], and takes the answers
//! out. Sockets are made on demand, in the network namespace and with the privileges of the driving thread,
//! and none is left when nothing is asked.
//!
//! Both questions of a name leave at once, AAAA first. To a server on another machine each goes from a socket
//! of its own: two datagrams from one port that meet in a connection tracker before either is known to it
//! lose one of them, and five seconds. A server on this machine is asked from one socket for both.

mod datagrams;
mod ids;
mod stream;
mod window;

use self::datagrams::{Datagrams, UnderWay};
use self::ids::Ids;
use self::stream::{Step, Stream};
use self::window::Window;
use super::answer::{Answer, Found};
use super::deadlines::Deadlines;
use super::query::Query;
use super::system::{RESOLVE_SOCKET, System};
use super::varlink::Asked;
use crate::dns::answer::Address;
use crate::dns::exchange::{TcpFailure, Transmission};
use crate::dns::failure::{Failure, HostError, Status};
use crate::dns::gate::{Ask, Reason};
use crate::dns::message::Transport;
use crate::dns::question::LONGEST_QUERY;
use crate::dns::varlink::UNAVAILABLE;
use crate::dns::walk::{Action, Event, Walk};
use crate::dns::{Families, Family};
use crate::race::{AnsweredBy, LookupError};
use crate::sys::{Interest, random};
use std::collections::VecDeque;
use std::collections::hash_map::{Entry as MapEntry, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// How many messages of one socket are read at a time: a flood of junk must not keep the driver from the
/// rest.
const READS: usize = 64;
/// The largest message there is: a length of 16 bits (RFC 1035, section 4.2.2; UDP).
const LARGEST_MESSAGE: usize = 65_535;
/// systemd-resolved lets a user have 1024 connections, and serves 2048 questions at a time, of all users.
const MOST_RESOLVED: u32 = 256;
/// No socket.
const NONE: u32 = u32::MAX;

/// Who waits for the descriptors of a client.
pub trait Watcher {
    /// Begins to wait for a descriptor; an error fails what it is waited for. `socket` is what
    /// [`Client::ready`] is told.
    fn watch(&mut self, socket: u32, fd: RawFd, interest: Interest) -> io::Result<()>;
    /// Ends that; the descriptor is closed next, or watched for something else.
    fn unwatch(&mut self, socket: u32, fd: RawFd);
}

/// A lookup by a client. It means nothing any more once the lookup has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkId {
    place: u32,
    serial: u64,
}

/// What is known of a family of a name: the last word of it.
#[derive(Clone, Debug)]
pub struct Told {
    /// `AF_INET6` or `AF_INET`.
    pub family: i32,
    addresses: Result<Vec<Address>, LookupError>,
    /// Who has said so.
    pub by: AnsweredBy,
}

impl Told {
    /// The answer for one who has asked for a port.
    pub fn into_answer(self, port: u16) -> Answer {
        let with_port = |addresses: Vec<Address>| addresses.iter().map(|address| address.with_port(port)).collect();
        self.addresses.map(|addresses| Found::Addresses(with_port(addresses)))
    }
}

fn address_family(family: Family) -> i32 {
    match family {
        Family::V6 => libc::AF_INET6,
        Family::V4 => libc::AF_INET,
    }
}

/// Something for the owner of a lookup.
#[derive(Debug)]
pub struct Delivery {
    /// As it was given to [`Client::begin`].
    pub owner: u64,
    pub told: Told,
}

/// See the module's documentation.
pub struct Client {
    /// Many names are looked up by it, so equal ones are asked once.
    shared: bool,
    /// As getaddrinfo(3) has it.
    as_libc: bool,
    lookups: Vec<Option<Lookup>>,
    free: Vec<u32>,
    active: usize,
    last_serial: u64,
    sockets: Vec<Option<Channel>>,
    servers: Vec<(SocketAddr, Window)>,
    /// How many names systemd-resolved is being asked for.
    resolved: u32,
    /// Lookups that wait for their servers' windows, in the order in which they came there.
    waiting: VecDeque<WalkId>,
    deadlines: Option<Deadlines>,
    /// Lookups in flight by what they ask.
    equal: HashMap<u64, u32>,
    hasher: RandomState,
    ids: Ids,
    deliveries: VecDeque<Delivery>,
    /// What hosts(5) has said to one who stands in for getaddrinfo(3), of both families in the file's order.
    listed: Vec<Address>,
    /// As the system was when it was last looked at in this turn, and whether that holds for resolv.conf(5).
    system: Option<(Arc<System>, bool)>,
    buffer: Vec<u8>,
}

struct Lookup {
    serial: u64,
    query: Query,
    families: Families,
    owners: Vec<u64>,
    /// What the owners were told, for those that join later.
    told: Vec<Told>,
    /// The place in `Client::equal`.
    hash: u64,
    /// None while it waits for its turn.
    walk: Option<Box<Walk>>,
    by: AnsweredBy,
    /// Whose window it counts in, and with how many questions.
    window: u16,
    counted: u8,
    /// It was begun anew, since resolv.conf(5) had changed.
    renewed: bool,
    /// A question of it may be under way through more than one socket.
    resent: bool,
    /// The sockets through which the questions went last, by family.
    datagrams: [u32; 2],
    streams: [u32; 2],
    /// The connection to systemd-resolved.
    resolved: u32,
}

enum Channel {
    Datagrams(Datagrams),
    Stream(Stream),
    /// With the place of its walk. What it waits for changes; what it was watched for is kept beside.
    Resolved(Asked, u32, Option<(RawFd, Interest)>),
}

impl Channel {
    /// What it is waited for, if it has a descriptor.
    fn waits_for(&self) -> Option<(RawFd, Interest)> {
        match self {
            Channel::Datagrams(datagrams) => Some((datagrams.as_raw_fd(), Interest::Readable)),
            Channel::Stream(stream) => Some((stream.as_raw_fd(), stream.interest())),
            Channel::Resolved(.., watched) => *watched,
        }
    }
}

impl Client {
    /// For one name.
    pub fn lone() -> Client {
        Client::new(false, Ids::few())
    }

    /// For one name, in the place of getaddrinfo(3): nothing is told before all is known, which is what makes
    /// it answer as libc does also where servers answer with rubbish.
    pub fn in_place_of_libc() -> Client {
        Client { as_libc: true, ..Client::lone() }
    }

    /// For many names.
    pub fn shared() -> Client {
        Client::new(true, Ids::many())
    }

    fn new(shared: bool, ids: Ids) -> Client {
        Client {
            shared,
            as_libc: false,
            lookups: Vec::new(),
            free: Vec::new(),
            active: 0,
            last_serial: 0,
            sockets: Vec::new(),
            servers: Vec::new(),
            resolved: 0,
            waiting: VecDeque::new(),
            deadlines: None,
            equal: HashMap::new(),
            hasher: RandomState::new(),
            ids,
            deliveries: VecDeque::new(),
            listed: Vec::new(),
            system: None,
            buffer: Vec::new(),
        }
    }

    /// Begins to look up the host of a query, for its family or for both. Answers, some of them at once, are
    /// told under `owner`, one for each family.
    ///
    /// # Errors
    /// Why only libc can do it. Nothing was begun.
    pub fn begin(
        &mut self,
        now: Instant,
        query: &Query,
        owner: u64,
        watcher: &mut impl Watcher,
    ) -> Result<WalkId, Reason> {
        let families = match query.hints().family {
            libc::AF_INET6 => Families::Only(Family::V6),
            libc::AF_INET => Families::Only(Family::V4),
            libc::AF_UNSPEC => Families::Both,
            // Which libc refuses.
            _ => return Err(Reason::Flags),
        };
        if query.is_for_libc() {
            return Err(Reason::Program);
        }
        if query.port().is_none() {
            return Err(Reason::Service);
        }
        if query.hints().flags & libc::AI_ADDRCONFIG != 0 {
            return Err(Reason::Flags);
        }
        let name = query.node().map_or(&b""[..], |name| name.to_bytes());
        self.system().decide(name, families, query.hints().flags)?;
        let hash = if self.shared { self.hasher.hash_one((name, families)) } else { 0 };
        if let Some(place) = self.equal.get(&hash).copied().filter(|_| self.shared)
            && let Some(lookup) = self.lookups[place as usize].as_mut()
            && lookup.families == families
            && lookup.query.node() == query.node()
        {
            lookup.owners.push(owner);
            self.deliveries.extend(lookup.told.iter().map(|told| Delivery { owner, told: told.clone() }));
            return Ok(WalkId { place, serial: lookup.serial });
        }
        self.last_serial += 1;
        let serial = self.last_serial;
        let lookup = Lookup {
            serial,
            query: query.clone(),
            families,
            owners: vec![owner],
            told: Vec::new(),
            hash,
            walk: None,
            by: AnsweredBy::NameServer(None),
            window: 0,
            counted: 0,
            renewed: false,
            resent: false,
            datagrams: [NONE; 2],
            streams: [NONE; 2],
            resolved: NONE,
        };
        let place = self.free.pop().unwrap_or_else(|| {
            self.lookups.push(None);
            self.lookups.len() as u32 - 1
        });
        self.lookups[place as usize] = Some(lookup);
        self.active += 1;
        if self.shared
            && let MapEntry::Vacant(vacant) = self.equal.entry(hash)
        {
            vacant.insert(place);
        }
        match self.try_to_go_on(now, place, watcher) {
            Ok(()) => Ok(WalkId { place, serial }),
            Err(reason) => {
                self.end(now, place, watcher);
                Err(reason)
            }
        }
    }

    /// An owner wants no more of a lookup. What has been told to it already may still be among the
    /// deliveries.
    pub fn abandon(&mut self, now: Instant, id: WalkId, owner: u64, watcher: &mut impl Watcher) {
        let Some(lookup) = self.find(id) else { return };
        if let Some(place) = lookup.owners.iter().position(|&other| other == owner) {
            lookup.owners.swap_remove(place);
        }
        if lookup.owners.is_empty() {
            self.end(now, id.place, watcher);
            self.admit_waiting(now, watcher);
        }
    }

    /// A descriptor is ready.
    pub fn ready(&mut self, now: Instant, socket: u32, watcher: &mut impl Watcher) {
        match self.sockets.get(socket as usize) {
            Some(Some(Channel::Datagrams(datagrams))) => {
                // One message for each question, as a rule; whatever else comes is left for the next time.
                let reads = datagrams.len().clamp(1, READS);
                let fd = datagrams.as_raw_fd();
                for _ in 0..reads {
                    if !self.receive(now, socket, fd, watcher) {
                        break;
                    }
                }
            }
            Some(Some(Channel::Stream(_))) => self.stream_ready(now, socket, watcher),
            Some(Some(Channel::Resolved(_, place, _))) => {
                let place = *place;
                self.resolved_ready(now, place, watcher);
                self.go_on(now, place, watcher);
            }
            _ => {}
        }
        self.admit_waiting(now, watcher);
    }

    /// Does what is due by now.
    pub fn expire(&mut self, now: Instant, watcher: &mut impl Watcher) {
        while let Some(place) = self.deadlines.as_mut().and_then(|deadlines| deadlines.expired(now)) {
            self.resolved_ready(now, place, watcher);
            self.go_on(now, place, watcher);
        }
        self.admit_waiting(now, watcher);
    }

    /// When [`Client::expire`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadlines.as_ref().and_then(Deadlines::nearest)
    }

    /// The next answer for somebody.
    pub fn next_delivery(&mut self) -> Option<Delivery> {
        self.deliveries.pop_front()
    }

    pub fn has_deliveries(&self) -> bool {
        !self.deliveries.is_empty()
    }

    /// The addresses that [`Client::in_place_of_libc`] has found, in the order in which its source has them,
    /// where that has both families in one list.
    pub fn take_listed(&mut self) -> Vec<SocketAddr> {
        std::mem::take(&mut self.listed).into_iter().map(|address| address.with_port(0)).collect()
    }

    /// What is waited for.
    pub fn watched(&self) -> impl Iterator<Item = (u32, RawFd, Interest)> + '_ {
        let watched = |(place, channel): (usize, &Option<Channel>)| {
            let (fd, interest) = channel.as_ref().and_then(Channel::waits_for)?;
            Some((place as u32, fd, interest))
        };
        self.sockets.iter().enumerate().filter_map(watched)
    }

    /// Whether a descriptor is waited for.
    pub fn is_watching(&self) -> bool {
        self.watched().next().is_some()
    }

    /// A turn of the driver is over: the next one looks at the system's configuration again.
    pub fn end_turn(&mut self) {
        self.system = None;
    }

    fn find(&mut self, id: WalkId) -> Option<&mut Lookup> {
        self.lookups.get_mut(id.place as usize)?.as_mut().filter(|lookup| lookup.serial == id.serial)
    }

    /// The system as it is in this turn.
    fn system(&mut self) -> Arc<System> {
        Arc::clone(&self.system.get_or_insert_with(|| (System::now(), false)).0)
    }

    /// Whether the servers that are known are those of now; if not, the system is read again.
    fn has_current_servers(&mut self) -> bool {
        let system = self.system();
        let checked = self.system.as_ref().is_some_and(|(_, checked)| *checked);
        if checked || system.has_current_servers() {
            self.system = Some((system, true));
            return true;
        }
        self.system = Some((System::read_again(), true));
        false
    }

    /// Makes the walk of a lookup that has none.
    fn make_walk(&mut self, place: u32) -> Result<(), Reason> {
        let system = self.system();
        let Some(lookup) = self.lookups[place as usize].as_mut() else { return Ok(()) };
        let name = lookup.query.node().map_or(&b""[..], |name| name.to_bytes());
        let steps = system.decide(name, lookup.families, lookup.query.hints().flags)?;
        let conf = system.resolv_conf();
        let first_server = if conf.rotate { next_first_server() } else { 0 };
        let walk = Walk::new(name, lookup.families, Arc::clone(steps), Arc::clone(conf), first_server);
        lookup.walk = Some(Box::new(if self.as_libc { walk.as_libc() } else { walk }));
        Ok(())
    }

    /// Does all that a lookup has to do at this moment.
    fn go_on(&mut self, now: Instant, place: u32, watcher: &mut impl Watcher) {
        if self.try_to_go_on(now, place, watcher).is_err() {
            // While it waited for its turn the system has become one that only libc can follow.
            self.fail(now, place, watcher);
        }
    }

    /// As [`Client::go_on`].
    ///
    /// # Errors
    /// Only libc can go on; nobody was told anything.
    fn try_to_go_on(&mut self, now: Instant, place: u32, watcher: &mut impl Watcher) -> Result<(), Reason> {
        loop {
            if self.lookups[place as usize].as_ref().is_some_and(|lookup| lookup.walk.is_none()) {
                self.make_walk(place)?;
            }
            let Some(lookup) = self.lookups[place as usize].as_mut() else { return Ok(()) };
            let Some(walk) = lookup.walk.as_mut() else { return Ok(()) };
            if lookup.counted == 0 && walk.asks_servers_next() {
                if !lookup.renewed && !self.has_current_servers() {
                    self.renew(place);
                    continue;
                }
                if !self.is_admitted(place) {
                    return Ok(());
                }
                continue;
            }
            if walk.asks_resolved_next() && self.resolved >= MOST_RESOLVED {
                self.wait_for_room(place);
                return Ok(());
            }
            let Some(action) = walk.next_action(now) else { break };
            match action {
                Action::Ask(Ask::Files { multi }) => self.ask_files(now, place, multi),
                Action::Ask(Ask::Resolve { tells_no_data }) => self.ask_resolved(now, place, tells_no_data, watcher),
                // A walk goes through these by itself.
                Action::Ask(Ask::Dns | Ask::Nobody(_)) => {}
                Action::Send { transmission, family, server, transport: Transport::Udp } => {
                    self.send(now, place, transmission, family, server, watcher);
                }
                Action::Send { transmission, family, server, transport: Transport::Tcp } => {
                    self.open_stream(now, place, transmission, family, server, watcher);
                }
                Action::Answered { family, answer } => {
                    self.question_ended(now, place, Some(family), watcher);
                    self.tell(place, family, answer.map(|addresses| addresses.list));
                }
                Action::Finish => {
                    self.end(now, place, watcher);
                    return Ok(());
                }
            }
        }
        self.set_deadline(now, place);
        Ok(())
    }

    fn set_deadline(&mut self, now: Instant, place: u32) {
        let lookup = self.lookups[place as usize].as_ref();
        let of_walk = lookup.and_then(|lookup| lookup.walk.as_ref()).and_then(|walk| walk.deadline());
        let resolved = lookup.and_then(|lookup| self.sockets.get(lookup.resolved as usize));
        let deadline = match resolved {
            Some(Some(Channel::Resolved(asked, ..))) => Some(asked.deadline()),
            _ => of_walk,
        };
        if deadline.is_some() || self.deadlines.is_some() {
            self.deadlines.get_or_insert_with(|| Deadlines::new(now)).set(place, deadline);
        }
    }

    /// Begins a lookup anew by what the system says now; it has asked nobody yet but hosts(5).
    fn renew(&mut self, place: u32) {
        if let Some(lookup) = self.lookups[place as usize].as_mut() {
            lookup.walk = None;
            lookup.renewed = true;
        }
    }

    /// Whether a lookup may go to its servers now. If not it waits, without its walk.
    fn is_admitted(&mut self, place: u32) -> bool {
        let Some(lookup) = self.lookups[place as usize].as_mut() else { return false };
        let Some(server) = lookup.walk.as_ref().and_then(|walk| walk.first_server()) else { return false };
        let questions: u8 = if lookup.families == Families::Both { 2 } else { 1 };
        let window = self.servers.iter().position(|(known, _)| *known == server).unwrap_or_else(|| {
            self.servers.push((server, Window::new()));
            self.servers.len() - 1
        });
        if !self.servers[window].1.admits(u32::from(questions)) {
            self.wait_for_room(place);
            return false;
        }
        self.servers[window].1.begin(u32::from(questions));
        (lookup.window, lookup.counted) = (window as u16, questions);
        true
    }

    /// A lookup waits, without its walk, until those before it have gone.
    fn wait_for_room(&mut self, place: u32) {
        if let Some(lookup) = self.lookups[place as usize].as_mut() {
            lookup.walk = None;
            self.waiting.push_back(WalkId { place, serial: lookup.serial });
        }
    }

    /// Lets those that wait go to their servers, as far as there is room.
    fn admit_waiting(&mut self, now: Instant, watcher: &mut impl Watcher) {
        for _ in 0..self.waiting.len() {
            let Some(&id) = self.waiting.front() else { return };
            // One is always let through where nothing is under way, so that is no reason to look.
            let is_full = self.resolved >= MOST_RESOLVED || self.resolved == 0;
            if is_full && self.find(id).is_some() && !self.servers.iter().any(|(_, window)| window.admits(2)) {
                return;
            }
            self.waiting.pop_front();
            if self.find(id).is_some() {
                self.go_on(now, id.place, watcher);
            }
        }
    }

    fn ask_files(&mut self, now: Instant, place: u32, multi: bool) {
        let system = self.system();
        let Some(lookup) = self.lookups[place as usize].as_mut() else { return };
        lookup.by = AnsweredBy::Hosts;
        let Some(walk) = lookup.walk.as_mut() else { return };
        let failure = match system.hosts() {
            Some(hosts) => {
                let found = hosts.addresses(walk.name(), lookup.families, multi);
                let addresses: Vec<Address> = found.map(Address::from).collect();
                if !addresses.is_empty() {
                    walk.handle(now, Event::SourceFound { addresses: &addresses, ttl: None });
                    if self.as_libc {
                        self.listed = addresses;
                    }
                    return;
                }
                Failure::HOST_NOT_FOUND
            }
            // There is no such file, or none that this process may read.
            None => Failure { status: Status::Unavailable, error: HostError::NoRecovery },
        };
        walk.handle(now, Event::SourceFailed { failure });
    }

    /// Asks systemd-resolved, over a connection of its own.
    fn ask_resolved(&mut self, now: Instant, place: u32, tells_no_data: bool, watcher: &mut impl Watcher) {
        let Some(lookup) = self.lookups[place as usize].as_mut() else { return };
        lookup.by = AnsweredBy::Resolved;
        let Some(walk) = lookup.walk.as_ref() else { return };
        let begun = Asked::begin(Path::new(RESOLVE_SOCKET), walk.name(), lookup.families, tells_no_data, now);
        match begun {
            Ok(asked) => {
                let watched = asked.waits_for();
                self.resolved += 1;
                match self.keep(Channel::Resolved(asked, place, watched), watcher) {
                    Ok(socket) => {
                        if let Some(lookup) = self.lookups[place as usize].as_mut() {
                            lookup.resolved = socket;
                        }
                        return;
                    }
                    Err(_) => self.resolved -= 1,
                }
                self.hand_in(now, place, Event::SourceFailed { failure: UNAVAILABLE });
            }
            Err(failure) => self.hand_in(now, place, Event::SourceFailed { failure }),
        }
    }

    /// Something has come from systemd-resolved for a lookup, or its time has passed.
    fn resolved_ready(&mut self, now: Instant, place: u32, watcher: &mut impl Watcher) {
        let Some(socket) = self.lookups[place as usize].as_ref().map(|lookup| lookup.resolved) else { return };
        let Some(Some(Channel::Resolved(asked, _, watched))) = self.sockets.get_mut(socket as usize) else { return };
        self.buffer.reserve_exact(LARGEST_MESSAGE);
        let outcome = asked.go_on(Path::new(RESOLVE_SOCKET), now, &mut self.buffer);
        if outcome.is_none() {
            let (before, after) = (*watched, asked.waits_for());
            if before == after {
                return;
            }
            *watched = after;
            if let Some((fd, _)) = before {
                watcher.unwatch(socket, fd);
            }
            if after.is_none_or(|(fd, interest)| watcher.watch(socket, fd, interest).is_ok()) {
                return;
            }
            *watched = None;
        }
        self.close_resolved(place, watcher);
        match outcome.unwrap_or(Err(UNAVAILABLE)) {
            Ok(addresses) => self.hand_in(now, place, Event::SourceFound { addresses: &addresses, ttl: None }),
            Err(failure) => self.hand_in(now, place, Event::SourceFailed { failure }),
        }
    }

    fn close_resolved(&mut self, place: u32, watcher: &mut impl Watcher) {
        let Some(lookup) = self.lookups[place as usize].as_mut() else { return };
        let socket = std::mem::replace(&mut lookup.resolved, NONE);
        if socket != NONE {
            self.resolved -= 1;
            self.close(socket, watcher);
        }
    }

    fn hand_in(&mut self, now: Instant, place: u32, event: Event<'_>) {
        let lookup = self.lookups.get_mut(place as usize).and_then(Option::as_mut);
        if let Some(walk) = lookup.and_then(|lookup| lookup.walk.as_mut()) {
            walk.handle(now, event);
        }
    }

    /// Tells every owner what has become of a family.
    fn tell(&mut self, place: u32, family: Family, answer: Result<Vec<Address>, Failure>) {
        let Some(lookup) = self.lookups[place as usize].as_mut() else { return };
        let addresses = answer.map_err(|failure| LookupError {
            gai_error: failure.gai_error(lookup.families),
            sys_errno: failure.sys_errno(),
        });
        let told = Told { family: address_family(family), addresses, by: lookup.by };
        if self.shared && lookup.families == Families::Both && lookup.told.is_empty() {
            lookup.told.reserve_exact(1);
            lookup.told.push(told.clone());
        }
        if let Some((&last, others)) = lookup.owners.split_last() {
            let deliveries = others.iter().map(|&owner| Delivery { owner, told: told.clone() });
            self.deliveries.extend(deliveries);
            self.deliveries.push_back(Delivery { owner: last, told });
        }
    }

    /// Ends a lookup that cannot be gone on with: as if no server had answered.
    fn fail(&mut self, now: Instant, place: u32, watcher: &mut impl Watcher) {
        let failure = Failure { status: Status::Unavailable, error: HostError::TryAgain };
        for family in [Family::V6, Family::V4] {
            let lookup = self.lookups[place as usize].as_ref();
            let wanted = lookup.is_some_and(|lookup| {
                let wants = lookup.families == Families::Both || lookup.families == Families::Only(family);
                wants && !lookup.told.iter().any(|told| told.family == address_family(family))
            });
            if wanted {
                self.tell(place, family, Err(failure));
            }
        }
        self.end(now, place, watcher);
    }

    /// Lets go of a lookup, with all that is under way for it.
    fn end(&mut self, now: Instant, place: u32, watcher: &mut impl Watcher) {
        self.question_ended(now, place, None, watcher);
        self.close_resolved(place, watcher);
        let Some(lookup) = self.lookups[place as usize].take() else { return };
        if self.equal.get(&lookup.hash) == Some(&place) {
            self.equal.remove(&lookup.hash);
        }
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.set(place, None);
        }
        self.free.push(place);
        self.active -= 1;
        if self.active == 0 {
            for socket in 0..self.sockets.len() {
                self.close(socket as u32, watcher);
            }
            self.sockets.clear();
        }
    }

    /// What was asked for a family (None: for any) has its end: nothing more is waited for.
    fn question_ended(&mut self, now: Instant, place: u32, family: Option<Family>, watcher: &mut impl Watcher) {
        let Some(lookup) = self.lookups[place as usize].as_mut() else { return };
        let over = if family.is_some() { lookup.counted.min(1) } else { lookup.counted };
        if over > 0 {
            lookup.counted -= over;
            // It has gone to its servers once: it is not counted again.
            lookup.renewed = true;
            self.servers[usize::from(lookup.window)].1.end(u32::from(over));
        }
        self.forget(now, place, family, watcher);
    }

    /// Nothing that is under way for a family (None: for any) of a lookup is waited for any more.
    fn forget(&mut self, now: Instant, place: u32, family: Option<Family>, watcher: &mut impl Watcher) {
        for of in [Family::V6, Family::V4] {
            if family.is_some_and(|family| family != of) {
                continue;
            }
            let lookup = self.lookups[place as usize].as_mut();
            let Some(lookup) = lookup else { return };
            let stream = std::mem::replace(&mut lookup.streams[of as usize], NONE);
            let last = std::mem::replace(&mut lookup.datagrams[of as usize], NONE);
            let resent = lookup.resent;
            self.close(stream, watcher);
            if resent {
                for socket in 0..self.sockets.len() {
                    self.forget_in(now, socket as u32, place, of, watcher);
                }
            } else {
                self.forget_in(now, last, place, of, watcher);
            }
        }
    }

    fn forget_in(&mut self, now: Instant, socket: u32, place: u32, family: Family, watcher: &mut impl Watcher) {
        if let Some(Some(Channel::Datagrams(datagrams))) = self.sockets.get_mut(socket as usize) {
            datagrams.forget(place, Some(family));
            // One that is alone has no use for a socket that waits for nothing.
            if datagrams.is_done(now) || !self.shared && datagrams.is_idle() {
                self.close(socket, watcher);
            }
        }
    }

    fn close(&mut self, socket: u32, watcher: &mut impl Watcher) {
        let channel = self.sockets.get_mut(socket as usize).and_then(Option::take);
        // The descriptor is closed when this ends, after nobody waits for it any more.
        if let Some((fd, _)) = channel.as_ref().and_then(Channel::waits_for) {
            watcher.unwatch(socket, fd);
        }
    }

    /// Keeps a socket, and has it waited for.
    fn keep(&mut self, channel: Channel, watcher: &mut impl Watcher) -> io::Result<u32> {
        let free = self.sockets.iter().position(Option::is_none);
        let place = free.unwrap_or_else(|| {
            self.sockets.push(None);
            self.sockets.len() - 1
        });
        if let Some((fd, interest)) = channel.waits_for() {
            watcher.watch(place as u32, fd, interest)?;
        }
        self.sockets[place] = Some(channel);
        Ok(place as u32)
    }

    /// Sends a question by UDP.
    fn send(
        &mut self,
        now: Instant,
        place: u32,
        transmission: Transmission,
        family: Family,
        server: u8,
        watcher: &mut impl Watcher,
    ) {
        let Some(lookup) = self.lookups[place as usize].as_mut() else { return };
        let Some(walk) = lookup.walk.as_ref() else { return };
        let Some(address) = walk.server(server) else { return };
        lookup.by = AnsweredBy::NameServer(Some(address));
        let before = walk.id(family);
        if before.is_some() {
            // Asked before, and not answered in time: a late answer is good still, but nothing more is asked from
            // the port that has brought none.
            lookup.resent = true;
            let (last, window) = (lookup.datagrams[family as usize], usize::from(lookup.window));
            if let Some(Some(Channel::Datagrams(datagrams))) = self.sockets.get_mut(last as usize) {
                datagrams.retire();
            }
            self.servers[window].1.lost();
        } else {
            self.forget(now, place, Some(family), watcher);
        }
        if self.try_send(now, place, transmission, (family, server, address), before, watcher).is_err() {
            self.hand_in(now, place, Event::Unreachable { transmission });
        }
    }

    fn try_send(
        &mut self,
        now: Instant,
        place: u32,
        transmission: Transmission,
        (family, server, address): (Family, u8, SocketAddr),
        before: Option<u16>,
        watcher: &mut impl Watcher,
    ) -> io::Result<()> {
        let lane = (!address.ip().is_loopback()).then_some(family);
        let fits = |channel: &Option<Channel>| matches!(channel, Some(Channel::Datagrams(datagrams)) if datagrams.takes(&address, lane, now));
        let socket = match self.sockets.iter().position(fits) {
            Some(socket) => socket as u32,
            None => self.keep(Channel::Datagrams(Datagrams::open(address, lane, now)?), watcher)?,
        };
        let Client { lookups, sockets, ids, .. } = self;
        let lookup = lookups[place as usize].as_mut();
        let walk = lookup.and_then(|lookup| {
            lookup.datagrams[family as usize] = socket;
            lookup.walk.as_mut()
        });
        let (Some(walk), Some(Channel::Datagrams(datagrams))) = (walk, &mut sockets[socket as usize]) else {
            return Ok(());
        };
        let id = match before.filter(|&id| !datagrams.is_in_use(id)) {
            Some(id) => id,
            None => ids.draw(|id| datagrams.is_in_use(id))?,
        };
        let mut buffer = [0; LONGEST_QUERY];
        let Some(packet) = walk.write_query(transmission, id, &mut buffer) else { return Ok(()) };
        let question = UnderWay { id, walk: place, family, server, transmission, asked_at: now };
        if datagrams.send(packet, question).is_err() {
            self.socket_failed(now, socket, Some(place), watcher);
        }
        Ok(())
    }

    /// Reads one message. Whether there may be more.
    fn receive(&mut self, now: Instant, socket: u32, fd: RawFd, watcher: &mut impl Watcher) -> bool {
        let Some(Some(Channel::Datagrams(datagrams))) = self.sockets.get(socket as usize) else { return false };
        if datagrams.as_raw_fd() != fd {
            return false;
        }
        self.buffer.reserve_exact(LARGEST_MESSAGE);
        match datagrams.receive(&mut self.buffer) {
            Ok(_) => {
                let Some(question) = datagrams.whose(&self.buffer) else { return true };
                let buffer = std::mem::take(&mut self.buffer);
                let event = Event::Datagram { server: question.server, message: &buffer };
                self.hand_in(now, question.walk, event);
                if let Some(lookup) = self.lookups[question.walk as usize].as_ref() {
                    let window = usize::from(lookup.window);
                    self.servers[window].1.answered(now.saturating_duration_since(question.asked_at));
                }
                self.buffer = buffer;
                self.go_on(now, question.walk, watcher);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(_) => {
                self.socket_failed(now, socket, None, watcher);
                false
            }
        }
    }

    /// What went through a socket cannot be delivered. All that was under way hears of it, and goes on, but
    /// for the lookup that is being worked on.
    fn socket_failed(&mut self, now: Instant, socket: u32, busy: Option<u32>, watcher: &mut impl Watcher) {
        let Some(Some(Channel::Datagrams(datagrams))) = self.sockets.get_mut(socket as usize) else { return };
        let under_way = datagrams.fail();
        self.close(socket, watcher);
        for question in &under_way {
            self.hand_in(now, question.walk, Event::Unreachable { transmission: question.transmission });
        }
        for question in under_way {
            if busy != Some(question.walk) {
                self.go_on(now, question.walk, watcher);
            }
        }
    }

    /// Asks by TCP, over a connection of its own.
    fn open_stream(
        &mut self,
        now: Instant,
        place: u32,
        transmission: Transmission,
        family: Family,
        server: u8,
        watcher: &mut impl Watcher,
    ) {
        let Some(lookup) = self.lookups[place as usize].as_mut() else { return };
        let stream = std::mem::replace(&mut lookup.streams[family as usize], NONE);
        self.close(stream, watcher);
        let Client { lookups, ids, .. } = self;
        let Some(lookup) = lookups[place as usize].as_mut() else { return };
        let Some(walk) = lookup.walk.as_mut() else { return };
        let Some(address) = walk.server(server) else { return };
        lookup.by = AnsweredBy::NameServer(Some(address));
        let mut buffer = [0; LONGEST_QUERY];
        let opened = ids.draw(|_| false).map_err(|_| TcpFailure::Other).and_then(|id| {
            let packet = walk.write_query(transmission, id, &mut buffer).unwrap_or_default();
            Stream::open(&address, packet, place, family, transmission)
        });
        let kept = opened.and_then(|stream| self.keep(Channel::Stream(stream), watcher).map_err(|_| TcpFailure::Other));
        match kept {
            Ok(socket) => {
                if let Some(lookup) = self.lookups[place as usize].as_mut() {
                    lookup.streams[family as usize] = socket;
                }
            }
            Err(failure) => self.hand_in(now, place, Event::TcpFailed { transmission, failure }),
        }
    }

    fn stream_ready(&mut self, now: Instant, socket: u32, watcher: &mut impl Watcher) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.reserve_exact(LARGEST_MESSAGE);
        loop {
            let Some(Some(Channel::Stream(stream))) = self.sockets.get_mut(socket as usize) else { break };
            let (place, family, transmission) = (stream.walk, stream.family, stream.transmission);
            let step = stream.ready(&mut buffer);
            let fd = stream.as_raw_fd();
            match step {
                Step::Waits => break,
                Step::Connected => {
                    self.hand_in(now, place, Event::TcpConnected { transmission });
                    continue;
                }
                Step::Sent => {
                    watcher.unwatch(socket, fd);
                    if watcher.watch(socket, fd, Interest::Readable).is_ok() {
                        break;
                    }
                    self.stream_failed(now, place, family, transmission, TcpFailure::Other, watcher);
                }
                Step::Data => self.hand_in(now, place, Event::TcpData { transmission, data: &buffer }),
                Step::Failed(failure) => self.stream_failed(now, place, family, transmission, failure, watcher),
            }
            self.go_on(now, place, watcher);
            break;
        }
        self.buffer = buffer;
    }

    fn stream_failed(
        &mut self,
        now: Instant,
        place: u32,
        family: Family,
        transmission: Transmission,
        failure: TcpFailure,
        watcher: &mut impl Watcher,
    ) {
        if let Some(lookup) = self.lookups[place as usize].as_mut() {
            let stream = std::mem::replace(&mut lookup.streams[family as usize], NONE);
            self.close(stream, watcher);
        }
        self.hand_in(now, place, Event::TcpFailed { transmission, failure });
    }
}

/// With which server the next name begins where resolv.conf(5) says `rotate`: any at first, then in turn.
fn next_first_server() -> u8 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    if NEXT.load(Ordering::Relaxed) == 0 {
        let mut first = [0; 1];
        let _ = random::fill(&mut first);
        let _ = NEXT.compare_exchange(0, u32::from(first[0]) + 1, Ordering::Relaxed, Ordering::Relaxed);
    }
    (NEXT.fetch_add(1, Ordering::Relaxed) % 250) as u8
}
