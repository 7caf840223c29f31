//! Many connects on one thread, driven by the caller's event loop.
//!
//! Two ways to drive it. By one descriptor: an epoll set that holds the sockets, one wake-up descriptor for
//! all lookups and a timer; [`Multi::dispatch`] does what is due. By socket action: the caller watches each
//! socket, and says which is ready.
//!
//! Every function that may call the caller goes through the same turn (in `turn`): what is ready is handed to
//! its races, then those go on, then new ones start. A connect that is worked on is taken out of its slot,
//! and nothing of the handle is borrowed meanwhile: the caller's callbacks may add and cancel whatever they
//! like. Nothing looks at all connects at once, except the end.

mod announced;
mod handle;
mod pacing;
mod slots;
mod sockets;
mod timers;
mod turn;

pub use handle::{EventLoop, Multi, Refused};
