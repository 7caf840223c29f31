//! One run of one client in one situation, and what the wire saw of it.

use std::io::Read;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::{Family, Kind, Network, Packet, Path, Rule, milliseconds_between};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;

use super::client::Client;

/// What the network is like during a trial.
#[derive(Clone, Debug)]
pub struct Situation {
    /// The reply to questions of type A.
    pub a: Rule,
    /// The reply to questions of type AAAA.
    pub aaaa: Rule,
    /// Paths to whole families.
    pub families: Vec<(Family, Path)>,
    /// Paths to single addresses.
    pub addresses: Vec<(IpAddr, Path)>,
    /// After this time the client is stopped.
    pub limit: Duration,
}

/// What the wire saw. Times are in milliseconds; None stands for what did not happen.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Observation {
    /// From the first DNS question to the first completed handshake.
    pub connect_ms: Option<f64>,
    /// The address of the first completed handshake.
    pub connected_to: Option<IpAddr>,
    /// From the first IPv6 SYN to the first IPv4 SYN.
    pub v6_to_v4_ms: Option<f64>,
    /// From the A answer to the first IPv4 SYN.
    pub a_answer_to_v4_ms: Option<f64>,
    /// From the AAAA answer to the first IPv6 SYN.
    pub aaaa_answer_to_v6_ms: Option<f64>,
    /// Whether the AAAA question was sent before the A question.
    pub aaaa_asked_first: Option<bool>,
    /// Where SYNs were sent, in order, without retransmissions.
    pub destinations: Vec<IpAddr>,
    /// The times between those SYNs.
    pub gaps_ms: Vec<f64>,
    /// How long connecting took by the client's own clock, where it says so.
    pub own_ms: Option<f64>,
    /// What the client wrote.
    #[serde(skip)]
    pub output: String,
    /// Whether it had to be stopped.
    pub stopped: bool,
    /// Its exit status, if it ended by itself and not by a signal.
    pub status: Option<i32>,
}

/// Runs `client` once. `host` is a name that no trial has used before.
pub fn run(network: &mut Network, client: &Client, host: &str, situation: &Situation) -> Result<Observation> {
    network.reset_paths();
    for (family, path) in &situation.families {
        network.set_family(*family, *path);
    }
    for (address, path) in &situation.addresses {
        network.set_path(*address, *path);
    }
    network.set_name(host, "A", situation.a.clone())?;
    network.set_name(host, "AAAA", situation.aaaa.clone())?;
    network.clear_logs()?;

    let line = client.command_line(host, network.scenario().port);
    let [program, arguments @ ..] = line.as_slice() else { anyhow::bail!("{} has no command", client.name) };
    let mut command = network.command(program)?;
    if client.real_time {
        // SAFETY: between fork and exec the closure makes one system call and nothing else.
        unsafe { command.pre_exec(enter_real_time) };
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run {program} of {}", client.name))?;
    let (mut stdout, mut stderr) =
        (child.stdout.take().context("stdout is piped")?, child.stderr.take().context("stderr is piped")?);
    let deadline = Instant::now() + situation.limit;
    let mut output = Vec::new();
    let stopped = !(read_until(&mut stdout, deadline, &mut output)? && read_until(&mut stderr, deadline, &mut output)?);
    if stopped {
        child.kill()?;
    }
    let status = child.wait()?.code();
    let output = String::from_utf8_lossy(&output).into_owned();
    Ok(Observation { own_ms: own_ms(&output), output, stopped, status, ..observe(&network.packets()?, host) })
}

/// Gives the calling thread the lowest real-time priority, which is still above everything ordinary
/// (sched(7)).
fn enter_real_time() -> std::io::Result<()> {
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: the call reads `priority`, which lives across it.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &priority) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Whether programs may be run at real-time priority.
pub fn may_run_in_real_time() -> bool {
    std::thread::spawn(enter_real_time).join().is_ok_and(|entered| entered.is_ok())
}

/// Reads the client's own figure: a number of milliseconds, or a JSON object with `elapsed_ms` or
/// `elapsed_s`.
fn own_ms(output: &str) -> Option<f64> {
    let value: serde_json::Value = serde_json::from_str(output.lines().next()?).ok()?;
    let seconds = || Some(value.get("elapsed_s")?.as_f64()? * 1000.0);
    value.as_f64().or_else(|| value.get("elapsed_ms")?.as_f64()).or_else(seconds)
}

/// Reads to the end; false if the deadline comes first.
fn read_until(source: &mut (impl Read + AsFd), deadline: Instant, output: &mut Vec<u8>) -> Result<bool> {
    let mut buffer = [0_u8; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).as_millis();
        let limit = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        if poll(&mut [PollFd::new(source.as_fd(), PollFlags::POLLIN)], limit)? == 0 {
            return Ok(false);
        }
        match source.read(&mut buffer)? {
            0 => return Ok(true),
            length => output.extend_from_slice(&buffer[..length]),
        }
    }
}

