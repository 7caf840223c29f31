//! What a client holds, and what its driver may ask of it between two turns.

use super::datagrams::Datagrams;
use super::stream::Stream;
use super::window::Window;
use crate::dns::answer::Address;
use crate::dns::failure::Failure;
use crate::dns::service::{ServiceQuestion, Services};
use crate::dns::walk::{Event, Walk};
use crate::dns::{Families, Family};
use crate::lookup::answer::{Answer, Found};
use crate::lookup::deadlines::Deadlines;
use crate::lookup::query::Names;
use crate::lookup::system::System;
use crate::lookup::varlink::Asked;
use crate::race::{AnsweredBy, LookupError};
use crate::sys::Interest;
use std::collections::VecDeque;
use std::collections::hash_map::HashMap;
use std::hash::RandomState;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Instant;

/// No socket.
pub(super) const NONE: u32 = u32::MAX;

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
    pub(super) place: u32,
    pub(super) serial: u32,
}

/// What is known of a family of a name: the last word of it.
#[derive(Clone, Debug)]
pub struct Told {
    /// What it was asked with.
    pub walk: WalkId,
    /// `AF_INET6` or `AF_INET`.
    pub family: i32,
    addresses: Result<Vec<Address>, LookupError>,
    /// Who has said so.
    pub by: AnsweredBy,
    /// Of a lookup for those ([`Client::begin_services`]); it has no addresses.
    services: Option<Box<Services>>,
}

impl Told {
    /// The answer for one who has asked for a port.
    pub fn into_answer(self, port: u16) -> Answer {
        let with_port = |addresses: Vec<Address>| addresses.iter().map(|address| address.with_port(port)).collect();
        self.addresses.map(|addresses| Found::Addresses(with_port(addresses)))
    }

    /// What [`Client::begin_services`] has found.
    pub fn into_services(self) -> Result<Services, LookupError> {
        self.addresses.map(|_| self.services.map_or_else(Services::default, |services| *services))
    }
}

pub(super) fn address_family(family: Family) -> i32 {
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
    pub(super) shared: bool,
    /// As getaddrinfo(3) has it.
    pub(super) as_libc: bool,
    /// In boxes, since the vector has room for twice as many at times.
    pub(super) lookups: Vec<Option<Box<Lookup>>>,
    pub(super) free: Vec<u32>,
    pub(super) active: usize,
    pub(super) last_serial: u32,
    pub(super) sockets: Vec<Option<Channel>>,
    pub(super) servers: Vec<(SocketAddr, Window)>,
    /// How many names systemd-resolved is being asked for.
    pub(super) resolved: u32,
    /// The places of lookups that wait for their servers' windows, in the order in which they came there. One
    /// that has gone leaves its turn to the next at its place.
    pub(super) waiting: VecDeque<u32>,
    /// When some of them may have room although no answer comes. What an abandoned lookup has left is theirs
    /// at the next turn only: many are abandoned in a row, as a rule, and those that wait among them.
    pub(super) room_at: Option<Instant>,
    pub(super) deadlines: Option<Deadlines>,
    /// Lookups in flight by what they ask: see [`Client::hash`].
    pub(super) equal: HashMap<u32, u32>,
    /// Made when a shared client begins its first name.
    pub(super) hasher: Option<RandomState>,
    pub(super) deliveries: VecDeque<Delivery>,
    /// What hosts(5) has said to one who stands in for getaddrinfo(3), of both families in the file's order.
    pub(super) listed: Vec<Address>,
    /// As the system was when it was last looked at in this turn, and whether that holds for resolv.conf(5).
    pub(super) system: Option<(Arc<System>, bool)>,
    pub(super) buffer: Vec<u8>,
}

/// A lookup. Most of thousands wait for their turn, and only what those need too is in here.
pub(super) struct Lookup {
    pub(super) serial: u32,
    /// Those of the question.
    pub(super) flags: i32,
    pub(super) families: Families,
    /// It was begun anew, since resolv.conf(5) had changed.
    pub(super) renewed: bool,
    pub(super) names: Names,
    /// Who has asked for it first, or has taken that one's place.
    pub(super) owner: u64,
    /// What it has in common with others who ask the same.
    pub(super) joint: Option<Box<Joint>>,
    /// What is asked where service bindings are asked for; told is `AF_INET` then.
    pub(super) service: Option<Box<ServiceQuestion>>,
    /// None while it waits for its turn.
    pub(super) walk: Option<Box<Walking>>,
}

/// What owners of one lookup share.
#[derive(Default)]
pub(super) struct Joint {
    /// Those who came later.
    pub(super) owners: Vec<u64>,
    /// What the owners were told of the family that came first, for those that join later.
    pub(super) told: Option<Told>,
}

