//! Anonymous network and mount namespaces.
//!
//! A namespace here has no name and no file: it exists as long as a process, a socket or one of our
//! descriptors refers to it. So nothing has to be cleaned up, and nothing can be left over, whichever way the
//! process ends.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;

/// A network namespace, and with it a mount namespace where one was asked for.
#[derive(Debug)]
pub struct Namespace {
    network: File,
    mounts: Option<File>,
}

impl Namespace {
    /// Makes a namespace and runs `set_up` inside it, on a thread of its own.
    ///
    /// `flags` holds CLONE_NEWNET, and CLONE_NEWNS where /etc is to be changed. Threads that `set_up` starts
    /// and sockets that it opens belong to the namespace for good.
    pub fn new<T: Send>(flags: CloneFlags, set_up: impl FnOnce() -> Result<T> + Send) -> Result<(Namespace, T)> {
        in_thread(|| {
            unshare(flags).with_context(
                || "cannot make a network namespace: this needs root, or `lab run`, which makes a user namespace first",
            )?;
            let mut namespace = Namespace { network: File::open("/proc/thread-self/ns/net")?, mounts: None };
            if flags.contains(CloneFlags::CLONE_NEWNS) {
                // Without this, mounts made here would appear in the namespace that this one was copied from.
                mount(None::<&str>, "/", None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC, None::<&str>)
                    .context("cannot make the mounts private")?;
                namespace.mounts = Some(File::open("/proc/thread-self/ns/mnt")?);
            }
            let result = set_up()?;
            Ok((namespace, result))
        })
    }

    /// Runs `work` inside the namespace, on a thread of its own, and waits for it.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        in_thread(|| {
            self.move_thread()?;
            work()
        })
    }

    /// A command that will run inside the namespace, in the caller's working directory, and that is killed
    /// when the thread that starts it ends.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Result<Command> {
        let network = self.network.try_clone()?;
        let mounts = self.mounts.as_ref().map(File::try_clone).transpose()?;
        let directory = std::env::current_dir()?;
        let mut command = Command::new(program);
        let enter = move || {
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            setns(network.as_fd(), CloneFlags::CLONE_NEWNET)?;
            if let Some(mounts) = &mounts {
                setns(mounts.as_fd(), CloneFlags::CLONE_NEWNS)?;
                // Entering a mount namespace moves the process to its root directory.
                nix::unistd::chdir(&directory)?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec the closure only makes system calls on descriptors and a path that it
        // owns; it takes no lock and allocates nothing (a path of less than 1024 bytes is copied to the
        // stack).
        unsafe { command.pre_exec(enter) };
        Ok(command)
    }

    fn move_thread(&self) -> Result<()> {
        setns(self.network.as_fd(), CloneFlags::CLONE_NEWNET)?;
        if let Some(mounts) = &self.mounts {
            // A thread shares root and working directory with its process, and has to let go of them first.
            unshare(CloneFlags::CLONE_FS)?;
            setns(mounts.as_fd(), CloneFlags::CLONE_NEWNS)?;
        }
        Ok(())
    }
}

fn in_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Gives `lines` to `ip -batch`, in the namespace of the calling thread.
pub fn ip_batch(lines: &[String]) -> Result<()> {
    let output = run_ip(&["-batch", "-"], lines)?;
    if !output.status.success() {
        bail!("ip -batch failed: {}\n{}", String::from_utf8_lossy(&output.stderr).trim(), lines.join("\n"));
    }
    Ok(())
}

/// Likewise, but goes on after a line that the kernel refuses.
pub fn ip_batch_lenient(lines: &[String]) -> Result<()> {
    run_ip(&["-force", "-batch", "-"], lines).map(drop)
}

fn run_ip(arguments: &[&str], lines: &[String]) -> Result<Output> {
    let mut child = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run ip(8); Debian has it in the package iproute2")?;
    let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    child.stdin.take().expect("stdin is piped").write_all(text.as_bytes())?;
    Ok(child.wait_with_output()?)
}

/// Sets a value below /proc/sys, in the namespace of the calling thread.
pub fn set_sysctl(name: &str, value: &str) -> Result<()> {
    let file = format!("/proc/sys/{name}");
    std::fs::write(&file, value).with_context(|| format!("cannot write {value} to {file}"))
}

/// Gives the mount namespace of the calling thread an /etc of its own: these files by their names, and links
/// to what else the machine has there.
///
/// Laid over each file alone, the kernel would take them away where somebody replaces that file of the
/// machine's, as a DHCP client or the installation of a package does. They live in a tmpfs that nothing but
/// this mount refers to: no file is made on any disk.
pub fn cover_etc(files: &[(&str, String)]) -> Result<()> {
    const ETC: &str = "/etc";
    /// Where the machine's own is seen, below the new one.
    const MACHINE: &str = ".machine";
    // A place where the tmpfs can be reached for a moment, seen by this mount namespace alone.
    let place = Path::new("/tmp");
    let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some("tmpfs"), place, Some("tmpfs"), MsFlags::empty(), Some("size=4m,mode=0755"))
        .context("cannot mount a tmpfs")?;
    let filled = (|| {
        for entry in std::fs::read_dir(ETC)? {
            let entry = entry?;
            let target = match entry.file_type()?.is_symlink() {
                // Where a link leads to may depend on where it is.
                true => std::fs::read_link(entry.path())?,
                false => Path::new(MACHINE).join(entry.file_name()),
            };
            // In a namespace within another one that is there already.
            let ours = entry.file_name() == MACHINE || files.iter().any(|(name, _)| entry.file_name() == *name);
            if !ours {
                symlink(target, place.join(entry.file_name()))?;
            }
        }
        for (name, text) in files {
            std::fs::write(place.join(name), text)?;
        }
        std::fs::create_dir(place.join(MACHINE))?;
        mount(Some(ETC), &place.join(MACHINE), None::<&str>, bind, None::<&str>)?;
        mount(Some(place), ETC, None::<&str>, bind, None::<&str>)?;
        Ok::<(), io::Error>(())
    })();
    umount2(place, MntFlags::MNT_DETACH).context("cannot unmount the tmpfs")?;
    filled.context("cannot cover /etc")
}

/// Hides a directory behind an empty one where it exists, in the mount namespace of the calling thread.
pub fn hide_directory(directory: &str) -> Result<()> {
    if Path::new(directory).is_dir() {
        mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::empty(), Some("size=4k"))
            .with_context(|| format!("cannot hide {directory}"))?;
    }
    Ok(())
}
