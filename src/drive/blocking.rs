//! The Rust way in: one call, one stream.

use super::connect::Connect;
use super::plan::{Argument, Invalid, Options, Plan, PlanError};
use super::report::system_call;
use crate::race::{Attempt, AttemptOutcome, Limit, LookupError, Outcome};
use std::ffi::{CStr, CString};
use std::net::TcpStream;
use std::{fmt, io};

/// Why a connect failed.
#[derive(Clone, Debug)]
pub enum ConnectError {
    /// An argument was refused; nothing was done.
    Invalid {
        /// Which one.
        argument: Argument,
        /// What is wrong with it, to be read behind its name.
        reason: &'static CStr,
    },
    /// There was no memory for the arguments; nothing was done.
    OutOfMemory,
    /// The race ended without a connection.
    Failed {
        /// How it ended.
        outcome: Outcome,
        /// Every attempt that was made, in the order of their start.
        attempts: Vec<Attempt>,
    },
}

impl fmt::Display for ConnectError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (outcome, attempts) = match self {
            ConnectError::Invalid { argument, reason } => {
                return write!(formatter, "{argument}: {}", reason.to_string_lossy());
            }
            ConnectError::OutOfMemory => return write!(formatter, "out of memory"),
            ConnectError::Failed { outcome, attempts } => (outcome, attempts),
        };
        match outcome {
            Outcome::ResolveFailed { error } | Outcome::LocalFailed { error } => {
                let LookupError { gai_error, sys_errno } = error;
                write!(formatter, "the name could not be resolved (EAI code {gai_error}, errno {sys_errno})")
            }
            Outcome::AttemptsFailed { last } => match attempts.get(last.0 as usize) {
                Some(Attempt { destination, outcome: AttemptOutcome::Failed(failure), .. }) => {
                    let error = io::Error::from_raw_os_error(failure.sys_errno);
                    write!(formatter, "{}: {destination}: {error}", system_call(failure.operation).to_string_lossy())
                }
                _ => write!(formatter, "every attempt failed"),
            },
            Outcome::TimedOut { limit: Limit::Resolve } => write!(formatter, "resolv_timeout was reached"),
            Outcome::TimedOut { limit: Limit::Connect } => write!(formatter, "connect_timeout was reached"),
            Outcome::TimedOut { limit: Limit::Open } => write!(formatter, "open_timeout was reached"),
            Outcome::NoLocalAddress => write!(formatter, "the local address is of another family"),
            Outcome::Broken { sys_errno } => io::Error::from_raw_os_error(*sys_errno).fmt(formatter),
            Outcome::Cancelled | Outcome::Connected { .. } => write!(formatter, "cancelled"),
        }
    }
}

impl std::error::Error for ConnectError {}

/// Connects to a host by name, or to an IP literal; blocks until that is done or has failed.
///
/// ```no_run
/// let options = happysock::Options { open_timeout: Some(std::time::Duration::from_secs(5)), ..Default::default() };
/// let stream = happysock::connect("localhost", 8080, &options)?;
/// # Ok::<(), happysock::ConnectError>(())
/// ```
pub fn connect(host: &str, port: u16, options: &Options<'_>) -> Result<TcpStream, ConnectError> {
    let host = CString::new(host)
        .map_err(|_| ConnectError::Invalid { argument: Argument::RemoteHost, reason: c"contains a zero byte" })?;
    let service = CString::new(port.to_string()).expect("digits contain no zero byte");
    let plan = Plan::new(Some(&host), Some(&service), options).map_err(|error| match error {
        PlanError::Invalid(Invalid { argument, reason, .. }) => ConnectError::Invalid { argument, reason },
        PlanError::OutOfMemory => ConnectError::OutOfMemory,
    })?;
    let mut connect = Connect::new(plan);
    // Nobody else has it, so nobody interrupts it.
    while !connect.wait() {}
    let report = connect.report().expect("a finished connect has a report");
    match report.socket {
        Some(socket) => Ok(TcpStream::from(socket)),
        None => Err(ConnectError::Failed { outcome: report.outcome, attempts: report.attempts.to_vec() }),
    }
}
