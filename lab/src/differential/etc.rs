//! The files that say what a name means on a system, at random: usual ones, and such as nobody would write.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use fastrand::Rng;

use super::chance::{one_of, percent, weighted};
use super::servers;

/// What stands under a path of /etc.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    Absent,
    Text(String),
    Directory,
    /// A symbolic link to itself.
    LinkLoop,
}

/// /etc, as far as it concerns names, and the host's own name.
#[derive(Clone, Debug, PartialEq)]
pub struct Etc {
    pub files: BTreeMap<&'static str, Entry>,
    pub host_name: String,
}

/// The files that a case may change, in /etc.
const FILES: [&str; 5] = ["nsswitch.conf", "host.conf", "hosts", "resolv.conf", "gai.conf"];

/// What a case's files are to be about.
#[derive(Clone, Copy, Debug)]
pub struct Wishes<'a> {
    /// Names that the hosts file should hold now and then.
    pub names: &'a [String],
    /// Whether a server may be one that keeps silent.
    pub slow: bool,
}

impl Etc {
    /// The text of a file; None where there is none.
    pub fn text(&self, file: &str) -> Option<&[u8]> {
        match self.files.get(file) {
            Some(Entry::Text(text)) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// Draws the files of a case. The second value says whether the servers have to reply alike, since nobody
    /// knows which one a resolver begins with.
    pub fn draw(rng: &mut Rng, wishes: Wishes) -> (Etc, bool) {
        let (resolv_conf, rotates) = resolv_conf(rng, wishes.slow);
        let drawn = [nsswitch_conf(rng), host_conf(rng), hosts(rng, wishes.names), resolv_conf, gai_conf(rng)];
        let host_name = one_of(rng, &["box", "box.corp.test", "box.sub.corp.test", "Box.Corp.test", "box."]);
        (Etc { files: FILES.into_iter().zip(drawn).collect(), host_name: (*host_name).to_owned() }, rotates)
    }

    /// Makes them those of the calling thread's mount namespace, and the name that of its UTS namespace.
    pub fn install(&self) -> Result<()> {
        self.install_files(Path::new("/etc"))?;
        nix::unistd::sethostname(&self.host_name).context("cannot set the host's name")
    }

    /// Puts the files below `directory`, in place of what another case had there. Each is a new file with an
    /// inode of its own, so that nobody takes it for the one before.
    fn install_files(&self, directory: &Path) -> Result<()> {
        for (name, entry) in &self.files {
            let path = directory.join(name);
            remove(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            match entry {
                Entry::Absent => Ok(()),
                Entry::Text(text) => std::fs::write(&path, text),
                Entry::Directory => std::fs::create_dir(&path),
                Entry::LinkLoop => std::os::unix::fs::symlink(name, &path),
            }
            .with_context(|| format!("cannot make {}", path.display()))?;
        }
        Ok(())
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir(path),
        Ok(_) => std::fs::remove_file(path),
    }
}

impl fmt::Display for Etc {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "host name: {}", self.host_name)?;
        for (name, entry) in &self.files {
            match entry {
                Entry::Text(text) => {
                    writeln!(formatter, "/etc/{name}:")?;
                    text.split_inclusive('\n').try_for_each(|line| {
                        let end = if line.ends_with('\n') { "" } else { "   (no newline)" };
                        let shown: String = line.trim_end_matches('\n').chars().take(200).collect();
                        let escaped = shown.replace('\\', "\\\\").replace('\t', "\\t").replace('\r', "\\r");
                        writeln!(formatter, "  | {escaped}{end}")
                    })?;
                }
                other => writeln!(formatter, "/etc/{name}: {other:?}")?,
            }
        }
        Ok(())
    }
}

/// One of the odd kinds of entry, now and then.
fn odd_entry(rng: &mut Rng) -> Option<Entry> {
    match rng.u32(0..100) {
        0 => Some(Entry::Directory),
        1 => Some(Entry::LinkLoop),
        _ => None,
    }
}

fn nsswitch_conf(rng: &mut Rng) -> Entry {
    if let Some(entry) = odd_entry(rng) {
        return entry;
    }
    if percent(rng, 6) {
        return Entry::Absent;
    }
    let mut text = String::new();
    if rng.bool() {
        text += "# /etc/nsswitch.conf\npasswd: files\n\n";
    }
    if percent(rng, 4) {
        // No line for hosts at all.
    } else if percent(rng, 50) {
        text += one_of(rng, &["hosts: files dns\n", "hosts:\t\tfiles dns\n"]);
    } else {
        for _ in 0..if percent(rng, 5) { 2 } else { 1 } {
            text += &hosts_line(rng);
        }
    }
    if percent(rng, 70) {
        text += "services: files\nprotocols: files\n";
    }
    if percent(rng, 5) {
        text.truncate(text.trim_end().len());
    }
    Entry::Text(text)
}

fn hosts_line(rng: &mut Rng) -> String {
    let usual = [
        "files mdns4_minimal [NOTFOUND=return] dns",
        "files myhostname mdns4_minimal [NOTFOUND=return] dns",
        "files dns myhostname",
        "dns files",
        "files",
        "dns",
        "dns [!UNAVAIL=return] files",
        "files [NOTFOUND=return] dns",
        "files mymachines dns myhostname",
        "mymachines resolve [!UNAVAIL=return] files myhostname dns",
        "files libvirt libvirt_guest dns",
    ];
    let head =
        weighted(rng, &[(20, "hosts:"), (2, " hosts:"), (2, "hosts :"), (1, "hosts"), (1, "HOSTS:"), (1, "hosts:\t")]);
    if rng.bool() {
        return format!("{head} {}\n", one_of(rng, &usual));
    }
    let mut line = head.to_owned();
    for _ in 0..rng.usize(0..=4) {
        let source = weighted(
            rng,
            &[
                (10, "files"),
                (10, "dns"),
                (1, "myhostname"),
                (1, "mdns4_minimal"),
                (1, "mdns"),
                (1, "resolve"),
                (1, "mymachines"),
                (1, "nosuch"),
                (1, "#"),
                (1, "FILES"),
                (1, "db"),
            ],
        );
        line += one_of(rng, &[" ", " ", " ", "\t", "  "]);
        line += source;
        if percent(rng, 35) {
            line += one_of(rng, &[" ", " ", ""]);
            line += &action(rng);
        }
    }
    line + one_of(rng, &["\n", "\n", "\n", " \n", " # the end\n"])
}

fn action(rng: &mut Rng) -> String {
    let one = |rng: &mut Rng| {
        let negation = if percent(rng, 20) { "!" } else { "" };
        let status =
            weighted(rng, &[(6, "NOTFOUND"), (4, "UNAVAIL"), (4, "TRYAGAIN"), (2, "SUCCESS"), (1, "notfound")]);
        let action = weighted(rng, &[(8, "return"), (8, "continue"), (1, "merge"), (1, "RETURN")]);
        format!("{negation}{status}={action}")
    };
    match rng.u32(0..20) {
        0 => one_of(rng, &["[BOGUS=return]", "[NOTFOUND=]", "[NOTFOUND", "[]", "[NOTFOUND=return", "[!=return]"])
            .to_string(),
        1..4 => format!("[{} {}]", one(rng), one(rng)),
        4 => format!("[ {} ]", one(rng)),
        _ => format!("[{}]", one(rng)),
    }
}

fn host_conf(rng: &mut Rng) -> Entry {
    if let Some(entry) = odd_entry(rng) {
        return entry;
    }
    let text = weighted(
        rng,
        &[
            (8, ""),
            (20, "multi on\n"),
            (3, "multi off\n"),
            (3, "order hosts,bind\nmulti on\n"),
            (2, "# multi on\n"),
            (2, "  multi on # and so on\n"),
            (1, "multi on\nmulti off\n"),
            (1, "multi\n"),
            (1, "multi maybe\n"),
            (1, "Multi On\n"),
            (1, "nospoof on\nspoofalert on\nmulti on\n"),
            (1, "trim .example.test\nmulti on\n"),
            (1, "reorder on\nmulti on\n"),
            (1, "multi on"),
            (1, "gibberish\nmulti on\n"),
        ],
    );
    if text.is_empty() { Entry::Absent } else { Entry::Text(text.to_owned()) }
}

fn hosts(rng: &mut Rng, names: &[String]) -> Entry {
    if let Some(entry) = odd_entry(rng) {
        return entry;
    }
    if percent(rng, 4) {
        return Entry::Absent;
    }
    let mut text = String::new();
    if percent(rng, 70) {
        text += "127.0.0.1\tlocalhost\n";
        text += one_of(rng, &["", "::1 localhost ip6-localhost ip6-loopback\n", "127.0.1.1 box.corp.test box\n"]);
    }
    for _ in 0..rng.usize(0..=8) {
        text += &hosts_file_line(rng, names);
    }
    if percent(rng, 10) {
        text.truncate(text.trim_end().len());
    }
    if percent(rng, 2) {
        text = text.replace('\n', "\r\n");
    }
    Entry::Text(text)
}

fn hosts_file_line(rng: &mut Rng, names: &[String]) -> String {
    if percent(rng, 10) {
        let lines = [
            "\n",
            "# 203.0.113.5 www.example.test\n",
            "   \n",
            "203.0.113.6\n",
            "203.0.113.6 # nobody\n",
            "nonsense\n",
        ];
        return one_of(rng, &lines).to_owned();
    }
    let last = rng.u8(1..8);
    let address = match rng.u32(0..40) {
        0..16 => format!("203.0.113.{last}"),
        16..28 => format!("2001:db8::{last}"),
        28 | 29 => format!("::ffff:203.0.113.{last}"),
        30 | 31 => "::1".to_owned(),
        32 | 33 => "127.0.0.1".to_owned(),
        34 => "fe80::1".to_owned(),
        35 => format!("fe80::{last}%lo"),
        36 => "203.0.113".to_owned(),
        37 => "0xcb.0.113.5".to_owned(),
        38 => "203.0.113.400".to_owned(),
        _ => format!("2001:DB8::000{last}"),
    };
    let mut line = one_of(rng, &["", "", "", "", " ", "\t"]).to_string() + &address;
    for _ in 0..rng.usize(1..=3) {
        line += one_of(rng, &[" ", "\t", "   "]);
        // A name that the case is about, as likely as not.
        let name = if rng.bool() { one_of(rng, names) } else { format!("other{}.test", rng.u8(0..4)) };
        line += &match rng.u32(0..12) {
            0 => name.to_ascii_uppercase(),
            1 => format!("{name}."),
            2 => name.trim_end_matches('.').to_owned(),
            3 => name.split('.').next().unwrap_or_default().to_owned(),
            _ => name,
        };
    }
    if percent(rng, 8) {
        line += one_of(rng, &[" # more", "#glued", " \t "]);
    }
    if percent(rng, 1) {
        line += &" long".repeat(600);
    }
    line + "\n"
}

/// The text, and whether it has a resolver begin with any of the servers.
fn resolv_conf(rng: &mut Rng, slow: bool) -> (Entry, bool) {
    // Without the file a resolver waits for 5 seconds where nobody replies.
    if !slow && percent(rng, 6) {
        return (odd_entry(rng).unwrap_or(Entry::Absent), false);
    }
    let mut lines: Vec<String> = Vec::new();
    // Each server more is a second more for each question to a silent one.
    for _ in 0..weighted(rng, if slow { &[(60, 1), (20, 2)] } else { &[(60, 1), (20, 2), (12, 3), (4, 4)] }) {
        lines.push(name_server(rng, slow));
    }
    let domains = |rng: &mut Rng, most: usize| {
        let all = ["example.test", "corp.test", "sub.corp.test", "net.example.", ".", "Search.Test", "a.b.c.d.test"];
        (0..rng.usize(1..=most)).map(|_| one_of(rng, &all)).collect::<Vec<_>>().join(" ")
    };
    if percent(rng, 45) {
        lines.push(format!("search {}", domains(rng, 3)));
    }
    if percent(rng, 6) {
        lines.push(format!("domain {}", domains(rng, 1)));
    }
    if percent(rng, 4) {
        lines.push(format!("search\t{} ", domains(rng, 7)));
    }
    let mut rotates = false;
    if percent(rng, 45) {
        let mut options = Vec::new();
        for _ in 0..rng.usize(1..=3) {
            let option = weighted(
                rng,
                &[
                    (5, "ndots:0"),
                    (4, "ndots:2"),
                    (5, "ndots:5"),
                    (1, "ndots:99"),
                    (1, "ndots:x"),
                    (5, "edns0"),
                    (4, "no-aaaa"),
                    (3, "rotate"),
                    (2, "trust-ad"),
                    (2, "single-request"),
                    (2, "single-request-reopen"),
                    (2, "no-tld-query"),
                    (2, "use-vc"),
                    (1, "no-reload"),
                    (1, "inet6"),
                    (1, "nosuch:7"),
                    (1, "debugging"),
                ],
            );
            rotates |= option == "rotate";
            options.push(option);
        }
        if options.len() > 1 && percent(rng, 20) {
            lines.extend(options.iter().map(|option| format!("options {option}")));
        } else {
            lines.push(format!("options {}", options.join(one_of(rng, &[" ", "  ", "\t"]))));
        }
    }
    if percent(rng, 20) {
        let odd = [
            "# a comment",
            "; another",
            " nameserver 198.51.100.2",
            "Nameserver 198.51.100.2",
            "nameserver",
            "nameserver 198.51.100.2:53",
            "nameserver not.an.address",
            "gibberish",
            "options",
            "search",
            "sortlist 203.0.113.0/255.255.255.128",
            "lookup file bind",
            "",
        ];
        let line = one_of(rng, &odd).to_owned();
        lines.insert(rng.usize(0..=lines.len()), line);
    }
    let twice = if slow { 4 } else { 19 };
    let attempts = weighted(rng, &[(80, "attempts:1"), (twice, "attempts:2"), (1, "attempts:0")]);
    let place = if rng.bool() { 0 } else { lines.len() };
    lines.insert(place, format!("options timeout:1 {attempts}"));
    (Entry::Text(lines.join("\n") + one_of(rng, &["\n", "\n", "\n", ""])), rotates)
}

fn gai_conf(rng: &mut Rng) -> Entry {
    let text = weighted(
        rng,
        &[
            (20, ""),
            (10, "# empty\n"),
            (2, "precedence ::ffff:0:0/96  100\n"),
            (1, "label 2001:db8:0:1::/64 6\nprecedence ::/0 40\n"),
            (1, "scopev4 ::ffff:203.0.113.0/120 2\n"),
            (1, "reload yes\n"),
        ],
    );
    if text.is_empty() { Entry::Absent } else { Entry::Text(text.to_owned()) }
}

fn name_server(rng: &mut Rng, slow: bool) -> String {
    let address = match rng.u32(0..100) {
        0..14 => one_of(rng, &servers::UDP_ONLY).to_string(),
        14..22 => one_of(rng, &servers::DEAD).to_string(),
        22..24 => servers::UNREACHABLE.to_string(),
        24..26 => "127.0.0.1".to_owned(),
        // Forms that inet_aton(3) knows.
        26..28 => "0xc6336401".to_owned(),
        28..40 if slow => servers::SILENT.to_string(),
        _ => one_of(rng, &servers::FULL).to_string(),
    };
    let end = weighted(rng, &[(90, ""), (3, " "), (3, " # the office"), (2, "\t; home"), (2, " 198.51.100.2")]);
    format!("nameserver{}{address}{end}", one_of(rng, &[" ", " ", " ", "\t"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64, slow: bool) -> (Etc, bool) {
        let names = ["www.example.test".to_owned(), "box".to_owned()];
        Etc::draw(&mut Rng::with_seed(seed), Wishes { names: &names, slow })
    }

    #[test]
    fn a_seed_gives_the_same_files_again() {
        for seed in 0..500 {
            assert_eq!(drawn(seed, seed % 2 == 0), drawn(seed, seed % 2 == 0));
        }
        assert_ne!(drawn(1, false), drawn(2, false));
    }

    #[test]
    fn where_a_server_may_keep_silent_the_wait_is_short() {
        for seed in 0..3000 {
            let (etc, rotates) = drawn(seed, true);
            let Entry::Text(text) = &etc.files["resolv.conf"] else { panic!("a slow case needs a resolv.conf") };
            assert!(text.contains("options timeout:1 attempts:"), "{text}");
            assert_eq!(rotates, text.contains("rotate"), "{text}");
            let (etc, _) = drawn(seed, false);
            assert!(!etc.to_string().contains(&servers::SILENT.to_string()));
        }
    }

    #[test]
    fn files_take_the_place_of_earlier_ones() {
        let directory = std::env::temp_dir().join(format!("lab-etc-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let kinds = [Entry::LinkLoop, Entry::Text("a\n".to_owned()), Entry::Directory, Entry::Absent];
        let path = directory.join("hosts");
        for entry in kinds.iter().chain(&kinds) {
            let files = [("hosts", entry.clone())].into();
            Etc { files, host_name: "box".to_owned() }.install_files(&directory).unwrap();
            let found = std::fs::symlink_metadata(&path);
            match entry {
                Entry::Absent => assert!(found.is_err()),
                Entry::Text(text) => assert_eq!(&std::fs::read_to_string(&path).unwrap(), text),
                Entry::Directory => assert!(found.unwrap().is_dir()),
                Entry::LinkLoop => assert!(found.unwrap().is_symlink()),
            }
        }
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