/// A name on its way.
pub(super) struct Walking {
    pub(super) walk: Walk,
    pub(super) by: AnsweredBy,
    /// Whose window it counts in, and with how many questions.
    pub(super) window: u16,
    pub(super) counted: u8,
    /// A question of it may be under way through more than one socket.
    pub(super) resent: bool,
    /// The sockets through which the questions went last, by family.
    pub(super) datagrams: [u32; 2],
    pub(super) streams: [u32; 2],
    /// The connection to systemd-resolved.
    pub(super) resolved: u32,
}

impl Walking {
    pub(super) fn new(walk: Walk) -> Walking {
        Walking {
            walk,
            by: AnsweredBy::NameServer(None),
            window: 0,
            counted: 0,
            resent: false,
            datagrams: [NONE; 2],
            streams: [NONE; 2],
            resolved: NONE,
        }
    }
}

impl Lookup {
    /// What was told of one of the families already.
    pub(super) fn told(&self) -> Option<&Told> {
        self.joint.as_ref().and_then(|joint| joint.told.as_ref())
    }
}

pub(super) enum Channel {
    Datagrams(Datagrams),
    Stream(Stream),
    /// With the place of its walk. What it waits for changes; what it was watched for is kept beside.
    Resolved(Asked, u32, Option<(RawFd, Interest)>),
}

impl Channel {
    /// What it is waited for, if it has a descriptor.
    pub(super) fn waits_for(&self) -> Option<(RawFd, Interest)> {
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
        Client::new(false)
    }

    /// For one name, in the place of getaddrinfo(3): nothing is told before all is known, which is what makes
    /// it answer as libc does also where servers answer with rubbish.
    pub fn in_place_of_libc() -> Client {
        Client { as_libc: true, ..Client::lone() }
    }

    /// For many names.
    pub fn shared() -> Client {
        Client::new(true)
    }

    pub(super) fn new(shared: bool) -> Client {
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
            room_at: None,
            deadlines: None,
            equal: HashMap::new(),
            hasher: None,
            deliveries: VecDeque::new(),
            listed: Vec::new(),
            system: None,
            buffer: Vec::new(),
        }
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

    pub(super) fn find(&mut self, id: WalkId) -> Option<&mut Lookup> {
        self.lookups.get_mut(id.place as usize)?.as_deref_mut().filter(|lookup| lookup.serial == id.serial)
    }

    /// The walk of the lookup at a place, with what is under way for it.
    pub(super) fn walking(&mut self, place: u32) -> Option<&mut Walking> {
        self.lookups.get_mut(place as usize)?.as_deref_mut()?.walk.as_deref_mut()
    }

    pub(super) fn hand_in(&mut self, now: Instant, place: u32, event: Event<'_>) {
        if let Some(walking) = self.walking(place) {
            walking.walk.handle(now, event);
        }
    }

    /// Tells every owner what has become of a family.
    pub(super) fn tell(&mut self, place: u32, family: Family, answer: Result<Vec<Address>, Failure>) {
        self.tell_with(place, family, answer, None);
    }

    /// As [`Client::tell`], with the service bindings of a lookup for those.
    pub(super) fn tell_with(
        &mut self,
        place: u32,
        family: Family,
        answer: Result<Vec<Address>, Failure>,
        services: Option<Box<Services>>,
    ) {
        let Some(lookup) = self.lookups[place as usize].as_mut() else { return };
        let addresses = answer.map_err(|failure| LookupError {
            gai_error: failure.gai_error(lookup.families),
            sys_errno: failure.sys_errno(),
        });
        let by = lookup.walk.as_ref().map_or(AnsweredBy::NameServer(None), |walking| walking.by);
        let walk = WalkId { place, serial: lookup.serial };
        let told = Told { walk, family: address_family(family), addresses, by, services };
        if self.shared && lookup.families == Families::Both && lookup.told().is_none() {
            lookup.joint.get_or_insert_default().told = Some(told.clone());
        }
        for &owner in lookup.joint.iter().flat_map(|joint| &joint.owners) {
            self.deliveries.push_back(Delivery { owner, told: told.clone() });
        }
        self.deliveries.push_back(Delivery { owner: lookup.owner, told });
    }

    /// Keeps a socket, and has it waited for.
    pub(super) fn keep(&mut self, channel: Channel, watcher: &mut impl Watcher) -> io::Result<u32> {
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

    pub(super) fn close(&mut self, socket: u32, watcher: &mut impl Watcher) {
        let channel = self.sockets.get_mut(socket as usize).and_then(Option::take);
        // The descriptor is closed when this ends, after nobody waits for it any more.
        if let Some((fd, _)) = channel.as_ref().and_then(Channel::waits_for) {
            watcher.unwatch(socket, fd);
        }
    }
}
