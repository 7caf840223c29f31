//! `lab delays`: the fixed Connection Attempt Delay beside the one that fits the path (RFC 8305, section 5).
//!
//! One host with an address of each family, both behind the same path. Each thread connects with the fixed
//! delay and with a history by turns, so that what else the machine does falls on both. A needless SYN is
//! that of an attempt that was started after the one that has won: without it the connect would have taken as
//! long.

mod figure;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use happysock::race::Outcome;
use happysock::{Connect, History, Plan};
use lab::{Network, Path, SERVER_V4, SERVER_V6, Scenario};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;
use serde_json::json;

use crate::sandbox::Sandbox;

const ROUND_TRIPS_MS: [f64; 7] = [5.0, 20.0, 50.0, 100.0, 200.0, 300.0, 400.0];
const LOSSES_PERCENT: [f64; 5] = [0.0, 1.0, 5.0, 10.0, 20.0];
/// With `--short`.
const FEW_ROUND_TRIPS_MS: [f64; 3] = [20.0, 100.0, 400.0];
const FEW_LOSSES_PERCENT: [f64; 2] = [0.0, 20.0];
/// How many connects run at once: they wait, and do little else.
const THREADS: usize = 40;
/// Connects from which a history learns a path before it is measured.
const FIRST_CONNECTS: usize = 10;
/// No connect takes longer than this: the kernel gives up after 127 s at last (tcp(7), tcp_syn_retries).
const LIMIT: Duration = Duration::from_secs(150);

/// The command line of `lab delays`.
#[derive(clap::Args)]
pub struct Options {
    /// Connects with each delay over each path [default: 400, short 80].
    #[arg(long, value_parser = clap::value_parser!(u32).range(40..=100_000))]
    connects: Option<u32>,
    /// Few paths and few connects, for a first look.
    #[arg(long)]
    short: bool,
    /// Seed of the losses.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where delays.json and delays.svg go.
    #[arg(long, value_name = "DIRECTORY", default_value = "target/lab")]
    output: PathBuf,
}

/// One connect.
#[derive(Clone, Copy)]
struct Seen {
    took_ms: f64,
    needless: u32,
}

/// What the connects with one delay came to over one path.
#[derive(Clone, Copy, Debug, Serialize)]
struct Figures {
    connects: usize,
    mean_ms: f64,
    /// 95 of 100 took no longer.
    p95_ms: f64,
    /// Attempts that were started after the one that has won, for 100 connects.
    needless_per_100: f64,
}

/// A path, with both delays.
#[derive(Clone, Copy, Debug, Serialize)]
struct Row {
    round_trip_ms: f64,
    loss_percent: f64,
    fixed: Figures,
    fitting: Figures,
}

impl Figures {
    fn of(mut seen: Vec<Seen>) -> Figures {
        seen.sort_by(|one, other| one.took_ms.total_cmp(&other.took_ms));
        let connects = seen.len();
        let needless: u32 = seen.iter().map(|seen| seen.needless).sum();
        Figures {
            connects,
            mean_ms: seen.iter().map(|seen| seen.took_ms).sum::<f64>() / connects as f64,
            p95_ms: seen[(connects * 95).div_ceil(100) - 1].took_ms,
            needless_per_100: f64::from(needless) * 100.0 / connects as f64,
        }
    }
}

