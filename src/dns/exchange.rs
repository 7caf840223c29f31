//! One name put to the servers of resolv.conf, for one record type or both, by glibc's retry schedule.
//!
//! Both questions of a name go to the same server and leave it together, as in glibc's res_send: a server
//! that answers one and fails at the other is not left for that, so what is heard of the name comes from one
//! server. Servers are asked in order, one at a time; who refuses or fails is left at once, who keeps silent
//! after its wait; then the next round.
//!
//! An [`Exchange`] has no socket, no timer and no copy of the name. The driver keeps its datagram sockets
//! open while it lives: an answer that comes late, from a server that was left already, is still good. A TCP
//! connection belongs to one question at one server and is to be closed as soon as that question is sent
//! again or has its outcome.
use super::message::{Answer, Asked, Code, Leftover, Records, Reply, Transport, read_reply};
use super::name_wire::WireName;
use super::outcome::{Cause, Outcome, Progress, Setback, Unanswered};
use super::question::RecordType;
use super::schedule::{Schedule, Serial};
use super::stream::{Streams, first_message};
use super::{Families, Family};
use std::time::Instant;

/// In the order of asking (RFC 8305, section 3): IPv6 first.
const FAMILIES: [Family; 2] = [Family::V6, Family::V4];

fn index_of(family: Family) -> usize {
    family as usize
}

fn other(family: Family) -> Family {
    FAMILIES[1 - index_of(family)]
}

/// The number of an [`Action::Send`], within one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Transmission(pub u16);

/// How a TCP connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TcpFailure {
    /// The server closed it.
    Closed,
    /// Nobody listens there (`ECONNREFUSED`).
    Refused,
    /// The server aborted it (`ECONNRESET`). Before an answer it is opened once more.
    Reset,
    /// `ETIMEDOUT`.
    TimedOut,
    /// Any other error, also of making the socket.
    Other,
}

/// Something that happened. What concerns a transmission that was followed by another of the same question is
/// ignored, and so is what comes for a question that has its outcome.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// From this server's address: checked by the driver (a connected socket).
    Datagram { server: u8, message: &'a [u8] },
    /// A datagram could not be sent, or an ICMP error came back.
    Unreachable { transmission: Transmission },
    /// The TCP connection stands.
    TcpConnected { transmission: Transmission },
    /// What came by it, in pieces of any length.
    TcpData { transmission: Transmission, data: &'a [u8] },
    /// It failed, was closed, or could not be made.
    TcpFailed { transmission: Transmission, failure: TcpFailure },
}

/// Something to do now.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Send the question: as a datagram, or over a new TCP connection, any former one of this question
    /// closed.
    Send { transmission: Transmission, family: Family, server: u8, transport: Transport },
    /// What became of a question, once for each: addresses at once, everything else when all is known, in the
    /// order in which the answers came.
    Ended { family: Family, outcome: Outcome },
}

/// How often a question is asked again of a server that has answered the other one and keeps silent about
/// this one.
///
/// glibc asks again, one question after the other, in case the server cannot have two at once, and then again
/// with a new socket. A first, before it has been answered each time: so its silence ends this after one
/// repetition.
///
/// With `single-request` the first of these steps has been taken already, with `single-request-reopen` both.
fn repetitions(family: Family, serial: Serial) -> u8 {
    match (family, serial) {
        (Family::V6, Serial::No) => 2,
        (Family::V4, Serial::No) | (_, Serial::OneSocket) => 1,
        (_, Serial::NewSocket) => 0,
    }
}

/// One name with the servers. See the module's documentation.
#[derive(Debug)]
pub struct Exchange {
    progress: [Progress; 2],
    families: Families,
    ids: [Option<u16>; 2],
    /// The latest transmission of each, and the number of the next.
    sent: [Option<Transmission>; 2],
    next_transmission: Transmission,
    deadline: Option<Instant>,
    /// What has come by TCP so far; only while there is a connection.
    streams: Streams,
    /// The server whose turn is first (`rotate`), and how many turns have passed in this round.
    first_server: u8,
    turn: u8,
    round: u8,
    repeated: u8,
    /// Once a server had to be asked by TCP, the rest of the round goes by TCP, and it is the last.
    by_tcp: bool,
    /// As libc has it: the A question leaves first, and nothing is given before both outcomes are known.
    as_libc: bool,
    heard: bool,
    leftover: Leftover,
    servfail: bool,
    answered: bool,
    /// The AAAA question is asked as one for A records, and only whether the name exists counts (`no-aaaa`).
    no_aaaa: bool,
    /// The one question is for records of this type, and not for addresses.
    record_type: Option<RecordType>,
    /// Which connection was opened a second time after a reset.
    reopened: [bool; 2],
    /// The question that was answered first.
    first: Option<Family>,
    cause: Cause,
}

