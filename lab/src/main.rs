//! The `lab` command: see `lab help` and README.md beside the crate.

mod delays;
mod differential;
mod measure;
mod order;
mod run;
mod sandbox;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use lab::Scenario;

/// A network in a box, for testing how programs establish connections.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run a command on the client's side of a network.
    ///
    /// The command sees LAB_PORT, LAB_NAMESERVER, LAB_ADDRESSES_V4 and LAB_ADDRESSES_V6, and its own
    /// resolv.conf, hosts, nsswitch.conf and gai.conf. Its exit status becomes that of this command; 128
    /// plus the number of a signal that ended it; 125 if the network could not be built.
    Run(run::Options),
    /// Measure how a client connects: the tests of "Lazy Eye Inspection", and daily life.
    ///
    /// Exits with 1 if the judged client is not at the delays that it was told to keep.
    Measure(measure::Options),
    /// Ask libc and the library the same, in random systems with name servers that may do anything, and
    /// compare.
    ///
    /// Exits with 1 if a case differed in other ways than those that are documented.
    Differential(differential::Options),
    /// Compare the library's order of addresses with getaddrinfo's, in random systems.
    ///
    /// Exits with 1 if a case differed in other ways than those that are documented.
    OrderDifferential(order::Options),
    /// Compare the fixed Connection Attempt Delay with the one that fits the path, by round trips and losses.
    Delays(delays::Options),
    /// Print a scenario with all its defaults.
    Scenario {
        /// A JSON file; without it, the default scenario.
        file: Option<PathBuf>,
    },
}

/// Exit status of what fails before a command runs, as env(1) and timeout(1) have it.
const EXIT_FAILURE: u8 = 125;

fn main() -> ExitCode {
    let status = match Arguments::parse().task {
        Task::Run(options) => sandbox::enter(move |sandbox| run::run(&options, sandbox)),
        Task::Measure(options) => sandbox::enter(move |sandbox| measure::measure(&options, sandbox)),
        Task::Differential(options) => sandbox::enter(move |sandbox| differential::differential(&options, sandbox)),
        Task::OrderDifferential(options) => sandbox::enter(move |sandbox| order::order(&options, sandbox)),
        Task::Delays(options) => sandbox::enter(move |sandbox| delays::delays(&options, sandbox)),
        Task::Scenario { file } => print_scenario(file).map(|()| 0),
    };
    match status {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

fn print_scenario(file: Option<PathBuf>) -> Result<()> {
    let scenario = file.map_or_else(|| Ok(Scenario::default()), |file| Scenario::read(&file))?;
    println!("{}", serde_json::to_string_pretty(&scenario)?);
    Ok(())
}
