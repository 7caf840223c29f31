//! How this system looks names up: its configuration as this process sees it, read again when it has changed.
//!
//! What the files mean is the business of `dns`; here they are read, and their state is compared with what
//! was read before each time a name is looked up, as libc does.

use crate::dns::Families;
use crate::dns::gate::{Facts, Gate, Leases, PlanStep, Reason, Variables, Verdict};
use crate::dns::host_conf::HostConf;
use crate::dns::hosts::Hosts;
use crate::dns::nsswitch::Source;
use crate::dns::resolv_conf::ResolvConf;
use crate::dns::varlink;
use crate::sys::file::{self, Stamp};
use crate::sys::fork::PerProcess;
use crate::sys::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const NSSWITCH: &str = "/etc/nsswitch.conf";
const VENDOR_NSSWITCH: &str = "/usr/etc/nsswitch.conf";
const HOSTS: &str = "/etc/hosts";
const HOST_CONF: &str = "/etc/host.conf";
const RESOLV_CONF: &str = "/etc/resolv.conf";
const NSCD_SOCKET: &str = "/var/run/nscd/socket";
const MDNS_ALLOW: &str = "/etc/mdns.allow";
/// Where systemd-resolved listens.
pub(super) const RESOLVE_SOCKET: &str = "/run/systemd/resolve/io.systemd.Resolve";
const MACHINES: &str = "/run/systemd/machines/";
const LEASES: &str = "/var/lib/libvirt/dnsmasq";
/// Where the modules of NSS are, on the distributions there are, and below these in the directory of the
/// architecture. A module that is elsewhere counts as missing, and libc is asked.
#[cfg(target_pointer_width = "64")]
const MODULE_DIRECTORIES: [&str; 4] = ["/usr/lib64", "/lib64", "/usr/lib", "/lib"];
/// Next to a system of 64 bits there is often one module and not the other.
#[cfg(not(target_pointer_width = "64"))]
const MODULE_DIRECTORIES: [&str; 2] = ["/usr/lib", "/lib"];

/// So seldom is a running nscd looked for once there was none, in lookups: as in glibc (`NSS_NSCD_RETRY` in
/// nscd/nscd_proto.h).
const NSCD_RETRY: u32 = 100;

/// What was read, and what follows from it. Never changes: when the system does, another one is made.
pub(super) struct System {
    gate: Result<Gate, Reason>,
    hosts: Option<Hosts>,
    resolv_conf: Arc<ResolvConf>,
    nsswitch_stamp: Stamp,
    hosts_stamp: Stamp,
    resolv_conf_stamp: Stamp,
    /// The paths of which only it matters whether they exist, and whether they did.
    existing: Vec<(&'static str, bool)>,
    /// Whether nscd was running, and how many lookups there were since it was looked for.
    nscd: bool,
    since_nscd: AtomicU32,
    services_are_local: bool,
    environment: Environment,
}

/// What the environment says, and the program.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Environment {
    variables: Variables,
    wants_libc: bool,
}

/// How the variables begin that are looked at.
const BEGINNINGS: [&[u8]; 6] = {
    let [a, b, c, d, e] = Variables::BEGINNINGS;
    [a, b, c, d, e, SWITCH]
};
const SWITCH: &[u8] = b"HAPPYSOCK_DNS=libc";

impl Environment {
    fn now() -> Environment {
        let mut variables = Variables::default();
        let mut wants_libc = false;
        process::environment(&BEGINNINGS, |variable| {
            wants_libc |= variable == SWITCH;
            variables.see(variable.split(|&byte| byte == b'=').next().unwrap_or_default());
        });
        Environment { variables, wants_libc }
    }
}