/// Reads the packets of a trial.
pub fn observe(packets: &[Packet], host: &str) -> Observation {
    let first = |wanted: &dyn Fn(&Packet) -> bool| packets.iter().find(|packet| wanted(packet));
    let question = |wanted: &str| {
        first(
            &|packet| matches!(&packet.kind, Kind::Question { name, record_type } if name == host && record_type == wanted),
        )
    };
    // A reply without an answer is not what the delays count from.
    let answer = |wanted: &str| {
        first(
            &|packet| matches!(&packet.kind, Kind::Reply { name, record_type, answers: 1.. } if name == host && record_type == wanted),
        )
    };
    let syns: Vec<&Packet> =
        packets.iter().filter(|packet| packet.sent && packet.kind == Kind::Syn { again: false }).collect();
    let syn = |family| syns.iter().copied().find(|packet| Family::of(packet.destination.ip()) == family);
    let asked = first(&|packet| matches!(&packet.kind, Kind::Question { name, .. } if name == host));
    // A server whose client has gone before the handshake was complete on its side repeats its answer during the
    // next trial, so only answers to SYNs of this one count.
    let answers_one =
        |packet: &Packet| syns.iter().any(|syn| syn.source == packet.destination && syn.destination == packet.source);
    let connected = first(&|packet| !packet.sent && packet.kind == Kind::SynAck && answers_one(packet));
    let between = |start: Option<&Packet>, end: Option<&Packet>| Some(milliseconds_between(start?.at, end?.at));
    let gaps = syns.windows(2).map(|pair| milliseconds_between(pair[0].at, pair[1].at));
    Observation {
        connect_ms: between(asked, connected),
        connected_to: connected.map(|packet| packet.source.ip()),
        v6_to_v4_ms: between(syn(Family::Ipv6), syn(Family::Ipv4)),
        a_answer_to_v4_ms: between(answer("A"), syn(Family::Ipv4)),
        aaaa_answer_to_v6_ms: between(answer("AAAA"), syn(Family::Ipv6)),
        aaaa_asked_first: between(question("AAAA"), question("A")).map(|gap| gap >= 0.0),
        destinations: syns.iter().map(|packet| packet.destination.ip()).collect(),
        gaps_ms: gaps.collect(),
        ..Observation::default()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_client_gives_its_own_figure_in_three_ways() {
        assert_eq!(own_ms("12.5\n"), Some(12.5));
        assert_eq!(own_ms(r#"{"connected": true, "elapsed_ms": 3.25}"#), Some(3.25));
        assert_eq!(own_ms(r#"{"elapsed_s": 0.25}"#), Some(250.0));
        assert_eq!(own_ms("connected\n"), None);
        assert_eq!(own_ms(""), None);
    }

    #[test]
    fn gaps_are_read_from_the_packets() {
        let packet = |at_ms: u64, sent: bool, source: &str, destination: &str, kind: Kind| Packet {
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1000 + at_ms),
            sent,
            source: source.parse::<SocketAddr>().unwrap(),
            destination: destination.parse::<SocketAddr>().unwrap(),
            kind,
        };
        let (name, client, server) = ("a.test".to_owned(), "192.0.2.1:1", "198.51.100.53:53");
        let question = |record_type: &str| Kind::Question { name: name.clone(), record_type: record_type.to_owned() };
        let reply = |record_type: &str, answers| Kind::Reply {
            name: name.clone(),
            record_type: record_type.to_owned(),
            answers,
        };
        let (v4, v6) = ("203.0.113.1:80", "[2001:db8:2::1]:80");
        let packets = [
            packet(9, false, v4, "192.0.2.1:5", Kind::SynAck),
            packet(10, true, client, server, question("AAAA")),
            packet(11, true, client, server, question("A")),
            packet(12, false, server, client, reply("A", 0)),
            packet(13, false, server, client, reply("A", 1)),
            packet(20, false, server, client, reply("AAAA", 2)),
            packet(21, true, "[2001:db8:1::1]:5", v6, Kind::Syn { again: false }),
            packet(150, true, "[2001:db8:1::1]:5", v6, Kind::Syn { again: true }),
            packet(271, true, "192.0.2.1:6", v4, Kind::Syn { again: false }),
            packet(280, false, v4, "192.0.2.1:6", Kind::SynAck),
        ];
        let seen = observe(&packets, "a.test");
        assert_eq!(seen.connect_ms, Some(270.0));
        assert_eq!(seen.connected_to, Some("203.0.113.1".parse().unwrap()));
        assert_eq!(seen.v6_to_v4_ms, Some(250.0));
        assert_eq!(seen.a_answer_to_v4_ms, Some(258.0));
        assert_eq!(seen.aaaa_answer_to_v6_ms, Some(1.0));
        assert_eq!(seen.aaaa_asked_first, Some(true));
        assert_eq!(seen.destinations.len(), 2);
        assert_eq!(seen.gaps_ms, [250.0]);
    }
}
