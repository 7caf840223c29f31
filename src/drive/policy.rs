//! The policy table of this system.

use crate::race::{Family, PolicyTable};
use crate::sys::fork::PerProcess;
use std::sync::Arc;

/// The table that orders addresses here: /etc/gai.conf, read once as libc does with `reload no`, or the
/// standard's; with every address of the preferred family before those of the other, if there is one.
pub(super) fn policy(preferred: Option<Family>) -> Arc<PolicyTable> {
    static POLICY: PerProcess<Arc<PolicyTable>> = PerProcess::new();
    let policy = POLICY.get(|| {
        let text = std::fs::read("/etc/gai.conf").unwrap_or_default();
        Arc::new(PolicyTable::from_gai_conf(&String::from_utf8_lossy(&text)))
    });
    match preferred {
        None => Arc::clone(policy),
        Some(family) => Arc::new(policy.preferring(family)),
    }
}
