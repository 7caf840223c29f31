//! The gate: which names this library looks up itself, and which only libc can.
//!
//! A lookup of our own has to end exactly as libc's would. Whatever stands in the way of that is a
//! [`Reason`], and then libc is asked. A [`Gate`] is what follows from the configuration; it is made when a
//! file or a fact has changed, and decides for each name with a few comparisons.
//!
//! What cannot be seen from outside: a program that has called `__nss_configure_lookup` or changed `_res`
//! after res_init(3). Such a program turns the library's own lookups off.
use super::Families;
use super::Family;
use super::failure::{Failure, HostError, Status};
use super::host_conf::HostConf;
use super::names::{self, Form};
use super::nsswitch::{Action, Actions, HostsLine, Source, Step, Unwalkable};
use super::resolv_conf::ResolvConf;
use std::sync::Arc;

/// The oldest glibc whose ways are known here: it re-reads nsswitch.conf(5) when it changes (since 2.33), and
/// has its name server code in libc itself (since 2.34).
pub const OLDEST_GLIBC: (u32, u32) = (2, 34);

/// Environment variables that change what glibc's sources answer: resolver(3), host.conf(5).
const VARIABLES: [&[u8]; 8] = [
    b"LOCALDOMAIN",
    b"RES_OPTIONS",
    b"HOSTALIASES",
    b"RESOLV_HOST_CONF",
    b"RESOLV_MULTI",
    b"RESOLV_REORDER",
    b"RESOLV_ADD_TRIM_DOMAINS",
    b"RESOLV_OVERRIDE_TRIM_DOMAINS",
];
/// How the variables begin that nss-resolve(8) reads, and the one by which systemd keeps a service that it
/// starts for lookups from waiting for itself.
const RESOLVE_VARIABLES: &[u8] = b"SYSTEMD_NSS_RESOLVE_";
const ACTIVATION_VARIABLE: &[u8] = b"SYSTEMD_ACTIVATION_UNIT";

/// The flags of getaddrinfo(3) that change nothing in how a name is walked here. `AI_ADDRCONFIG` and
/// `AI_NUMERICSERV` concern families and services, `AI_PASSIVE` lookups without a name; the last two, lookups
/// of IPv6 addresses.
const HARMLESS_FLAGS: i32 = libc::AI_PASSIVE | libc::AI_NUMERICSERV | libc::AI_ADDRCONFIG | MAPPING_FLAGS;
const MAPPING_FLAGS: i32 = libc::AI_V4MAPPED | libc::AI_ALL;

/// What libvirt has written for its module in /var/lib/libvirt/dnsmasq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leases {
    /// No such directory.
    NoDirectory,
    /// No file that ends in `.status` or `.macs`.
    None,
    Some,
}

/// Environment variables that are set and matter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    resolver: bool,
    resolve: bool,
}

impl Variables {
    /// Picks them out of the names of all variables that are set, to whatever value.
    pub fn among<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Variables {
        let mut seen = Variables::default();
        names.into_iter().for_each(|name| seen.see(name));
        seen
    }

    /// How the names begin that [`Variables::see`] takes note of.
    pub const BEGINNINGS: [&[u8]; 5] =
        [b"LOCALDOMAIN", b"RES", b"HOSTALIASES", b"SYSTEMD_NSS_RESOLVE_", b"SYSTEMD_ACTIVATION"];

    /// Takes note of the name of a variable that is set.
    pub fn see(&mut self, name: &[u8]) {
        self.resolver |= VARIABLES.contains(&name);
        self.resolve |= name.starts_with(RESOLVE_VARIABLES) || name == ACTIVATION_VARIABLE;
    }
}

