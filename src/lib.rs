//! A host name becomes a connected TCP socket.
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(clippy::undocumented_unsafe_blocks)]

pub mod race;
pub mod resolve;
pub mod sys;
