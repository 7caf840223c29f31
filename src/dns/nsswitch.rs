//! The `hosts` line of nsswitch.conf(5): which sources know names, in which order, and when the walk ends.
//!
//! The grammar is glibc's (`nss/nss_database.c`, `nss/nss_action_parse.c`), with its corners: the last line
//! of a database wins, the colon may be missing, `#` inside a line is a source of that name, a last line
//! without a newline is not read, and one line that cannot be read, of whichever database, makes every lookup
//! fail.
use super::failure::Status;
use super::text::{is_space, skip, to_nul, until};

/// The databases whose lines glibc reads; an error in another line goes unnoticed (`nss/databases.def`).
const DATABASES: [&[u8]; 17] = [
    b"aliases",
    b"ethers",
    b"group",
    b"group_compat",
    b"gshadow",
    b"hosts",
    b"initgroups",
    b"netgroup",
    b"networks",
    b"passwd",
    b"passwd_compat",
    b"protocols",
    b"publickey",
    b"rpc",
    b"services",
    b"shadow",
    b"shadow_compat",
];

/// The first glibc that reads `files dns` where the file or the line is missing; before it was
/// `dns [!UNAVAIL=return] files` (glibc bug 28700).
const FILES_BEFORE_DNS: (u32, u32) = (2, 35);

/// What follows a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The walk ends with the answer of this source.
    Return,
    /// The next source is asked.
    Continue,
}

/// What follows each status of one source; a source that found the name always ends the walk here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Actions {
    pub not_found: Action,
    pub unavailable: Action,
    pub try_again: Action,
}

impl Actions {
    /// What holds without brackets: every source is asked until one knows the name.
    pub const DEFAULT: Actions =
        Actions { not_found: Action::Continue, unavailable: Action::Continue, try_again: Action::Continue };

    pub fn after(self, status: Status) -> Action {
        match status {
            Status::Success => Action::Return,
            Status::NotFound => self.not_found,
            Status::Unavailable => self.unavailable,
            Status::TryAgain => self.try_again,
        }
    }
}

/// A source whose ways are known. Any other module could be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// hosts(5).
    Files,
    /// The servers of resolv.conf(5).
    Dns,
    /// nss-resolve(8): systemd-resolved.
    Resolve,
    /// nss-mdns without a configuration: `mdns_minimal`, `mdns4_minimal`, `mdns6_minimal`.
    MdnsMinimal,
    /// nss-mdns with /etc/mdns.allow: `mdns`, `mdns4`, `mdns6`.
    Mdns,
    /// nss-myhostname(8).
    MyHostname,
    /// nss-mymachines(8).
    MyMachines,
    /// libvirt's `libvirt` and `libvirt_guest`.
    Libvirt,
}

impl Source {
    /// Names of modules are file names, so their case matters.
    fn named(name: &[u8]) -> Option<Source> {
        Some(match name {
            b"files" => Source::Files,
            b"dns" => Source::Dns,
            b"resolve" => Source::Resolve,
            b"mdns_minimal" | b"mdns4_minimal" | b"mdns6_minimal" => Source::MdnsMinimal,
            b"mdns" | b"mdns4" | b"mdns6" => Source::Mdns,
            b"myhostname" => Source::MyHostname,
            b"mymachines" => Source::MyMachines,
            b"libvirt" | b"libvirt_guest" => Source::Libvirt,
            _ => return None,
        })
    }
}

/// A source and what follows its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub source: Source,
    pub actions: Actions,
}

/// Why the line can only be walked by libc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unwalkable {
    /// No file or no line, and a glibc whose default is another one.
    NoLine,
    /// A line that glibc cannot read: it fails every lookup.
    Syntax,
    /// A line without a source: glibc fails every lookup.
    Empty,
    /// A module that may answer any name, or none that is installed.
    UnknownSource,
    /// `[SUCCESS=continue]` and `[...=merge]`.
    UnusualAction,
}

impl Unwalkable {
    /// For a person who reads a trace.
    pub fn text(self) -> &'static str {
        match self {
            Unwalkable::NoLine => "nsswitch.conf has no hosts line, and this glibc's default is an older one",
            Unwalkable::Syntax => "nsswitch.conf has a line that cannot be read",
            Unwalkable::Empty => "the hosts line of nsswitch.conf names no source",
            Unwalkable::UnknownSource => "the hosts line of nsswitch.conf names a source that only libc can ask",
            Unwalkable::UnusualAction => "the hosts line of nsswitch.conf has an action that only libc can take",
        }
    }
}

/// The sources of host names in the order of asking: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostsLine {
    steps: Vec<Step>,
}

