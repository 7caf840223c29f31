//! `lab differential`: whether the library answers as libc does, in thousands of random cases.
//!
//! A case is a configuration (nsswitch.conf, host.conf, hosts, resolv.conf, gai.conf), name servers that may
//! do anything, and a question. libc and the library are asked in processes of their own, one after the
//! other, on the same system. A case follows from its seed alone, so that any of them can be repeated.

mod answer;
mod arena;
mod behaviour;
mod case;
pub mod chance;
mod compare;
mod draft;
mod etc;
mod message;
mod servers;
mod world;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::sandbox::Sandbox;
use answer::Answers;
pub use arena::cover_etc;
use arena::{Arena, Failure, Told, Who};
use case::{Asked, Case};
use compare::{Check, Difference, EXCEPTIONS};

/// The command line of `lab differential`.
#[derive(clap::Args)]
pub struct Options {
    /// How many cases.
    #[arg(long, default_value_t = 1000)]
    cases: u64,
    /// Which cases: those of one seed are always the same.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run the case of this seed alone, and say all about it.
    #[arg(long, value_name = "SEED")]
    only: Option<u64>,
    /// What to compare.
    #[arg(long = "check", value_enum, value_delimiter = ',', default_values_t = [Check::Lookup, Check::Family])]
    checks: Vec<Check>,
    /// Cases at the same time. Most of the time of a slow case is spent waiting.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=64))]
    jobs: u64,
    /// The program of lab/ask.c, linked with the library.
    #[arg(long, value_name = "PROGRAM", default_value = "target/c/debug/ask")]
    ask: PathBuf,
    /// Write every difference to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Tell everything about this many failed cases, and only the seeds of the others.
    #[arg(long, default_value_t = 10)]
    show: usize,
    /// Have the servers reply otherwise to the library than to libc: shows that differences are found.
    #[arg(long)]
    fault: bool,
}

/// One run of one case.
struct Run {
    libc: Told,
    library: Told,
    differences: Vec<Difference>,
}

impl Run {
    fn failed(&self) -> bool {
        self.differences.iter().any(|difference| difference.exception.is_none())
    }

    /// Whether it may come out otherwise the next time. The number of threads does not hang on the order of
    /// replies.
    fn may_be_chance(&self) -> bool {
        self.differences.iter().all(|difference| difference.check != Check::Clones)
    }

    fn exceptions(&self) -> impl Iterator<Item = &'static str> {
        self.differences.iter().filter_map(|difference| difference.exception)
    }
}

/// How a case came out.
enum Verdict {
    Passed,
    Failed,
    /// It failed, and passed when it was repeated.
    Unsteady,
}

struct Finished {
    case: Case,
    /// The first run.
    run: Run,
    verdict: Verdict,
    /// Repetitions included.
    took: Duration,
}

/// A difference in the file of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    seed: u64,
    steady: bool,
    node: &'a Option<String>,
    service: &'a Option<String>,
    hints: Option<String>,
    #[serde(flatten)]
    difference: &'a Difference,
}

/// Runs the cases and answers with 0, or with 1 if one of them failed.
pub fn differential(options: &Options, sandbox: Sandbox) -> Result<u8> {
    sandbox.end_on_signal()?;
    let Some(seed) = options.only else { return many(options) };
    let case = Case::draw(seed);
    let run = Arena::with(&options.ask, |arena| run(arena, options, &case))?;
    print!("{}", description(options, &case, &run));
    let failed = usize::from(run.failed());
    println!("{} passed, {failed} failed", 1 - failed);
    Ok(u8::from(run.failed()))
}

fn many(options: &Options) -> Result<u8> {
    let started = Instant::now();
    let progress = ProgressBar::new(options.cases);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} (about {eta} left) {msg}");
    progress.set_style(style.expect("the template is well-formed"));
    let next = AtomicU64::new(0);
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let (finished, results) = mpsc::channel();
        let jobs: Vec<_> = (0..options.jobs)
            .map(|_| {
                let (finished, next) = (finished.clone(), &next);
                scope.spawn(move || {
                    Arena::with(&options.ask, |arena| {
                        loop {
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            if number >= options.cases {
                                return Ok(());
                            }
                            let case = Case::draw(case::seed_of(options.seed, number));
                            let outcome = judge(arena, options, case);
                            let stop = outcome.is_err();
                            // The receiver is gone when another job has failed.
                            if finished.send(outcome).is_err() || stop {
                                return Ok(());
                            }
                        }
                    })
                })
            })
            .collect();
        drop(finished);
        for outcome in results {
            tally.add(options, outcome?, &progress);
            progress.inc(1);
        }
        jobs.into_iter().try_for_each(|job| job.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    progress.finish_and_clear();
    tally.report(options, started.elapsed())?;
    let unsteady = tally.unsteady.len() > UNSTEADY_FEW + options.cases as usize / UNSTEADY_ONE_IN;
    if unsteady {
        eprintln!("lab: too many cases differed once and not again");
    }
    Ok(u8::from(unsteady || !tally.failed.is_empty()))
}

