//! Runs the multi benchmark: every program in turn, several rounds, in one run; prints a table and writes JSON.
//!
//! Started by `make bench-multi` and `make bench-dns`, inside the test network and beside benches/multi_server.c.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};

/// The most a connect by number may cost, as a multiple of the floor, and keep in memory.
const GOAL_RATIO: f64 = 1.2;
const GOAL_HEAP: f64 = 1024.0;
/// The most that a connect by a name that DNS knows may cost, as a multiple of the floor: of many, and of up to a thousand.
const GOAL_DNS_MANY: f64 = 1.3;
const GOAL_DNS_FEW: f64 = 1.5;
/// The most that looking a name up may keep in memory, beside the connect.
const GOAL_DNS_HEAP: f64 = 256.0;
/// The most that cancelling a thousand lookups may take, in microseconds.
const GOAL_CANCEL: f64 = 1000.0;
const PATIENCE: Duration = Duration::from_secs(120);
/// A host that answers nobody, see scripts/in-test-network.
const SILENT: &str = "192.0.2.77";

#[derive(Parser)]
struct Arguments {
    /// How often each program runs in each setting.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many connects at once.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1000, 10_000, 20_000])]
    counts: Vec<usize>,
    /// How many names at once, and with how many threads.
    #[arg(long, default_value_t = 10_000)]
    names: usize,
    #[arg(long, default_value_t = 512)]
    threads: usize,
    /// What is measured.
    #[arg(long, value_enum, default_value_t = Subject::Connects)]
    subject: Subject,
    /// The port that the server listens on.
    #[arg(long)]
    port: u16,
    /// Where the results go.
    #[arg(long)]
    json: PathBuf,
    /// Ends with status 1 if a goal is missed.
    #[arg(long)]
    check: bool,
    /// The programs; one that does not exist is left out. The first is the floor.
    programs: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// Connects, by number and by name, as many as `counts`; names by threads where a program knows no other way.
    Connects,
    /// Names that a DNS server answers; `threads` is how many may be in flight.
    Dns,
    /// Whether questions are lost at a DNS server with the buffer that any begins with.
    Loss,
    /// What a name keeps in memory while it is looked up, beside a connect by number.
    Heap,
}

/// What a program prints.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Run {
    who: String,
    mode: String,
    count: usize,
    threads: usize,
    ok: usize,
    failed: usize,
    wall_us: f64,
    cpu_us: f64,
    heap_each: Option<f64>,
    resident_each: Option<f64>,
    cancel_us: Option<f64>,
    free_us: Option<f64>,
    /// Of names that nobody answers, after all were cancelled: how long the next good one takes, and what is left.
    next_us: Option<f64>,
    threads_left: Option<usize>,
    descriptors_left: Option<i64>,
    /// How many questions the server's socket had no room for.
    #[serde(default)]
    lost: u64,
    /// What it was run for: "live", "hole", "name dual" and so on.
    #[serde(default)]
    setting: String,
}

struct Setting {
    name: &'static str,
    mode: &'static str,
    host: &'static str,
    count: usize,
    threads: usize,
    /// Of the programs, by the end of their names, those that cannot do it.
    without: &'static [&'static str],
}

fn settings(arguments: &Arguments) -> Vec<Setting> {
    let numeric =
        |name, host| move |&count: &usize| Setting { name, mode: name, host, count, threads: 1, without: &[] };
    let by_name = |name, host, count, threads| Setting { name, mode: "name", host, count, threads, without: &[] };
    let threads = arguments.threads;
    let unanswered = |count| Setting {
        name: "unanswered",
        mode: "unanswered",
        host: "never.test",
        count,
        threads,
        without: &["multi-hickory"],
    };
    let hole = |count| {
        let without = &["multi_dns_floor", "multi_cares", "multi-hickory"];
        Setting { name: "hole", mode: "hole", host: SILENT, count, threads: 1, without }
    };
    match arguments.subject {
        Subject::Connects => {}
        Subject::Dns => {
            let mut settings = Vec::new();
            for &count in &arguments.counts {
                settings.push(by_name("dns: at once", "now.test", count, threads));
                settings.push(by_name("dns: after 20 ms", "both.test", count, threads));
            }
            let largest = arguments.counts.iter().copied().max().unwrap_or(0);
            settings.push(unanswered(1000.min(largest)));
            settings.push(unanswered(largest));
            settings.push(hole(largest));
            return settings;
        }
        Subject::Heap => {
            let largest = arguments.counts.iter().copied().max().unwrap_or(0);
            return vec![unanswered(largest), hole(largest)];
        }
        Subject::Loss => {
            let largest = arguments.counts.iter().copied().max().unwrap_or(0);
            return vec![
                by_name("loss: at once", "now.test", largest, threads),
                by_name("loss: after 20 ms", "both.test", largest, threads),
            ];
        }
    }
    let mut settings: Vec<Setting> = arguments.counts.iter().map(numeric("live", "::1")).collect();
    settings.extend(arguments.counts.iter().map(numeric("hole", SILENT)));
    settings.push(by_name("name: both families", "both.test", arguments.names, arguments.threads));
    settings.push(by_name("name: IPv6 only", "six.test", arguments.names, arguments.threads));
    settings.push(by_name("name: IPv4 only", "four.test", arguments.names, arguments.threads));
    settings.push(by_name("name: few threads", "both.test", arguments.names / 10, arguments.threads.div_ceil(25)));
    settings
}

