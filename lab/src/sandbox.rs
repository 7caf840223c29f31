//! A process that takes everything it started with it when it ends.
//!
//! The work runs as the first process of a PID namespace. When that ends, in whichever way, the kernel kills
//! every process of the namespace; and it ends when the process that the user started does.

use std::os::fd::AsFd;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getegid, geteuid};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::exfiltrator::origin::Origin;
use signal_hook::low_level::siginfo::Cause;

/// The signals that are handled: SIGCHLD here, and those that are passed on. Others keep their default
/// action.
const HANDLED: [i32; 5] = [SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM];
/// Added to a signal's number for the exit status, as shells do.
const SIGNAL_STATUS: i32 = 128;

/// Every other process of the PID namespace, for kill(2) called by its first process.
const EVERYONE: i32 = -1;

type Signals = SignalsInfo<WithOrigin>;

/// The inside of the sandbox.
pub struct Sandbox {
    signals: Signals,
}

/// Runs `work` inside a sandbox and answers with the exit status that it asks for.
///
/// Has to be called while the process has one thread. Whoever is not root becomes root of a user namespace.
pub fn enter(work: impl FnOnce(Sandbox) -> Result<u8>) -> Result<u8> {
    let (user, group) = (geteuid(), getegid());
    if !user.is_root() {
        unshare(CloneFlags::CLONE_NEWUSER).context("the lab needs root or a kernel with user namespaces")?;
        // The order is that of user_namespaces(7): a group may be mapped once setgroups(2) is given up.
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("0 {group} 1"))?;
    }
    // From here on this process can start no thread, since a thread cannot be in another PID namespace than its
    // process.
    unshare(CloneFlags::CLONE_NEWPID).context("cannot make a PID namespace")?;
    // The child holds the reading end: a hang-up tells it that its parent is gone.
    let (alive, held_by_parent) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    // SAFETY: the process has one thread, so that the child may do anything.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            drop(alive);
            let status = supervise(child, child, &mut Signals::new(HANDLED)?);
            drop(held_by_parent);
            status
        }
        ForkResult::Child => {
            let signals = Signals::new(HANDLED)?;
            drop(held_by_parent);
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            let mut descriptors = [PollFd::new(alive.as_fd(), PollFlags::POLLIN)];
            if poll(&mut descriptors, PollTimeout::ZERO)? != 0 {
                anyhow::bail!("the parent process died");
            }
            renew_proc()?;
            work(Sandbox { signals })
        }
    }
}

impl Sandbox {
    /// Runs `command` to its end. Signals that reach the sandbox go to it and to the processes that it
    /// started, as those of a terminal do.
    pub fn run(&mut self, command: &mut Command) -> Result<u8> {
        if let Some(early) = self.signals.pending().find(|origin| origin.signal != SIGCHLD) {
            return Ok((SIGNAL_STATUS + early.signal) as u8);
        }
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("cannot run {program}"))?;
        supervise(Pid::from_raw(child.id() as i32), Pid::from_raw(EVERYONE), &mut self.signals)
    }

    /// Has any signal end the sandbox from now on.
    pub fn end_on_signal(mut self) -> Result<()> {
        thread::Builder::new().name("lab signals".to_owned()).spawn(move || {
            let fatal = self.signals.forever().find(|origin| origin.signal != SIGCHLD);
            std::process::exit(fatal.map_or(1, |origin| SIGNAL_STATUS + origin.signal));
        })?;
        Ok(())
    }
}

/// Passes signals on to `recipient` until `child` ends, reaps other processes that end before, and answers
/// with an exit status.
fn supervise(child: Pid, recipient: Pid, signals: &mut Signals) -> Result<u8> {
    // The child may have ended before the signals were handled, so the first look needs no SIGCHLD.
    loop {
        if let Some(status) = reap(child)? {
            return Ok(status);
        }
        for Origin { signal, cause, .. } in signals.wait() {
            // What the terminal sends, it sends to every process of the group.
            if signal != SIGCHLD && cause != Cause::Kernel {
                // It may have ended just now.
                let _ = kill(recipient, Signal::try_from(signal)?);
            }
        }
    }
}

/// Collects every process that has ended; the exit status of `child` if it is among them.
fn reap(child: Pid) -> Result<Option<u8>> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == child => return Ok(Some(status as u8)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return Ok(Some((SIGNAL_STATUS + signal as i32) as u8));
            }
            Ok(WaitStatus::StillAlive) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => (),
            Err(error) => return Err(error).context("cannot wait for the command"),
        }
    }
}

/// Makes /proc show the processes of the new PID namespace.
fn renew_proc() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC, None::<&str>)?;
    // Containers that hide parts of /proc forbid this; then the old /proc stays, in which everything needed here
    // can be found as well.
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let _ = mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>);
    Ok(())
}
