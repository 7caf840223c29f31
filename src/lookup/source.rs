//! Where the answer of a lookup comes from.

use super::answer::Answer;
use super::mailbox::Mailbox;
use super::query::Query;
use super::request::{Request, StartError};
use crate::race::AnsweredBy;
use std::sync::Arc;

/// A lookup that was asked, whoever answers it. Dropped, it is abandoned.
///
/// In two steps: a source is made for each question, then those that were made together are
/// [started](Source::start) together.
pub enum Source {
    /// It needs nobody: a literal, or a question that no resolver is asked. None once the answer was taken.
    Ready(Option<(Answer, AnsweredBy)>),
    /// libc or the caller's function, on a worker: its token comes through the mailbox when it has an answer.
    Worker(Arc<Request>),
}

impl Source {
    /// A lookup that is needed now.
    pub fn now(query: Query, mailbox: &Arc<Mailbox>, token: u64) -> Source {
        Source::at_once(&query).unwrap_or_else(|| Source::Worker(Request::new(query, Arc::clone(mailbox), token)))
    }

    /// A lookup that is needed now and that others may follow: see [`Request::leading`].
    pub fn leading(query: Query, mailbox: &Arc<Mailbox>, token: u64) -> Source {
        Source::at_once(&query).unwrap_or_else(|| Source::Worker(Request::leading(query, Arc::clone(mailbox), token)))
    }

    /// A lookup that can wait until there is time for it, and that may be spared by what `leader` finds: see
    /// [`Request::when_free`].
    pub fn when_free(query: Query, mailbox: &Arc<Mailbox>, token: u64, leader: Option<&Source>) -> Source {
        let leader = leader.and_then(|leader| match leader {
            Source::Ready(_) => None,
            Source::Worker(request) => Some(&**request),
        });
        let request = |query| Source::Worker(Request::when_free(query, Arc::clone(mailbox), token, leader));
        Source::at_once(&query).unwrap_or_else(|| request(query))
    }

    /// What is known already.
    pub fn ready(answer: Answer, by: AnsweredBy) -> Source {
        Source::Ready(Some((answer, by)))
    }

    /// What needs nobody, if it is that.
    pub fn at_once(query: &Query) -> Option<Source> {
        query.answer_at_once().map(|answer| Source::ready(answer, AnsweredBy::Nobody))
    }

    /// Starts lookups, with one hand-off to the workers. Where no worker can be had, those that need one end
    /// with `EAI_SYSTEM`.
    pub fn start<'a>(sources: impl Iterator<Item = &'a Source>) {
        let requests: Vec<Arc<Request>> = sources
            .filter_map(|source| match source {
                Source::Ready(_) => None,
                Source::Worker(request) => Some(Arc::clone(request)),
            })
            .collect();
        if let Err(error) = Request::start_all(&requests) {
            let sys_errno = match error {
                StartError::OutOfThreads => libc::EAGAIN,
                StartError::Forked | StartError::AlreadyStarted => libc::EINVAL,
            };
            for request in &requests {
                request.give_up(sys_errno);
            }
        }
    }

    /// Starts it alone. False if no thread can be had for it.
    pub fn try_to_start(&self) -> bool {
        match self {
            Source::Worker(request) => request.start() != Err(StartError::OutOfThreads),
            Source::Ready(_) => true,
        }
    }

    /// Takes the answer, once, and who has given it; None while there is none.
    pub fn take(&mut self) -> Option<(Answer, AnsweredBy)> {
        match self {
            Source::Ready(answer) => answer.take(),
            Source::Worker(request) => {
                let by = if request.query().has_callback() { AnsweredBy::Caller } else { AnsweredBy::Libc };
                request.take().map(|answer| (answer, by))
            }
        }
    }

    /// Has it served next, if it still waits for somebody to serve it.
    pub fn hasten(&self) {
        match self {
            Source::Ready(_) => {}
            Source::Worker(request) => request.hasten(),
        }
    }
}
