//! `lab run`: a command on the client's side of a network.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use lab::{Family, Kind, Network, Packet, Question, Reply, Scenario, milliseconds_between};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;

use crate::sandbox::Sandbox;

/// The command line of `lab run`.
#[derive(clap::Args)]
pub struct Options {
    /// The network, as a JSON file (lab/README.md describes it); a dual-stack server called dual.test without
    /// it.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Write a line of JSON for each DNS question, once it is answered or certain not to be.
    #[arg(long, value_name = "FILE")]
    dns_log: Option<PathBuf>,
    /// Write a line of JSON for each SYN that leaves the client.
    #[arg(long, value_name = "FILE")]
    syn_log: Option<PathBuf>,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// A line of the DNS log. Times are in milliseconds since the command was started.
#[derive(Serialize)]
struct QuestionLine<'a> {
    time_ms: f64,
    unix_ms: f64,
    name: &'a str,
    r#type: &'a str,
    transport: &'static str,
    reply: Reply,
    answered_ms: Option<f64>,
}

/// A line of the SYN log.
#[derive(Serialize)]
struct SynLine {
    time_ms: f64,
    unix_ms: f64,
    family: Family,
    destination: std::net::IpAddr,
    port: u16,
    source_port: u16,
    retransmission: bool,
}

/// Builds the network, runs the command and answers with its exit status.
pub fn run(options: &Options, mut sandbox: Sandbox) -> Result<u8> {
    let scenario = match &options.scenario {
        Some(file) => Scenario::read(file)?,
        None => Scenario::default(),
    };
    let mut dns_log = options.dns_log.as_deref().map(create).transpose()?;
    let mut syn_log = options.syn_log.as_deref().map(create).transpose()?;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // The servers' side of every connection is a descriptor of this process.
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let mut network = Network::new(&scenario)?;
    let [program, arguments @ ..] = options.command.as_slice() else { unreachable!("clap requires a command") };
    let mut command = network.command(program)?;
    command.args(arguments);
    let restore_limit = move || Ok(setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?);
    // SAFETY: between fork and exec the closure makes one system call and nothing else.
    unsafe { command.pre_exec(restore_limit) };
    network.clear_logs()?;
    let start = network.started();
    if let Some(mut log) = dns_log.take() {
        network.observe_questions(move |question| write_line(&mut log, &question_line(start, question)));
    }
    if let Some(mut log) = syn_log.take() {
        network.observe_packets(move |packet| {
            if let Some(line) = syn_line(start, packet) {
                write_line(&mut log, &line);
            }
        });
    }
    let status = sandbox.run(&mut command)?;
    // Reading the packets has the last of them logged.
    network.packets()?;
    network.settle_questions();
    Ok(status)
}

fn create(file: &Path) -> Result<File> {
    File::create(file).with_context(|| format!("cannot create {}", file.display()))
}

/// Writes a line at once, so that the command can read it while it runs.
fn write_line(log: &mut File, line: &impl Serialize) {
    let written =
        serde_json::to_string(line).map_err(Into::into).and_then(|text| log.write_all((text + "\n").as_bytes()));
    if let Err(error) = written {
        eprintln!("lab: cannot write a log: {error}");
    }
}

fn unix_ms(at: SystemTime) -> f64 {
    milliseconds_between(SystemTime::UNIX_EPOCH, at)
}

fn question_line(start: SystemTime, question: &Question) -> QuestionLine<'_> {
    QuestionLine {
        time_ms: milliseconds_between(start, question.at),
        unix_ms: unix_ms(question.at),
        name: &question.name,
        r#type: &question.record_type,
        transport: if question.tcp { "tcp" } else { "udp" },
        reply: question.reply,
        answered_ms: question.answered.map(|at| milliseconds_between(start, at)),
    }
}

fn syn_line(start: SystemTime, packet: &Packet) -> Option<SynLine> {
    let Kind::Syn { again } = packet.kind else { return None };
    packet.sent.then(|| SynLine {
        time_ms: milliseconds_between(start, packet.at),
        unix_ms: unix_ms(packet.at),
        family: Family::of(packet.destination.ip()),
        destination: packet.destination.ip(),
        port: packet.destination.port(),
        source_port: packet.source.port(),
        retransmission: again,
    })
}
