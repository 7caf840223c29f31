//! One UDP socket, connected to a server, and the questions that are under way through it.

use crate::dns::Family;
use crate::dns::exchange::Transmission;
use crate::sys::socket::{Connecting, Socket};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

/// So many questions go through one socket. Its port is then left, so that nobody who has found it out has
/// long to make use of it (RFC 5452, section 9.2), and no router on the way can keep a path that has died.
const QUESTIONS: u32 = 64;
/// For the same reasons no question is asked through an older one.
const LIFE: Duration = Duration::from_secs(10);

/// A question that is under way.
#[derive(Clone, Copy, Debug)]
pub struct UnderWay {
    pub id: u16,
    /// The place of its walk.
    pub walk: u32,
    pub family: Family,
    /// The server's place in resolv.conf(5).
    pub server: u8,
    pub transmission: Transmission,
    pub asked_at: Instant,
}

/// The socket. A connected one takes in nothing but what its server sends (connect(2)).
pub struct Datagrams {
    socket: Socket,
    server: SocketAddr,
    /// The family that is asked for through it; None: both.
    family: Option<Family>,
    made_at: Instant,
    asked: u32,
    retired: bool,
    under_way: Vec<UnderWay>,
}

impl Datagrams {
    pub fn open(server: SocketAddr, family: Option<Family>, now: Instant) -> io::Result<Datagrams> {
        let socket = Socket::datagram(&server)?;
        // A datagram socket is connected at once, also where a signal has come meanwhile.
        let (Connecting::Done | Connecting::InProgress) = socket.connect(&server)?;
        Ok(Datagrams { socket, server, family, made_at: now, asked: 0, retired: false, under_way: Vec::new() })
    }

    /// Whether a question to this server may go through it.
    pub fn takes(&self, server: &SocketAddr, family: Option<Family>, now: Instant) -> bool {
        !self.retired
            && self.asked < QUESTIONS
            && now.saturating_duration_since(self.made_at) < LIFE
            && self.family == family
            && self.server == *server
    }

    /// From here on it only waits for what is under way.
    pub fn retire(&mut self) {
        self.retired = true;
    }

    /// Nothing is under way, and nothing will be.
    pub fn is_done(&self, now: Instant) -> bool {
        let takes_more = !self.retired && self.asked < QUESTIONS && now.saturating_duration_since(self.made_at) < LIFE;
        self.under_way.is_empty() && !takes_more
    }

    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    pub fn is_in_use(&self, id: u16) -> bool {
        self.under_way.iter().any(|question| question.id == id)
    }

    /// Sends a question. What the system has no room for at this moment counts as sent: a datagram may be
    /// lost anywhere, and is sent again when its time has passed.
    pub fn send(&mut self, packet: &[u8], question: UnderWay) -> io::Result<()> {
        self.asked += 1;
        self.under_way.push(question);
        loop {
            match self.socket.send(packet) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if !matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS)) => return Err(error),
                _ => return Ok(()),
            }
        }
    }

    pub fn receive(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        self.socket.receive(buffer)
    }

    /// Whose answer a message is. One that answers nothing is of no interest to anybody but a walk that has
    /// the socket to itself: libc's would see it.
    pub fn whose(&self, message: &[u8]) -> Option<UnderWay> {
        let id = message.first_chunk::<2>().map(|id| u16::from_be_bytes(*id));
        let asked = self.under_way.iter().rfind(|question| Some(question.id) == id);
        let alone = || {
            let first = self.under_way.first()?;
            self.under_way.iter().all(|question| question.walk == first.walk).then_some(first)
        };
        asked.or_else(alone).copied()
    }

    /// The questions of a walk, of one family or of both, have come to their end.
    pub fn forget(&mut self, walk: u32, family: Option<Family>) {
        self.under_way
            .retain(|question| question.walk != walk || family.is_some_and(|family| question.family != family));
    }

    /// When a walk's question of a family was asked last.
    pub fn asked_at(&self, walk: u32, family: Family) -> Option<Instant> {
        let asked = self.under_way.iter().rfind(|question| question.walk == walk && question.family == family);
        asked.map(|question| question.asked_at)
    }

    /// It has failed: what was under way.
    pub fn fail(&mut self) -> Vec<UnderWay> {
        self.retired = true;
        std::mem::take(&mut self.under_way)
    }

    /// How many are under way.
    pub fn len(&self) -> usize {
        self.under_way.len()
    }
}

impl AsRawFd for Datagrams {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    const NOBODY: u32 = 7;

    fn question(id: u16, walk: u32, now: Instant) -> UnderWay {
        UnderWay { id, walk, family: Family::V4, server: 0, transmission: Transmission(0), asked_at: now }
    }

    fn open() -> (UdpSocket, Datagrams, Instant) {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let now = Instant::now();
        let datagrams = Datagrams::open(server.local_addr().unwrap(), None, now).unwrap();
        (server, datagrams, now)
    }

    #[test]
    fn it_takes_sixty_four_questions_and_none_after_ten_seconds() {
        let (server, mut datagrams, now) = open();
        let address = server.local_addr().unwrap();
        for id in 0..64 {
            assert!(datagrams.takes(&address, None, now) && !datagrams.takes(&address, Some(Family::V4), now));
            datagrams.send(b"question", question(id, NOBODY, now)).unwrap();
        }
        assert!(!datagrams.takes(&address, None, now) && !datagrams.is_done(now));
        datagrams.forget(NOBODY, None);
        assert!(datagrams.is_done(now));
        let (server, mut datagrams, now) = open();
        let address = server.local_addr().unwrap();
        assert!(!datagrams.takes(&address, None, now + LIFE) && datagrams.is_done(now + LIFE));
        assert!(!datagrams.is_done(now));
        datagrams.retire();
        assert!(!datagrams.takes(&address, None, now) && datagrams.is_done(now));
    }

    #[test]
    fn a_message_belongs_to_the_question_with_its_id_or_to_a_walk_that_is_alone() {
        let (_server, mut datagrams, now) = open();
        assert!(datagrams.whose(&[0, 1]).is_none());
        datagrams.send(b"question", question(1, NOBODY, now)).unwrap();
        assert!([&[0, 1][..], &[0, 2], &[0], &[]].iter().all(|message| datagrams.whose(message).is_some()));
        datagrams.send(b"question", question(3, NOBODY + 1, now)).unwrap();
        assert_eq!(datagrams.whose(&[0, 3, 9]).map(|question| question.walk), Some(NOBODY + 1));
        assert!([&[0, 2][..], &[0], &[]].iter().all(|message| datagrams.whose(message).is_none()));
    }

    #[test]
    fn a_closed_port_is_an_error_and_what_was_under_way_is_handed_back() {
        let (server, mut datagrams, now) = open();
        drop(server);
        datagrams.send(b"question", question(1, NOBODY, now)).unwrap();
        let mut buffer = Vec::with_capacity(512);
        let error = datagrams.receive(&mut buffer).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED));
        assert_eq!(datagrams.fail().len(), 1);
        assert!(datagrams.is_done(now));
    }
}