/// How many questions found no room at the server's socket since it was opened: the last column of /proc/net/udp.
fn lost_questions() -> Result<u64> {
    /// 127.0.0.53, port 53.
    const SERVER: &str = "3500007F:0035";
    let table = std::fs::read_to_string("/proc/net/udp")?;
    let line =
        table.lines().find(|line| line.split_whitespace().nth(1) == Some(SERVER)).context("the server's socket")?;
    Ok(line.split_whitespace().last().context("drops")?.parse()?)
}

fn run(program: &Path, setting: &Setting, port: u16) -> Result<Run> {
    let lost_before = lost_questions()?;
    let mut child = Command::new(program)
        .args([setting.mode, &setting.count.to_string(), &setting.threads.to_string(), &port.to_string(), setting.host])
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| program.display().to_string())?;
    let began = Instant::now();
    // A watchdog of its own: a program that hangs must not keep the others.
    while child.try_wait()?.is_none() {
        if began.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            bail!("{}: {} has not ended after {} s", program.display(), setting.name, PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{}: {}: {}", program.display(), setting.name, output.status);
    let mut run: Run = serde_json::from_slice(&output.stdout).with_context(|| program.display().to_string())?;
    run.setting = setting.name.to_owned();
    run.lost = lost_questions()? - lost_before;
    Ok(run)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.is_empty() {
        None
    } else if values.len() % 2 == 1 {
        Some(values[middle])
    } else {
        Some((values[middle - 1] + values[middle]) / 2.0)
    }
}

/// The medians of one program in one setting.
#[derive(Serialize)]
struct Summary {
    setting: String,
    count: usize,
    who: String,
    wall_us_each: f64,
    cpu_us_each: f64,
    /// The median of the quotients of the runs of the same round.
    wall_of_floor: f64,
    cpu_of_floor: f64,
    threads: usize,
    failed: usize,
    heap_each: Option<f64>,
    resident_each: Option<f64>,
    cancel_us_each: Option<f64>,
    free_us_each: Option<f64>,
    next_us: Option<f64>,
    threads_left: Option<usize>,
    descriptors_left: Option<i64>,
    lost: u64,
}

fn summarize(setting: &Setting, runs: &BTreeMap<usize, Vec<Run>>) -> Vec<Summary> {
    // Without a floor nothing is a multiple of it.
    let floor = runs.get(&0).map_or(&[][..], |floor| floor);
    let of = |runs: &[Run], value: &dyn Fn(&Run) -> Option<f64>| median(runs.iter().filter_map(value).collect());
    runs.values()
        .map(|runs| {
            let each = setting.count as f64;
            let ratio = |value: &dyn Fn(&Run) -> f64| {
                median(runs.iter().zip(floor).map(|(run, floor)| value(run) / value(floor)).collect())
                    .unwrap_or(f64::NAN)
            };
            Summary {
                setting: setting.name.to_owned(),
                count: setting.count,
                who: runs[0].who.clone(),
                wall_us_each: of(runs, &|run| Some(run.wall_us / each)).unwrap_or(f64::NAN),
                cpu_us_each: of(runs, &|run| Some(run.cpu_us / each)).unwrap_or(f64::NAN),
                wall_of_floor: ratio(&|run| run.wall_us),
                cpu_of_floor: ratio(&|run| run.cpu_us),
                threads: runs.iter().map(|run| run.threads).max().unwrap_or(0),
                failed: runs.iter().map(|run| run.failed).sum(),
                heap_each: of(runs, &|run| run.heap_each),
                resident_each: of(runs, &|run| run.resident_each),
                cancel_us_each: of(runs, &|run| run.cancel_us.map(|us| us / each)),
                free_us_each: of(runs, &|run| run.free_us.map(|us| us / each)),
                next_us: of(runs, &|run| run.next_us),
                threads_left: runs.iter().filter_map(|run| run.threads_left).max(),
                descriptors_left: runs.iter().filter_map(|run| run.descriptors_left).max(),
                lost: runs.iter().map(|run| run.lost).sum(),
            }
        })
        .collect()
}

fn print(summaries: &[Summary]) {
    let optional =
        |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
    println!(
        "{:<20} {:>6} {:<16} {:>8} {:>8} {:>8} {:>8} {:>7} {:>6} {:>7} {:>7} {:>8} {:>7}",
        "setting",
        "count",
        "",
        "wall us",
        "x floor",
        "CPU us",
        "x floor",
        "threads",
        "failed",
        "heap B",
        "RSS B",
        "cancel us",
        "free us"
    );
    let mut before = None;
    for row in summaries {
        let setting = (&row.setting, row.count);
        let (name, count) = if before == Some(setting) {
            (String::new(), String::new())
        } else {
            (row.setting.clone(), row.count.to_string())
        };
        before = Some(setting);
        println!(
            "{:<20} {:>6} {:<16} {:>8.1} {:>8.2} {:>8.1} {:>8.2} {:>7} {:>6} {:>7} {:>7} {:>8} {:>7}",
            name,
            count,
            row.who,
            row.wall_us_each,
            row.wall_of_floor,
            row.cpu_us_each,
            row.cpu_of_floor,
            row.threads,
            row.failed,
            optional(row.heap_each, 0),
            optional(row.resident_each, 0),
            optional(row.cancel_us_each, 2),
            optional(row.free_us_each, 2),
        );
        if row.lost > 0 {
            println!("{:27} {} questions were lost at the server", "", row.lost);
        }
        if let (Some(next), Some(threads), Some(descriptors)) = (row.next_us, row.threads_left, row.descriptors_left) {
            println!(
                "{:27} after the cancel: {threads} threads, {descriptors} descriptors; the next name took {next:.0} us",
                ""
            );
        }
    }
}

/// The goals for names that DNS knows.
fn dns_goals(summaries: &[Summary]) -> Vec<(bool, String)> {
    let mut goals = Vec::new();
    let ours: Vec<&Summary> = summaries.iter().filter(|row| row.who == "happysock").collect();
    // A lone name is judged by what stands beside it in connect_floor.c.
    for row in ours.iter().filter(|row| row.setting.starts_with("dns") && row.count > 1) {
        let most = if row.count > 1000 { GOAL_DNS_MANY } else { GOAL_DNS_FEW };
        for (ratio, time) in [(row.wall_of_floor, "time"), (row.cpu_of_floor, "CPU time")] {
            let text =
                format!("{}, {} names: {ratio:.2} times the floor's {time} (at most {most})", row.setting, row.count);
            goals.push((ratio <= most, text));
        }
        goals.push((row.threads == 1, format!("{}, {} names: {} threads (1)", row.setting, row.count, row.threads)));
    }
    let heap = |setting: &str| ours.iter().rfind(|row| row.setting == setting).and_then(|row| row.heap_each);
    if let (Some(names), Some(numbers)) = (heap("unanswered"), heap("hole")) {
        let more = names - numbers;
        let text =
            format!("a name that is looked up keeps {more:.0} bytes beyond a connect (at most {GOAL_DNS_HEAP:.0})");
        goals.push((more <= GOAL_DNS_HEAP, text));
    }
    if let Some(row) = ours.iter().find(|row| row.setting == "unanswered" && row.count <= 1000)
        && let (Some(cancel), Some(threads)) = (row.cancel_us_each, row.threads_left)
    {
        let all = cancel * row.count as f64;
        let text = format!("{} lookups cancelled in {all:.0} us (at most {GOAL_CANCEL:.0})", row.count);
        goals.push((all <= GOAL_CANCEL, text));
        goals.push((threads == 1, format!("after that {threads} threads (1)")));
    }
    for row in ours.iter().filter(|row| row.setting.starts_with("loss")) {
        goals
            .push((row.lost == 0, format!("{}, {} names: {} questions lost (none)", row.setting, row.count, row.lost)));
    }
    goals
}

/// The goals, each with whether it was met.
fn goals(summaries: &[Summary], largest: usize) -> Vec<(bool, String)> {
    let mut goals = Vec::new();
    let ours = |setting: &str, count: usize| {
        summaries.iter().find(|row| row.who == "happysock" && row.setting == setting && row.count == count)
    };
    for row in summaries.iter().filter(|row| row.who == "happysock" && row.setting == "live" && row.count >= 1000) {
        for (ratio, time) in [(row.wall_of_floor, "time"), (row.cpu_of_floor, "CPU time")] {
            let text =
                format!("{} connects by number: {ratio:.2} times the floor's {time} (at most {GOAL_RATIO})", row.count);
            goals.push((ratio <= GOAL_RATIO, text));
        }
    }
    if let Some(heap) = ours("hole", largest).and_then(|row| row.heap_each) {
        let text = format!("a connect by number in flight keeps {heap:.0} bytes (at most {GOAL_HEAP:.0})");
        goals.push((heap <= GOAL_HEAP, text));
    }
    for row in
        summaries.iter().filter(|row| row.setting.starts_with("name") && row.who != "happysock" && row.who != "floor")
    {
        if let Some(ours) = ours(&row.setting, row.count) {
            let ratio = ours.wall_of_floor / row.wall_of_floor;
            goals.push((ratio <= 1.0, format!("{}: {ratio:.2} times {} (at most 1)", row.setting, row.who)));
        }
    }
    goals
}

/// Raises the limit on descriptors as far as needed and allowed; answers how many connects at once it leaves room for.
fn room(most: usize) -> usize {
    /// What a program has open besides its sockets.
    const OTHERS: u64 = 300;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let wanted = most as u64 + OTHERS;
    // SAFETY: the limits are ours and outlive the calls.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        let higher = libc::rlimit { rlim_cur: wanted.max(limit.rlim_cur), rlim_max: wanted };
        if limit.rlim_max < wanted && libc::setrlimit(libc::RLIMIT_NOFILE, &raw const higher) == 0 {
            limit = higher;
        }
    }
    limit.rlim_max.saturating_sub(OTHERS) as usize
}

fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    ensure!(arguments.rounds > 0 && !arguments.counts.is_empty(), "nothing to run");
    let room = room(arguments.counts.iter().copied().max().unwrap_or(0));
    for count in arguments.counts.iter_mut().filter(|count| **count > room) {
        eprintln!("{count} at once: not more than {room}, by the limit on open files (ulimit -Hn)");
        *count = room;
    }
    // Room for connections that come faster than they are accepted, and for as many ports. Of this network namespace only.
    for (name, value) in [
        ("net/core/somaxconn", "65535"),
        ("net/ipv4/tcp_max_syn_backlog", "65535"),
        ("net/ipv4/ip_local_port_range", "1024 65535"),
    ] {
        std::fs::write(Path::new("/proc/sys").join(name), value).with_context(|| name.to_owned())?;
    }
    let (programs, missing): (Vec<_>, Vec<_>) = arguments.programs.iter().partition(|program| program.exists());
    for program in missing {
        eprintln!("left out, not built: {}", program.display());
    }
    ensure!(programs.first() == arguments.programs.first().as_ref() && !programs.is_empty(), "the floor is needed");

    let (mut all, mut summaries) = (Vec::new(), Vec::new());
    let settings = settings(&arguments);
    for (number, setting) in settings.iter().enumerate() {
        let mut runs: BTreeMap<usize, Vec<Run>> = BTreeMap::new();
        for round in 1..=arguments.rounds {
            eprint!(
                "\r{}/{}: {}, {} at once, round {round}   ",
                number + 1,
                settings.len(),
                setting.name,
                setting.count
            );
            std::io::stderr().flush()?;
            let can = |program: &Path| !setting.without.iter().any(|name| program.ends_with(name));
            for (index, program) in programs.iter().enumerate().filter(|(_, program)| can(program)) {
                runs.entry(index).or_default().push(run(program, setting, arguments.port)?);
            }
        }
        summaries.extend(summarize(setting, &runs));
        all.extend(runs.into_values().flatten());
    }
    eprintln!();
    print(&summaries);
    let goals = match arguments.subject {
        Subject::Connects => goals(&summaries, *arguments.counts.iter().max().unwrap_or(&0)),
        Subject::Dns | Subject::Loss | Subject::Heap => dns_goals(&summaries),
    };
    for (met, text) in &goals {
        println!("{}  {text}", if *met { "met   " } else { "missed" });
    }
    let json = serde_json::json!({
        "rounds": arguments.rounds,
        "runs": all,
        "medians": summaries,
        "goals": goals.iter().map(|(met, text)| serde_json::json!({ "met": met, "goal": text })).collect::<Vec<_>>(),
    });
    std::fs::write(&arguments.json, serde_json::to_string_pretty(&json)? + "\n")
        .with_context(|| arguments.json.display().to_string())?;
    println!("written: {}", arguments.json.display());
    if arguments.check && goals.iter().any(|(met, _)| !met) {
        bail!("a goal was missed");
    }
    Ok(())
}
