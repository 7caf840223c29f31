//! happy: what the library happysock does, to be watched from a terminal.
#![forbid(unsafe_code)]

mod args;
mod chart;
mod check;
mod connect;
mod cost;
mod draw;
mod exit;
mod generate;
mod getaddrinfo;
mod interrupt;
mod live;
mod look;
mod lookup;
mod names;
mod output;
mod picture;
mod pipe;
mod qlog;
mod race;
mod record;
mod recording;
mod repeat;
mod run;
mod services;
mod session;
mod sweep;
mod targets;
mod tls;
mod verdict;
mod watch;

use args::{Arguments, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("happy: {error:#}");
            let usage = error.downcast_ref::<exit::Usage>().is_some();
            if usage {
                eprintln!("See `happy --help`.");
            }
            ExitCode::from(if usage { exit::USAGE } else { exit::NOT_CONNECTED })
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let interrupts = interrupt::Interrupts::listen()?;
    let look = &arguments.look;
    match &arguments.command {
        Command::Connect(connect) => connect::run(connect, look, &interrupts),
        Command::Lookup(lookup) => lookup::run(lookup, look, &interrupts),
        Command::Check(check) => check::run(check, look, &interrupts),
        Command::Draw(draw) => draw::run(draw, look),
        Command::Run(run) => run::run(run),
        Command::Generate { directory } => generate::run(directory),
    }
}
