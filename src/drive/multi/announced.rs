//! When the next turn is due, and what was said of it.

use crate::sys::poll::milliseconds_until;
use std::time::Instant;

/// When the next turn is due although nothing is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Never,
    At(Instant),
    Now,
}

impl Due {
    pub fn milliseconds(self, now: Instant) -> i32 {
        match self {
            Due::Never => -1,
            Due::At(deadline) => milliseconds_until(Some(deadline), now),
            Due::Now => 0,
        }
    }
}

/// What was said of it last.
#[derive(Clone, Copy)]
pub(super) struct Announced {
    /// To the timer callback; None: the caller's timer may have done its work, or not.
    pub called: Option<Due>,
    /// To the timer in the epoll set: when it fires or has fired.
    pub timer: Option<Instant>,
    /// The timer has fired and is readable until it is set again.
    pub fired: bool,
    /// The wake-up descriptor is watched by the caller.
    pub wake_up: bool,
}

impl Announced {
    pub const NOTHING: Announced = Announced { called: Some(Due::Never), timer: None, fired: false, wake_up: false };
}
