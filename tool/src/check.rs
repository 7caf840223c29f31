//! `happy check`: what of a list can be reached, and what that says about this network.

use crate::args::{CheckArguments, LookOptions};
use crate::exit;
use crate::interrupt::{Interrupts, Stop};
use crate::look::{Look, Paint};
use crate::names;
use crate::output;
use crate::record::{VERSION, unix_ms};
use crate::sweep::{Checked, Reach, State, Sweep};
use crate::targets::{self, Target};
use crate::verdict::{self, Tally, Verdict};
use crate::watch::Watch;
use anyhow::{Context, Result};
use console::Term;
use happysock::race::Family;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;

/// Descriptors that are kept for everything else: standard streams, the handle's own, files that libc reads.
const DESCRIPTORS_KEPT: u64 = 64;
/// More in flight than this gains nothing, and would be lost in the buffers of a name server.
const MOST_PARALLEL: u64 = 4096;
/// A handle that checks one family of one target may have several attempts in flight.
const DESCRIPTORS_EACH: u64 = 4;

/// What the JSON says of one round.
#[derive(Serialize)]
struct Round<'a> {
    version: u32,
    command: &'a str,
    began_unix_ms: u64,
    /// False where Control-C ended it before all was checked.
    complete: bool,
    ipv6: &'a Tally,
    ipv4: &'a Tally,
    #[serde(flatten)]
    verdict: &'a Verdict,
    targets: &'a [Checked],
}

pub fn run(arguments: &CheckArguments, look: &LookOptions, interrupts: &Interrupts) -> Result<u8> {
    let targets = targets::read(&arguments.targets, arguments.port)?;
    let problems = interrupts.until_stopped(|stop| check(arguments, look, &targets, stop))?;
    let code = if problems { exit::NOT_CONNECTED } else { exit::FINE };
    Ok(interrupts.exit_code().unwrap_or(code))
}

/// Whether there were problems, in the last round.
fn check(arguments: &CheckArguments, look: &LookOptions, targets: &[Target], stop: &Stop) -> Result<bool> {
    let sweep = Sweep { targets, timeout: arguments.timeout, parallel: parallel(arguments.parallel)?, stop };
    let term = Term::stdout();
    let (look, errors) = (Look::of(&term, look), Look::of(&Term::stderr(), look));
    let mut watch = arguments.watch.map(|seconds| Watch::new(seconds, arguments.rounds, term.clone(), look));
    let mut problems;
    loop {
        let began_unix_ms = unix_ms();
        let checked = one_round(&sweep, arguments, &errors, watch.is_some())?;
        problems = checked.iter().any(Checked::is_problem);
        let (ipv6, ipv4) = (Tally::of(&checked, Family::V6), Tally::of(&checked, Family::V4));
        let verdict = verdict::of(&checked, &ipv6, &ipv4);
        let complete = !stop.is_set();
        if arguments.json {
            let (version, command, targets) = (VERSION, "check", checked.as_slice());
            let (ipv6, ipv4, verdict) = (&ipv6, &ipv4, &verdict);
            output::print_json(&Round { version, command, began_unix_ms, complete, ipv6, ipv4, verdict, targets })?;
        }
        match &mut watch {
            None => {
                if !arguments.json {
                    show(&checked, &verdict, complete, arguments.problems, &term, &look);
                }
                break;
            }
            Some(watch) => {
                let goes_on = watch.round(&ipv6, &ipv4, &verdict, !arguments.json, stop);
                if !goes_on {
                    break;
                }
            }
        }
    }
    Ok(problems)
}

/// How many connects may be in flight: as many as was said or as there are descriptors for.
fn parallel(wanted: u32) -> Result<usize> {
    // What a program may have open is little by default; up to the hard limit it may be raised by anybody.
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("getrlimit(2)")?;
    let open = if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft };
    let most = (open.saturating_sub(DESCRIPTORS_KEPT) / DESCRIPTORS_EACH).clamp(1, MOST_PARALLEL);
    Ok(if wanted == 0 { most } else { u64::from(wanted).min(most) } as usize)
}