impl Exchange {
    /// `first_server` is 0, or any number with `rotate`; transmissions are numbered from `first_transmission`
    /// on. With `no_aaaa` IPv6 addresses are not asked for: alone, a question for A records tells whether the
    /// name exists.
    pub fn new(
        schedule: &Schedule,
        families: Families,
        first_server: u8,
        no_aaaa: bool,
        first_transmission: Transmission,
    ) -> Exchange {
        let transport = if schedule.use_vc { Transport::Tcp } else { Transport::Udp };
        let to_ask = |family| match families {
            Families::Both => family == Family::V4 || !no_aaaa,
            Families::Only(only) => family == only,
        };
        let mut exchange = Exchange {
            progress: FAMILIES.map(|family| if to_ask(family) { Progress::ToSend(transport) } else { Progress::Ended }),
            families,
            ids: [None; 2],
            sent: [None; 2],
            next_transmission: first_transmission,
            deadline: None,
            streams: Streams::default(),
            first_server: first_server % schedule.count(),
            turn: 0,
            round: 0,
            repeated: 0,
            by_tcp: schedule.use_vc,
            as_libc: false,
            heard: false,
            leftover: Leftover::NONE,
            servfail: false,
            answered: false,
            no_aaaa,
            record_type: None,
            reopened: [false; 2],
            first: None,
            cause: Cause::TimedOut,
        };
        if schedule.attempts == 0 {
            exchange.exhaust();
        }
        exchange
    }

    /// Does it as libc does, and not as RFC 8305 (section 3) wants it for a race: the A question leaves
    /// first, and what one question has brought holds only once the other has its outcome too. Where a
    /// server answers with rubbish, or fails halfway, what comes of a pair depends on that.
    pub fn do_as_libc(&mut self) {
        self.as_libc = true;
    }

    /// Asks for records of another type in the place of a family's addresses. For an exchange of one
    /// question.
    pub fn ask_for(&mut self, record_type: RecordType) {
        self.record_type = Some(record_type);
    }

    /// Something happened; `name` is the name of the exchange.
    pub fn handle(&mut self, schedule: &Schedule, now: Instant, event: Event<'_>, name: &WireName) {
        match event {
            Event::Datagram { server, message } => self.datagram(schedule, server, message, name),
            Event::Unreachable { transmission } => {
                if self.waiting(transmission, Transport::Udp).is_some() {
                    self.fail_datagrams();
                }
            }
            Event::TcpConnected { transmission } => {
                if self.waiting(transmission, Transport::Tcp).is_some() {
                    self.deadline = Some(now + schedule.wait(self.server(schedule)));
                }
            }
            Event::TcpData { transmission, data } => {
                if let Some(family) = self.waiting(transmission, Transport::Tcp) {
                    self.tcp_data(family, data, name);
                }
            }
            Event::TcpFailed { transmission, failure } => {
                if let Some(family) = self.waiting(transmission, Transport::Tcp) {
                    self.tcp_failed(family, failure);
                }
            }
        }
    }

    /// The next thing to do, None when there is nothing more at this moment. To be asked until then after
    /// events were handed in and when [`Exchange::deadline`] has come.
    pub fn next_action(&mut self, schedule: &Schedule, now: Instant) -> Option<Action> {
        self.settle(schedule, now);
        let in_order = if self.first == Some(Family::V4) { [Family::V4, Family::V6] } else { FAMILIES };
        let all_decided = !FAMILIES.into_iter().any(|family| self.is_open(family));
        for family in in_order {
            let progress = &mut self.progress[index_of(family)];
            if (all_decided || progress.is_found() && !self.as_libc)
                && let Progress::Done(outcome) = std::mem::replace(progress, Progress::Ended)
            {
                return Some(Action::Ended { family, outcome });
            }
        }
        let server = self.server(schedule);
        let to_send = if self.as_libc { [Family::V4, Family::V6] } else { FAMILIES };
        for family in to_send {
            if let Progress::ToSend(transport) = self.progress[index_of(family)]
                && !(transport == Transport::Udp && self.has_to_wait(schedule, family))
            {
                self.progress[index_of(family)] = Progress::Waiting(transport);
                self.streams.take(index_of(family));
                // One wait for both questions, although they follow each other.
                let goes_on = self.is_second(schedule, family) && self.repeated == 0 && transport == Transport::Udp;
                if !goes_on || self.deadline.is_none() {
                    self.deadline = Some(now + schedule.wait(server));
                }
                let transmission = self.next_transmission;
                self.next_transmission = Transmission(transmission.0.wrapping_add(1));
                self.sent[index_of(family)] = Some(transmission);
                return Some(Action::Send { transmission, family, server, transport });
            }
        }
        None
    }