/// The state of the system, as far as the gate depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// gnu_get_libc_version(3); `None` with another libc.
    pub glibc: Option<(u32, u32)>,
    /// The program has asked for libc.
    pub program_wants_libc: bool,
    /// The value of `HAPPYSOCK_DNS`: `libc` asks for libc.
    pub happysock_dns: Option<&'a [u8]>,
    /// getauxval(`AT_SECURE`): a program with more privileges than its user, whose environment is not to be
    /// trusted.
    pub secure: bool,
    /// getaddrinfo(3) or gethostbyname2_r(3) is not libc's own: something was loaded before it.
    pub foreign_lookup: bool,
    pub variables: Variables,
    /// A configuration file could not be read, for want of resources rather than that it is missing or
    /// forbidden.
    pub unreadable: bool,
    /// The contents of /etc/nsswitch.conf; `None` if there is none.
    pub nsswitch: Option<&'a [u8]>,
    /// There is a /usr/etc/nsswitch.conf, which the glibc of some distributions reads in place of a missing
    /// one in /etc.
    pub vendor_nsswitch: bool,
    pub host_conf: HostConf,
    pub resolv_conf: &'a ResolvConf,
    /// /var/run/nscd/socket exists.
    pub nscd_socket: bool,
    /// /etc/mdns.allow exists.
    pub mdns_allow: bool,
    /// /run/systemd/resolve/io.systemd.Resolve exists.
    pub resolve_socket: bool,
    /// nss-resolve's file names [`no_such_record`](super::varlink::no_such_record).
    pub resolve_tells_no_data: bool,
    pub leases: Leases,
    /// uname(2)'s.
    pub node_name: &'a [u8],
}

/// Why libc has to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    AnotherLibc,
    OldGlibc,
    Program,
    Switch,
    ForeignLookup,
    Environment,
    ResolveEnvironment,
    Unreadable,
    VendorFile,
    HostsLine(Unwalkable),
    Nscd,
    Reorder,
    Sortlist,
    StrictError,
    UnsureOption,
    MulticastAllow,
    NoResolveSocket,
    Leases,
    ModuleAction,
    ModuleMissing,
    Flags,
    Service,
    EmptyName,
    Numeric,
    Escaped,
    Multicast,
    MyHostName,
    Machine,
}

impl Reason {
    /// For a person who reads a trace.
    pub fn text(self) -> &'static str {
        match self {
            Reason::AnotherLibc => "the C library is not glibc",
            Reason::OldGlibc => "glibc is older than what this library follows",
            Reason::Program => "the program asked for libc",
            Reason::Switch => "HAPPYSOCK_DNS asks for libc",
            Reason::ForeignLookup => "another library stands before libc's lookup functions",
            Reason::Environment => "the environment has a variable for libc's resolver",
            Reason::ResolveEnvironment => "the environment has a variable for nss-resolve",
            Reason::Unreadable => "a configuration file could not be read",
            Reason::VendorFile => "nsswitch.conf is in /usr/etc",
            Reason::HostsLine(why) => why.text(),
            Reason::Nscd => "nscd is running",
            Reason::Reorder => "host.conf says reorder",
            Reason::Sortlist => "resolv.conf has a sortlist",
            Reason::StrictError => "resolv.conf says strict-error",
            Reason::UnsureOption => "resolv.conf has an option that versions of glibc read differently",
            Reason::MulticastAllow => "mdns.allow gives nss-mdns names of its own",
            Reason::NoResolveSocket => "nss-resolve is to be asked, and systemd-resolved's socket is not there",
            Reason::Leases => "libvirt has leases whose names it may know",
            Reason::ModuleAction => "nsswitch.conf has an action after a module that may not be there",
            Reason::ModuleMissing => "nsswitch.conf names a module that is not installed, where that matters",
            Reason::Flags => "the flags need libc",
            Reason::Service => "the service is to be looked up too",
            Reason::EmptyName => "the name is empty",
            Reason::Numeric => "the name looks like an address",
            Reason::Escaped => "the name has a backslash",
            Reason::Multicast => "the name ends in .local, which nss-mdns may know",
            Reason::MyHostName => "the name is one that nss-myhostname may know",
            Reason::Machine => "the name is that of a machine that nss-mymachines may know",
        }
    }
}

