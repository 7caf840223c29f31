//! A network in a box, for testing how programs establish connections.
//!
//! [`Network::new`] builds, from a [`Scenario`], a client and a server side in anonymous network namespaces
//! of their own, joined by a wire that delays and loses packets by address or family. On the server side
//! stand TCP servers and a name server that replies by rules; on the client side, programs find their own
//! resolv.conf, hosts and nsswitch.conf.
//!
//! ```no_run
//! use lab::{Family, Network, Path, Scenario};
//!
//! let network = Network::new(&Scenario::default())?;
//! network.set_family(Family::Ipv6, Path::black_hole());
//! let output = network.command("curl")?.args(["-sv", "telnet://dual.test:8080"]).output()?;
//! for packet in network.packets()? {
//!     println!("{:9.3} ms {:?} to {}", network.milliseconds(packet.at), packet.kind, packet.destination);
//! }
//! # anyhow::Ok(())
//! ```
//!
//! # What holds it together
//!
//! Namespaces are held by descriptors, the wire ends are TUN devices, servers are threads: all of it belongs
//! to the process that made it, and goes with it. There is no name on the machine to clash with, and nothing
//! to clean up after a crash.
//!
//! # What it needs
//!
//! Linux with network, mount and user namespaces, TUN devices (`/dev/net/tun`) and ip(8); root, or being
//! started by `lab run`, which makes itself root in a user namespace. It uses neither netem nor any queueing
//! discipline or packet filter: kernels without them do.

#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]

mod capture;
mod dns;
pub mod name_server;
pub mod namespace;
mod network;
mod scenario;
mod server;
mod translator;
pub mod tun;
mod wire;
pub mod worker;

pub use capture::{Kind, Packet};
pub use dns::Question;
pub use network::{Network, milliseconds_between};
pub use scenario::{
    CLIENT_V4, CLIENT_V6, Client, Dns, Etc, Family, NAME_SERVER, Path, Reply, Rule, SERVER_V4, SERVER_V6, Scenario,
    Server, Translator,
};