    /// When [`Exchange::next_action`] is to be asked again although nothing happened.
    pub fn deadline(&self) -> Option<Instant> {
        let waits = self.progress.iter().any(|progress| matches!(progress, Progress::Waiting(_)));
        self.deadline.filter(|_| waits)
    }

    /// Every question has its outcome, and it was given.
    pub fn is_over(&self) -> bool {
        self.progress.iter().all(|progress| matches!(progress, Progress::Ended))
    }

    /// Of which question a transmission is, if that waits for its answer.
    pub fn sent(&self, transmission: Transmission) -> Option<(Family, Transport)> {
        [Transport::Udp, Transport::Tcp]
            .into_iter()
            .find_map(|transport| Some((self.waiting(transmission, transport)?, transport)))
    }

    /// The number that the next transmission would have.
    pub fn next_transmission(&self) -> Transmission {
        self.next_transmission
    }

    /// The record type that stands in the packet of a question.
    pub fn record_type(&self, family: Family) -> RecordType {
        let of_family = if self.no_aaaa { RecordType::A } else { RecordType::of(family) };
        self.record_type.unwrap_or(of_family)
    }

    /// The id of the packet that was sent last.
    pub fn id(&self, family: Family) -> Option<u16> {
        self.ids[index_of(family)]
    }

    /// The id that goes into the packet: answers have to carry it from now on.
    pub(super) fn set_id(&mut self, family: Family, id: u16) {
        self.ids[index_of(family)] = Some(id);
    }

    /// What becomes of a question that nobody has answered.
    fn unanswered(&self, cause: Cause) -> Outcome {
        // libc reads the replies to the question that stands in for the AAAA question into a buffer of zeros, and
        // takes what is there at the end for a reply unless the question in it is one for A records
        // (`__res_handle_no_aaaa`).
        let stands_in = self.no_aaaa && self.families == Families::Only(Family::V6);
        let as_if = match self.leftover.code().filter(|_| stands_in) {
            Some((code @ Code::NoError, true)) => {
                let (records, addresses) = (Records::Malformed, Default::default());
                return Outcome::Replied(Answer { code, records, addresses });
            }
            leftover => leftover.map(|(code, _)| code),
        };
        Outcome::Unanswered(Unanswered { cause, servfail: self.servfail, as_if })
    }

    /// Whether the questions of a pair follow each other. Only libc's do: in a race each goes from a port of
    /// its own.
    fn serial(&self, schedule: &Schedule) -> Serial {
        if self.as_libc && self.families == Families::Both { schedule.serial } else { Serial::No }
    }

    /// The question follows the other one.
    fn is_second(&self, schedule: &Schedule, family: Family) -> bool {
        family == Family::V6 && self.serial(schedule) != Serial::No
    }

    /// The question that it follows has no answer of this server yet.
    fn has_to_wait(&self, schedule: &Schedule, family: Family) -> bool {
        self.is_second(schedule, family) && self.is_open(other(family))
    }

    /// The server whose turn it is.
    fn server(&self, schedule: &Schedule) -> u8 {
        ((u16::from(self.first_server) + u16::from(self.turn)) % u16::from(schedule.count())) as u8
    }

    /// The question may still be answered.
    fn is_open(&self, family: Family) -> bool {
        !matches!(self.progress[index_of(family)], Progress::Ended | Progress::Done(_))
    }

    /// The question is open, or its reply does not hold without the other question's.
    fn is_undecided(&self, family: Family) -> bool {
        self.is_open(family) || self.progress[index_of(family)].is_held(self.as_libc)
    }

