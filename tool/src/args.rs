//! What may be said on the command line: one definition for the parser, the manual page and the completions.

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::path::PathBuf;
use std::time::Duration;

/// What the help and the manual page show below the options.
const AFTER_HELP: &str = "\
Examples:
  happy connect example.org 443
  printf 'HEAD / HTTP/1.0\\r\\n\\r\\n' | happy connect example.org 80
  printf 'HEAD / HTTP/1.0\\r\\n\\r\\n' | happy connect --tls example.org 443
  happy lookup --compare example.org
  happy check example.org example.net:80
  happy check --watch <list
  happy run -- wget https://example.org/

Exit codes:
  0    connected; found; everything that was checked can be reached
  1    not connected; not everything can be reached; a file cannot be read or written
  2    wrong usage: the message names the argument
  3    the name has no address, or could not be looked up
  4    a time limit was reached
  126, 127  of `happy run`: the program cannot be run; it was not found
  130  ended by Control-C (128 and the number of the signal)

Environment:
  NO_COLOR, TERM=dumb   no colour; nothing moves where the output is no terminal
  LC_ALL, LC_CTYPE, LANG
                        ASCII is drawn with where they do not say UTF-8";

const RUN_AFTER_HELP: &str = "\
A library is loaded before the program's libc (LD_PRELOAD), and into the programs that it starts. getaddrinfo(3) is
answered by happysock. A connect(2) that blocks, to an address that getaddrinfo(3) has given, is raced: when it has not
connected after 250 ms, or fails, the addresses after it are tried beside it, and the first to connect takes its place.

Left as they are: sockets that are non-blocking, bound, or not TCP (curl races by itself); programs that are linked
statically; those that make system calls without libc (Go); those that run with more rights than their user (setuid).";

/// Watch a host name become a TCP connection: Happy Eyeballs (RFC 8305) between IPv6 and IPv4.
#[derive(Debug, Parser)]
#[command(name = "happy", version, after_help = AFTER_HELP, max_term_width = 100, subcommand_required = true)]
pub struct Arguments {
    #[command(flatten)]
    pub look: LookOptions,
    #[command(subcommand)]
    pub command: Command,
}

/// How things are shown.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Display")]
pub struct LookOptions {
    /// Colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: When,
    /// Draw with ASCII only
    #[arg(long, global = true)]
    pub ascii: bool,
    /// Columns to draw in, instead of the terminal's
    #[arg(long, global = true, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(40..=500))]
    pub width: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Connect, and show the race while it runs
    Connect(Box<ConnectArguments>),
    /// Look a name up: both families, who answered, the order, and why
    Lookup(LookupArguments),
    /// Check many targets over IPv6 and IPv4, and say what is wrong with this network
    Check(CheckArguments),
    /// Draw a race that `connect --json` has stored, or two side by side
    Draw(DrawArguments),
    /// Run a program that knows nothing of this: names it looks up and connects it waits for are done here
    #[command(after_help = RUN_AFTER_HELP)]
    Run(RunArguments),
    /// Write the manual page and the completions
    #[command(hide = true)]
    Generate {
        /// Where they go
        directory: PathBuf,
    },
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FamilyName {
    #[value(name = "4", alias = "ipv4", alias = "v4")]
    V4,
    #[value(name = "6", alias = "ipv6", alias = "v6")]
    V6,
}

impl FamilyName {
    pub fn family(self) -> happysock::race::Family {
        match self {
            FamilyName::V4 => happysock::race::Family::V4,
            FamilyName::V6 => happysock::race::Family::V6,
        }
    }
}

/// What a name is asked for with, as getaddrinfo(3) takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LookupFlag {
    /// AI_ADDRCONFIG: only families that this machine has an address of
    Addrconfig,
    /// AI_NUMERICHOST: the host is an address, no name
    Numerichost,
    /// AI_NUMERICSERV: the port is a number, no name
    Numericserv,
    /// AI_V4MAPPED
    V4mapped,
    /// AI_ALL
    All,
    /// AI_IDN
    Idn,
}

