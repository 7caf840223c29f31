//! What past connects have taught of the networks that this system is in.
//!
//! A [`History`] belongs to the caller, who hands it to the connects that may learn from each other. It holds
//! handshake times and use by (source address, destination address), and by source address whether its
//! attempts go unanswered. An address of this system belongs to one network, so that what was learnt in one
//! is never read in another (RFC 8305, section 4: "MUST NOT be used across different network interfaces").
//!
//! It takes the time, reads no clock and stores nothing on a disk. Everything it knows lapses after
//! [`PERIOD`] without news.
#![forbid(unsafe_code)]

mod estimate;
mod memory;

pub(crate) use memory::Beginning;
pub use memory::{History, MOST_DESTINATIONS, MOST_NETWORKS, PERIOD, RACES_TO_ONE_BY_THE_STANDARD, Report};
