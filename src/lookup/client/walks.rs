//! How lookups begin, go on and end.

use super::state::{Channel, Client, Delivery, Lookup, WalkId, Walking, Watcher, address_family};
use crate::dns::answer::Address;
use crate::dns::failure::{Failure, HostError, Status};
use crate::dns::gate::{Ask, Reason};
use crate::dns::hosts::Hosts;
use crate::dns::message::Transport;
use crate::dns::service::{ServiceQuestion, Services};
use crate::dns::walk::{Action, Event, Walk};
use crate::dns::{Families, Family};
use crate::lookup::deadlines::Deadlines;
use crate::lookup::query::{Names, Query};
use crate::lookup::system::System;
use crate::race::AnsweredBy;
use crate::sys::random;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// How many messages of one socket are read at a time: a flood of junk must not keep the driver from the
/// rest.
const READS: usize = 64;

impl Client {
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
        if query.port().is_none() && !self.system().services_are_local() {
            return Err(Reason::Service);
        }
        if query.hints().flags & libc::AI_ADDRCONFIG != 0 {
            return Err(Reason::Flags);
        }
        let (names, flags) = (query.names(), query.hints().flags);
        let system = self.system();
        let hash = if self.shared { self.hash(names, families) } else { 0 };
        if let Some(place) = self.equal.get(&hash).copied().filter(|_| self.shared)
            && let Some(lookup) = self.lookups[place as usize].as_mut()
            && lookup.families == families
            && lookup.names.host() == names.host()
        {
            // One of its own is judged when its walk is made; one that joins, by what holds now.
            system.decide(names.host(), families, flags)?;
            let joint = lookup.joint.get_or_insert_default();
            joint.owners.push(owner);
            self.deliveries.extend(joint.told.iter().map(|told| Delivery { owner, told: told.clone() }));
            return Ok(WalkId { place, serial: lookup.serial });
        }
        let id = self.add(names.clone(), families, flags, owner);
        if self.shared
            && let Entry::Vacant(vacant) = self.equal.entry(hash)
        {
            vacant.insert(id.place);
        }
        match self.try_to_go_on(now, id.place, watcher) {
            Ok(()) => Ok(id),
            Err(reason) => {
                self.end(now, id.place, watcher);
                Err(reason)
            }
        }
    }

    /// Begins to look up the service bindings of the host of a query. Told once under `owner`: a failure, or
    /// what [`Told::into_services`](super::Told::into_services) gives. A host of this machine, by hosts(5), has none.
    ///
    /// # Errors
    /// Why only libc would know whom to ask. None: by nsswitch.conf(5) no name server is asked. Nothing was
    /// begun.
    pub fn begin_services(
        &mut self,
        now: Instant,
        query: &Query,
        question: ServiceQuestion,
        owner: u64,
        watcher: &mut impl Watcher,
    ) -> Result<WalkId, Option<Reason>> {
        let names = query.names();
        let system = self.system();
        if query.is_for_libc() {
            return Err(Some(Reason::Program));
        }
        let steps = system.decide(names.host(), Families::Both, query.hints().flags)?;
        if !steps.iter().any(|step| step.ask == Ask::Dns) {
            return Err(None);
        }
        let is_asked_first = steps.first().is_some_and(|step| matches!(step.ask, Ask::Files { .. }));
        let is_in = |hosts: &Hosts| hosts.addresses(names.host(), Families::Both, true).next().is_some();
        let is_local = is_asked_first && system.hosts().is_some_and(is_in);
        let id = self.add(names.clone(), Families::Only(Family::V4), 0, owner);
        if let Some(lookup) = self.find(id) {
            lookup.service = Some(Box::new(question));
        }
        if is_local {
            self.found_services(id.place, Services::default());
            self.end(now, id.place, watcher);
        } else {
            self.go_on(now, id.place, watcher);
        }
        Ok(id)
    }

    fn found_services(&mut self, place: u32, services: Services) {
        self.tell_with(place, Family::V4, Ok(Vec::new()), Some(Box::new(services)));
    }

    /// A place for a lookup that has asked nobody yet.
    fn add(&mut self, names: Names, families: Families, flags: i32, owner: u64) -> WalkId {
        self.last_serial = self.last_serial.wrapping_add(1);
        let serial = self.last_serial;
        let lookup =
            Lookup { serial, flags, families, renewed: false, names, owner, joint: None, service: None, walk: None };
        let place = self.free.pop().unwrap_or_else(|| {
            self.lookups.push(None);
            self.lookups.len() as u32 - 1
        });
        self.lookups[place as usize] = Some(Box::new(lookup));
        self.active += 1;
        WalkId { place, serial }
    }

    /// What equal lookups have in common. Two others may have it in common too: only one of them is found
    /// then, and the other is asked again.
    fn hash(&mut self, names: &Names, families: Families) -> u32 {
        self.hasher.get_or_insert_with(RandomState::new).hash_one((names.host(), families)) as u32
    }

    /// An owner wants no more of a lookup. What has been told to it already may still be among the
    /// deliveries.
    pub fn abandon(&mut self, now: Instant, id: WalkId, owner: u64, watcher: &mut impl Watcher) {
        let Some(lookup) = self.find(id) else { return };
        let others = lookup.joint.as_mut().map(|joint| &mut joint.owners);
        let is_last = if lookup.owner != owner {
            others.into_iter().for_each(|others| others.retain(|&other| other != owner));
            false
        } else if let Some(next) = others.and_then(Vec::pop) {
            lookup.owner = next;
            false
        } else {
            true
        };
        if is_last {
            self.end(now, id.place, watcher);
            if !self.waiting.is_empty() {
                self.room_at = Some(now);
            }
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
        let nearest = self.deadlines.as_ref().and_then(Deadlines::nearest);
        nearest.into_iter().chain(self.room_at).min()
    }

    /// The system as it is in this turn.
    pub(super) fn system(&mut self) -> Arc<System> {
        Arc::clone(&self.system.get_or_insert_with(|| (System::now(), false)).0)
    }

    /// Whether the servers that are known are those of now; if not, the system is read again.
    pub(super) fn has_current_servers(&mut self) -> bool {
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
    pub(super) fn make_walk(&mut self, place: u32) -> Result<(), Reason> {
        let system = self.system();
        let Some(lookup) = self.lookups[place as usize].as_mut() else { return Ok(()) };
        let conf = system.resolv_conf();
        let first_server = if conf.rotate { next_first_server() } else { 0 };
        if let Some(question) = &lookup.service {
            let walk = Walk::of_services(question, Arc::clone(conf), first_server);
            lookup.walk = Some(Box::new(Walking::new(walk)));
            return Ok(());
        }
        let name = lookup.names.host();
        let steps = system.decide(name, lookup.families, lookup.flags)?;
        let walk = Walk::new(name, lookup.families, Arc::clone(steps), Arc::clone(conf), first_server);
        lookup.walk = Some(Box::new(Walking::new(if self.as_libc { walk.like_libc() } else { walk })));
        Ok(())
    }

    /// Does all that a lookup has to do at this moment.
    pub(super) fn go_on(&mut self, now: Instant, place: u32, watcher: &mut impl Watcher) {
        if self.try_to_go_on(now, place, watcher).is_err() {
            // While it waited for its turn the system has become one that only libc can follow.
            self.fail(now, place, watcher);
        }
    }

    /// As [`Client::go_on`].
    ///
    /// # Errors
    /// Only libc can go on; nobody was told anything.
    pub(super) fn try_to_go_on(&mut self, now: Instant, place: u32, watcher: &mut impl Watcher) -> Result<(), Reason> {
        loop {
            if self.lookups[place as usize].as_ref().is_some_and(|lookup| lookup.walk.is_none()) {
                self.make_walk(place)?;
            }
            let resolved_is_full = self.is_resolved_full();
            let Some(lookup) = self.lookups[place as usize].as_mut() else { return Ok(()) };
            let Some(walking) = lookup.walk.as_mut() else { return Ok(()) };
            let walk = &mut walking.walk;
            if walking.counted == 0 && walk.asks_servers_next() {
                if !lookup.renewed && !self.has_current_servers() {
                    self.renew(place);
                    continue;
                }
                if !self.is_admitted(now, place) {
                    return Ok(());
                }
                continue;
            }
            if walk.asks_resolved_next() && resolved_is_full {
                // It begins anew when it is its turn.
                self.question_ended(now, place, None, watcher);
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
                Action::Services(services) => {
                    self.question_ended(now, place, Some(Family::V4), watcher);
                    self.found_services(place, services);
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

    pub(super) fn set_deadline(&mut self, now: Instant, place: u32) {
        let walking = self.lookups[place as usize].as_ref().and_then(|lookup| lookup.walk.as_ref());
        let of_walk = walking.and_then(|walking| walking.walk.deadline());
        let resolved = walking.and_then(|walking| self.sockets.get(walking.resolved as usize));
        let deadline = match resolved {
            Some(Some(Channel::Resolved(asked, ..))) => Some(asked.deadline()),
            _ => of_walk,
        };
        if deadline.is_some() || self.deadlines.is_some() {
            self.deadlines.get_or_insert_with(|| Deadlines::new(now)).set(place, deadline);
        }
    }

    /// Begins a lookup anew by what the system says now; it has asked nobody yet but hosts(5).
    pub(super) fn renew(&mut self, place: u32) {
        if let Some(lookup) = self.lookups[place as usize].as_mut() {
            lookup.walk = None;
            lookup.renewed = true;
        }
    }

    pub(super) fn ask_files(&mut self, now: Instant, place: u32, multi: bool) {
        let system = self.system();
        let Some(walking) = self.walking(place) else { return };
        walking.by = AnsweredBy::Hosts;
        let walk = &mut walking.walk;
        let event = match system.hosts() {
            Some(hosts) => {
                let found = hosts.addresses(walk.name(), walk.families(), multi);
                let addresses: Vec<Address> = found.map(Address::from).collect();
                if !addresses.is_empty() {
                    walk.handle(now, Event::SourceFound { addresses: &addresses, ttl: None });
                    if self.as_libc {
                        self.listed = addresses;
                    }
                    return;
                }
                Event::SourceFailed { failure: Failure::HOST_NOT_FOUND }
            }
            // There is no such file, or none that this process may read.
            None => Event::SourceMissing,
        };
        walk.handle(now, event);
    }

    /// Ends a lookup that cannot be gone on with: as if no server had answered.
    pub(super) fn fail(&mut self, now: Instant, place: u32, watcher: &mut impl Watcher) {
        let failure = Failure { status: Status::Unavailable, error: HostError::TryAgain };
        for family in [Family::V6, Family::V4] {
            let lookup = self.lookups[place as usize].as_ref();
            let wanted = lookup.is_some_and(|lookup| {
                let wants = lookup.families == Families::Both || lookup.families == Families::Only(family);
                wants && lookup.told().is_none_or(|told| told.family != address_family(family))
            });
            if wanted {
                self.tell(place, family, Err(failure));
            }
        }
        self.end(now, place, watcher);
    }

    /// Lets go of a lookup, with all that is under way for it.
    pub(super) fn end(&mut self, now: Instant, place: u32, watcher: &mut impl Watcher) {
        self.question_ended(now, place, None, watcher);
        self.close_resolved(place, watcher);
        let Some(lookup) = self.lookups[place as usize].take() else { return };
        if self.shared {
            let hash = self.hash(&lookup.names, lookup.families);
            if self.equal.get(&hash) == Some(&place) {
                self.equal.remove(&hash);
            }
        }
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.set(place, None);
        }
        // One that has a name or two has no use for places.
        if self.shared {
            self.free.push(place);
        }
        self.active -= 1;
        if self.active == 0 {
            for socket in 0..self.sockets.len() {
                self.close(socket as u32, watcher);
            }
            self.sockets.clear();
        }
    }

    /// What was asked for a family (None: for any) has its end: nothing more is waited for.
    pub(super) fn question_ended(
        &mut self,
        now: Instant,
        place: u32,
        family: Option<Family>,
        watcher: &mut impl Watcher,
    ) {
        let Some(lookup) = self.lookups[place as usize].as_mut() else { return };
        let Some(walking) = lookup.walk.as_mut() else { return };
        let over = if family.is_some() { walking.counted.min(1) } else { walking.counted };
        if over > 0 {
            walking.counted -= over;
            // It has gone to its servers once: it is not counted again.
            lookup.renewed = true;
            self.servers[usize::from(walking.window)].1.end(u32::from(over));
        }
        self.forget(now, place, family, watcher);
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
