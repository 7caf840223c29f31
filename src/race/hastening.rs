//! When a lookup that gives way to others has become needed.
//!
//! The other family's lookup is asked together with the preferred one's and gives way to the lookups of other
//! races, since most connections never need it. It is hastened once there is reason to think that this one
//! does.
use super::action::Action;
use super::machine::Race;
use super::trace::TraceKind;
use std::time::{Duration, Instant};

/// How long after an answer, or the attempt that it led to, what still gives way to others is hastened if
/// there is no connection yet. Only where every worker was busy does it still wait by then. As long as the
/// Resolution Delay (RFC 8305, section 3), and well within the Connection Attempt Delay after which its
/// addresses could be attempted.
pub const HASTEN_AFTER: Duration = Duration::from_millis(50);

impl Race {
    /// A lookup or an attempt has failed.
    pub(super) fn hasten_at_once(&mut self, now: Instant) {
        if self.lookups.any_when_free() {
            self.hasten_at = Some(now);
        }
    }

    /// A lookup was answered: it may lead to a connection.
    pub(super) fn hasten_later(&mut self, now: Instant) {
        if self.lookups.any_when_free() {
            self.hasten_at = Some(now + HASTEN_AFTER);
        }
    }

    /// An attempt starts: it may become the connection, so the time counts anew.
    pub(super) fn postpone_hastening(&mut self, now: Instant) {
        self.hasten_at = self.hasten_at.map(|_| now + HASTEN_AFTER);
    }

    /// Forgets the time when nothing is left that could be hastened.
    pub(super) fn settle_hastening(&mut self) {
        self.hasten_at = self.hasten_at.filter(|_| self.lookups.any_when_free());
    }

    /// Hastens what is due, one lookup a call and each at most once.
    pub(super) fn hasten(&mut self, now: Instant) -> Option<Action> {
        self.hasten_at.filter(|at| *at <= now)?;
        let (lookup, question) = self.lookups.hasten_one()?;
        self.log.add(now, TraceKind::LookupHastened { lookup, question });
        Some(Action::Hasten { lookup })
    }
}
