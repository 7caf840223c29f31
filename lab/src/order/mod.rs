//! `lab order-differential`: whether the library orders addresses as getaddrinfo(AF_UNSPEC) does, in
//! thousands of random systems.
//!
//! A case is a network namespace with interfaces, addresses and routes, a gai.conf, and a host with a list of
//! addresses in /etc/hosts. libc is asked for that host; the library is given the list. Two things are
//! compared: the order as the library's lookups have it, which has to be the same; and the order in which a
//! race attempts the addresses, which has to be that order interleaved (RFC 8305, section 4).

mod case;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use lab::namespace::{Namespace, hide_directory, ip_batch_lenient, set_sysctl};
use lab::tun;
use nix::sched::CloneFlags;

use crate::differential::cover_etc;
use crate::sandbox::Sandbox;
use case::Case;

/// The command line of `lab order-differential`.
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
    /// Cases at the same time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
    jobs: u64,
    /// The program of lab/examples/order.rs.
    #[arg(long, value_name = "PROGRAM", default_value = "target/debug/examples/order")]
    ask: PathBuf,
    /// Tell everything about this many failed cases, and only the seeds of the others.
    #[arg(long, default_value_t = 5)]
    show: usize,
    /// Give the library another gai.conf than libc: shows that differences are found.
    #[arg(long)]
    fault: bool,
}

/// What may differ, and why.
struct Exception {
    id: &'static str,
    reason: &'static str,
    applies: fn(&Case, &Told) -> bool,
}

/// All of them, tried in this order. What is not here is a failure.
const EXCEPTIONS: [Exception; 3] = [
    Exception {
        id: "prefix-without-length",
        reason: "a gai.conf prefix without a length: glibc before 2.41 reads a pointer that has no value",
        applies: |case, _| {
            let mut lines = case.gai_conf.as_deref().unwrap_or_default().lines();
            lines.any(|line| !line.contains('/') && !line.trim_start().starts_with("reload"))
        },
    },
    Exception {
        id: "circle",
        reason: "two families tie, so that rules 9 and 10 go round in a circle: a race, which orders what is left \
                 before each attempt, may take another way through it than one sort does",
        applies: |_, told| told.sorted_alike() && told.families_tie(),
    },
    Exception {
        id: "loopback-taken-for-granted",
        reason: "a race does not ask whether ::1 and 127.0.0.1 are reachable, which interface they are on or what \
                 stands in their subnet",
        applies: |case, told| told.sorted_alike() && case.destinations.iter().any(IpAddr::is_loopback),
    },
];

/// What libc and the library have answered, by the name of the list.
#[derive(Clone, PartialEq)]
struct Told(BTreeMap<String, Vec<IpAddr>>);

impl Told {
    fn list(&self, name: &str) -> &[IpAddr] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    fn is_as_libc(&self) -> bool {
        self.sorted_alike() && self.raced_alike()
    }

    fn sorted_alike(&self) -> bool {
        self.list("sort") == self.list("both")
    }

    /// The attempts of a race follow from libc's order.
    fn raced_alike(&self) -> bool {
        self.list("race") == interleaved(self.list("both"))
    }

    /// Within a family the order is another one in company: rule 9 alone decides it there, and the other
    /// family stands between here.
    fn families_tie(&self) -> bool {
        [("ipv6", true), ("ipv4", false)].into_iter().any(|(name, is_ipv6)| {
            let together = self.list("both").iter().filter(|address| address.is_ipv6() == is_ipv6);
            !together.eq(self.list(name))
        })
    }
}

/// A sorted list as a race attempts it: each address once, the families by turns.
fn interleaved(sorted: &[IpAddr]) -> Vec<IpAddr> {
    let mut left: Vec<IpAddr> = Vec::new();
    for address in sorted {
        if !left.contains(address) {
            left.push(*address);
        }
    }
    let mut taken: Vec<IpAddr> = Vec::new();
    while !left.is_empty() {
        let wanted = taken.last().map(|last| !last.is_ipv6());
        let place = left.iter().position(|address| wanted.is_none_or(|is_ipv6| address.is_ipv6() == is_ipv6));
        taken.push(left.remove(place.unwrap_or(0)));
    }
    taken
}

struct Finished {
    case: Case,
    told: Told,
    /// None: as libc. Else the exception, or that there is none.
    differs: Option<Option<&'static str>>,
}

/// Runs the cases and answers with 0, or with 1 if one of them failed.
pub fn order(options: &Options, sandbox: Sandbox) -> Result<u8> {
    sandbox.end_on_signal()?;
    let ask = options.ask.canonicalize().with_context(|| format!("cannot find {}", options.ask.display()))?;
    if let Some(seed) = options.only {
        let finished = run(options, &ask, Case::draw(seed))?;
        print!("{}", description(options, &finished));
        let failed = usize::from(finished.differs == Some(None));
        println!("{} passed, {failed} failed", 1 - failed);
        return Ok(failed as u8);
    }
    let started = Instant::now();
    let next = AtomicU64::new(0);
    let (mut passed, mut failed) = (0, Vec::new());
    let mut exceptions = BTreeMap::<&str, usize>::new();
    std::thread::scope(|scope| {
        let (finished, results) = mpsc::channel();
        for _ in 0..options.jobs {
            let (finished, next, ask) = (finished.clone(), &next, &ask);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= options.cases {
                        return;
                    }
                    let outcome = run(options, ask, Case::draw(case::seed_of(options.seed, number)));
                    let stop = outcome.is_err();
                    // The receiver is gone when another job has failed.
                    if finished.send(outcome).is_err() || stop {
                        return;
                    }
                }
            });
        }
        drop(finished);
        for outcome in results {
            let finished = outcome?;
            match finished.differs {
                Some(None) => {
                    failed.push(finished.case.seed);
                    if failed.len() <= options.show {
                        print!("{}", description(options, &finished));
                    }
                }
                meant => {
                    passed += 1;
                    meant.flatten().into_iter().for_each(|id| *exceptions.entry(id).or_default() += 1);
                }
            }
        }
        Ok::<(), anyhow::Error>(())
    })?;
    let rest: Vec<String> = failed.iter().skip(options.show).map(u64::to_string).collect();
    if !rest.is_empty() {
        println!("failed as well: {}", rest.join(" "));
    }
    for exception in &EXCEPTIONS {
        let count = exceptions.get(exception.id).copied().unwrap_or(0);
        println!("exception {}: {count} cases: {}", exception.id, exception.reason);
    }
    println!("{} cases in {:.1} s", options.cases, started.elapsed().as_secs_f64());
    println!("{passed} passed, {} failed", failed.len());
    Ok(u8::from(!failed.is_empty()))
}

