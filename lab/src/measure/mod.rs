//! `lab measure`: how a client and its peers connect, read from the wire.
//!
//! The sweeps and the selection are those of "Lazy Eye Inspection: Capturing the State of Happy Eyeballs
//! Implementations" (Sattler et al., 2025), in namespaces as there.

mod client;
mod figure;
mod plan;
mod report;
mod trial;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use lab::Network;

use crate::sandbox::Sandbox;
use client::Client;
use plan::{Delays, Experiment, Extent, Part};
use trial::Observation;

/// The command line of `lab measure`.
#[derive(clap::Args)]
pub struct Options {
    /// The client to judge: a command that connects once and ends, with {host} and {port} in it.
    #[arg(long, value_name = "COMMAND")]
    client: Option<String>,
    /// What to call the judged client.
    #[arg(long, default_value = "happysock")]
    name: String,
    /// Measure the peers that are installed (python3, node, ruby, go, curl) in the same run.
    #[arg(long, env = "PEERS", value_parser = clap::builder::FalseyValueParser::new(), num_args = 0)]
    peers: bool,
    /// Measure one more peer in the same run.
    #[arg(long = "peer", value_name = "NAME=COMMAND")]
    more_peers: Vec<String>,
    /// Few steps and few runs, for a first look and for CI: about half a minute.
    #[arg(long)]
    short: bool,
    /// Only these parts.
    #[arg(long = "part", value_name = "PART", value_delimiter = ',')]
    parts: Vec<Part>,
    /// Runs of each step and situation [default: 5, short 3].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeat: Option<u32>,
    /// Runs of each step and situation for peers, many of which wait out every delay [default: steps 1,
    /// situations 3].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    peer_repeat: Option<u32>,
    /// The Resolution Delay, in milliseconds, that the judged client was told to keep.
    #[arg(long, default_value_t = 50.0)]
    resolution_delay_ms: f64,
    /// The Connection Attempt Delay, in milliseconds, that the judged client was told to keep.
    #[arg(long, default_value_t = 250.0)]
    connection_attempt_delay_ms: f64,
    /// How far a median may be from what it should be.
    #[arg(long, default_value_t = 3.0)]
    tolerance_ms: f64,
    /// Measure what a row was judged by again where it failed, up to so many times: a machine that stands still for
    /// a moment has another row fail each time, a client that is wrong has the same.
    #[arg(long, value_name = "TIMES", default_value_t = 0)]
    again: u32,
    /// Run the clients at real-time priority, so that a busy machine matters less. Their timers are then a
    /// little more exact than they are in daily life.
    #[arg(long)]
    real_time: bool,
    /// Where measure.json and the figures go.
    #[arg(long, value_name = "DIRECTORY", default_value = "target/lab")]
    output: PathBuf,
}

/// All runs of one experiment, client by client.
pub struct Measured {
    experiment: Experiment,
    /// The runs of each client, in the order of the clients.
    runs: Vec<Vec<Observation>>,
}

/// A run of the whole: who was measured, and what came out.
pub struct Results {
    clients: Vec<Client>,
    /// Whether the first client is judged.
    judged: bool,
    delays: Delays,
    tolerance_ms: f64,
    measured: Vec<Measured>,
}

/// Measures, reports, and answers with 0, or with 1 if a judged row failed.
pub fn measure(options: &Options, sandbox: Sandbox) -> Result<u8> {
    sandbox.end_on_signal()?;
    std::fs::create_dir_all(&options.output).with_context(|| format!("cannot create {}", options.output.display()))?;
    let clients = clients(options)?;
    let delays = Delays { resolution_ms: options.resolution_delay_ms, attempt_ms: options.connection_attempt_delay_ms };
    let mut experiments = plan::experiments(extent(options), delays);
    experiments.retain(|experiment| options.parts.is_empty() || options.parts.contains(&experiment.part));

    let mut network = Network::new(&plan::scenario())?;
    let mut trials = Trials { network: &mut network, count: 0 };
    for client in &clients {
        trials.check(client)?;
    }
    let judged = options.client.is_some();
    let is_judged = |number: usize| judged && number == report::JUDGED;
    let runs_of = |experiment: &Experiment| {
        (0..clients.len()).map(|number| u64::from(experiment.repeat_for(is_judged(number)))).sum::<u64>()
    };
    let progress = Progress::new(experiments.iter().map(runs_of).sum());
    let mut measured = Vec::with_capacity(experiments.len());
    for experiment in experiments {
        let mut runs = vec![Vec::new(); clients.len()];
        // The clients take turns, so that what else the machine does falls on all of them.
        for round in 0..experiment.repeat {
            for (number, (client, runs)) in clients.iter().zip(&mut runs).enumerate() {
                if round >= experiment.repeat_for(is_judged(number)) {
                    continue;
                }
                progress.next(&experiment, client);
                runs.push(trials.run(client, &experiment.situation)?);
            }
        }
        measured.push(Measured { experiment, runs });
    }
    progress.finish();

    let mut results = Results { clients, judged, delays, tolerance_ms: options.tolerance_ms, measured };
    for _ in 0..options.again {
        let failed: Vec<_> = report::judge(&results).into_iter().filter(|judgement| !judgement.passed).collect();
        for judgement in &failed {
            eprintln!("lab: measuring again: {}: {}, and not {}", judgement.what, judgement.got, judgement.wanted);
        }
        for Measured { experiment, runs } in &mut results.measured {
            if failed.iter().any(|judgement| judgement.is_about(experiment)) {
                for run in &mut runs[report::JUDGED] {
                    *run = trials.run(&results.clients[report::JUDGED], &experiment.situation)?;
                }
            }
        }
    }
    report::print(&results);
    let mut files = vec![report::write_json(&results, &options.output)?];
    files.extend(figure::draw(&results, &options.output)?);
    for file in files {
        println!("wrote {}", file.display());
    }
    let failed = report::judge(&results).iter().filter(|judgement| !judgement.passed).count();
    Ok(u8::from(failed > 0))
}

