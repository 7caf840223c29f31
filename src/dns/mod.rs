//! What a name means on this system, and how it is asked: libc's rules to the letter, as pure functions and
//! machines.
//!
//! Files come in as their contents, datagrams as bytes, time as `now`; this room reads no clock, opens no
//! file and no socket, starts no thread, and imports nothing of ours. What it cannot do exactly as libc does
//! it says so ([`gate`]), and libc is asked instead.
#![forbid(unsafe_code)]

mod address;
pub mod answer;
pub mod exchange;
pub mod failure;
pub mod gate;
pub mod host_conf;
pub mod hosts;
pub mod json;
pub mod message;
pub mod name_wire;
pub mod names;
pub mod nsswitch;
pub mod outcome;
pub mod question;
pub mod resolv_conf;
pub mod schedule;
pub mod search;
pub mod service;
mod stream;
mod text;
pub mod varlink;
mod verdict;
pub mod walk;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    V6,
    V4,
}

/// Whose addresses are asked for: `AF_UNSPEC`, or `AF_INET6` or `AF_INET`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Families {
    Both,
    Only(Family),
}