/// The host of every case.
const HOST: &str = "many.test";
/// How often a system is asked that changes meanwhile. It does so once, as a rule.
const REPETITIONS: usize = 20;

fn run(options: &Options, ask: &Path, case: Case) -> Result<Finished> {
    let flags = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    let (_namespace, told) = Namespace::new(flags, || {
        let _devices = set_up(&case)?;
        let destinations: Vec<String> = case.destinations.iter().map(IpAddr::to_string).collect();
        let library: Vec<&str> = ["library"].into_iter().chain(destinations.iter().map(String::as_str)).collect();
        let mut libc = asked(ask, &["libc", HOST])?;
        for _ in 0..REPETITIONS {
            let mut told = libc.clone();
            if options.fault {
                std::fs::write("/etc/gai.conf", "precedence ::ffff:0:0/96 60\nprecedence ::/0 50\n")?;
            }
            told.0.extend(asked(ask, &library)?.0);
            if options.fault || told.is_as_libc() {
                return Ok(told);
            }
            // The kernel takes addresses into use in its own time. If libc now says otherwise than before it
            // was asked too early.
            let again = asked(ask, &["libc", HOST])?;
            if again == libc {
                return Ok(told);
            }
            libc = again;
        }
        bail!("case {}: the system does not come to rest", case.seed)
    })?;
    let exception = || EXCEPTIONS.iter().find(|exception| (exception.applies)(&case, &told));
    let differs = (!told.is_as_libc()).then(|| exception().map(|exception| exception.id));
    Ok(Finished { case, told, differs })
}

/// Makes the system of the calling thread what the case says. The devices go with what is answered.
fn set_up(case: &Case) -> Result<Vec<File>> {
    cover_etc()?;
    hide_directory("/run/nscd")?;
    let etc = Path::new("/etc");
    let hosts: String = case.destinations.iter().map(|address| format!("{address} {HOST}\n")).collect();
    std::fs::write(etc.join("hosts"), hosts)?;
    std::fs::write(etc.join("host.conf"), "multi on\n")?;
    std::fs::write(etc.join("nsswitch.conf"), "hosts: files\n")?;
    if let Some(text) = &case.gai_conf {
        std::fs::write(etc.join("gai.conf"), text)?;
    }
    let mut devices = Vec::new();
    for interface in &case.interfaces {
        let device = tun::open(&interface.name)?;
        tun::set_device_type(&device, interface.device_type)?;
        devices.push(device);
    }
    ip_batch_lenient(&case.lines)?;
    case.sysctls.iter().try_for_each(|(name, value)| set_sysctl(name, value))?;
    Ok(devices)
}

/// Runs the asker in the namespaces of the calling thread.
fn asked(ask: &Path, arguments: &[&str]) -> Result<Told> {
    let mut command = Command::new(ask);
    command.args(arguments).env_clear().stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot run {}", ask.display()))?;
    if !output.status.success() {
        bail!("{} ended with {}: {}", ask.display(), output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    let mut told = BTreeMap::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let mut words = line.split_ascii_whitespace();
        let name = words.next().context("the asker wrote an empty line")?.to_owned();
        told.insert(name, words.map(str::parse).collect::<Result<_, _>>().context("not an address")?);
    }
    Ok(Told(told))
}

fn description(options: &Options, Finished { case, told, differs }: &Finished) -> String {
    let mut text = format!("---- case {} ----\n{case}", case.seed);
    let mut list = |name: &str, addresses: &[IpAddr]| {
        let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        text += &format!("{name}: {}\n", addresses.join(" "));
    };
    list("libc", told.list("both"));
    list("the library's lookups", told.list("sort"));
    list("libc, interleaved", &interleaved(told.list("both")));
    list("the library's attempts", told.list("race"));
    match differs {
        None => text += "no difference\n",
        Some(None) => text += "a difference\n",
        Some(Some(id)) => text += &format!("a difference (exception {id})\n"),
    }
    text + &format!(
        "again: cargo run -p happysock-lab -- order-differential --only {} --ask {}\n",
        case.seed,
        options.ask.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_after_the_first() {
        let list = |text: &str| text.split(' ').map(|word| word.parse().unwrap()).collect::<Vec<IpAddr>>();
        assert_eq!(interleaved(&list("::1 ::2 10.0.0.1 ::1 10.0.0.2")), list("::1 10.0.0.1 ::2 10.0.0.2"));
        assert_eq!(interleaved(&list("10.0.0.1 ::1 ::2 ::3")), list("10.0.0.1 ::1 ::2 ::3"));
        assert_eq!(interleaved(&list("10.0.0.1 10.0.0.2 ::1")), list("10.0.0.1 ::1 10.0.0.2"));
        assert!(interleaved(&[]).is_empty());
    }
}
