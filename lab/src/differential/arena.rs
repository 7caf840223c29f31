//! Where cases are run: a network of loopback, an /etc, a host name and name servers that the askers share
//! with nobody.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail};
use lab::name_server::{self, Outgoing, Responder, Via};
use lab::namespace::{Namespace, hide_directory, ip_batch};
use lab::worker::Worker;
use nix::mount::{MsFlags, mount};
use nix::sched::CloneFlags;
use nix::sys::signal::Signal;

use super::answer::{self, Answers};
use super::case::Case;
use super::chance::mix;
use super::message::Question;
use super::servers;
use super::world::World;

/// Files of /etc that no case changes. The names of services and protocols do not depend on the machine.
const FIXED: [(&str, &str); 2] = [
    ("services", "domain 53/tcp\ndomain 53/udp\nhttp 80/tcp www\nssh 22/tcp\nntp 123/udp\n"),
    ("protocols", "tcp 6 TCP\nudp 17 UDP\n"),
];
/// Where the dynamic linker finds libraries faster, if it is there.
const LINKER_CACHE: &str = "/etc/ld.so.cache";

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Libc,
    Library,
}

/// What an asker was told, and what it asked of the name servers meanwhile.
#[derive(Clone, Debug)]
pub struct Told {
    /// The answers, or how the asker failed to give any.
    pub answers: Result<Answers, Failure>,
    /// A line for each question that a name server got.
    pub questions: Vec<String>,
    /// Calls of clone(2) that made a thread, where they were counted.
    pub clones: Option<usize>,
}

/// Why there are no answers.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The asker made an access or a promise that the kernel or libc ended it for.
    Crashed(Signal),
    /// It ended in another way.
    Ended(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Crashed(signal) => write!(formatter, "crashed ({signal})"),
            Failure::Ended(text) => formatter.write_str(text),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    world: Option<World>,
    questions: Vec<String>,
}

/// The servers of the case that is being run.
struct Servers(Arc<Mutex<State>>);

impl Responder for Servers {
    fn respond(&mut self, bytes: &[u8], via: Via) -> Vec<Outgoing> {
        let mut state = self.0.lock().unwrap();
        let transport = if via.tcp { "TCP" } else { "UDP" };
        let Some(question) = Question::parse(bytes) else {
            state.questions.push(format!("{} {transport} {} bytes that are no question", via.server, bytes.len()));
            return Vec::new();
        };
        // A question of a process that has ended already, between two cases.
        let Some(world) = state.world.clone() else { return Vec::new() };
        let (behaviour, outgoing) = world.respond(&question, via);
        let edns = if question.edns { " with EDNS" } else { "" };
        let (name, record_type) = (&question.name, question.type_name());
        state.questions.push(format!("{} {transport} {name} {record_type}{edns}: {behaviour:?}", via.server));
        outgoing
    }
}

/// A place to run cases in, one after the other.
pub struct Arena {
    ask: PathBuf,
    state: Arc<Mutex<State>>,
    _name_server: Worker,
}

impl Arena {
    /// Runs `work` with an arena, on a thread inside of its namespaces. `ask` is the program of lab/ask.c.
    pub fn with<T: Send>(ask: &Path, work: impl FnOnce(&Arena) -> Result<T> + Send) -> Result<T> {
        // Inside, relative paths mean the same; but /etc is another one.
        let ask = ask.canonicalize().with_context(|| format!("cannot find {}", ask.display()))?;
        let flags = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS;
        let (_namespace, result) = Namespace::new(flags, || {
            ip_batch(&servers::network())?;
            cover_etc()?;
            hide_directory("/run/nscd")?;
            let state = Arc::new(Mutex::new(State::default()));
            let name_server = name_server::start(&servers::endpoints(), Servers(Arc::clone(&state)))?;
            work(&Arena { ask, state, _name_server: name_server })
        })?;
        Ok(result)
    }

    /// Makes the system what the case says.
    pub fn prepare(&self, case: &Case) -> Result<()> {
        case.etc.install()?;
        self.state.lock().unwrap().world = Some(case.world.clone());
        Ok(())
    }

    /// From now on the servers reply as those of another case would: a deliberate fault.
    pub fn change_replies(&self) {
        if let Some(world) = &mut self.state.lock().unwrap().world {
            world.seed = mix(world.seed, &[b"changed"]);
        }
    }

    /// Has one asker ask. `letters` are the checks of ask.c.
    pub fn ask(&self, case: &Case, who: Who, letters: &str, count_clones: bool) -> Result<Told> {
        self.state.lock().unwrap().questions.clear();
        let who = if who == Who::Libc { "libc" } else { "library" };
        let trace =
            std::env::temp_dir().join(format!("lab-strace-{}-{:?}", std::process::id(), std::thread::current().id()));
        let mut command = if count_clones {
            let mut strace = Command::new("strace");
            strace.args(["-f", "-qq", "-e", "trace=clone,clone3", "-e", "signal=none", "-o"]);
            strace.arg(&trace).arg("--").arg(&self.ask);
            strace
        } else {
            Command::new(&self.ask)
        };
        let text = |text: &Option<String>| text.as_ref().map_or_else(|| "-".to_owned(), |text| format!(":{text}"));
        command.args([who, letters, &text(&case.asked.node), &text(&case.asked.service)]);
        if let Some(hints) = case.asked.hints {
            command.args([hints.flags, hints.family, hints.socktype, hints.protocol].map(|number| number.to_string()));
        }
        // Nothing of the caller's reaches a resolver but the switches of the library under test.
        let switches = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HAPPYSOCK_"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(switches.collect::<Vec<_>>()).envs(case.environment.iter().copied());
        command.stdin(Stdio::null());
        let output = command.output().with_context(|| format!("cannot run {:?}", command.get_program()))?;
        let clones = if count_clones {
            let text = std::fs::read_to_string(&trace).context("strace(1) wrote no file")?;
            std::fs::remove_file(&trace)?;
            // The asker makes a process for each question; a thread is what is made with this flag.
            Some(text.lines().filter(|line| line.contains("CLONE_THREAD")).count())
        } else {
            None
        };
        let said = String::from_utf8_lossy(&output.stderr);
        let answers = match output.status.success() {
            true => Ok(answer::parse(&String::from_utf8_lossy(&output.stdout))?),
            // Exit status 2 is a wrong command line, and so a fault of ours.
            false if output.status.code() == Some(2) => bail!("{}", said.trim()),
            false => Err(match output.status.signal().map(Signal::try_from) {
                Some(Ok(signal @ (Signal::SIGSEGV | Signal::SIGBUS | Signal::SIGABRT))) => Failure::Crashed(signal),
                _ => Failure::Ended(format!("ended with {}: {}", output.status, said.trim())),
            }),
        };
        let questions = std::mem::take(&mut self.state.lock().unwrap().questions);
        Ok(Told { answers, questions, clones })
    }
}

/// Puts an /etc of our own over that of the machine, in the mount namespace of the calling thread.
pub fn cover_etc() -> Result<()> {
    let cache = std::fs::read(LINKER_CACHE).ok();
    mount(Some("tmpfs"), "/etc", Some("tmpfs"), MsFlags::empty(), Some("size=4m,mode=0755"))
        .context("cannot cover /etc")?;
    if let Some(cache) = cache {
        std::fs::write(LINKER_CACHE, cache)?;
    }
    for (name, text) in FIXED {
        std::fs::write(Path::new("/etc").join(name), text)?;
    }
    Ok(())
}