impl LookupFlag {
    pub fn bit(self) -> i32 {
        /// netdb.h of glibc; the libc crate has no name for it.
        const AI_IDN: i32 = 0x40;
        match self {
            LookupFlag::Addrconfig => libc::AI_ADDRCONFIG,
            LookupFlag::Numerichost => libc::AI_NUMERICHOST,
            LookupFlag::Numericserv => libc::AI_NUMERICSERV,
            LookupFlag::V4mapped => libc::AI_V4MAPPED,
            LookupFlag::All => libc::AI_ALL,
            LookupFlag::Idn => AI_IDN,
        }
    }
}

/// Which families, and how names are asked for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Addresses")]
pub struct NameOptions {
    /// IPv4 only
    #[arg(short = '4', long = "ipv4", conflicts_with = "v6")]
    pub v4: bool,
    /// IPv6 only
    #[arg(short = '6', long = "ipv6")]
    pub v6: bool,
    /// The family whose addresses go first, instead of the one that gai.conf(5) ranks higher
    #[arg(long, value_name = "FAMILY")]
    pub prefer: Option<FamilyName>,
    /// Do not ask for a family in which this machine has no network
    #[arg(long)]
    pub only_connected: bool,
    /// Have libc look the name up, even where this program can do it by itself
    #[arg(long)]
    pub libc: bool,
    /// How the name is looked up, as getaddrinfo(3) knows it; more than once for several
    #[arg(long = "lookup-flag", value_name = "FLAG")]
    pub lookup_flags: Vec<LookupFlag>,
}

impl NameOptions {
    pub fn families(&self) -> happysock::race::Families {
        use happysock::race::{Families, Family};
        match (self.v4, self.v6) {
            (true, _) => Families::Only(Family::V4),
            (_, true) => Families::Only(Family::V6),
            _ => Families::Both,
        }
    }

    pub fn flags(&self) -> i32 {
        self.lookup_flags.iter().fold(0, |flags, flag| flags | flag.bit())
    }
}

#[derive(Debug, Args)]
pub struct ConnectArguments {
    /// A host name or an address
    pub host: String,
    /// A port, as a number or by its name in services(5)
    pub port: String,
    /// "-": afterwards pass standard input to the peer and what it says to standard output, as nc(1) does.
    /// Meant also where standard input is a pipe or a file
    #[arg(value_name = "-", value_parser = ["-"], hide_possible_values = true)]
    pub pipe: Option<String>,
    /// Only connect: pass nothing on, even where standard input is a pipe or a file
    #[arg(short = 'z', long, conflicts_with = "pipe")]
    pub zero: bool,
    /// Count a connection only when its TLS handshake is done: an address that takes connections and never
    /// answers is left behind. What is passed on goes through TLS
    #[arg(long)]
    pub tls: bool,
    /// Trust the certificates of this file (PEM) instead of the system's
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub tls_ca: Option<PathBuf>,
    /// Show nothing of the race
    #[arg(short, long)]
    pub quiet: bool,
    /// Connect this many times, one after the other, each with what those before it have learnt, and compare
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000),
          conflicts_with = "pipe", hide_default_value = true)]
    pub repeat: u32,
    /// Of repeated connects, let none learn from those before it
    #[arg(long, requires = "repeat")]
    pub no_history: bool,
    #[command(flatten)]
    pub names: NameOptions,
    /// Try this address instead of looking the host up; more than once for several
    #[arg(long = "address", value_name = "ADDRESS", help_heading = "Addresses")]
    pub addresses: Vec<IpAddr>,
    /// Bind to this host's addresses
    #[arg(long, value_name = "HOST", help_heading = "Addresses")]
    pub local_host: Option<String>,
    /// Bind to this port
    #[arg(long, value_name = "PORT", help_heading = "Addresses")]
    pub local_port: Option<String>,
    /// Bind attempts over IPv4 to this address, with a port or without
    #[arg(long, value_name = "ADDRESS", value_parser = local_v4, help_heading = "Addresses")]
    pub local_v4: Option<SocketAddrV4>,
    /// Bind attempts over IPv6 to this address: ::1, or [::1]:4000 with a port
    #[arg(long, value_name = "ADDRESS", value_parser = local_v6, help_heading = "Addresses")]
    pub local_v6: Option<SocketAddrV6>,
    /// On a network without IPv4, reach IPv4 addresses through its translator: "discover" asks the network
    /// for the prefix (RFC 7050); or prefixes with commas between, such as 64:ff9b::/96
    #[arg(long, value_name = "PREFIXES", conflicts_with_all = ["v4", "v6"], help_heading = "Addresses")]
    pub nat64: Option<happysock::race::Nat64>,
    /// Ask for the bindings of a service too, and follow them (HTTPS and SVCB records, RFC 9460): https,
    /// _PORT._https, _SCHEME or _PORT._SCHEME
    #[arg(short, long, value_name = "SERVICE", conflicts_with_all = ["addresses", "nat64", "no_fast_fallback"],
          help_heading = "Addresses")]
    pub service: Option<String>,
    /// The protocols that a client of the service speaks, by their ALPN ids: bindings without one of them are
    /// left out. With --tls they are offered in the handshake
    #[arg(long, value_name = "ID,...", value_delimiter = ',', requires = "service", help_heading = "Addresses")]
    pub alpn: Vec<String>,
    #[command(flatten)]
    pub race: RaceOptions,
    #[command(flatten)]
    pub output: OutputOptions,
}

