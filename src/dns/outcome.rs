//! Where a question to the servers stands, and what becomes of it.
use super::message::{Answer, Code, Records, Transport};
use super::service::ServiceRecord;

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Replied(Answer),
    /// Service bindings, to a question for them, with the smallest time to live of what was used.
    Services(Vec<ServiceRecord>, u32),
    /// No server answered it; or, beside an answer to the other question, its server did not.
    Unanswered(Unanswered),
}

/// Why there is no answer. glibc decides by this errno whether the source is unavailable, and by the code
/// whether the search list goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unanswered {
    pub cause: Cause,
    /// The last server that said it had failed said SERVFAIL.
    pub servfail: bool,
    /// It counts as an empty answer with this code: the question stood in for the AAAA question (`no-aaaa`),
    /// and the last thing that was heard does not look like a reply to it.
    pub as_if: Option<Code>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Nothing was ever heard, and nobody was waited for in vain: there is no server.
    Refused,
    /// Servers failed or kept silent.
    TimedOut,
    /// The last TCP connection ended in another way.
    Other,
}

/// Where a question stands.
#[derive(Debug)]
pub(super) enum Progress {
    /// Not asked, or its outcome was given.
    Ended,
    ToSend(Transport),
    Waiting(Transport),
    /// At the current server, which is left as soon as the other question allows it.
    Failed(Setback),
    /// The outcome is to be given: addresses at once, anything else when the other question has its outcome
    /// too. If the server is left before that, both are asked again.
    Done(Outcome),
}

impl Progress {
    pub(super) fn is_found(&self) -> bool {
        matches!(
            self,
            Progress::Done(Outcome::Replied(Answer { code: Code::NoError, records: Records::Addresses, .. }))
        )
    }

    /// There is a reply, and it holds only together with the other question's.
    pub(super) fn is_held(&self, even_found: bool) -> bool {
        matches!(self, Progress::Done(Outcome::Replied(_))) && (even_found || !self.is_found())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setback {
    /// The server said so: an answer to the other question is waited for, and then is all there is.
    ServerFailure,
    /// Unreachable, silent, or not a message.
    NoServer,
}
