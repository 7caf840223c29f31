//! A race as it is kept: what is drawn, written as JSON, and read back from there. json.md describes it.

use crate::names;
use happysock::ServiceBinding;
use happysock::race::{self, AnsweredBy, LookupError};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Of the JSON that every command writes: it changes when a field loses its meaning. A field that is new does
/// not change it.
pub const VERSION: u32 = 1;

/// One race, as far as it has come. Times are milliseconds from its beginning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub version: u32,
    pub command: String,
    pub host: String,
    pub port: String,
    /// When it began, in milliseconds since 1970.
    pub began_unix_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Ending>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    pub lookups: Vec<Lookup>,
    pub waits: Vec<Wait>,
    pub attempts: Vec<Attempt>,
    pub events: Vec<Event>,
}

/// What a race that has connected cost, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Had it been known which address answers: its lookup and its handshake, nothing between.
    pub best_ms: f64,
    /// What it took longer than that.
    pub extra_ms: f64,
    /// What a program would have taken that waits for both lookups and then tries one address after the
    /// other, each until the system gives up. None: one has connected, and its TLS handshake had no end that
    /// the system would set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_by_one_ms: Option<f64>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    pub status: Status,
    pub message: String,
    pub total_ms: f64,
    /// The attempt that has won or, of those that failed, the last: an index into `attempts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<usize>,
    /// The limit that ended it, by its flag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// The binding of the service that led to the winner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
}

/// What a binding of a service says of the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Binding {
    pub priority: u16,
    pub target: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    pub alpn: Vec<String>,
    /// In hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ech: Option<String>,
}

impl From<&ServiceBinding> for Binding {
    fn from(binding: &ServiceBinding) -> Binding {
        Binding {
            priority: binding.priority,
            target: binding.target.clone(),
            port: binding.port,
            // An ALPN id is text as a rule.
            alpn: binding.alpn.iter().map(|id| id.escape_ascii().to_string()).collect(),
            ech: binding.ech.as_ref().map(|ech| ech.iter().map(|octet| format!("{octet:02x}")).collect()),
        }
    }
}