/// Limits and delays.
#[derive(Debug, Args)]
#[command(next_help_heading = "The race (times in milliseconds)")]
pub struct RaceOptions {
    /// Limit over everything
    #[arg(short, long, value_name = "MS", value_parser = milliseconds)]
    pub timeout: Option<Duration>,
    /// Limit for the lookups
    #[arg(long, value_name = "MS", value_parser = milliseconds)]
    pub resolv_timeout: Option<Duration>,
    /// Limit for connecting, from the start of the attempt at the last address
    #[arg(long, value_name = "MS", value_parser = milliseconds)]
    pub connect_timeout: Option<Duration>,
    /// Resolution Delay: how long IPv4 waits for the IPv6 answer [default: 50]
    #[arg(long, value_name = "MS", value_parser = milliseconds)]
    pub resolution_delay: Option<Duration>,
    /// Connection Attempt Delay: the time between two attempts, 10 to 2000 [default: 250]
    #[arg(long, value_name = "MS", value_parser = attempt_delay)]
    pub attempt_delay: Option<Duration>,
    /// First Address Family Count: addresses of the first family before they alternate
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub first_family_count: u32,
    /// Attempts in flight at the same time; 0 is no cap
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_attempts: u32,
    /// Each delay between attempts is twice the one before it, up to 2000
    #[arg(long)]
    pub growing_delay: bool,
    /// No race: one address after the other, in the system's order
    #[arg(long)]
    pub no_fast_fallback: bool,
    /// Without a race, the addresses share what is left of --timeout, at least 2000 for each
    #[arg(long, requires_all = ["no_fast_fallback", "timeout"])]
    pub share_timeout: bool,
}

/// What is written besides.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// The race as JSON on standard output, one object on a line for each; passes nothing on
    #[arg(long, conflicts_with = "pipe")]
    pub json: bool,
    /// The race as qlog (JSON text sequences) into a file
    #[arg(long, value_name = "FILE")]
    pub qlog: Option<PathBuf>,
    #[command(flatten)]
    pub pictures: PictureOptions,
}

