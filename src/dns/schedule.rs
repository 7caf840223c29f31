//! How long servers are waited for, and how often they are asked: resolv.conf(5).
use super::resolv_conf::ResolvConf;
use std::time::Duration;

/// How servers are asked: of resolv.conf(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// How many servers there are; 0 counts as 1.
    pub servers: u8,
    /// `timeout`, in seconds: the wait for the first server.
    pub timeout: u8,
    /// `attempts`: rounds over all servers. 0: nothing is sent.
    pub attempts: u8,
    /// `use-vc`: by TCP only, one round.
    pub use_vc: bool,
    /// How the two questions of a name follow each other, where they are asked as libc asks them.
    pub serial: Serial,
}

/// The second question of a name waits for the answer to the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serial {
    No,
    /// `single-request`.
    OneSocket,
    /// `single-request-reopen`.
    NewSocket,
}

impl Schedule {
    pub fn of(conf: &ResolvConf) -> Schedule {
        let small = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
        Schedule {
            servers: u8::try_from(conf.servers.len()).unwrap_or(u8::MAX),
            timeout: small(conf.timeout),
            attempts: small(conf.attempts),
            use_vc: conf.use_vc,
            serial: match (conf.single_request, conf.single_request_reopen) {
                (_, true) => Serial::NewSocket,
                (true, false) => Serial::OneSocket,
                (false, false) => Serial::No,
            },
        }
    }

    /// How long a server is waited for: the timeout, doubled for each place of the server in the file, shared
    /// among the servers from the second on, whole seconds, at least one (glibc's send_dg).
    pub fn wait(&self, server: u8) -> Duration {
        let seconds = u64::from(self.timeout) << server.min(32);
        let shared = if server > 0 { seconds / u64::from(self.count()) } else { seconds };
        Duration::from_secs(shared.max(1))
    }

    /// At least one.
    pub(super) fn count(&self) -> u8 {
        self.servers.max(1)
    }
}