impl System {
    /// The system as it is now, but for resolv.conf(5), of which the last reading stands: see
    /// [`System::has_current_servers`].
    pub fn now() -> Arc<System> {
        let known = Self::known().lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(system) if system.is_current() => system,
            _ => System::read_again(),
        }
    }

    /// Reads everything, and keeps it for those that come next.
    pub fn read_again() -> Arc<System> {
        let system = Arc::new(System::read());
        *Self::known().lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&system));
        system
    }

    /// What was read last. Nobody holds the lock for longer than a copy of the pointer takes.
    fn known() -> &'static Mutex<Option<Arc<System>>> {
        static KNOWN: PerProcess<Mutex<Option<Arc<System>>>> = PerProcess::new();
        KNOWN.get(Mutex::default)
    }

    fn is_current(&self) -> bool {
        self.environment == Environment::now()
            && (!self.nscd && !self.is_time_for_nscd() || file::exists(NSCD_SOCKET) == self.nscd)
            && self.existing.iter().all(|&(path, existed)| file::exists(path) == existed)
            && self.nsswitch_stamp.is_current(NSSWITCH)
            && self.hosts_stamp.is_current(HOSTS)
    }

    fn is_time_for_nscd(&self) -> bool {
        let is_time = self.since_nscd.fetch_add(1, Ordering::Relaxed) >= NSCD_RETRY;
        if is_time {
            self.since_nscd.store(0, Ordering::Relaxed);
        }
        is_time
    }

    /// Whether resolv.conf(5) is as it was read: to be asked before its servers are.
    pub fn has_current_servers(&self) -> bool {
        self.resolv_conf.no_reload || self.resolv_conf_stamp.is_current(RESOLV_CONF)
    }

    fn read() -> System {
        let environment = Environment::now();
        let mut unreadable = false;
        let mut read = |path: &str| {
            file::read(path).unwrap_or_else(|_| {
                unreadable = true;
                (None, Stamp::Unsteady)
            })
        };
        let (nsswitch, nsswitch_stamp) = read(NSSWITCH);
        let (hosts, hosts_stamp) = read(HOSTS);
        let there_are_hosts = hosts.is_some();
        let hosts = hosts.and_then(Hosts::parse);
        let (resolv_conf, resolv_conf_stamp) = read(RESOLV_CONF);
        let (host_conf, nsswitch_stamp) = match host_conf() {
            Ok(host_conf) => (host_conf, nsswitch_stamp),
            // To be read anew with the next name, as any other.
            Err(_) => {
                unreadable = true;
                (HostConf::parse(None), Stamp::Unsteady)
            }
        };
        let glibc = process::glibc_version();
        let node_name = process::node_name();
        let resolv_conf =
            ResolvConf::parse(resolv_conf.as_deref(), &node_name, glibc.unwrap_or_default(), process::interface_index);
        let mut existing = Vec::new();
        let mut exists = |path: &'static str| {
            let exists = file::exists(path);
            existing.push((path, exists));
            exists
        };
        let nscd = file::exists(NSCD_SOCKET);
        let names = |source: &[u8]| nsswitch.as_ref().is_some_and(|text| contains(text, source));
        let facts = Facts {
            glibc,
            program_wants_libc: false,
            happysock_dns: environment.wants_libc.then_some(b"libc"),
            secure: process::is_secure(),
            foreign_lookup: foreign_lookup(),
            variables: environment.variables,
            nscd_socket: nscd,
            vendor_nsswitch: nsswitch.is_none() && exists(VENDOR_NSSWITCH),
            mdns_allow: names(b"mdns") && exists(MDNS_ALLOW),
            resolve_socket: names(b"resolve") && exists(RESOLVE_SOCKET),
            resolve_tells_no_data: names(b"resolve") && resolve_tells_no_data(),
            leases: if names(b"libvirt") { leases() } else { Leases::NoDirectory },
            nsswitch: nsswitch.as_deref(),
            host_conf,
            resolv_conf: &resolv_conf,
            // One that is too large to be kept is libc's to read.
            unreadable: unreadable || there_are_hosts != hosts.is_some(),
            node_name: &node_name,
        };
        let gate = Gate::new(&facts, is_installed);
        System {
            gate,
            hosts,
            resolv_conf: Arc::new(resolv_conf),
            nsswitch_stamp,
            hosts_stamp,
            resolv_conf_stamp,
            existing,
            nscd,
            since_nscd: AtomicU32::new(0),
            services_are_local: services_are_local(nsswitch.as_deref()),
            environment,
        }
    }

    /// Which sources a name is to be walked through, or why libc has to do it.
    pub fn decide(&self, name: &[u8], families: Families, flags: i32) -> Result<&Arc<[PlanStep]>, Reason> {
        let machine_exists = || match std::str::from_utf8(name) {
            Ok(name) => file::exists(&format!("{MACHINES}{name}")),
            Err(_) => false,
        };
        match self.gate.as_ref().map_err(|reason| *reason)?.decide(name, families, flags, machine_exists) {
            Verdict::Own(steps) => Ok(steps),
            Verdict::Libc(reason) => Err(reason),
        }
    }

    /// Whether a service's port is found in files of this machine, without anybody being waited for.
    pub fn services_are_local(&self) -> bool {
        self.services_are_local
    }

    /// The hosts; None where there is no such file, or none that can be read.
    pub fn hosts(&self) -> Option<&Hosts> {
        self.hosts.as_ref()
    }

    pub fn resolv_conf(&self) -> &Arc<ResolvConf> {
        &self.resolv_conf
    }
}