    /// The question that waits for what comes of this transmission.
    fn waiting(&self, transmission: Transmission, transport: Transport) -> Option<Family> {
        FAMILIES.into_iter().find(|&family| {
            let index = index_of(family);
            self.sent[index] == Some(transmission)
                && matches!(self.progress[index], Progress::Waiting(by) if by == transport)
        })
    }

    /// Reads a message as an answer to an open question.
    fn read(&self, family: Family, message: &[u8], transport: Transport, name: &WireName) -> Reply {
        let Some(id) = self.id(family).filter(|_| self.is_open(family)) else { return Reply::Ignored };
        let any_class = self.families == Families::Both;
        let asked = Asked { id, name, record_type: self.record_type(family), any_class };
        match read_reply(message, asked, transport) {
            Reply::Answer(answer) if self.no_aaaa && family == Family::V6 => {
                Reply::Answer(Answer { code: answer.code, records: Records::Nothing, addresses: Default::default() })
            }
            reply => reply,
        }
    }

    fn datagram(&mut self, schedule: &Schedule, server: u8, message: &[u8], name: &WireName) {
        let current = server == self.server(schedule);
        if message.is_empty() {
            // For libc recvfrom(2) has failed then: the server is left, and nothing was heard of it.
            if current {
                self.fail_datagrams();
            }
            return;
        }
        self.heard = true;
        if current {
            self.leftover.cover(message);
        }
        for family in FAMILIES {
            let waits = current && matches!(self.progress[index_of(family)], Progress::Waiting(Transport::Udp));
            match self.read(family, message, Transport::Udp, name) {
                Reply::Ignored => continue,
                Reply::TooShort if current => self.fail_datagrams(),
                Reply::ServerFailure { servfail } if waits => self.server_failed(family, servfail),
                Reply::Truncated if waits => self.truncated(family),
                // Of a server that was left already only an answer counts.
                Reply::TooShort | Reply::ServerFailure { .. } | Reply::Truncated => {}
                Reply::Services(records, ttl) => self.replied(family, Outcome::Services(records, ttl)),
                Reply::Answer(answer) => self.replied(family, Outcome::Replied(answer)),
            }
            return;
        }
    }

    /// The answer has to come by TCP, of the same server; and with it the other question's, unless that holds
    /// by itself already.
    fn truncated(&mut self, family: Family) {
        self.by_tcp = true;
        self.progress[index_of(family)] = Progress::ToSend(Transport::Tcp);
        let beside = &mut self.progress[index_of(other(family))];
        // libc reads nothing more from the socket of the pair.
        let is_left =
            self.as_libc && matches!(beside, Progress::Waiting(Transport::Udp) | Progress::ToSend(Transport::Udp));
        if is_left || beside.is_held(self.as_libc) || matches!(beside, Progress::Failed(Setback::ServerFailure)) {
            *beside = Progress::ToSend(Transport::Tcp);
            self.answered = false;
            self.first = None;
        }
    }

    fn server_failed(&mut self, family: Family, servfail: bool) {
        // glibc looks at what came first from a server.
        if !matches!(self.progress[index_of(other(family))], Progress::Failed(Setback::ServerFailure)) {
            self.servfail = servfail;
        }
        self.progress[index_of(family)] = Progress::Failed(Setback::ServerFailure);
    }

    fn replied(&mut self, family: Family, outcome: Outcome) {
        self.answered = true;
        self.first = self.first.or(Some(family));
        self.streams.take(index_of(family));
        self.progress[index_of(family)] = Progress::Done(outcome);
    }

    fn fail_datagrams(&mut self) {
        for progress in &mut self.progress {
            if matches!(progress, Progress::Waiting(Transport::Udp)) {
                *progress = Progress::Failed(Setback::NoServer);
            }
        }
    }

    fn tcp_data(&mut self, family: Family, data: &[u8], name: &WireName) {
        let index = index_of(family);
        let mut stream = self.streams.take(index);
        stream.extend_from_slice(data);
        // Messages that answer something else are passed over, as datagrams are.
        let mut rest = &stream[..];
        while let Some((message, after)) = first_message(rest) {
            match self.read(family, message, Transport::Tcp, name) {
                Reply::Services(records, ttl) => return self.replied(family, Outcome::Services(records, ttl)),
                Reply::Answer(answer) => return self.replied(family, Outcome::Replied(answer)),
                Reply::TooShort => {
                    self.cause = Cause::Other;
                    self.progress[index] = Progress::Failed(Setback::NoServer);
                    return;
                }
                _ => {
                    self.leftover.cover(message);
                    rest = after;
                }
            }
        }
        let passed_over = stream.len() - rest.len();
        stream.drain(..passed_over);
        self.streams.put(index, stream);
    }