/// How often a case is repeated that failed.
const REPETITIONS: usize = 4;
/// And one that waits for silent servers.
const SLOW_REPETITIONS: usize = 2;
/// One case in so many may be unsteady, and a few of a small number: as many as run at a time, since a machine
/// that stands still for a moment lets the time of all of them pass.
const UNSTEADY_ONE_IN: usize = 200;
const UNSTEADY_FEW: usize = 10;

/// Runs a case, and again where it fails: a server that is begun with at random, and answers of both families
/// that overtake each other, have libc itself answer this way and that. What differs each time is the
/// library's doing.
fn judge(arena: &Arena, options: &Options, case: Case) -> Result<Finished> {
    let started = Instant::now();
    let first = run(arena, options, &case)?;
    let mut verdict = if first.failed() { Verdict::Failed } else { Verdict::Passed };
    let repetitions = match (first.may_be_chance(), case.world.slow) {
        (false, _) => 0,
        (true, true) => SLOW_REPETITIONS,
        (true, false) => REPETITIONS,
    };
    for _ in 0..repetitions {
        if matches!(verdict, Verdict::Failed) && !run(arena, options, &case)?.failed() {
            verdict = Verdict::Unsteady;
        }
    }
    Ok(Finished { case, run: first, verdict, took: started.elapsed() })
}

fn run(arena: &Arena, options: &Options, case: &Case) -> Result<Run> {
    let mut letters: Vec<char> = options.checks.iter().filter_map(|check| check.letter()).collect();
    letters.dedup();
    if letters.is_empty() {
        // Threads are counted over everything that can be asked.
        letters = vec!['l', 'f', 'c'];
    }
    let letters: String = letters.into_iter().collect();
    arena.prepare(case)?;
    let libc = arena.ask(case, Who::Libc, &letters, false)?;
    if options.fault {
        arena.change_replies();
    }
    let count_clones = options.checks.contains(&Check::Clones);
    let library = arena.ask(case, Who::Library, &letters, count_clones)?;
    let mut differences = match (&libc.answers, &library.answers) {
        // Whatever the library does is no worse.
        (Err(failure @ Failure::Crashed(_)), _) => {
            let exception = Some(compare::LIBC_CRASHES);
            vec![Difference { exception, ..no_answer(options, "libc", failure) }]
        }
        (Err(failure), _) => vec![no_answer(options, "libc", failure)],
        // It has asked libc, which crashes or not by what lay in its memory.
        (Ok(_), Err(failure @ Failure::Crashed(_))) if compare::is_undefined(case) => {
            let exception = Some(compare::LIBC_CRASHES);
            vec![Difference { exception, ..no_answer(options, "the library", failure) }]
        }
        (Ok(_), Err(failure)) => vec![no_answer(options, "the library", failure)],
        (Ok(libc), Ok(library)) => compare::compare(case, &options.checks, libc, library),
    };
    for difference in &mut differences {
        if let (None, Ok(answers)) = (difference.exception, &library.answers) {
            difference.exception = compare::explanation(case, difference, answers, &library.questions);
        }
    }
    // What only libc can look up it looks up on a thread.
    let by_libc = |answers: &Answers| answers.keys().any(|question| question.starts_with("libc-"));
    if let Some(count @ 1..) = library.clones.filter(|_| !library.answers.as_ref().is_ok_and(by_libc)) {
        let text = format!("{count} calls of clone(2)");
        differences.push(Difference { check: Check::Clones, question: "all", text, exception: None });
    }
    Ok(Run { libc, library, differences })
}

/// The difference that an asker makes which did not come to an answer.
fn no_answer(options: &Options, who: &str, failure: &Failure) -> Difference {
    Difference { check: options.checks[0], question: "all", text: format!("{who} {failure}"), exception: None }
}

