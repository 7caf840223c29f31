//! A client and a server side, joined by a wire.

use std::fs::File;
use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Result;
use nix::sched::CloneFlags;

use crate::capture::{Capture, Packet};
use crate::dns::{Question, Zone};
use crate::name_server::{self, Endpoint};
use crate::namespace::{Namespace, cover_etc, hide_directory, ip_batch, set_sysctl};
use crate::scenario::{Family, Path, Rule, Scenario};
use crate::server::{BACKLOG, Servers};
use crate::tun;
use crate::wire::{self, Paths};
use crate::worker::Worker;

/// The interface on both sides.
const INTERFACE: &str = "lab0";

/// A running network.
///
/// It consists of this process's threads and descriptors alone: dropping it, or the end of the process,
/// leaves nothing. Any number of networks can exist side by side, with the same addresses.
#[derive(Debug)]
pub struct Network {
    // Fields are dropped in this order: first those who would miss the wire.
    _name_server: Worker,
    servers: Servers,
    capture: Capture,
    _wire: Worker,
    client: Namespace,
    server: Namespace,
    paths: Arc<Paths>,
    zone: Arc<Zone>,
    scenario: Scenario,
    started: SystemTime,
}

impl Network {
    /// Builds the network that `scenario` describes. Needs root, or a user namespace in which the caller is
    /// root.
    pub fn new(scenario: &Scenario) -> Result<Network> {
        scenario.check()?;
        let paths = Arc::new(Paths::default());
        let zone = Arc::new(Zone::new(&scenario.dns.names));
        let (server, (server_device, servers, name_server)) =
            Namespace::new(CloneFlags::CLONE_NEWNET, || set_up_server(scenario, Arc::clone(&zone)))?;
        let flags = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
        let (client, (client_device, capture)) = Namespace::new(flags, || set_up_client(scenario))?;
        let wire = wire::start(client_device, server_device, Arc::clone(&paths), scenario.translator, scenario.seed)?;
        let network = Network {
            _name_server: name_server,
            servers,
            capture,
            _wire: wire,
            client,
            server,
            paths,
            zone,
            scenario: scenario.clone(),
            started: SystemTime::now(),
        };
        network.reset_paths();
        Ok(network)
    }

    /// The scenario as it was built.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// A command on the client's side, with the environment that describes the network:
    ///
    /// * `LAB_PORT`, the scenario's port;
    /// * `LAB_NAMESERVER`, the first address of the name server;
    /// * `LAB_ADDRESSES_V4` and `LAB_ADDRESSES_V6`, the servers' addresses, separated by spaces.
    ///
    /// The command is killed when the thread that starts it ends.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Result<Command> {
        let mut command = self.client.command(program)?;
        let of = |family| {
            let addresses = self.scenario.servers.iter().map(|server| server.address);
            let addresses = addresses.filter(|address| Family::of(*address) == family);
            addresses.map(|address| address.to_string()).collect::<Vec<_>>().join(" ")
        };
        command.env("LAB_PORT", self.scenario.port.to_string());
        command.env("LAB_ADDRESSES_V4", of(Family::Ipv4)).env("LAB_ADDRESSES_V6", of(Family::Ipv6));
        if let Some(address) = self.scenario.dns.addresses.first() {
            command.env("LAB_NAMESERVER", address.to_string());
        }
        Ok(command)
    }

    /// Runs `work` on the client's side, on a thread of its own, and waits for it.
    ///
    /// Threads that it starts stay on the client's side; threads that exist already, such as those of a pool,
    /// stay where they are. What keeps a pool is better run as a [`Network::command`].
    pub fn on_client<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.client.enter(work)
    }

    /// Runs `work` on the server side, on a thread of its own, and waits for it.
    pub fn on_server<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.server.enter(work)
    }

    /// Accepts connections to one more address and port, which sends `banner` ("ADDRESS PORT\n" when absent).
    pub fn listen(&self, address: IpAddr, port: u16, banner: Option<&str>) -> Result<()> {
        self.server.enter(|| self.servers.listen(address, port, banner))
    }

    /// Changes the path to one server, from now on.
    pub fn set_path(&self, address: IpAddr, path: Path) {
        self.paths.set_address(address, path);
    }

    /// Changes the path to the servers of a family that have none of their own, from now on.
    pub fn set_family(&self, family: Family, path: Path) {
        self.paths.set_family(family, path);
    }

    /// Puts every path back to what the scenario says and drops the packets that are on their way.
    pub fn reset_paths(&self) {
        self.paths.forget_queued();
        self.paths.clear_except(&[]);
        for address in &self.scenario.dns.addresses {
            self.paths.set_address(*address, self.scenario.dns.path);
        }
        for (family, path) in &self.scenario.families {
            self.paths.set_family(*family, *path);
        }
        for server in &self.scenario.servers {
            if let Some(path) = server.path {
                self.paths.set_address(server.address, path);
            }
        }
    }

    /// Changes what the name server replies to questions for `name` and `record_type` ("A", "AAAA", ...),
    /// from now on.
    pub fn set_name(&self, name: &str, record_type: &str, rule: Rule) -> Result<()> {
        rule.check(name, record_type)?;
        self.zone.set(name, record_type, rule);
        Ok(())
    }

    /// The questions that the name server got.
    pub fn questions(&self) -> Vec<Question> {
        self.zone.log()
    }

    /// SYNs, their answers, and DNS messages over UDP, as they passed the client's interface.
    pub fn packets(&self) -> Result<Vec<Packet>> {
        self.capture.packets()
    }

    /// Calls `observer` for each question from now on, once it is answered, or at once if it never is.
    pub fn observe_questions(&self, observer: impl FnMut(&Question) + Send + 'static) {
        self.zone.observe(Box::new(observer));
    }

    /// Tells the observer of questions whose answer is still due as well, and tells it of no more.
    pub fn settle_questions(&self) {
        self.zone.settle();
    }

    /// Calls `observer` for each packet that [`Network::packets`] would hold, from now on.
    pub fn observe_packets(&self, observer: impl FnMut(&Packet) + Send + 'static) {
        self.capture.observe(Box::new(observer));
    }

    /// Forgets questions and packets, and counts times from now.
    pub fn clear_logs(&mut self) -> Result<()> {
        self.zone.clear_log();
        self.capture.clear()?;
        self.started = SystemTime::now();
        Ok(())
    }

    /// When the network, or the last [`Network::clear_logs`], started.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    /// Milliseconds between the start of the network, or the last [`Network::clear_logs`], and `at`.
    pub fn milliseconds(&self, at: SystemTime) -> f64 {
        milliseconds_between(self.started, at)
    }
}