/// A source of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// hosts(5), with host.conf(5)'s `multi`.
    Files { multi: bool },
    /// The servers of resolv.conf(5), by the search list.
    Dns,
    /// systemd-resolved over its socket. `tells_no_data` is described at [`Call::new`](super::varlink::Call).
    Resolve { tells_no_data: bool },
    /// Nobody: it is known that the source fails so. It matters as the last one, whose failure is the walk's.
    Nobody(Failure),
}

/// A source of a walk and what follows its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanStep {
    pub ask: Ask,
    pub actions: Actions,
}

/// What is to become of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// Walk these sources in their order: at least one.
    Own(&'a Arc<[PlanStep]>),
    Libc(Reason),
}

/// What follows from the configuration, for all names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// For host names.
    steps: Arc<[PlanStep]>,
    /// For names that DNS is not asked about.
    steps_without_dns: Arc<[PlanStep]>,
    multicast: bool,
    machines: bool,
    /// uname(2)'s name, if nss-myhostname is among the sources.
    my_host_name: Option<Box<[u8]>>,
}

impl Gate {
    /// Decides what can be decided without a name.
    ///
    /// `is_installed` tells whether a module's library (`libnss_NAME.so.2`) is there. It is asked about
    /// `resolve`, whose place is taken here only where libc would ask it (a 32-bit program often has no such
    /// library), and about a module at the end of the line: a name that nobody knew ends there, and a missing
    /// module ends differently.
    pub fn new(facts: &Facts, is_installed: impl Fn(Source) -> bool) -> Result<Gate, Reason> {
        let glibc = facts.glibc.ok_or(Reason::AnotherLibc)?;
        let conditions = [
            (glibc < OLDEST_GLIBC, Reason::OldGlibc),
            (facts.program_wants_libc, Reason::Program),
            (facts.happysock_dns == Some(b"libc") && !facts.secure, Reason::Switch),
            (facts.foreign_lookup, Reason::ForeignLookup),
            (facts.variables.resolver, Reason::Environment),
            (facts.nscd_socket, Reason::Nscd),
            (facts.unreadable, Reason::Unreadable),
            (facts.nsswitch.is_none() && facts.vendor_nsswitch, Reason::VendorFile),
            (facts.host_conf.reorder, Reason::Reorder),
            (facts.resolv_conf.sortlist, Reason::Sortlist),
            (facts.resolv_conf.strict_error, Reason::StrictError),
            (facts.resolv_conf.unsure, Reason::UnsureOption),
        ];
        if let Some((_, reason)) = conditions.into_iter().find(|(holds, _)| *holds) {
            return Err(reason);
        }
        let line = HostsLine::parse(facts.nsswitch, glibc).map_err(Reason::HostsLine)?;
        let steps = plan(line.steps(), facts)?;
        let last = line.steps().last().map(|step| step.source);
        let ends_with_module = matches!(steps.last(), Some(PlanStep { ask: Ask::Nobody(_), .. }));
        let asks_resolved = line.steps().iter().any(|step| step.source == Source::Resolve);
        let mut needed = last.filter(|_| ends_with_module).into_iter().chain(asks_resolved.then_some(Source::Resolve));
        if !needed.all(is_installed) {
            return Err(Reason::ModuleMissing);
        }
        let without_dns = |step: &PlanStep| match step.ask {
            Ask::Dns => PlanStep { ask: Ask::Nobody(Failure::HOST_NOT_FOUND), ..*step },
            _ => *step,
        };
        let has = |source: Source| line.steps().iter().any(|step| step.source == source);
        Ok(Gate {
            steps_without_dns: steps.iter().map(without_dns).collect(),
            steps: steps.into(),
            multicast: has(Source::Mdns) || has(Source::MdnsMinimal),
            machines: has(Source::MyMachines),
            my_host_name: has(Source::MyHostname).then(|| facts.node_name.into()),
        })
    }

