//! A host name becomes a connected TCP socket.
//!
//! Two jobs that every network program needs: a getaddrinfo(3) that can be waited for with a limit, cancelled from any thread or
//! signal handler, polled and abandoned ([`lookup`]); and Happy Eyeballs, RFC 8305: both address families resolved at once,
//! attempts raced with the standard's delays, the first to complete wins ([`drive`]). Most users come through the C ABI
//! ([`capi`], `include/happysock.h`); Rust programs use [`connect`] or the rooms themselves.
//!
//! | room | what lives there | may use |
//! | --- | --- | --- |
//! | [`race`] | RFC 8305 and RFC 6724 as a pure state machine: no clock, no I/O, no unsafe | nothing of ours |
//! | [`dns`] | what a name means on this system and how it is asked, libc's rules to the letter: pure too | nothing of ours |
//! | [`lookup`] | the interruptible lookup and who answers it | `dns`, `sys` |
//! | [`sys`] | every system call | nothing of ours |
//! | [`drive`] | what connects the machine to the world | `race`, `lookup`, `sys` |
//! | [`capi`] | the exports | all of them |
//!
//! Linux with glibc.
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(clippy::undocumented_unsafe_blocks)]

#[cfg(not(target_os = "linux"))]
compile_error!("happysock is built on epoll, eventfd, timerfd and futex: Linux only");

pub mod capi;
pub mod dns;
pub mod drive;
pub mod lookup;
pub mod race;
pub mod sys;

pub use drive::{ConnectError, Options, connect};
