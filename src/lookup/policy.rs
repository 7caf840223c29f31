//! The policy table of this system: /etc/gai.conf, gai.conf(5).

use crate::race::{GaiConf, MissingNumber, PolicyTable};
use crate::sys::fork::PerProcess;
use crate::sys::process::glibc_version;
use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

const PATH: &str = "/etc/gai.conf";

/// The table, and what is known of the file that it came from.
struct Current {
    policy: Arc<PolicyTable>,
    /// The file has said `reload yes`, and not yet otherwise.
    reload: bool,
    /// When the file was last changed that the table came from.
    modified: Option<SystemTime>,
}

/// The table that orders addresses here. The file is read once, as libc does, and again when it has changed
/// where it says `reload yes`; without it the table is glibc's own.
pub fn policy() -> Arc<PolicyTable> {
    static CURRENT: PerProcess<Mutex<Current>> = PerProcess::new();
    let current = CURRENT.get(|| {
        let mut current = Current { policy: Arc::new(PolicyTable::of_glibc()), reload: false, modified: None };
        current.read();
        Mutex::new(current)
    });
    let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
    if current.reload {
        let modified = std::fs::metadata(PATH).and_then(|metadata| metadata.modified());
        if modified.is_err() || modified.ok() != current.modified {
            current.read();
        }
    }
    Arc::clone(&current.policy)
}

impl Current {
    /// Reads the file. Where there is none the table is glibc's own, and everything else stays as it was.
    fn read(&mut self) {
        let Some((text, modified)) = text() else {
            self.policy = Arc::new(PolicyTable::of_glibc());
            return;
        };
        let since_2_41 = glibc_version().is_none_or(|version| version >= (2, 41));
        let missing = if since_2_41 { MissingNumber::Nothing } else { MissingNumber::Zero };
        let GaiConf { policy, reload } = GaiConf::read(&text, missing);
        self.policy = Arc::new(policy);
        self.reload = reload.unwrap_or(self.reload);
        self.modified = modified;
    }
}

/// What the file holds, as far as it can be read, and when it was changed.
fn text() -> Option<(Vec<u8>, Option<SystemTime>)> {
    let mut file = File::open(PATH).ok()?;
    let modified = file.metadata().ok()?.modified().ok();
    let mut text = Vec::new();
    // What comes before an error counts.
    let _ = file.read_to_end(&mut text);
    Some((text, modified))
}