fn clients(options: &Options) -> Result<Vec<Client>> {
    let mut clients = Vec::new();
    if let Some(template) = &options.client {
        clients.push(Client::parse(&options.name, template)?);
    }
    for peer in &options.more_peers {
        let (name, template) = peer.split_once('=').with_context(|| format!("--peer {peer} is not NAME=COMMAND"))?;
        clients.push(Client::parse(name, template)?);
    }
    if options.peers {
        clients.extend(client::installed_peers(&options.output)?);
    }
    if options.real_time && !trial::may_run_in_real_time() {
        eprintln!("lab: there is no right to real-time priority here: the clients run like any program");
    } else {
        clients.iter_mut().for_each(|client| client.real_time = options.real_time);
    }
    ensure!(!clients.is_empty(), "there is nothing to measure: give --client, --peer or --peers");
    Ok(clients)
}

fn extent(options: &Options) -> Extent {
    let (attempt_step_ms, resolution_step_ms, repeat) = if options.short { (50, 100, 3) } else { (5, 10, 5) };
    let repeat = options.repeat.unwrap_or(repeat);
    Extent {
        attempt_step_ms,
        resolution_step_ms,
        repeat,
        peer_step_repeat: options.peer_repeat.unwrap_or(1),
        peer_repeat: options.peer_repeat.unwrap_or(if options.short { 1 } else { 3 }),
        slow_repeat: if options.short { 1 } else { repeat.min(3) },
        loss_repeat: if options.short { repeat } else { repeat * 8 },
        // Long enough for 19 attempts at the default delay; the full run also shows those who wait for much more.
        limit: Duration::from_secs(if options.short { 12 } else { 20 }),
    }
}

/// Runs trials in one network, each with a host name of its own.
struct Trials<'a> {
    network: &'a mut Network,
    count: usize,
}

impl Trials<'_> {
    fn run(&mut self, client: &Client, situation: &trial::Situation) -> Result<Observation> {
        self.count += 1;
        let host = format!("trial{}.test", self.count);
        trial::run(self.network, client, &host, situation)
    }

    /// Makes sure that the client can connect at all, and says what it says if not.
    fn check(&mut self, client: &Client) -> Result<()> {
        let seen = self.run(client, &plan::all_fine())?;
        let ended_well = seen.status == Some(0);
        ensure!(
            seen.connected_to.is_some() && ended_well,
            "{} does not connect where all is fine (exit status {:?}):\n{}\n{}",
            client.name,
            seen.status,
            client.command_line("HOST", self.network.scenario().port).join(" "),
            seen.output.trim()
        );
        Ok(())
    }
}

/// A bar on a terminal, a line for each part elsewhere.
struct Progress {
    bar: ProgressBar,
    last: std::cell::Cell<Option<Part>>,
}

impl Progress {
    fn new(runs: u64) -> Progress {
        let bar = ProgressBar::new(runs);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} (about {eta} left) {msg}");
        bar.set_style(style.expect("the template is well-formed"));
        Progress { bar, last: std::cell::Cell::new(None) }
    }

    fn next(&self, experiment: &Experiment, client: &Client) {
        self.bar.set_message(format!("{}: {}", client.name, experiment.title));
        self.bar.inc(1);
        if self.last.replace(Some(experiment.part)) != Some(experiment.part) && !std::io::stderr().is_terminal() {
            eprintln!("lab: measuring: {}", report::title(experiment.part));
        }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