impl HostsLine {
    /// Reads a whole nsswitch.conf(5); `None` if there is no such file. `glibc` is the version that would
    /// read it.
    pub fn parse(text: Option<&[u8]>, glibc: (u32, u32)) -> Result<HostsLine, Unwalkable> {
        let mut hosts = None;
        for line in lines(text.unwrap_or_default()) {
            let line = skip(to_nul(line), is_space);
            let name = until(line, |byte| is_space(byte) || byte == b':');
            // A line that ends with the name of its database is skipped: it has no newline, so it holds a zero byte.
            if name.is_empty() || name.len() == line.len() || !DATABASES.contains(&name) {
                continue;
            }
            let sources = skip(&line[name.len()..], |byte| is_space(byte) || byte == b':');
            let sources = parse_sources(sources).ok_or(Unwalkable::Syntax)?;
            if name == b"hosts" {
                hosts = Some(sources);
            }
        }
        let Some(sources) = hosts else {
            if glibc < FILES_BEFORE_DNS {
                return Err(Unwalkable::NoLine);
            }
            let steps = [Source::Files, Source::Dns].map(|source| Step { source, actions: Actions::DEFAULT });
            return Ok(HostsLine { steps: steps.to_vec() });
        };
        if sources.is_empty() {
            return Err(Unwalkable::Empty);
        }
        let steps = sources.iter().map(Criteria::step).collect::<Result<_, _>>()?;
        Ok(HostsLine { steps })
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// The lines that glibc processes: those that end in a newline. It takes the end of the file, met while it
/// reads the last line, for the end of its work.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n"))
}

/// What a bracket can name on its right side.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reaction {
    Return,
    Continue,
    Merge,
}

const SUCCESS: usize = 0;
const NOT_FOUND: usize = 1;
const UNAVAILABLE: usize = 2;
const TRY_AGAIN: usize = 3;

/// A source as it stands in a line, known or not.
struct Criteria<'a> {
    source: &'a [u8],
    reactions: [Reaction; 4],
}

impl Criteria<'_> {
    fn step(&self) -> Result<Step, Unwalkable> {
        let source = Source::named(self.source).ok_or(Unwalkable::UnknownSource)?;
        if self.reactions[SUCCESS] != Reaction::Return {
            return Err(Unwalkable::UnusualAction);
        }
        let action = |status: usize| match self.reactions[status] {
            Reaction::Return => Ok(Action::Return),
            Reaction::Continue => Ok(Action::Continue),
            Reaction::Merge => Err(Unwalkable::UnusualAction),
        };
        let actions =
            Actions { not_found: action(NOT_FOUND)?, unavailable: action(UNAVAILABLE)?, try_again: action(TRY_AGAIN)? };
        Ok(Step { source, actions })
    }
}

/// `source [ [!]STATUS=ACTION ... ] source ...`; nothing if glibc cannot read it.
///
/// A bracket where a source is expected ends the list without an error, as in `files [NOTFOUND=return] [x]
/// dns`.
fn parse_sources(line: &[u8]) -> Option<Vec<Criteria<'_>>> {
    let mut sources = Vec::new();
    let mut rest = skip(line, is_space);
    loop {
        let source = until(rest, |byte| is_space(byte) || byte == b'[');
        if source.is_empty() {
            return Some(sources);
        }
        rest = skip(&rest[source.len()..], is_space);
        let mut reactions = [Reaction::Return, Reaction::Continue, Reaction::Continue, Reaction::Continue];
        if let Some(bracket) = rest.strip_prefix(b"[") {
            rest = skip(parse_criteria(bracket, &mut reactions)?, is_space);
        }
        sources.push(Criteria { source, reactions });
    }
}

/// What stands between brackets, at least one criterion; gives what follows the closing one.
fn parse_criteria<'a>(text: &'a [u8], reactions: &mut [Reaction; 4]) -> Option<&'a [u8]> {
    let mut rest = skip(text, is_space);
    loop {
        // No blank may follow the negation.
        let (negated, after) = match rest.strip_prefix(b"!") {
            Some(after) => (true, after),
            None => (false, rest),
        };
        let word = until(after, |byte| is_space(byte) || byte == b'=' || byte == b']');
        let status = status_named(word)?;
        let after = skip(&after[word.len()..], is_space).strip_prefix(b"=")?;
        let after = skip(after, is_space);
        let word = until(after, |byte| is_space(byte) || byte == b'=' || byte == b']');
        let reaction = reaction_named(word)?;
        for (index, slot) in reactions.iter_mut().enumerate() {
            if (index == status) != negated {
                *slot = reaction;
            }
        }
        rest = skip(&after[word.len()..], is_space);
        if let Some(after) = rest.strip_prefix(b"]") {
            return Some(after);
        }
    }
}

fn status_named(word: &[u8]) -> Option<usize> {
    let names: [&[u8]; 4] = [b"SUCCESS", b"NOTFOUND", b"UNAVAIL", b"TRYAGAIN"];
    names.iter().position(|name| word.eq_ignore_ascii_case(name))
}

fn reaction_named(word: &[u8]) -> Option<Reaction> {
    let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
    if is(b"RETURN") {
        Some(Reaction::Return)
    } else if is(b"CONTINUE") {
        Some(Reaction::Continue)
    } else if is(b"MERGE") {
        Some(Reaction::Merge)
    } else {
        None
    }
}