/// Measures, prints the table, and writes it as JSON and as a picture.
pub fn delays(options: &Options, sandbox: Sandbox) -> Result<u8> {
    sandbox.end_on_signal()?;
    std::fs::create_dir_all(&options.output).with_context(|| format!("cannot create {}", options.output.display()))?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // The servers' side of every connection is a descriptor of this process too.
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let (round_trips, losses) = if options.short {
        (&FEW_ROUND_TRIPS_MS[..], &FEW_LOSSES_PERCENT[..])
    } else {
        (&ROUND_TRIPS_MS[..], &LOSSES_PERCENT[..])
    };
    let connects = options.connects.unwrap_or(if options.short { 80 } else { 400 }) as usize;
    let scenario = Scenario { seed: options.seed, ..Scenario::default() };
    let network = Network::new(&scenario)?;
    let mut rows = Vec::new();
    for &loss_percent in losses {
        for &round_trip_ms in round_trips {
            let path = Path { round_trip_ms, loss_percent, ..Path::default() };
            for address in [SERVER_V6.into(), SERVER_V4.into()] {
                network.set_path(address, path);
            }
            let (fixed, fitting) = network.on_client(|| measure(connects, scenario.port))?;
            rows.push(Row { round_trip_ms, loss_percent, fixed, fitting });
        }
    }
    print(&rows);
    let file = options.output.join("delays.json");
    let text = serde_json::to_string_pretty(&json!({ "version": 1, "seed": options.seed, "rows": rows }))?;
    std::fs::write(&file, text + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    println!("wrote {}", file.display());
    let file = options.output.join("delays.svg");
    svg::save(&file, &figure::draw(&rows)).with_context(|| format!("cannot write {}", file.display()))?;
    println!("wrote {}", file.display());
    Ok(0)
}

/// So many connects with each delay, on the calling thread's network.
fn measure(connects: usize, port: u16) -> Result<(Figures, Figures)> {
    let addresses = [SocketAddr::new(SERVER_V6.into(), port), SocketAddr::new(SERVER_V4.into(), port)];
    let history = Arc::new(History::new(Instant::now()));
    for _ in 0..FIRST_CONNECTS {
        connect(&addresses, Some(&history))?;
    }
    let of_thread = |number: usize| -> Result<(Vec<Seen>, Vec<Seen>)> {
        let (mut fixed, mut fitting) = (Vec::new(), Vec::new());
        for _ in (number..connects).step_by(THREADS) {
            fixed.push(connect(&addresses, None)?);
            fitting.push(connect(&addresses, Some(&history))?);
        }
        Ok((fixed, fitting))
    };
    let (mut fixed, mut fitting) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|number| scope.spawn(move || of_thread(number))).collect();
        for thread in threads {
            let (of_fixed, of_fitting) = thread.join().expect("a connect does not panic")?;
            fixed.extend(of_fixed);
            fitting.extend(of_fitting);
        }
        Ok::<_, anyhow::Error>(())
    })?;
    ensure!(!fixed.is_empty(), "no connect was made");
    Ok((Figures::of(fixed), Figures::of(fitting)))
}

fn connect(addresses: &[SocketAddr], history: Option<&Arc<History>>) -> Result<Seen> {
    let options = happysock::Options {
        addresses: Some(addresses),
        history: history.cloned(),
        open_timeout: Some(LIMIT),
        ..happysock::Options::default()
    };
    let plan = Plan::new(None, None, &options).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let mut connect = Connect::new(plan);
    let began = Instant::now();
    connect.wait();
    let took_ms = began.elapsed().as_secs_f64() * 1000.0;
    let report = connect.report().context("a connect that was waited for is finished")?;
    match report.outcome {
        Outcome::Connected { attempt } => Ok(Seen { took_ms, needless: report.attempts.len() as u32 - attempt.0 - 1 }),
        outcome => bail!("a connect has ended with {outcome:?}"),
    }
}

fn print(rows: &[Row]) {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "round trip",
        "loss",
        "fixed: mean",
        "95 %",
        "needless SYNs of 100",
        "fitting: mean",
        "95 %",
        "needless SYNs of 100",
    ]);
    for row in rows {
        let of = |figures: &Figures| {
            [
                format!("{:.0} ms", figures.mean_ms),
                format!("{:.0} ms", figures.p95_ms),
                format!("{:.1}", figures.needless_per_100),
            ]
        };
        let path = [format!("{} ms", row.round_trip_ms), format!("{} %", row.loss_percent)];
        table.add_row(path.into_iter().chain(of(&row.fixed)).chain(of(&row.fitting)));
    }
    println!("{table}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_all_connects() {
        let seen = |took_ms, needless| Seen { took_ms, needless };
        let figures =
            Figures::of((1..=20).rev().map(|number| seen(f64::from(number), u32::from(number == 20))).collect());
        assert_eq!(
            (figures.connects, figures.mean_ms, figures.p95_ms, figures.needless_per_100),
            (20, 10.5, 19.0, 5.0)
        );
    }
}
