//! What one race is to do, with the standard's values.
use super::family::Family;
use super::nat64::Nat64;
use super::policy::PolicyTable;
use std::sync::Arc;
use std::time::Duration;

/// Resolution Delay: how long a positive A answer waits for the AAAA answer (RFC 8305, sections 3 and 8).
pub const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// Connection Attempt Delay: the time between the starts of two attempts (RFC 8305, sections 5 and 8).
pub const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// A timer that fires late by no more than this is taken for punctual: the next delay counts from when it was
/// due.
///
/// Timers of poll(2) are late by a fraction of a millisecond up to a few, and without this each attempt would
/// pass its lateness on to all that follow.
pub const PUNCTUAL: Duration = Duration::from_millis(5);
/// The least Connection Attempt Delay (RFC 8305, section 8: "MUST NOT be lower than 10 ms").
pub const CONNECTION_ATTEMPT_DELAY_MIN: Duration = Duration::from_millis(10);
/// The least Connection Attempt Delay that is computed from what is known of the path (RFC 8305, section 8:
/// "The recommended minimum value is 100 milliseconds"); a caller who sets less gets less.
pub const CONNECTION_ATTEMPT_DELAY_RECOMMENDED_MIN: Duration = Duration::from_millis(100);
/// The greatest Connection Attempt Delay (RFC 8305, section 8: "maximum ... 2 seconds").
pub const CONNECTION_ATTEMPT_DELAY_MAX: Duration = Duration::from_secs(2);
/// The least share of the open limit that an address gets without fast fallback, as long as so much is left:
/// a connect over a slow path takes about as long where its first packet is lost.
pub const LEAST_SHARE: Duration = Duration::from_secs(2);
/// First Address Family Count: addresses of the first family before the families alternate (RFC 8305,
/// sections 4, 8).
pub const FIRST_ADDRESS_FAMILY_COUNT: u32 = 1;

/// Which families to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// IPv6 and IPv4.
    Both,
    /// The other family is neither asked for nor attempted.
    Only(Family),
}

/// Which of the three limits ended something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `Settings::resolve_limit`.
    Resolve,
    /// `Settings::connect_limit`.
    Connect,
    /// `Settings::open_limit`.
    Open,
}

/// What one race is to do. `Default` gives the standard's values, no limits and no local address.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The families to ask for and to attempt.
    pub families: Families,
    /// The family that is asked first and that a Resolution Delay waits for: IPv6, unless the policy table
    /// ranks IPv4 higher.
    pub preferred_family: Family,
    /// A family whose attempts have gone unanswered in this network: the other one is preferred then,
    /// whatever `preferred_family` says.
    pub unanswered: Option<Family>,
    /// A family without a network that the caller allows not to ask for.
    pub not_asked: Option<Family>,
    /// false: one question for both families (or for the one of `Families::Only`), then its addresses in the
    /// order given, the next only when the one before has failed or has used up the connect limit; no race.
    pub fast_fallback: bool,
    /// The local address is asked for too, and only families that it answers are attempted.
    pub local: bool,
    /// The policy table for the order of RFC 6724.
    pub policy: Arc<PolicyTable>,
    /// Resolution Delay: how long a positive answer of the family that is not preferred waits for the
    /// other one (RFC 8305, section 3); zero: not at all.
    pub resolution_delay: Duration,
    /// Connection Attempt Delay: the time between the starts of two attempts (RFC 8305, section 5).
    /// Clamped by `Race::new` to `CONNECTION_ATTEMPT_DELAY_MIN..=CONNECTION_ATTEMPT_DELAY_MAX`.
    pub connection_attempt_delay: Duration,
    /// Each delay after the first is twice the one before it, within the same bounds (version 3, section 6:
    /// the delays may grow). So a host with many dead addresses is not sent as many SYNs in as short a
    /// time.
    pub growing_delay: bool,
    /// First Address Family Count: how many addresses of the first family come before the families alternate
    /// (RFC 8305, section 4). 0 counts as 1.
    pub first_address_family_count: u32,
    /// The greatest number of attempts in flight; 0: no cap. Where it is reached and the Connection Attempt
    /// Delay is over, the attempt that was started longest ago is abandoned for the next candidate; the last
    /// candidates keep running. So a path slower than the delay needs a cap above 1: with 1 each address but
    /// the last has the delay to connect in. Without fast fallback it has no effect: there it is always one,
    /// and nothing is abandoned for the next.
    pub max_attempts: u32,
    /// From the start of the race: lookups still running then are given up.
    pub resolve_limit: Option<Duration>,
    /// From the start of the last candidate's attempt: attempts still running then, held ones too, are given
    /// up. Without fast fallback from the start of each attempt, so that the candidates after it get
    /// their turn.
    pub connect_limit: Option<Duration>,
    /// From the start of the race, over everything.
    pub open_limit: Option<Duration>,
    /// An attempt that has connected is held until the caller says whether its connection is wanted (a TLS
    /// handshake, say), and the race goes on meanwhile as if it were connecting still: the Connection Attempt
    /// Delay runs on, all three limits hold, and under `max_attempts` it may have to make room. Without fast
    /// fallback the next attempt waits for that word.
    pub confirm: bool,
    /// What is done with IPv4 addresses on a network without IPv4. Only with both families.
    pub nat64: Nat64,
    /// The service bindings of the host are asked for, and the race follows them (RFC 9460, version 3). Without
    /// fast fallback, with NAT64 and towards addresses it has no effect.
    pub service: bool,
    /// Without fast fallback an attempt gets an equal share of what is left of the open limit,
    /// [`LEAST_SHARE`] at least, and all of it at the last address: one that does not answer leaves the
    /// others their turn.
    pub share_open_limit: bool,
    /// Whether to keep a trace for `Race::next_trace`.
    pub trace: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            families: Families::Both,
            preferred_family: Family::V6,
            unanswered: None,
            not_asked: None,
            fast_fallback: true,
            local: false,
            policy: Arc::default(),
            resolution_delay: RESOLUTION_DELAY,
            connection_attempt_delay: CONNECTION_ATTEMPT_DELAY,
            growing_delay: false,
            first_address_family_count: FIRST_ADDRESS_FAMILY_COUNT,
            max_attempts: 0,
            resolve_limit: None,
            connect_limit: None,
            open_limit: None,
            confirm: false,
            nat64: Nat64::Off,
            service: false,
            share_open_limit: false,
            trace: false,
        }
    }
}

impl Settings {
    /// The families that are asked for: not one that need not be.
    pub fn asked(&self) -> Families {
        match (self.families, self.not_asked) {
            (Families::Both, Some(family)) => Families::Only(family.other()),
            (families, _) => families,
        }
    }
}
