//! One getaddrinfo(3) without a thread: a client of its own, and the list made of what that finds.

use super::answer::{Answer, Found};
use super::ask::ask_libc;
use super::client::{Client, WalkId, Watcher};
use super::configured::family_to_ask;
use super::list::{AddressList, ListBuilder};
use super::order;
use super::query::{Form, Hints, Query};
use crate::dns::gate::Reason;
use crate::race::{AnsweredBy, LookupError};
use crate::sys::Interest;
use crate::sys::epoll::Epoll;
use crate::sys::poll::{self, PollFd};
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a descriptor of the client is known by in an epoll set: above what its owner has there.
pub(super) const FIRST_TOKEN: u64 = 16;

/// Who waits for the client's sockets besides its own [`Lone::wait`]: the epoll set whose descriptor was
/// given away.
struct Set(Option<Arc<Epoll>>);

impl Watcher for Set {
    fn watch(&mut self, socket: u32, fd: RawFd, interest: Interest) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |set| set.add(fd, interest, FIRST_TOKEN + u64::from(socket)))
    }

    fn unwatch(&mut self, _socket: u32, fd: RawFd) {
        if let Some(set) = &self.0 {
            // It is closed next, which takes it out as well, unless a child of a fork has it too.
            let _ = set.remove(fd);
        }
    }
}

/// The lookup. Nothing of it blocks but [`Lone::wait`].
pub(super) struct Lone {
    client: Client,
    walk: WalkId,
    set: Set,
    hints: Hints,
    form: Form,
    /// What getaddrinfo(3) makes of each address: a node for every type of socket, with the port.
    template: AddressList,
    /// How many families have not been answered.
    left: u8,
    /// In the order in which they came.
    found: Vec<SocketAddr>,
    error: LookupError,
    by: AnsweredBy,
}

/// What a beginning has come to.
pub(super) enum Begun {
    Lone(Box<Lone>),
    /// There was nothing to ask.
    Answer(Answer),
}

impl Lone {
    /// Begins to look up what a query asks for.
    ///
    /// # Errors
    /// Why only libc can do it.
    pub fn begin(now: Instant, query: &Query, set: Option<Arc<Epoll>>) -> Result<Begun, Reason> {
        let hints = query.hints();
        let family = match family_to_ask(hints).map_err(|_| Reason::Flags)? {
            Some(family) => family,
            None => return Ok(Begun::Answer(Err(LookupError { gai_error: libc::EAI_NONAME, sys_errno: 0 }))),
        };
        let mut client = Client::in_place_of_libc();
        let mut set = Set(set);
        // The families were chosen above; the rest of the flags the client judges.
        let asked = query.with(family, Form::Unsorted).without_flags(libc::AI_ADDRCONFIG);
        let walk = client.begin(now, &asked, 0, &mut set)?;
        // Refused hints are told before anybody is asked, as libc tells them: the host's answer does not count then.
        let template = match template(query) {
            Ok(template) => template,
            Err(error) => return Ok(Begun::Answer(Err(error))),
        };
        let left = if family == libc::AF_UNSPEC { 2 } else { 1 };
        let (form, found, error) = (query.form(), Vec::new(), LookupError::NO_DATA);
        Ok(Begun::Lone(Box::new(Lone {
            client,
            walk,
            set,
            hints,
            form,
            template,
            left,
            found,
            error,
            by: AnsweredBy::Nobody,
        })))
    }

    /// Waits until something is to be done, or until `deadline`, or until `wake_up` is readable.
    pub fn wait(&mut self, deadline: Option<Instant>, wake_up: Option<RawFd>) -> io::Result<()> {
        let now = Instant::now();
        let deadline = [deadline, self.client.deadline()].into_iter().flatten().min();
        let watched: Vec<(u32, RawFd, Interest)> = self.client.watched().collect();
        let mut fds: Vec<PollFd> = watched.iter().map(|&(_, fd, interest)| PollFd::new(fd, interest)).collect();
        fds.extend(wake_up.map(|fd| PollFd::new(fd, Interest::Readable)));
        let limit: Option<Duration> = deadline.map(|deadline| deadline.saturating_duration_since(now));
        poll::poll(&mut fds, limit)?;
        let now = Instant::now();
        for ((socket, ..), _) in watched.iter().zip(&fds).filter(|(_, fd)| fd.is_ready()) {
            self.client.ready(now, *socket, &mut self.set);
        }
        Ok(())
    }

