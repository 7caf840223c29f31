//! Exit codes, as `happy --help` and the manual page list them.

use crate::record::Status;

pub const FINE: u8 = 0;
pub const NOT_CONNECTED: u8 = 1;
pub const USAGE: u8 = 2;
pub const NOT_FOUND: u8 = 3;
pub const TIMED_OUT: u8 = 4;

/// The code for the end of a race. One that was cancelled has that of its signal.
pub fn of(status: Status) -> u8 {
    match status {
        Status::Connected => FINE,
        Status::LookupFailed | Status::LocalLookupFailed => NOT_FOUND,
        Status::TimedOut => TIMED_OUT,
        Status::NoLocalAddress | Status::AttemptsFailed | Status::Cancelled | Status::Broken => NOT_CONNECTED,
    }
}

/// An argument that was refused: told as clap(3) tells of its own, and ended with [`USAGE`].
#[derive(Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}