/// The files that libc looks at anew with every name.
const READ_EACH_TIME: [&str; 3] = [NSSWITCH, HOSTS, RESOLV_CONF];

/// What libc would go by if it were asked now.
pub(super) fn stamps() -> [Stamp; 3] {
    READ_EACH_TIME.map(Stamp::now)
}

/// Whether it would go by the same now.
pub(super) fn are_current(stamps: &[Stamp; 3]) -> bool {
    std::iter::zip(stamps, READ_EACH_TIME).all(|(stamp, path)| stamp.is_current(path))
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// By the last `services` line of nsswitch.conf(5); without one it is `files`.
fn services_are_local(nsswitch: Option<&[u8]>) -> bool {
    let line = |line: &[u8]| line.trim_ascii().strip_prefix(b"services").map(<[u8]>::to_vec);
    let last = nsswitch.unwrap_or_default().split(|&byte| byte == b'\n').filter_map(line).next_back();
    let Some(sources) = last else { return true };
    let sources = sources.trim_ascii_start().strip_prefix(b":").unwrap_or_default();
    let mut sources = sources.split(u8::is_ascii_whitespace).filter(|source| !source.is_empty()).peekable();
    sources.peek().is_some() && sources.all(|source| matches!(source, b"files" | b"db"))
}

/// Once in the life of a process, as in glibc; but a process that had no descriptor for it reads it later.
fn host_conf() -> std::io::Result<HostConf> {
    static READ: PerProcess<HostConf> = PerProcess::new();
    READ.try_get(|| file::read(HOST_CONF).map(|(text, _)| HostConf::parse(text.as_deref()))).copied()
}

/// What was put before libc's functions is there when the program starts, or never.
fn foreign_lookup() -> bool {
    static FOREIGN: PerProcess<bool> = PerProcess::new();
    *FOREIGN.get(|| process::has_foreign_lookup() && !is_only_watched())
}

/// Whether a test says that what stands before libc's functions only watches them, as a sanitizer's runtime does. No
/// library for users reads it.
fn is_only_watched() -> bool {
    cfg!(feature = "internals") && std::env::var_os("HAPPYSOCK_TEST_WATCHED_LOOKUPS").is_some()
}

fn leases() -> Leases {
    let Ok(entries) = std::fs::read_dir(LEASES) else { return Leases::NoDirectory };
    let counts = |name: &std::ffi::OsStr| {
        [".status", ".macs"].iter().any(|end| name.as_encoded_bytes().ends_with(end.as_bytes()))
    };
    if entries.flatten().any(|entry| counts(&entry.file_name())) { Leases::Some } else { Leases::None }
}

/// Whether a module is certainly there: by all the names that it may stand under in nsswitch.conf(5).
fn is_installed(source: Source) -> bool {
    let names: &[&str] = match source {
        Source::Files | Source::Dns => return true,
        Source::Resolve => &["resolve"],
        Source::MdnsMinimal => &["mdns_minimal", "mdns4_minimal", "mdns6_minimal"],
        Source::Mdns => &["mdns", "mdns4", "mdns6"],
        Source::MyHostname => &["myhostname"],
        Source::MyMachines => &["mymachines"],
        Source::Libvirt => &["libvirt", "libvirt_guest"],
    };
    names.iter().all(|name| module_paths(name).any(|path| file::exists(&path)))
}

/// Where a module may be, the likeliest place first.
fn module_paths(name: &str) -> impl Iterator<Item = String> {
    let multiarch = format!("{}-linux-gnu", std::env::consts::ARCH);
    MODULE_DIRECTORIES.iter().flat_map(move |directory| {
        [format!("{directory}/{multiarch}/libnss_{name}.so.2"), format!("{directory}/libnss_{name}.so.2")]
    })
}

/// Whether this system's nss-resolve tells a name without addresses from a name that does not exist. Versions
/// do not say it, since distributions have taken it into older ones; the module does.
fn resolve_tells_no_data() -> bool {
    let module = module_paths("resolve").find_map(|path| std::fs::read(path).ok());
    module.is_some_and(|module| contains(&module, varlink::no_such_record()))
}