    /// Does what is due, without waiting: the answer, once it is there.
    pub fn step(&mut self, now: Instant) -> Option<Answer> {
        self.client.expire(now, &mut self.set);
        while let Some(delivery) = self.client.next_delivery() {
            self.by = delivery.told.by;
            match delivery.told.into_answer(0) {
                Ok(found) => self.found.extend(found.into_addresses()),
                Err(error) => self.error = error,
            }
            self.left = self.left.saturating_sub(1);
        }
        (self.left == 0).then(|| self.answer())
    }

    /// Who has answered.
    pub fn answered_by(&self) -> AnsweredBy {
        self.by
    }

    /// When [`Lone::step`] has something to do although nothing is ready.
    pub fn deadline(&self) -> Option<Instant> {
        self.client.deadline()
    }

    /// From here on the sockets are in `set` too.
    pub fn be_watched(&mut self, set: &Arc<Epoll>) -> io::Result<()> {
        for (socket, fd, interest) in self.client.watched() {
            set.add(fd, interest, FIRST_TOKEN + u64::from(socket))?;
        }
        self.set = Set(Some(Arc::clone(set)));
        Ok(())
    }

    /// Lets go of everything.
    pub fn abandon(&mut self, now: Instant) {
        self.client.abandon(now, self.walk, 0, &mut self.set);
    }

    fn answer(&mut self) -> Answer {
        let mut addresses = std::mem::take(&mut self.found);
        let listed = self.client.take_listed();
        if listed.len() == addresses.len() {
            addresses = listed;
        }
        if addresses.is_empty() {
            return Err(self.error);
        }
        order::sort(&mut addresses, |address| *address);
        let list = self.list(&addresses)?;
        Ok(match self.form {
            Form::List => Found::List(list),
            Form::Addresses | Form::Unsorted => Found::Addresses(list.iter().collect()),
        })
    }

    fn list(&self, addresses: &[SocketAddr]) -> Result<AddressList, LookupError> {
        let mut list = ListBuilder::new();
        for address in addresses {
            list.push_like(&self.template, *address, self.hints.flags)?;
        }
        Ok(list.finish())
    }
}

/// Looks up on the calling thread, for as long as `timeout` at most. None: only libc can do it; nothing was
/// done.
pub fn look_up(query: &Query, timeout: Option<Duration>) -> Option<Answer> {
    let began = Instant::now();
    let deadline = timeout.and_then(|timeout| began.checked_add(timeout));
    let mut lone = match Lone::begin(began, query, None).ok()? {
        Begun::Answer(answer) => return Some(answer),
        Begun::Lone(lone) => lone,
    };
    loop {
        let now = Instant::now();
        if let Some(answer) = lone.step(now) {
            return Some(answer);
        }
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Some(Err(LookupError::system(libc::ETIMEDOUT)));
        }
        // An error is EINTR, or want of memory, which passes.
        let _ = lone.wait(deadline, None);
    }
}

/// The nodes that getaddrinfo(3) makes of one address, asked of libc itself with one that needs no lookup:
/// which types of sockets there are, and in which order, is libc's to know.
fn template(query: &Query) -> Result<AddressList, LookupError> {
    let Hints { flags, socktype, protocol, .. } = query.hints();
    let flags = flags & (libc::AI_NUMERICSERV | libc::AI_PASSIVE) | libc::AI_NUMERICHOST;
    ask_libc(Some(c"0.0.0.0"), query.service(), Hints { flags, family: libc::AF_INET, socktype, protocol })
}