#[derive(Debug, Args)]
pub struct PictureOptions {
    /// The race as a picture into an SVG file
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub svg: Option<PathBuf>,
    /// The race as a picture into a PNG file
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub png: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct LookupArguments {
    /// A host name
    pub host: String,
    /// Ask getaddrinfo(3) afterwards, and show its answer beside; ends with 1 where the two differ
    #[arg(short, long, conflicts_with_all = ["v4", "v6", "prefer", "lookup_flags"])]
    pub compare: bool,
    /// Ask for the bindings of a service too (HTTPS and SVCB records, RFC 9460): https, _PORT._https, _SCHEME
    /// or _PORT._SCHEME
    #[arg(short, long, value_name = "SERVICE")]
    pub service: Option<String>,
    /// The protocols that a client of the service speaks, by their ALPN ids: bindings without one of them are
    /// marked
    #[arg(long, value_name = "ID,...", value_delimiter = ',', requires = "service")]
    pub alpn: Vec<String>,
    #[command(flatten)]
    pub names: NameOptions,
    /// Limit over everything
    #[arg(short, long, value_name = "MS", value_parser = milliseconds)]
    pub timeout: Option<Duration>,
    /// As one JSON object on standard output
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct CheckArguments {
    /// HOST, HOST:PORT, ADDRESS or [ADDRESS]:PORT; "-", or none, reads them from standard input, one on a
    /// line or with blanks between, "#" begins a comment
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// The port of targets that name none
    #[arg(short, long, default_value_t = 443, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// How long to wait for each family of each target
    #[arg(short, long, value_name = "MS", default_value = "3000", value_parser = milliseconds)]
    pub timeout: Duration,
    /// Connections in progress at the same time; 0: as many as the limit on open files leaves
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub parallel: u32,
    /// Show only the targets that cannot be reached in full
    #[arg(long)]
    pub problems: bool,
    /// Repeat every so many seconds until Control-C, with a plot over time
    #[arg(short, long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "10",
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub watch: Option<u32>,
    /// End a watch after this many rounds
    #[arg(long, value_name = "N", requires = "watch", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,
    /// One JSON object on standard output; in a watch one a line for each round
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DrawArguments {
    /// What `happy connect --json` has written; "-" is standard input
    #[arg(value_name = "TRACE")]
    pub trace: PathBuf,
    /// A second one, to be drawn beside it on the same scale
    #[arg(value_name = "TRACE")]
    pub other: Option<PathBuf>,
    #[command(flatten)]
    pub pictures: PictureOptions,
    /// As qlog into a file
    #[arg(long, value_name = "FILE", help_heading = "Output", action = ArgAction::Set)]
    pub qlog: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct RunArguments {
    /// The library, instead of the one that was installed with this command
    #[arg(long, value_name = "FILE")]
    pub preload: Option<PathBuf>,
    /// The program, found as a shell finds it, and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
    pub command: Vec<OsString>,
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    match text.parse::<u32>() {
        Ok(number) if number <= i32::MAX as u32 => Ok(Duration::from_millis(number.into())),
        _ => Err(format!("a number of milliseconds from 0 to {} is wanted", i32::MAX)),
    }
}

fn attempt_delay(text: &str) -> Result<Duration, String> {
    milliseconds(text)
        .ok()
        .filter(|delay| (10..=2000).contains(&delay.as_millis()))
        .ok_or_else(|| "a number of milliseconds from 10 to 2000 is wanted (RFC 8305, section 8)".to_owned())
}

fn local_v4(text: &str) -> Result<SocketAddrV4, String> {
    let plain = text.parse().map(|address| SocketAddrV4::new(address, 0));
    plain.or_else(|_| text.parse()).map_err(|_| "an IPv4 address is wanted: 192.0.2.1 or 192.0.2.1:4000".to_owned())
}

fn local_v6(text: &str) -> Result<SocketAddrV6, String> {
    let plain = text.parse().map(|address| SocketAddrV6::new(address, 0, 0, 0));
    plain
        .or_else(|_| text.parse())
        .map_err(|_| "an IPv6 address is wanted: 2001:db8::1 or [2001:db8::1]:4000".to_owned())
}