impl Binding {
    /// As a person reads it.
    pub fn sentence(&self) -> String {
        let speaks = if self.alpn.is_empty() { String::new() } else { format!(", for {}", self.alpn.join(" or ")) };
        let ech = if self.ech.is_some() { ", with Encrypted Client Hello" } else { "" };
        format!("A binding of the service led to {}{speaks}{ech}.", self.target)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Connected,
    LookupFailed,
    LocalLookupFailed,
    NoLocalAddress,
    AttemptsFailed,
    TimedOut,
    Cancelled,
    /// The system gave no more: out of memory or descriptors.
    Broken,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lookup {
    /// AAAA, A, both, local, service, or of a name that a binding leads to: `AAAA of target 1`.
    pub question: String,
    pub started_ms: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<f64>,
    pub outcome: LookupOutcome,
    /// Who has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// What it found, in the order of the answer.
    pub addresses: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

/// Who has answered a lookup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    pub kind: SourceKind,
    /// The name server that was asked last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Why libc had to be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    Hosts,
    NameServer,
    Resolved,
    Libc,
    Caller,
}

impl Source {
    /// None: nobody was asked.
    pub fn of(by: AnsweredBy) -> Option<Source> {
        let (kind, server) = match by {
            AnsweredBy::Nobody => return None,
            AnsweredBy::Hosts => (SourceKind::Hosts, None),
            AnsweredBy::NameServer(server) => (SourceKind::NameServer, server),
            AnsweredBy::Resolved => (SourceKind::Resolved, None),
            AnsweredBy::Libc => (SourceKind::Libc, None),
            AnsweredBy::Caller => (SourceKind::Caller, None),
        };
        // The port says something only where it is not that of DNS.
        let server = server.map(|server| match server.port() {
            53 => server.ip().to_string(),
            _ => server.to_string(),
        });
        Some(Source { kind, server, reason: None })
    }

    /// As a person reads it.
    pub fn text(&self) -> String {
        match (self.kind, &self.server, &self.reason) {
            (SourceKind::Hosts, ..) => "/etc/hosts".to_owned(),
            (SourceKind::NameServer, Some(server), _) => format!("name server {server}"),
            (SourceKind::NameServer, None, _) => "nobody was asked".to_owned(),
            (SourceKind::Libc, _, Some(reason)) => format!("libc, since {reason}"),
            (SourceKind::Libc, _, None) => "libc".to_owned(),
            (SourceKind::Resolved, ..) => "systemd-resolved".to_owned(),
            (SourceKind::Caller, ..) => "the caller's function".to_owned(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LookupOutcome {
    Running,
    Answered,
    Failed,
    /// Nobody needed its answer any more.
    Abandoned,
}

/// What went wrong: at a lookup with `gai_error`, at a system call with `errno`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Error {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gai_error: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gai_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syscall: Option<String>,
    pub message: String,
}

impl From<LookupError> for Error {
    fn from(error: LookupError) -> Error {
        let errno = (error.sys_errno != 0).then_some(error.sys_errno);
        Error {
            gai_error: Some(error.gai_error),
            gai_name: Some(names::gai_error(error.gai_error).0.to_owned()),
            errno,
            errno_name: errno.map(names::errno_name),
            syscall: None,
            message: names::lookup_error(error),
        }
    }
}

impl From<race::Failure> for Error {
    fn from(failure: race::Failure) -> Error {
        Error {
            gai_error: None,
            gai_name: None,
            errno: Some(failure.sys_errno),
            errno_name: Some(names::errno_name(failure.sys_errno)),
            syscall: Some(names::operation(failure.operation).to_owned()),
            message: names::errno_text(failure.sys_errno).to_owned(),
        }
    }
}

/// A time in which the race held back on purpose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    pub kind: WaitKind,
    pub started_ms: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitKind {
    /// An A answer waits for the AAAA answer.
    ResolutionDelay,
    /// The next attempt waits for those that run.
    ConnectionAttemptDelay,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    pub address: String,
    pub port: u16,
    /// IPv6 or IPv4.
    pub family: String,
    pub started_ms: f64,
    /// When it was connected, and waited for its TLS handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_ms: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<f64>,
    pub outcome: AttemptState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    Running,
    Connected,
    Failed,
    /// A limit ended it.
    TimedOut,
    /// It had no answer when another won, or when it had to make room.
    Abandoned,
}

/// One step, in the order in which they happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub time_ms: f64,
    #[serde(flatten)]
    pub step: Step,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Step {
    LookupStarted { lookup: u32, question: String },
    LookupAnswered { lookup: u32, question: String, count: u32 },
    LookupFailed { lookup: u32, question: String, error: Error },
    LookupAbandoned { lookup: u32, question: String },
    LookupHastened { lookup: u32, question: String },
    ResolutionDelayStarted { delay_ms: f64 },
    ResolutionDelayExpired,
    CandidateAdded { address: String, port: u16 },
    CandidateDropped { address: String, port: u16 },
    AddressSynthesized { address: String, port: u16, from: String },
    FamilyUnanswered { family: String },
    AttemptStarted { attempt: u32, address: String, port: u16 },
    AttemptHeld { attempt: u32, address: String, port: u16 },
    AttemptEnded { attempt: u32, address: String, port: u16, outcome: AttemptState },
    NextAttemptTimerSet { delay_ms: f64 },
    NextAttemptTimerFired,
    Finished { status: Status },
}

/// Now, in milliseconds since 1970.
pub fn unix_ms() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// Milliseconds, to the microsecond.
pub fn ms(time: std::time::Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// The address alone, its scope included.
pub fn address_text(address: &SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        address => address.ip().to_string(),
    }
}

impl Record {
    pub fn new(command: &str, host: &str, port: &str) -> Record {
        Record {
            version: VERSION,
            command: command.to_owned(),
            host: host.to_owned(),
            port: port.to_owned(),
            began_unix_ms: unix_ms(),
            result: None,
            cost: None,
            lookups: Vec::new(),
            waits: Vec::new(),
            attempts: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Whether an attempt has connected and was held for its TLS handshake.
    pub fn has_held(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.connected_ms.is_some())
    }

    /// What has the name of the race for its title.
    pub fn title(&self) -> String {
        format!("{} port {}", self.host, self.port)
    }

    /// The time that all of it takes up: to the end or, while it runs, to the latest event.
    pub fn span_ms(&self) -> f64 {
        let last = self.events.last().map_or(0.0, |event| event.time_ms);
        self.result.as_ref().map_or(last, |result| result.total_ms)
    }

    pub fn winner(&self) -> Option<&Attempt> {
        let result = self.result.as_ref().filter(|result| result.status == Status::Connected)?;
        self.attempts.get(result.attempt?)
    }

    /// What an attempt failed with: "connect(2) to [2001:db8::77]:80: Connection refused".
    pub fn failure(&self, attempt: usize) -> String {
        let Some(Attempt { address, port, error: Some(error), .. }) = self.attempts.get(attempt) else {
            return "every attempt failed".to_owned();
        };
        let syscall = error.syscall.as_deref().unwrap_or("connect(2)");
        let address = if address.contains(':') { format!("[{address}]") } else { address.clone() };
        format!("{syscall} to {address}:{port}: {}", error.message)
    }
}
