//! Many targets over both families, at once and on one thread: what became of each.

use crate::cost;
use crate::interrupt::Stop;
use crate::names;
use crate::record::ms;
use crate::targets::Target;
use happysock::race::{Attempt, AttemptOutcome, Families, Family, Outcome};
use happysock::{EventLoop, Interest, Multi, Options, Plan, PlanError, Report};
use serde::Serialize;
use std::cell::RefCell;
use std::ffi::CString;
use std::time::Duration;

/// What a target is over one family.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reach {
    pub state: State,
    /// How long the handshake took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// The address that answered, or else the last that was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How many addresses were tried.
    pub tried: usize,
    /// What exactly went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Reachable,
    /// Somebody answered, that there is nobody.
    Refused,
    /// Nothing came back in time.
    Silent,
    /// This machine knows no way, or a router said that there is none.
    NoRoute,
    /// The name has no address of this family.
    NoAddress,
    /// The name could not be looked up.
    LookupFailed,
    /// The name servers said nothing in time.
    LookupSilent,
    /// Something else: the message says what.
    Failed,
    /// The target is an address of the other family, or the check was ended before.
    NotChecked,
}

impl State {
    /// For a column of a table.
    pub fn text(self) -> &'static str {
        match self {
            State::Reachable => "reachable",
            State::Refused => "refused",
            State::Silent => "silent",
            State::NoRoute => "no route",
            State::NoAddress => "no address",
            State::LookupFailed => "lookup failed",
            State::LookupSilent => "no DNS answer",
            State::Failed => "failed",
            State::NotChecked => "-",
        }
    }
}

impl Reach {
    fn plain(state: State) -> Reach {
        Reach { state, rtt_ms: None, address: None, tried: 0, message: None }
    }

    fn of(report: &Report<'_>) -> Reach {
        let attempts = report.attempts;
        let (state, message) = match report.outcome {
            Outcome::Connected { attempt } => {
                let winner = &attempts[attempt.0 as usize];
                let rtt_ms = winner.ended.map(|ended| ms(ended - winner.started));
                let address = Some(winner.destination.ip().to_string());
                return Reach { state: State::Reachable, rtt_ms, address, tried: attempts.len(), message: None };
            }
            Outcome::ResolveFailed { error } => {
                let state = match error.gai_error {
                    libc::EAI_NONAME | libc::EAI_NODATA => State::NoAddress,
                    _ if names::gai_error(error.gai_error).0 == "EAI_ADDRFAMILY" => State::NoAddress,
                    _ => State::LookupFailed,
                };
                (state, Some(names::lookup_error(error)))
            }
            Outcome::TimedOut { .. } if attempts.is_empty() => (State::LookupSilent, None),
            Outcome::TimedOut { .. } => (State::Silent, None),
            Outcome::AttemptsFailed { .. } => failure(attempts),
            Outcome::Cancelled => (State::NotChecked, None),
            Outcome::Broken { sys_errno } => (State::Failed, Some(names::errno_text(sys_errno).to_owned())),
            Outcome::NoLocalAddress | Outcome::LocalFailed { .. } => (State::Failed, None),
        };
        let address = attempts.last().map(|attempt| attempt.destination.ip().to_string());
        Reach { state, rtt_ms: None, address, tried: attempts.len(), message }
    }

    /// Whether the network did its part: a refusal has come all the way back.
    pub fn answered(&self) -> bool {
        matches!(self.state, State::Reachable | State::Refused)
    }
}

/// Of several failures the one that says most: whoever refuses is there.
fn failure(attempts: &[Attempt]) -> (State, Option<String>) {
    let errnos = attempts.iter().filter_map(|attempt| match attempt.outcome {
        AttemptOutcome::Failed(failure) => Some(failure.sys_errno),
        _ => None,
    });
    let state = |errno: i32| match errno {
        libc::ECONNREFUSED | libc::ECONNRESET => State::Refused,
        libc::ETIMEDOUT => State::Silent,
        libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL => {
            State::NoRoute
        }
        _ => State::Failed,
    };
    let order = [State::Refused, State::Silent, State::NoRoute, State::Failed];
    let telling = errnos.min_by_key(|&errno| order.iter().position(|other| *other == state(errno)));
    match telling {
        Some(errno) => (state(errno), Some(names::errno_text(errno).to_owned())),
        None => (State::Silent, None),
    }
}

/// A target and what it is over each family.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checked {
    pub target: String,
    pub host: String,
    pub port: u16,
    pub ipv6: Reach,
    pub ipv4: Reach,
    /// How long a program would wait in vain that tries one address after the other.
    pub wait_without_race_ms: f64,
}

impl Checked {
    fn new(target: &Target) -> Checked {
        Checked {
            target: target.text.clone(),
            host: target.host.clone(),
            port: target.port,
            ipv6: Reach::plain(State::NotChecked),
            ipv4: Reach::plain(State::NotChecked),
            wait_without_race_ms: 0.0,
        }
    }

    pub fn reach(&self, family: Family) -> &Reach {
        match family {
            Family::V6 => &self.ipv6,
            Family::V4 => &self.ipv4,
        }
    }

