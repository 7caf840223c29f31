//! A host name becomes a connected TCP socket.
//!
//! Two jobs that every network program needs: a getaddrinfo(3) that can be waited for with a limit, cancelled
//! from any thread or signal handler, polled and abandoned; and Happy Eyeballs, RFC 8305: both address
//! families are looked up at once, attempts raced with the standard's delays, and the first to complete wins.
//!
//! Rust programs use [`connect`] (blocking), [`Connecting`] (one connect, driven by any event loop or async
//! runtime through its descriptor), `tokio` (with the feature of that name), [`Connect`] (one connect that
//! can be interrupted and resumed), [`Multi`] (many on one thread), or the state machine itself, [`race`]. C
//! programs, and other languages through them, use `include/happysock.h`: its functions are exported with the
//! feature `capi`, which is on by default.
//!
//! Linux with glibc.
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]
#![warn(clippy::undocumented_unsafe_blocks)]

#[cfg(not(target_os = "linux"))]
compile_error!("happysock is built on epoll, eventfd, timerfd and futex: Linux only");

// musl has other rules for names and no NSS, and nobody has compared these with it.
#[cfg(all(target_os = "linux", not(target_env = "gnu")))]
compile_error!(
    "happysock obeys glibc's rules for names (nsswitch.conf, gai.conf, NSS): Linux with glibc only, not with musl"
);

// The rooms inside. The project's tests see into them with the feature `internals`, which promises nothing to
// anybody else. Without it, and without the exports, some of what a room has and passes on is used by nobody.
// cargo-mutants reads both declarations of a room, whatever the features, and would try each mutant twice; it
// leaves one of them out for an attribute that it finds, and that no system has for which this is built.
#[cfg(all(feature = "internals", feature = "capi"))]
#[doc(hidden)]
pub mod capi;
#[cfg(all(not(feature = "internals"), feature = "capi"))]
#[cfg_attr(windows, mutants::skip)]
mod capi;

#[cfg(feature = "internals")]
#[doc(hidden)]
#[cfg_attr(not(feature = "capi"), allow(dead_code))]
pub mod drive;
#[cfg(not(feature = "internals"))]
#[cfg_attr(not(feature = "capi"), allow(dead_code))]
#[allow(unused_imports)]
#[cfg_attr(windows, mutants::skip)]
mod drive;

#[cfg(feature = "internals")]
#[doc(hidden)]
#[cfg_attr(not(feature = "capi"), allow(dead_code))]
pub mod history;
#[cfg(not(feature = "internals"))]
#[cfg_attr(not(feature = "capi"), allow(dead_code))]
#[allow(unused_imports)]
#[cfg_attr(windows, mutants::skip)]
mod history;

#[cfg(feature = "internals")]
#[doc(hidden)]
#[cfg_attr(not(feature = "capi"), allow(dead_code))]
pub mod lookup;
#[cfg(not(feature = "internals"))]
#[cfg_attr(not(feature = "capi"), allow(dead_code))]
#[allow(unused_imports)]
#[cfg_attr(windows, mutants::skip)]
mod lookup;

#[cfg(feature = "internals")]
#[doc(hidden)]
#[cfg_attr(not(feature = "capi"), allow(dead_code))]
pub mod sys;
#[cfg(not(feature = "internals"))]
#[cfg_attr(not(feature = "capi"), allow(dead_code))]
#[allow(unused_imports)]
#[cfg_attr(windows, mutants::skip)]
mod sys;

#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod dns;
#[cfg(not(feature = "internals"))]
#[allow(dead_code)]
#[cfg_attr(windows, mutants::skip)]
mod dns;
pub mod race;
#[cfg(feature = "tokio")]
pub mod tokio;

pub use drive::{
    Argument, Connect, ConnectError, Connecting, EventLoop, Hooks, Invalid, Multi, Options, Plan, PlanError, Refused,
    Report, ServiceBinding, Signals, Target, Verdict, connect, connect_with,
};
pub use history::{History, Report as HistoryReport};
pub use lookup::{LookupCallback, LookupFunction, NoServices, ServiceRecord, Services, Unusable, look_up_services};
pub use sys::Interest;

// The Rust of README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