/// Everything about a case: what it is, what was answered, what was asked of the servers, and how to repeat
/// it.
fn description(options: &Options, case: &Case, run: &Run) -> String {
    let mut text = format!("---- case {} ----\n{case}", case.seed);
    let mut told = |who: &str, told: &Told| {
        text += &format!("{who}:\n");
        match &told.answers {
            Ok(answers) => answers.iter().for_each(|(question, answer)| text += &format!("  {question}: {answer}\n")),
            Err(error) => text += &format!("  {error}\n"),
        }
        told.questions.iter().for_each(|question| text += &format!("    asked {question}\n"));
    };
    told("libc", &run.libc);
    told("the library", &run.library);
    for difference in &run.differences {
        let meant = difference.exception.map_or_else(String::new, |id| format!(" (exception {id})"));
        text += &format!("difference in {:?}, {}{meant}:\n", difference.check, difference.question);
        difference.text.lines().for_each(|line| text += &format!("  {line}\n"));
    }
    let checks: Vec<String> = options.checks.iter().map(|check| format!("{check:?}").to_lowercase()).collect();
    let ask = options.ask.display();
    text + &format!(
        "again: cargo run -p happysock-lab -- differential --only {} --check {} --ask {ask}\n",
        case.seed,
        checks.join(",")
    )
}

/// What came out so far.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: Vec<u64>,
    unsteady: Vec<u64>,
    /// Failed cases by check.
    by_check: BTreeMap<Check, usize>,
    exceptions: BTreeMap<&'static str, usize>,
    clones: usize,
    /// Cases that had to wait for silent servers, and how long they took together.
    slow: usize,
    slow_time: Duration,
    slowest: (Duration, u64),
    lines: Vec<serde_json::Value>,
}

/// The shortest time that a resolver waits for a server.
const ONE_WAIT: Duration = Duration::from_secs(1);

impl Tally {
    fn add(&mut self, options: &Options, finished: Finished, progress: &ProgressBar) {
        let Finished { case, run, verdict, took } = finished;
        if took >= ONE_WAIT {
            self.slow += 1;
            self.slow_time += took;
        }
        self.slowest = self.slowest.max((took, case.seed));
        let mut exceptions: Vec<_> = run.exceptions().collect();
        exceptions.dedup();
        exceptions.into_iter().for_each(|id| *self.exceptions.entry(id).or_default() += 1);
        self.clones += run.library.clones.unwrap_or(0);
        let steady = !matches!(verdict, Verdict::Unsteady);
        if options.json.is_some() {
            let Asked { node, service, hints } = &case.asked;
            let hints = hints.map(|hints| hints.to_string());
            let line = |difference| Line { seed: case.seed, steady, node, service, hints: hints.clone(), difference };
            self.lines.extend(run.differences.iter().map(|difference| serde_json::json!(line(difference))));
        }
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Unsteady => {
                self.passed += 1;
                self.unsteady.push(case.seed);
            }
            Verdict::Failed => {
                self.failed.push(case.seed);
                let failures = run.differences.iter().filter(|difference| difference.exception.is_none());
                let mut checks: Vec<Check> = failures.map(|difference| difference.check).collect();
                checks.dedup();
                checks.into_iter().for_each(|check| *self.by_check.entry(check).or_default() += 1);
                if self.failed.len() <= options.show {
                    progress.suspend(|| print!("{}", description(options, &case, &run)));
                }
            }
        }
        if !self.failed.is_empty() {
            progress.set_message(format!("{} failed", self.failed.len()));
        }
    }

    fn report(&mut self, options: &Options, took: Duration) -> Result<()> {
        if let Some(file) = &options.json {
            let text = serde_json::to_string_pretty(&self.lines)?;
            std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        let seeds = |seeds: &[u64]| seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(" ");
        let rest = self.failed.get(options.show..).unwrap_or_default();
        if !rest.is_empty() {
            println!("failed as well: {}", seeds(rest));
        }
        let per_minute = options.cases as f64 * 60.0 / took.as_secs_f64();
        println!("{} cases in {:.1} s, {per_minute:.0} a minute", options.cases, took.as_secs_f64());
        if self.slow > 0 {
            let (longest, seed) = self.slowest;
            println!(
                "{} cases waited for silent servers, {:.1} s in all, {:.1} s the longest ({seed})",
                self.slow,
                self.slow_time.as_secs_f64(),
                longest.as_secs_f64()
            );
        }
        for (check, count) in &self.by_check {
            println!("failed in {check:?}: {count} cases");
        }
        if options.checks.contains(&Check::Clones) {
            println!("calls of clone(2): {}", self.clones);
        }
        for exception in &EXCEPTIONS {
            let count = self.exceptions.get(exception.id).copied().unwrap_or(0);
            let kind = if exception.meant { "exception" } else { "known fault" };
            println!("{kind} {}: {count} cases: {}", exception.id, exception.reason);
        }
        if !self.unsteady.is_empty() {
            println!("differed once and not again: {} cases: {}", self.unsteady.len(), seeds(&self.unsteady));
        }
        println!("{} passed, {} failed", self.passed, self.failed.len());
        Ok(())
    }
}