    /// IPv6 goes first where there is a way (RFC 6724), so its silence is what others wait for.
    fn judge(&mut self) {
        let silent = self.ipv6.state == State::Silent && self.ipv4.state == State::Reachable;
        self.wait_without_race_ms = if silent { cost::silence_ms() * self.ipv6.tried.max(1) as f64 } else { 0.0 };
    }

    /// Whether something is wrong with it: it cannot be reached at all, or not in a family that it has an
    /// address of and this network a way to.
    pub fn is_problem(&self) -> bool {
        let bad = |reach: &Reach| {
            !matches!(reach.state, State::Reachable | State::NoAddress | State::NoRoute | State::NotChecked)
        };
        let reached = [&self.ipv6, &self.ipv4].iter().any(|reach| reach.state == State::Reachable);
        !reached || bad(&self.ipv6) || bad(&self.ipv4)
    }
}

/// How a sweep is made.
pub struct Sweep<'a> {
    pub targets: &'a [Target],
    pub timeout: Duration,
    /// The most connects in flight.
    pub parallel: usize,
    /// Once it is set, what is left is left out.
    pub stop: &'a Stop,
}

struct Caller<'a> {
    checked: RefCell<Vec<Checked>>,
    on_done: RefCell<&'a mut dyn FnMut()>,
}

impl EventLoop for Caller<'_> {
    type Userdata = (usize, Family);
    type SocketData = ();

    fn done(&self, _id: u64, report: &mut Report<'_>, (place, family): (usize, Family)) {
        self.put(place, family, Reach::of(report));
        // The socket, if there is one, is closed with the report.
        drop(report.socket.take());
    }

    fn watch(&self, _fd: i32, _interest: Option<Interest>, (): ()) {}

    fn set_timer(&self, _timeout_ms: i32) {}
}

impl Caller<'_> {
    fn put(&self, place: usize, family: Family, reach: Reach) {
        let mut checked = self.checked.borrow_mut();
        match family {
            Family::V6 => checked[place].ipv6 = reach,
            Family::V4 => checked[place].ipv4 = reach,
        }
        (self.on_done.borrow_mut())();
    }
}

/// How long one wait lasts at most; a signal ends it sooner where it comes on this thread.
const TURN_MS: i32 = 100;

impl Sweep<'_> {
    /// How many connects it takes: one a target and family.
    pub fn len(&self) -> usize {
        self.targets.iter().map(|target| families(target).len()).sum()
    }

    /// Makes all of them. `on_done` is called after each.
    pub fn run(&self, on_done: &mut dyn FnMut()) -> std::io::Result<Vec<Checked>> {
        let checked = self.targets.iter().map(Checked::new).collect();
        let caller = Caller { checked: RefCell::new(checked), on_done: RefCell::new(on_done) };
        let multi = Multi::new()?;
        let jobs = self.targets.iter().enumerate();
        let mut jobs =
            jobs.flat_map(|(place, target)| families(target).iter().map(move |&family| (place, target, family)));
        let mut exhausted = false;
        while !self.stop.is_set() {
            // A limit counts from when a connect is added, so that none may wait in the handle for its turn.
            while !exhausted && multi.running() < self.parallel {
                match jobs.next() {
                    None => exhausted = true,
                    Some((place, target, family)) => match plan(target, family, self.timeout) {
                        Ok(plan) => {
                            multi.add(&caller, plan, (place, family)).map_err(|refused| refusal(&refused))?;
                        }
                        Err(reach) => caller.put(place, family, reach),
                    },
                }
            }
            if exhausted && multi.running() == 0 {
                break;
            }
            multi.wait(&caller, TURN_MS).map_err(|refused| refusal(&refused))?;
        }
        multi.close(&caller);
        drop(multi);
        let mut checked = caller.checked.into_inner();
        checked.iter_mut().for_each(Checked::judge);
        Ok(checked)
    }
}

/// Nothing that this file does is refused, unless there are too many at once.
fn refusal(refused: &happysock::Refused) -> std::io::Error {
    std::io::Error::other(format!("{refused:?}"))
}

fn families(target: &Target) -> &'static [Family] {
    match target.address() {
        None => &[Family::V6, Family::V4],
        Some(address) if address.is_ipv6() => &[Family::V6],
        Some(_) => &[Family::V4],
    }
}

fn plan(target: &Target, family: Family, timeout: Duration) -> Result<Plan, Reach> {
    let failed = |message: String| Reach { message: Some(message), ..Reach::plain(State::Failed) };
    let host = CString::new(target.host.as_str()).map_err(|_| failed("the host contains a zero byte".to_owned()))?;
    let port = CString::new(target.port.to_string()).map_err(|error| failed(error.to_string()))?;
    let options = Options { families: Families::Only(family), open_timeout: Some(timeout), ..Options::default() };
    Plan::new(Some(&host), Some(&port), &options).map_err(|error| match error {
        PlanError::Invalid(invalid) => failed(invalid.reason.to_string_lossy().into_owned()),
        PlanError::OutOfMemory => failed("out of memory".to_owned()),
    })
}