/// Milliseconds from `start` to `end`, negative if `end` came first.
pub fn milliseconds_between(start: SystemTime, end: SystemTime) -> f64 {
    match end.duration_since(start) {
        Ok(duration) => duration.as_secs_f64() * 1000.0,
        Err(error) => -error.duration().as_secs_f64() * 1000.0,
    }
}

/// The lines for ip(8) that bring up the interface with its addresses and a route for each of their families.
fn interface_lines(addresses: &[IpAddr], without_route: &[Family]) -> Vec<String> {
    let mut lines = vec![
        "link set dev lo up".to_owned(),
        // No link-local address: its router solicitations would be on the wire with what is measured.
        format!("link set dev {INTERFACE} addrgenmode none"),
        format!("link set dev {INTERFACE} up"),
    ];
    for address in addresses {
        // nodad: duplicate address detection would keep the address unusable for a second.
        let options = if address.is_ipv6() { " nodad" } else { "" };
        let length = if address.is_ipv6() { 128 } else { 32 };
        lines.push(format!("address add {address}/{length} dev {INTERFACE}{options}"));
    }
    for (family, everything) in [(Family::Ipv4, "0.0.0.0/0"), (Family::Ipv6, "::/0")] {
        let present = addresses.iter().any(|address| Family::of(*address) == family);
        if present && !without_route.contains(&family) {
            lines.push(format!("route add {everything} dev {INTERFACE}"));
        }
    }
    lines
}

fn set_up_server(scenario: &Scenario, zone: Arc<Zone>) -> Result<(File, Servers, Worker)> {
    let device = tun::open(INTERFACE)?;
    let mut addresses = scenario.dns.addresses.clone();
    addresses.extend(scenario.servers.iter().map(|server| server.address));
    // The way back exists even for a family that only the client has an address of.
    let mut lines = interface_lines(&addresses, &[Family::Ipv4, Family::Ipv6]);
    lines.push(format!("route add 0.0.0.0/0 dev {INTERFACE}"));
    lines.push(format!("route add ::/0 dev {INTERFACE}"));
    ip_batch(&lines)?;
    set_sysctl("net/core/somaxconn", &BACKLOG.to_string())?;
    set_sysctl("net/ipv4/tcp_max_syn_backlog", &BACKLOG.to_string())?;
    let servers = Servers::start()?;
    for server in &scenario.servers {
        for port in scenario.ports_of(server) {
            servers.listen(server.address, port, server.banner.as_deref())?;
        }
    }
    let endpoints: Vec<Endpoint> =
        scenario.dns.addresses.iter().map(|&address| Endpoint { address, tcp: true }).collect();
    let name_server = name_server::start(&endpoints, zone)?;
    Ok((device, servers, name_server))
}

fn set_up_client(scenario: &Scenario) -> Result<(File, Capture)> {
    let device = tun::open(INTERFACE)?;
    let client = &scenario.client;
    let mut lines = interface_lines(&client.addresses, &client.no_default_route);
    for prefix in &client.unreachable {
        lines.push(format!("route add unreachable {prefix}"));
    }
    ip_batch(&lines)?;
    // Round trips remembered from one connection would change the retransmission times of the next.
    set_sysctl("net/ipv4/tcp_no_metrics_save", "1")?;
    cover_etc(&[
        ("resolv.conf", scenario.resolv_conf()),
        ("hosts", scenario.hosts()),
        ("nsswitch.conf", scenario.nsswitch_conf()),
        ("gai.conf", scenario.etc.gai_conf.clone()),
    ])?;
    // A name service cache daemon of the machine would answer for the lab's names through its socket.
    hide_directory("/run/nscd")?;
    let capture = Capture::start(INTERFACE)?;
    Ok((device, capture))
}
