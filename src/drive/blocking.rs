//! The Rust way in: one call, one stream.

use super::connect::Connect;
use super::plan::{Argument, Invalid, Options, PlanError};
use super::report::{Report, system_call};
use super::target::Target;
use crate::race::{Attempt, AttemptOutcome, Limit, LookupError, Outcome};
use crate::sys::words::{errno_text, gai_text};
use std::ffi::CStr;
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
                formatter.write_str(&gai_text(*gai_error, *sys_errno))
            }
            Outcome::AttemptsFailed { last } => match attempts.get(last.0 as usize) {
                Some(Attempt { destination, outcome: AttemptOutcome::Failed(failure), .. }) => {
                    let call = system_call(failure.operation).to_string_lossy();
                    write!(formatter, "{call} to {destination}: {}", errno_text(failure.sys_errno))
                }
                _ => write!(formatter, "every attempt failed"),
            },
            Outcome::TimedOut { limit: Limit::Resolve } => write!(formatter, "resolv_timeout was reached"),
            Outcome::TimedOut { limit: Limit::Connect } => write!(formatter, "connect_timeout was reached"),
            Outcome::TimedOut { limit: Limit::Open } => write!(formatter, "open_timeout was reached"),
            Outcome::NoLocalAddress => write!(formatter, "the local address is of another family"),
            Outcome::Broken { sys_errno } => formatter.write_str(&errno_text(*sys_errno)),
            Outcome::Cancelled | Outcome::Connected { .. } => write!(formatter, "cancelled"),
        }
    }
}

impl std::error::Error for ConnectError {}

impl ConnectError {
    /// Each attempt that was made, in the order of their start.
    pub fn attempts(&self) -> &[Attempt] {
        match self {
            ConnectError::Failed { attempts, .. } => attempts,
            ConnectError::Invalid { .. } | ConnectError::OutOfMemory => &[],
        }
    }

    /// The errno that stands for it, where there is one.
    fn sys_errno(&self) -> Option<i32> {
        let ConnectError::Failed { outcome, attempts } = self else { return None };
        match outcome {
            Outcome::AttemptsFailed { last } => match attempts.get(last.0 as usize)?.outcome {
                AttemptOutcome::Failed(failure) => Some(failure.sys_errno),
                _ => None,
            },
            Outcome::Broken { sys_errno } => Some(*sys_errno),
            Outcome::NoLocalAddress => Some(libc::EAFNOSUPPORT),
            Outcome::ResolveFailed { error } | Outcome::LocalFailed { error } => {
                (error.gai_error == libc::EAI_SYSTEM).then_some(error.sys_errno)
            }
            Outcome::TimedOut { .. } => Some(libc::ETIMEDOUT),
            Outcome::Cancelled | Outcome::Connected { .. } => None,
        }
    }

    /// What a race came to, as its stream or why there is none.
    pub(super) fn stream_of(report: Report<'_>) -> Result<TcpStream, ConnectError> {
        match report.socket {
            Some(socket) => Ok(TcpStream::from(socket)),
            None => Err(ConnectError::Failed { outcome: report.outcome, attempts: report.attempts.to_vec() }),
        }
    }
}

impl From<PlanError> for ConnectError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Invalid(Invalid { argument, reason, .. }) => ConnectError::Invalid { argument, reason },
            PlanError::OutOfMemory => ConnectError::OutOfMemory,
        }
    }
}

/// Of the kind that the system's own error would be; the [`ConnectError`] is inside, with the attempts.
impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> Self {
        let kind = match (&error, error.sys_errno()) {
            (ConnectError::Invalid { .. }, _) => io::ErrorKind::InvalidInput,
            (ConnectError::OutOfMemory, _) => io::ErrorKind::OutOfMemory,
            (_, Some(sys_errno)) => io::Error::from_raw_os_error(sys_errno).kind(),
            (_, None) => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

/// Connects to a host by name, or to an address; blocks until that is done or has failed.
///
/// ```no_run
/// let stream = happysock::connect(("example.org", 443))?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn connect<'a>(target: impl Into<Target<'a>>) -> Result<TcpStream, ConnectError> {
    connect_with(target, &Options::default())
}

/// [`connect`] with limits, delays, a local address and what else there is to choose.
///
/// ```no_run
/// let options = happysock::Options { open_timeout: Some(std::time::Duration::from_secs(5)), ..Default::default() };
/// let stream = happysock::connect_with("example.org:443", &options)?;
/// # Ok::<(), happysock::ConnectError>(())
/// ```
pub fn connect_with<'a>(target: impl Into<Target<'a>>, options: &Options<'_>) -> Result<TcpStream, ConnectError> {
    let mut connect = Connect::new(target.into().plan(options)?);
    // Nobody else has it, so nobody interrupts it.
    while !connect.wait() {}
    ConnectError::stream_of(connect.report().expect("a finished connect has a report"))
}
