//! Questions to the servers of resolv.conf(5), and their answers, by UDP and TCP.

use super::datagrams::{Datagrams, UnderWay};
use super::ids;
use super::state::{Channel, Client, NONE, Watcher};
use super::stream::{Step, Stream};
use crate::dns::Family;
use crate::dns::exchange::{TcpFailure, Transmission};
use crate::dns::question::LONGEST_QUERY;
use crate::dns::walk::Event;
use crate::race::AnsweredBy;
use crate::sys::Interest;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

/// The largest message there is: a length of 16 bits (RFC 1035, section 4.2.2; UDP).
const LARGEST_MESSAGE: usize = 65_535;

/// No server is waited for less long (resolv.conf(5), `timeout`).
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

impl Client {
    /// Sends a question by UDP.
    pub(super) fn send(
        &mut self,
        now: Instant,
        place: u32,
        transmission: Transmission,
        family: Family,
        server: u8,
        watcher: &mut impl Watcher,
    ) {
        let Some(walking) = self.walking(place) else { return };
        let Some(address) = walking.walk.server(server) else { return };
        walking.by = AnsweredBy::NameServer(Some(address));
        let before = walking.walk.id(family);
        if before.is_some() {
            // Asked before: a late answer is good still.
            walking.resent = true;
            let (last, window) = (walking.datagrams[family as usize], usize::from(walking.window));
            if let Some(Some(Channel::Datagrams(datagrams))) = self.sockets.get_mut(last as usize)
                && datagrams
                    .asked_at(place, family)
                    .is_some_and(|at| now.saturating_duration_since(at) >= SHORTEST_WAIT)
            {
                // And not answered in time: nothing more is asked from the port that has brought nothing.
                datagrams.retire();
                self.servers[window].1.lost();
            }
        } else {
            self.forget(now, place, Some(family), watcher);
        }
        if self.try_send(now, place, transmission, (family, server, address), before, watcher).is_err() {
            self.hand_in(now, place, Event::Unreachable { transmission });
        }
    }

    pub(super) fn try_send(
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
        let Client { lookups, sockets, .. } = self;
        let walking = lookups[place as usize].as_mut().and_then(|lookup| lookup.walk.as_mut());
        let (Some(walking), Some(Channel::Datagrams(datagrams))) = (walking, &mut sockets[socket as usize]) else {
            return Ok(());
        };
        walking.datagrams[family as usize] = socket;
        let id = match before.filter(|&id| !datagrams.is_in_use(id)) {
            Some(id) => id,
            None => ids::draw(|id| datagrams.is_in_use(id))?,
        };
        let mut buffer = [0; LONGEST_QUERY];
        let Some(packet) = walking.walk.write_query(transmission, id, &mut buffer) else { return Ok(()) };
        let question = UnderWay { id, walk: place, family, server, transmission, asked_at: now };
        if datagrams.send(packet, question).is_err() {
            self.socket_failed(now, socket, Some(place), watcher);
        }
        Ok(())
    }

    /// Reads one message. Whether there may be more.
    pub(super) fn receive(&mut self, now: Instant, socket: u32, fd: RawFd, watcher: &mut impl Watcher) -> bool {
        let Some(Some(Channel::Datagrams(datagrams))) = self.sockets.get(socket as usize) else { return false };
        if datagrams.as_raw_fd() != fd {
            return false;
        }
        self.buffer.clear();
        self.buffer.reserve_exact(LARGEST_MESSAGE);
        match datagrams.receive(&mut self.buffer) {
            Ok(_) => {
                let Some(question) = datagrams.whose(&self.buffer) else { return true };
                let buffer = std::mem::take(&mut self.buffer);
                let event = Event::Datagram { server: question.server, message: &buffer };
                self.hand_in(now, question.walk, event);
                if let Some(walking) = self.walking(question.walk) {
                    let window = usize::from(walking.window);
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
    pub(super) fn socket_failed(&mut self, now: Instant, socket: u32, busy: Option<u32>, watcher: &mut impl Watcher) {
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
    pub(super) fn open_stream(
        &mut self,
        now: Instant,
        place: u32,
        transmission: Transmission,
        family: Family,
        server: u8,
        watcher: &mut impl Watcher,
    ) {
        let Some(walking) = self.walking(place) else { return };
        let stream = std::mem::replace(&mut walking.streams[family as usize], NONE);
        self.close(stream, watcher);
        let Some(walking) = self.walking(place) else { return };
        let Some(address) = walking.walk.server(server) else { return };
        walking.by = AnsweredBy::NameServer(Some(address));
        let mut buffer = [0; LONGEST_QUERY];
        let opened = ids::draw(|_| false).map_err(|_| TcpFailure::Other).and_then(|id| {
            let packet = walking.walk.write_query(transmission, id, &mut buffer).unwrap_or_default();
            Stream::open(&address, packet, place, family, transmission)
        });
        let kept = opened.and_then(|stream| self.keep(Channel::Stream(stream), watcher).map_err(|_| TcpFailure::Other));
        match kept {
            Ok(socket) => {
                if let Some(walking) = self.walking(place) {
                    walking.streams[family as usize] = socket;
                }
            }
            Err(failure) => self.hand_in(now, place, Event::TcpFailed { transmission, failure }),
        }
    }

    pub(super) fn stream_ready(&mut self, now: Instant, socket: u32, watcher: &mut impl Watcher) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.reserve_exact(LARGEST_MESSAGE);
        while let Some(Some(Channel::Stream(stream))) = self.sockets.get_mut(socket as usize) {
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

    pub(super) fn stream_failed(
        &mut self,
        now: Instant,
        place: u32,
        family: Family,
        transmission: Transmission,
        failure: TcpFailure,
        watcher: &mut impl Watcher,
    ) {
        if let Some(walking) = self.walking(place) {
            let stream = std::mem::replace(&mut walking.streams[family as usize], NONE);
            self.close(stream, watcher);
        }
        self.hand_in(now, place, Event::TcpFailed { transmission, failure });
    }

    /// Nothing that is under way for a family (None: for any) of a lookup is waited for any more.
    pub(super) fn forget(&mut self, now: Instant, place: u32, family: Option<Family>, watcher: &mut impl Watcher) {
        for of in [Family::V6, Family::V4] {
            if family.is_some_and(|family| family != of) {
                continue;
            }
            let Some(walking) = self.walking(place) else { return };
            let stream = std::mem::replace(&mut walking.streams[of as usize], NONE);
            let last = std::mem::replace(&mut walking.datagrams[of as usize], NONE);
            let resent = walking.resent;
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

    pub(super) fn forget_in(
        &mut self,
        now: Instant,
        socket: u32,
        place: u32,
        family: Family,
        watcher: &mut impl Watcher,
    ) {
        if let Some(Some(Channel::Datagrams(datagrams))) = self.sockets.get_mut(socket as usize) {
            datagrams.forget(place, Some(family));
            // One that is alone has no use for a socket that waits for nothing.
            if datagrams.is_done(now) || !self.shared && datagrams.is_idle() {
                self.close(socket, watcher);
            }
        }
    }
}