    /// Decides about a name, which holds no zero byte and is no address.
    ///
    /// `flags` are getaddrinfo(3)'s. `machine_exists` tells whether there is a file of that name in
    /// /run/systemd/machines; it is asked only if nss-mymachines is among the sources, and about no name
    /// that could lead out of there.
    pub fn decide(
        &self,
        name: &[u8],
        families: Families,
        flags: i32,
        machine_exists: impl FnOnce() -> bool,
    ) -> Verdict<'_> {
        let maps = flags & MAPPING_FLAGS != 0 && families == Families::Only(Family::V6);
        if flags & !HARMLESS_FLAGS != 0 || maps {
            return Verdict::Libc(Reason::Flags);
        }
        let steps = match names::form(name) {
            Form::HostName => &self.steps,
            Form::NotAHostName => &self.steps_without_dns,
            Form::Numeric => return Verdict::Libc(Reason::Numeric),
            Form::Escaped => return Verdict::Libc(Reason::Escaped),
            Form::Empty => return Verdict::Libc(Reason::EmptyName),
        };
        if self.multicast && names::is_multicast(name) {
            return Verdict::Libc(Reason::Multicast);
        }
        if self.my_host_name.as_ref().is_some_and(|node_name| names::is_my_host_name(name, node_name)) {
            return Verdict::Libc(Reason::MyHostName);
        }
        if self.machines && names::can_be_machine(name) && machine_exists() {
            return Verdict::Libc(Reason::Machine);
        }
        Verdict::Own(steps)
    }
}

/// The steps of a walk for names that no module knows.
///
/// A module that is known to fail is left out, if its failure leads on to the next source in any case. Only
/// the last source leaves a trace: what a walk ends with is what its last source said, also when that is a
/// module's "not found" after DNS could not answer.
fn plan(line: &[Step], facts: &Facts) -> Result<Vec<PlanStep>, Reason> {
    let mut steps: Vec<PlanStep> = Vec::new();
    for (index, &Step { source, actions }) in line.iter().enumerate() {
        let ask = match source {
            Source::Files => Ask::Files { multi: facts.host_conf.multi },
            Source::Dns => Ask::Dns,
            Source::Resolve if !facts.resolve_socket => return Err(Reason::NoResolveSocket),
            Source::Resolve if facts.variables.resolve => return Err(Reason::ResolveEnvironment),
            Source::Resolve => Ask::Resolve { tells_no_data: facts.resolve_tells_no_data },
            _ => Ask::Nobody(module_failure(source, facts)?),
        };
        if let Ask::Nobody(failure) = ask {
            // A module that is not installed is Unavailable, whatever it would have been.
            let leads_on = |status| actions.after(status) == Action::Continue;
            if !leads_on(failure.status) || !leads_on(Status::Unavailable) {
                return Err(Reason::ModuleAction);
            }
            if index + 1 < line.len() {
                continue;
            }
        }
        steps.push(PlanStep { ask, actions });
    }
    Ok(steps)
}

/// How a module fails for a name that is none of its own.
fn module_failure(source: Source, facts: &Facts) -> Result<Failure, Reason> {
    let unavailable = Failure { status: Status::Unavailable, error: HostError::NoRecovery };
    match source {
        Source::Mdns if facts.mdns_allow => Err(Reason::MulticastAllow),
        Source::Libvirt => match facts.leases {
            Leases::Some => Err(Reason::Leases),
            Leases::None => Ok(Failure::HOST_NOT_FOUND),
            Leases::NoDirectory => Ok(unavailable),
        },
        Source::MyHostname => Ok(Failure::HOST_NOT_FOUND),
        // nss-mdns, and nss-mymachines without a file of the name.
        _ => Ok(unavailable),
    }
}