    fn tcp_failed(&mut self, family: Family, failure: TcpFailure) {
        let index = index_of(family);
        let nothing_came = self.streams.take(index).is_empty();
        if failure == TcpFailure::Reset && nothing_came && !self.reopened[index] {
            self.reopened[index] = true;
            self.progress[index] = Progress::ToSend(Transport::Tcp);
            return;
        }
        self.cause = match failure {
            TcpFailure::Refused => Cause::Refused,
            TcpFailure::TimedOut => Cause::TimedOut,
            TcpFailure::Closed | TcpFailure::Reset | TcpFailure::Other => Cause::Other,
        };
        self.progress[index] = Progress::Failed(Setback::NoServer);
    }

    /// Decides what follows from all that was noted, and from the time.
    fn settle(&mut self, schedule: &Schedule, now: Instant) {
        if self.deadline().is_some_and(|at| at <= now) {
            self.expire(schedule);
        }
        if self.answered {
            let unanswered = self.unanswered(Cause::TimedOut);
            for progress in &mut self.progress {
                if matches!(progress, Progress::Failed(Setback::ServerFailure)) {
                    *progress = Progress::Done(unanswered.clone());
                }
            }
        }
        let waits = |family: Family| match self.progress[index_of(family)] {
            Progress::ToSend(Transport::Udp) => {
                // It would wait for an answer that does not come.
                let first = &self.progress[index_of(other(family))];
                !(self.is_second(schedule, family) && matches!(first, Progress::Failed(_)))
            }
            Progress::ToSend(Transport::Tcp) | Progress::Waiting(_) => true,
            _ => false,
        };
        let leave = if FAMILIES.into_iter().any(waits) {
            self.progress.iter().any(|progress| matches!(progress, Progress::Failed(Setback::NoServer)))
        } else {
            self.progress.iter().any(|progress| matches!(progress, Progress::Failed(_)))
        };
        if leave {
            self.advance(schedule);
        }
    }

    /// The wait for the current server is over.
    fn expire(&mut self, schedule: &Schedule) {
        for family in FAMILIES {
            let index = index_of(family);
            let Progress::Waiting(transport) = self.progress[index] else { continue };
            match transport {
                Transport::Tcp => self.cause = Cause::TimedOut,
                Transport::Udp => self.heard = true,
            }
            self.progress[index] = if transport == Transport::Tcp || !self.answered {
                Progress::Failed(Setback::NoServer)
            } else if self.repeated < repetitions(family, self.serial(schedule)) {
                self.repeated += 1;
                Progress::ToSend(transport)
            } else if family == Family::V6 {
                Progress::Done(self.unanswered(Cause::TimedOut))
            } else {
                Progress::Failed(Setback::NoServer)
            };
        }
    }

    /// Puts the open questions to the next server.
    fn advance(&mut self, schedule: &Schedule) {
        self.turn += 1;
        self.repeated = 0;
        if self.turn >= schedule.count() {
            self.turn = 0;
            self.round += 1;
            if self.by_tcp || self.round >= schedule.attempts {
                self.exhaust();
                return;
            }
        }
        let transport = if self.by_tcp { Transport::Tcp } else { Transport::Udp };
        for family in FAMILIES {
            if self.is_undecided(family) {
                self.progress[index_of(family)] = Progress::ToSend(transport);
                self.reopened[index_of(family)] = false;
            }
        }
        if FAMILIES.into_iter().all(|family| self.is_open(family) || self.sent[index_of(family)].is_none()) {
            self.answered = false;
            self.first = None;
        }
    }

    /// No server is left.
    fn exhaust(&mut self) {
        let cause = match (self.by_tcp, self.heard) {
            (true, _) => self.cause,
            (false, true) => Cause::TimedOut,
            (false, false) => Cause::Refused,
        };
        let unanswered = self.unanswered(cause);
        for family in FAMILIES {
            if self.is_undecided(family) {
                self.progress[index_of(family)] = Progress::Done(unanswered.clone());
            }
        }
        self.streams = Streams::default();
    }
}