fn one_round(sweep: &Sweep<'_>, arguments: &CheckArguments, errors: &Look, in_watch: bool) -> Result<Vec<Checked>> {
    let bar = if in_watch || arguments.json { ProgressBar::hidden() } else { progress_bar(sweep.len(), errors) };
    let checked = sweep.run(&mut || bar.inc(1));
    bar.finish_and_clear();
    Ok(checked?)
}

/// On standard error, and only where that is a terminal.
fn progress_bar(length: usize, look: &Look) -> ProgressBar {
    if !look.moves {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(length as u64), ProgressDrawTarget::stderr());
    let template = "{bar:30} {pos} of {len}, {elapsed} ({per_sec}, {eta} left)";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars(look.letters("━╸ ", "=> ")));
    }
    bar
}

/// The columns of the table: the target, then each family, then the wait.
struct Columns {
    target: usize,
    reach: usize,
    /// There is room for how long others wait.
    wait: bool,
}

const WAIT_COLUMNS: usize = 10;

impl Columns {
    fn of(checked: &[Checked], look: &Look) -> Columns {
        let width = look.width.min(120);
        let (reach, wait) = match width {
            80.. => (20, WAIT_COLUMNS + 1),
            60.. => (14, WAIT_COLUMNS + 1),
            _ => (11, 0),
        };
        let longest = checked.iter().map(|target| target.target.chars().count()).max().unwrap_or(0);
        let room = width.saturating_sub(2 + 2 * (reach + 1) + wait);
        Columns { target: longest.max(6).min(room.max(8)), reach, wait: wait > 0 }
    }
}

fn show(checked: &[Checked], verdict: &Verdict, complete: bool, problems: bool, term: &Term, look: &Look) {
    let columns = Columns::of(checked, look);
    let shown: Vec<&Checked> = checked.iter().filter(|target| !problems || target.is_problem()).collect();
    if !shown.is_empty() {
        let heading = format!(
            "  {} {} {} {}",
            look.fit("target", columns.target),
            look.fit("IPv6", columns.reach),
            look.fit("IPv4", columns.reach),
            if columns.wait { "one by one" } else { "" },
        );
        let _ = term.write_line(&look.paint(Paint::Quiet, heading.trim_end()));
    }
    for target in shown {
        let _ = term.write_line(&line(target, &columns, look));
    }
    if !complete {
        let _ = term.write_line(&look.paint(Paint::Bad, "Ended before all was checked."));
    }
    verdict::say(verdict, term, look);
}

fn line(target: &Checked, columns: &Columns, look: &Look) -> String {
    let good = !target.is_problem();
    let mark = look.paint(if good { Paint::Good } else { Paint::Bad }, look.mark(good));
    // What a program without a race would wait for.
    let wait = match target.wait_without_race_ms {
        _ if !columns.wait => String::new(),
        0.0 => String::new(),
        wait => look.paint(Paint::Bad, &format!("{:>WAIT_COLUMNS$}", names::duration_ms(wait))),
    };
    let text = format!(
        "{mark} {} {} {} {wait}",
        look.fit(&target.target, columns.target),
        cell(&target.ipv6, columns.reach, look),
        cell(&target.ipv4, columns.reach, look),
    );
    text.trim_end().to_owned()
}

fn cell(reach: &Reach, columns: usize, look: &Look) -> String {
    let (paint, text) = match (reach.state, reach.rtt_ms) {
        (State::Reachable, Some(rtt)) if columns < 20 => (Paint::Plain, names::duration_ms(rtt)),
        (State::Reachable, Some(rtt)) => (Paint::Plain, format!("reachable {:>8}", names::duration_ms(rtt))),
        (State::Reachable | State::NoAddress | State::NotChecked, _) => (Paint::Quiet, reach.state.text().to_owned()),
        (State::Failed, _) => (Paint::Bad, reach.message.clone().unwrap_or_else(|| "failed".to_owned())),
        (state, _) => (Paint::Bad, state.text().to_owned()),
    };
    look.paint(paint, &look.fit(&text, columns))
}
