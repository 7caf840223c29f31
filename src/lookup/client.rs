//! Names looked up without a thread: the sockets, ids and time that the walks of `dns` need.
//!
//! A [`Client`] belongs to whoever drives it, one thread at a time; it never blocks, and waits for nothing by
//! itself. Its driver waits for its descriptors, which it hands over through [`Watcher`], and for its
//! [deadline](Client::deadline); then calls [`Client::ready`] or [`Client::expire`], and takes the answers
//! out. Sockets are made on demand, in the network namespace and with the privileges of the driving thread,
//! and none is left when nothing is asked.
//!
//! Both questions of a name leave at once, AAAA first. To a server on another machine each goes from a socket
//! of its own: two datagrams from one port that meet in a connection tracker before either is known to it
//! lose one of them, and five seconds. A server on this machine is asked from one socket for both.

mod admission;
mod datagrams;
mod ids;
mod resolved;
mod servers;
mod state;
mod stream;
mod walks;
mod window;

pub use state::{Client, Delivery, Told, WalkId, Watcher};
