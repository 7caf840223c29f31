//! The walk of a name through the sources of nsswitch.conf(5), as getaddrinfo(3) walks it.
//!
//! A name is walked as a whole. A source that knows it in any family ends the walk for both; one name of the
//! search list is left only when both families had nothing there. What is found is given out family by
//! family, as soon as it cannot change any more: the first address of a family fixes where the walk ends, so
//! a race can begin with it while the other family is awaited.
//!
//! A [`Walk`] owns the name and little else. The configuration is shared, packets are written on demand into
//! the driver's buffer, sockets and random numbers are the driver's.
//!
//! ```
//! use happysock::dns::gate::{Ask, PlanStep};
//! use happysock::dns::nsswitch::Actions;
//! use happysock::dns::question::LONGEST_QUERY;
//! use happysock::dns::resolv_conf::ResolvConf;
//! use happysock::dns::walk::{Action, Event, Walk};
//! use happysock::dns::{Families, Family, failure::Failure};
//! use std::sync::Arc;
//! use std::time::{Duration, Instant};
//!
//! let conf = Arc::new(ResolvConf::parse(Some(b"nameserver 192.0.2.53\n"), b"", (2, 36), |_| None));
//! let steps: Arc<[PlanStep]> = [PlanStep { ask: Ask::Dns, actions: Actions::DEFAULT }].into();
//! let now = Instant::now();
//! let mut walk = Walk::new(b"www.example.org", Families::Only(Family::V4), steps, conf, 0);
//! let Some(Action::Send { transmission, family: Family::V4, server: 0, .. }) = walk.next_action(now) else { panic!() };
//! let mut buffer = [0; LONGEST_QUERY];
//! let packet = walk.write_query(transmission, 0x1234, &mut buffer).unwrap();
//! assert_eq!(packet.len(), 12 + 17 + 4);
//! assert!(walk.next_action(now).is_none());
//! assert_eq!(walk.deadline(), Some(now + Duration::from_secs(5)));
//!
//! // The server says that there is no such name.
//! let mut message = packet.to_vec();
//! message[2..4].copy_from_slice(&[0x81, 0x83]);
//! walk.handle(now, Event::Datagram { server: 0, message: &message });
//! let answer = Err(Failure::HOST_NOT_FOUND);
//! assert_eq!(walk.next_action(now), Some(Action::Answered { family: Family::V4, answer }));
//! assert_eq!(walk.next_action(now), Some(Action::Finish));
//! ```
use super::answer::{Address, Addresses};
use super::exchange::{self, Exchange, TcpFailure, Transmission};
use super::failure::{Failure, HostError, Status};
use super::gate::{Ask, PlanStep};
use super::message::{Answer, Code, Records, Transport};
use super::name_wire::NotAName;
use super::nsswitch;
use super::outcome::Outcome;
use super::question::{LONGEST_QUERY, QueryName, QueryOptions, RecordType, write_query};
use super::resolv_conf::ResolvConf;
use super::schedule::Schedule;
use super::search::{self, Candidate, Miss, Search};
use super::service::{HTTPS_DEFAULT_ALPN, ServiceQuestion, ServiceRecord, Services};
use super::verdict::{Outcomes, Verdict};
use super::{Families, Family};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Something that happened. What has nothing to do with what is being asked is ignored.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// From this server's address: checked by the driver (a connected socket). `server` is the index in
    /// resolv.conf(5).
    Datagram { server: u8, message: &'a [u8] },
    /// A datagram could not be sent, or an ICMP error came back.
    Unreachable { transmission: Transmission },
    /// The TCP connection stands.
    TcpConnected { transmission: Transmission },
    /// What came by it, in pieces of any length.
    TcpData { transmission: Transmission, data: &'a [u8] },
    /// It failed, was closed, or could not be made.
    TcpFailed { transmission: Transmission, failure: TcpFailure },
    /// The source of [`Action::Ask`] knows the name: its addresses of the families that are wanted, in its
    /// order. Without one it counts as [`Failure::HOST_NOT_FOUND`].
    SourceFound { addresses: &'a [Address], ttl: Option<u32> },
    /// The source of [`Action::Ask`] has nothing.
    SourceFailed { failure: Failure },
    /// There is no such source: no hosts(5). To libc it is unavailable, and for one family the error of the
    /// source before it stands.
    SourceMissing,
}

/// Something to do now.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask this source (hosts(5), systemd-resolved), for the families of the walk; answered by
    /// [`Event::SourceFound`], [`Event::SourceFailed`] or [`Event::SourceMissing`].
    Ask(Ask),
    /// Send what [`Walk::write_query`] writes to this server: as a datagram, or over a new TCP connection.
    ///
    /// A TCP connection is to be closed when its family is sent again or answered.
    Send { transmission: Transmission, family: Family, server: u8, transport: Transport },
    /// The addresses of one family, or how the walk failed; once for each family that is wanted. It is final.
    Answered { family: Family, answer: Result<Addresses, Failure> },
    /// The service bindings of [`Walk::of_services`]. Without any it ends as one for addresses that has
    /// failed.
    Services(Services),
    /// Every family was answered; nothing more will come.
    Finish,
}

/// The walk of one name. See the module's documentation.
#[derive(Debug)]
pub struct Walk {
    name: Box<[u8]>,
    conf: Arc<ResolvConf>,
    steps: Arc<[PlanStep]>,
    place: Place,
    families: Families,
    as_libc: bool,
    /// Service bindings are asked for, and not addresses.
    services: Option<Box<ServiceWalk>>,
    step: u8,
    /// A file was opened in vain, which has left its errno behind.
    has_errno: bool,
    /// Families whose answer was given: a bit for each.
    told: u8,
    /// With which server the next exchange begins.
    next_server: u8,
    next_transmission: Transmission,
}

/// What a walk for service bindings has besides.
#[derive(Debug)]
struct ServiceWalk {
    record_type: RecordType,
    aliases: u8,
    /// The smallest time to live of the AliasMode records that were followed.
    ttl: Option<u32>,
    /// To be told.
    found: Option<Services>,
}

/// How many AliasMode records in a row are followed (RFC 9460, section 3, wants a limit).
const MOST_ALIASES: u8 = 8;

#[derive(Debug)]
enum Place {
    /// Before the source of `step`; with the error of the one before that.
    Before(HostError),
    /// The driver asks it.
    Asked(HostError),
    /// It knows the name.
    Found(Addresses),
    Servers(Query),
    /// What was not told has failed so, but for what was held back.
    Over {
        failures: [Failure; 2],
        held: Option<Box<(Family, Addresses)>>,
    },
    Finished,
}

/// One name of the search list, with the servers.
#[derive(Debug)]
struct Query {
    search: Search,
    candidate: Candidate,
    exchange: Exchange,
    outcomes: Outcomes,
}

impl Walk {
    /// The walk of `name`, which the gate has let through, by the steps that it gave. With `rotate` the first
    /// question begins with `first_server` and each further one with the next; otherwise it has no effect.
    pub fn new(
        name: &[u8],
        families: Families,
        steps: Arc<[PlanStep]>,
        conf: Arc<ResolvConf>,
        first_server: u8,
    ) -> Walk {
        Walk {
            name: name.into(),
            next_server: if conf.rotate { first_server % Schedule::of(&conf).count() } else { 0 },
            conf,
            steps,
            place: Place::Before(HostError::NoRecovery),
            families,
            as_libc: false,
            services: None,
            step: 0,
            has_errno: false,
            told: 0,
            next_transmission: Transmission(0),
        }
    }

    /// Walks it as getaddrinfo(3) does, and not as a race wants it: see [`Exchange::do_as_libc`].
    pub fn like_libc(self) -> Walk {
        Walk { as_libc: true, ..self }
    }

    /// The walk for service bindings: only the servers of resolv.conf(5) have any. It is told by
    /// [`Action::Services`], or as a failure of [`Family::V4`].
    pub fn of_services(question: &ServiceQuestion, conf: Arc<ResolvConf>, first_server: u8) -> Walk {
        let servers = PlanStep { ask: Ask::Dns, actions: nsswitch::Actions::DEFAULT };
        let services = ServiceWalk { record_type: question.record_type, aliases: 0, ttl: None, found: None };
        let walk = Walk::new(&question.name, Families::Only(Family::V4), [servers].into(), conf, first_server);
        Walk { services: Some(Box::new(services)), ..walk }
    }

    pub fn name(&self) -> &[u8] {
        &self.name
    }

    pub fn families(&self) -> Families {
        self.families
    }

    /// The next action is the first question to the servers of resolv.conf(5): nobody was asked yet but
    /// sources of this machine.
    pub fn asks_servers_next(&self) -> bool {
        let ask = self.steps.get(usize::from(self.step)).map(|step| step.ask);
        matches!(self.place, Place::Before(_)) && ask == Some(Ask::Dns)
    }

    /// The next action is to ask systemd-resolved.
    pub fn asks_resolved_next(&self) -> bool {
        let ask = self.steps.get(usize::from(self.step)).map(|step| step.ask);
        matches!(self.place, Place::Before(_)) && matches!(ask, Some(Ask::Resolve { .. }))
    }

    /// The server that is asked first.
    pub fn first_server(&self) -> Option<SocketAddr> {
        self.server(self.next_server)
    }

    /// A server of resolv.conf(5), by its place.
    pub fn server(&self, server: u8) -> Option<SocketAddr> {
        self.conf.servers.get(usize::from(server)).copied()
    }

    /// Something happened.
    pub fn handle(&mut self, now: Instant, event: Event<'_>) {
        let event = match event {
            Event::SourceFound { addresses, ttl } => return self.source_found(addresses, ttl),
            Event::SourceFailed { failure } => {
                if let Place::Asked(_) = self.place {
                    self.fail_source(failure);
                }
                return;
            }
            Event::SourceMissing => {
                if let Place::Asked(before) = self.place {
                    self.has_errno = true;
                    // For a pair of questions libc tells nothing of the source before.
                    let error = if self.families == Families::Both { HostError::NoRecovery } else { before };
                    self.fail_source(Failure { status: Status::Unavailable, error });
                }
                return;
            }
            Event::Datagram { server, message } => exchange::Event::Datagram { server, message },
            Event::Unreachable { transmission } => exchange::Event::Unreachable { transmission },
            Event::TcpConnected { transmission } => exchange::Event::TcpConnected { transmission },
            Event::TcpData { transmission, data } => exchange::Event::TcpData { transmission, data },
            Event::TcpFailed { transmission, failure } => exchange::Event::TcpFailed { transmission, failure },
        };
        if let Place::Servers(query) = &mut self.place {
            // It was asked, so it is a name.
            let Ok(name) = query_name(&self.name, query.candidate, &self.conf).to_wire() else { return };
            query.exchange.handle(&Schedule::of(&self.conf), now, event, &name);
        }
    }

    /// The next thing to do, None when there is nothing more at this moment. To be asked until then, with the
    /// same `now`, after events were handed in and when [`Walk::deadline`] has come.
    pub fn next_action(&mut self, now: Instant) -> Option<Action> {
        loop {
            if let Some(services) = self.services.as_mut().and_then(|services| services.found.take()) {
                self.note_told(Family::V4);
                return Some(Action::Services(services));
            }
            match &mut self.place {
                Place::Before(error) => {
                    let error = *error;
                    if let Some(ask) = self.enter_source(error) {
                        return Some(Action::Ask(ask));
                    }
                }
                Place::Servers(query) => match query.exchange.next_action(&Schedule::of(&self.conf), now)? {
                    exchange::Action::Send { transmission, family, server, transport } => {
                        return Some(Action::Send { transmission, family, server, transport });
                    }
                    exchange::Action::Ended { family, outcome } => {
                        if let Some(addresses) = self.ended(family, outcome) {
                            self.note_told(family);
                            return Some(Action::Answered { family, answer: Ok(addresses) });
                        }
                    }
                },
                Place::Found(addresses) => {
                    let addresses = std::mem::take(addresses);
                    return Some(self.tell_found(addresses));
                }
                Place::Over { failures, held } => {
                    let (failures, held) = (*failures, held.take());
                    if let Some(held) = held {
                        let (family, addresses) = *held;
                        self.note_told(family);
                        return Some(Action::Answered { family, answer: Ok(addresses) });
                    }
                    let Some(family) = self.untold() else {
                        self.place = Place::Finished;
                        return Some(Action::Finish);
                    };
                    self.note_told(family);
                    return Some(Action::Answered { family, answer: Err(failures[family as usize]) });
                }
                Place::Asked(_) | Place::Finished => return None,
            }
        }
    }

    /// When [`Walk::next_action`] is to be asked again although nothing happened; None: only an event can
    /// change anything.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.place {
            Place::Servers(query) => query.exchange.deadline(),
            _ => None,
        }
    }

    /// Writes the packet of a transmission into `buffer`, with its length before it if it goes by TCP. None
    /// if the transmission is not the latest of its family.
    ///
    /// `id` should be unpredictable, and no other question of the same socket may have it. Only answers with
    /// the id that was written last are taken; with the same id and socket as before, late answers to the
    /// packet before are good too.
    pub fn write_query<'b>(
        &mut self,
        transmission: Transmission,
        id: u16,
        buffer: &'b mut [u8; LONGEST_QUERY],
    ) -> Option<&'b [u8]> {
        let Place::Servers(query) = &mut self.place else { return None };
        let (family, transport) = query.exchange.sent(transmission)?;
        let name = query_name(&self.name, query.candidate, &self.conf).to_wire().ok()?;
        query.exchange.set_id(family, id);
        let mut options = QueryOptions::of(&self.conf);
        let record_type = query.exchange.record_type(family);
        // As in glibc, the question that stands in for an AAAA question has no OPT record.
        options.edns0 &= record_type != RecordType::A || family == Family::V4;
        let length = write_query(buffer, id, &name, record_type, options, transport == Transport::Tcp);
        Some(&buffer[..length])
    }

    /// The id of the packet of this family that was written last for the present question.
    pub fn id(&self, family: Family) -> Option<u16> {
        match &self.place {
            Place::Servers(query) => query.exchange.id(family),
            _ => None,
        }
    }

    fn wants(&self, family: Family) -> bool {
        self.families == Families::Both || self.families == Families::Only(family)
    }

    fn note_told(&mut self, family: Family) {
        self.told |= bit(family);
    }

    fn untold(&self) -> Option<Family> {
        [Family::V6, Family::V4].into_iter().find(|family| self.wants(*family) && self.told & bit(*family) == 0)
    }

    /// Goes to the source of the present step, after one that has failed with `error`. The one to ask, if
    /// that is the driver's to do.
    fn enter_source(&mut self, error: HostError) -> Option<Ask> {
        let ask = self.steps.get(usize::from(self.step)).map(|step| step.ask);
        match ask {
            // There is no source at all.
            None => self.place = Place::Over { failures: [NO_SOURCE; 2], held: None },
            Some(Ask::Nobody(failure)) => self.fail_source(failure),
            Some(Ask::Dns) => {
                let (search, candidate) = Search::new(&self.name, &self.conf);
                self.ask_servers(search, candidate);
            }
            Some(ask @ (Ask::Files { .. } | Ask::Resolve { .. })) => {
                self.place = Place::Asked(error);
                return Some(ask);
            }
        }
        None
    }

    /// The present source has failed: the next one, or the end.
    fn fail_source(&mut self, mut failure: Failure) {
        // gethostbyname2_r(3) returns an errno that was there before where the source is unavailable and nothing failed
        // in libc itself; then getaddrinfo(3) takes the name for one that exists.
        if self.has_errno && failure == UNKNOWN_UNAVAILABLE {
            failure.error = HostError::NoRecovery;
        }
        let step = usize::from(self.step);
        let returns = self.steps[step].actions.after(failure.status) == nsswitch::Action::Return;
        if returns || step + 1 >= self.steps.len() {
            self.place = Place::Over { failures: [failure; 2], held: None };
        } else {
            self.step += 1;
            self.place = Place::Before(failure.error);
        }
    }

    fn source_found(&mut self, addresses: &[Address], ttl: Option<u32>) {
        let Place::Asked(_) = self.place else { return };
        let list: Vec<Address> = addresses.iter().copied().filter(|address| self.wants(address.family())).collect();
        if list.is_empty() {
            self.fail_source(Failure::HOST_NOT_FOUND);
        } else {
            self.place = Place::Found(Addresses { list, ttl });
        }
    }

    /// Tells the next family of what a source has found.
    fn tell_found(&mut self, mut addresses: Addresses) -> Action {
        let Some(family) = self.untold() else {
            self.place = Place::Finished;
            return Action::Finish;
        };
        self.note_told(family);
        let ttl = addresses.ttl;
        let list = if self.untold().is_some() {
            let of_family = addresses.list.iter().copied().filter(|address| address.family() == family).collect();
            addresses.list.retain(|address| address.family() != family);
            of_family
        } else {
            // What is left is all of the last one.
            std::mem::take(&mut addresses.list)
        };
        self.place = Place::Found(addresses);
        let found = Addresses { list, ttl };
        let answer = if found.list.is_empty() { Err(Failure::NO_DATA) } else { Ok(found) };
        Action::Answered { family, answer }
    }

    /// A question has its outcome: the addresses to tell, if there are any.
    fn ended(&mut self, family: Family, outcome: Outcome) -> Option<Addresses> {
        let outcome = self.services_ended(outcome)?;
        let Place::Servers(query) = &mut self.place else { return None };
        let addresses = query.outcomes.add(family, outcome);
        if query.exchange.is_over() {
            let (mut search, verdict) = (query.search, query.outcomes.verdict(self.families));
            self.next_transmission = query.exchange.next_transmission();
            match verdict {
                Verdict::Found(failures) => {
                    let held = query.outcomes.take_held();
                    self.place = Place::Over { failures, held };
                }
                Verdict::Failed(failure) => self.fail_source(failure),
                Verdict::Missed(miss) => match search.next(miss, &self.conf) {
                    Ok(candidate) => self.ask_servers(search, candidate),
                    Err(error) => self.fail_source(miss.failure(error)),
                },
            }
        }
        addresses
    }

    /// Takes what a walk for service bindings has waited for; gives back any other outcome.
    fn services_ended(&mut self, outcome: Outcome) -> Option<Outcome> {
        let Some(walk) = self.services.as_mut() else { return Some(outcome) };
        // No such name, or it has no such records.
        let nothing = matches!(
            outcome,
            Outcome::Replied(Answer {
                code: Code::NoError | Code::NoSuchName,
                records: Records::Nothing | Records::NoAddress,
                ..
            })
        );
        if let Outcome::Services(mut records, ttl) = outcome {
            let ttl = walk.ttl.map_or(ttl, |before| before.min(ttl));
            // Beside an AliasMode record the others do not count (section 2.4.1).
            let Some(alias) = records.iter_mut().find(|record| record.is_alias()) else {
                records.sort_by_key(|record| record.priority);
                self.found(records, Some(ttl));
                return None;
            };
            // Of several any may be taken; the server has them by turns.
            let target = std::mem::take(&mut alias.target);
            walk.ttl = Some(ttl);
            walk.aliases += 1;
            // The root says that there is no such service (section 2.5.1); what goes on and on leads nowhere.
            if target.is_empty() || walk.aliases > MOST_ALIASES {
                self.place = Place::Over { failures: [Failure::NO_DATA; 2], held: None };
                return None;
            }
            if let Place::Servers(query) = &self.place {
                self.next_transmission = query.exchange.next_transmission();
            }
            self.name = format!("{target}.").into_bytes().into();
            self.place = Place::Before(HostError::NoRecovery);
            return None;
        }
        if nothing && walk.aliases > 0 {
            // The last name of a chain has no records of its own: it is the one to connect to.
            let ttl = walk.ttl;
            self.found(Vec::new(), ttl);
            return None;
        }
        Some(outcome)
    }

    fn found(&mut self, records: Vec<ServiceRecord>, ttl: Option<u32>) {
        let Some(walk) = self.services.as_mut() else { return };
        let owner = String::from_utf8_lossy(&self.name).trim_end_matches('.').to_owned();
        let default_alpn = (walk.record_type == RecordType::Https).then_some(HTTPS_DEFAULT_ALPN);
        walk.found = Some(Services { owner, aliases: walk.aliases, default_alpn, records, ttl });
        self.place = Place::Over { failures: [Failure::NO_DATA; 2], held: None };
    }

    /// Puts a name of the search list to the servers.
    fn ask_servers(&mut self, mut search: Search, mut candidate: Candidate) {
        // What cannot be a name fails without a packet.
        while let Err(NotAName) = query_name(&self.name, candidate, &self.conf).to_wire() {
            let miss = Miss::told(HostError::NoRecovery);
            match search.next(miss, &self.conf) {
                Ok(next) => candidate = next,
                Err(error) => return self.fail_source(miss.failure(error)),
            }
        }
        let schedule = Schedule::of(&self.conf);
        let mut exchange =
            Exchange::new(&schedule, self.families, self.next_server, self.conf.no_aaaa, self.next_transmission);
        if self.as_libc {
            exchange.do_as_libc();
        }
        if let Some(services) = &self.services {
            exchange.ask_for(services.record_type);
        }
        if self.conf.rotate {
            self.next_server = (self.next_server + 1) % schedule.count();
        }
        self.place = Place::Servers(Query { search, candidate, exchange, outcomes: Outcomes::default() });
    }
}

fn bit(family: Family) -> u8 {
    1 << family as u8
}

/// What comes of silent servers in the search list behind a name that they did not know as it is.
const UNKNOWN_UNAVAILABLE: Failure = Failure { status: Status::Unavailable, error: HostError::HostNotFound };

/// What a walk without any source ends with.
const NO_SOURCE: Failure = Failure { status: Status::Unavailable, error: HostError::NoRecovery };

fn query_name<'a>(name: &'a [u8], candidate: Candidate, conf: &'a ResolvConf) -> QueryName<'a> {
    let domain = match candidate {
        Candidate::AsItIs => None,
        Candidate::In(index) => search::domain(conf, index),
    };
    QueryName { name, domain }
}
