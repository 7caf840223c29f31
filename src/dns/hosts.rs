//! hosts(5) as glibc's `files` source reads it (`nss/nss_files/files-hosts.c`), with an index: glibc reads
//! the file anew for each lookup, and files of half a megabyte are in use.
use super::text::{is_space, skip, to_nul, until};
use super::{Families, Family, address};
use std::net::{IpAddr, Ipv4Addr};

/// The greatest file that is indexed. Beside the text the index takes 16 bytes a name and 17 a line: as much
/// again as the text for a list of ordinary names, eight times as much for names of one letter.
pub const LARGEST_FILE: usize = 64 << 20;

/// A place in the file where a name stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mention {
    /// Of the name in lower case. First, so that the mentions of a name lie together, in the order of the
    /// file.
    hash: u32,
    line: u32,
    start: u32,
    length: u32,
}

/// A file of hosts and an index of its names.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    text: Box<[u8]>,
    /// Of the lines that have a valid address, in the order of the file.
    addresses: Box<[IpAddr]>,
    /// Sorted.
    mentions: Box<[Mention]>,
}

impl Hosts {
    /// Indexes a whole file. Lines that glibc skips are skipped. Nothing comes of a file larger than
    /// [`LARGEST_FILE`].
    pub fn parse(text: Vec<u8>) -> Option<Hosts> {
        if text.len() > LARGEST_FILE {
            return None;
        }
        let mut text = text;
        let mut addresses = Vec::new();
        let mut mentions = Vec::new();
        let end = text.len();
        let mut start = 0;
        while start < end {
            let length = until(&text[start..end], |byte| byte == b'\n').len();
            let next = (start + length + 1).min(end);
            let mut at = start;
            let mut line = to_nul(&text[at..next]);
            if let Some(odd) = unterminated(line) {
                at = text.len();
                text.extend_from_slice(&odd);
                line = &text[at..];
            }
            index(line, at, &mut addresses, &mut mentions);
            start = next;
        }
        mentions.sort_unstable();
        Some(Hosts { text: text.into(), addresses: addresses.into(), mentions: mentions.into() })
    }

    /// The addresses of a name in the order of the file, duplicates kept; none if the file does not know it
    /// (for the families asked for).
    ///
    /// The name has to match in full, but for the case of ASCII letters: no dot at the end is overlooked and
    /// nothing of the search list added. For one family an address counts as libc converts it: for IPv4,
    /// `::ffff:192.0.2.1` is `192.0.2.1` and `::1` is `127.0.0.1`; for both, each line counts as it
    /// stands. Without `multi` (host.conf(5)) only the first line that counts is used: for both families
    /// together that is one address, as in getaddrinfo(3).
    pub fn addresses<'a>(
        &'a self,
        name: &'a [u8],
        families: Families,
        multi: bool,
    ) -> impl Iterator<Item = IpAddr> + 'a {
        let hash = hash(name);
        let first = self.mentions.partition_point(|mention| mention.hash < hash);
        let mut last_line = None;
        let lines = self.mentions[first..].iter().take_while(move |mention| mention.hash == hash);
        let lines = lines.filter_map(move |mention| {
            let start = mention.start as usize;
            let same = self.text[start..start + mention.length as usize].eq_ignore_ascii_case(name);
            (same && last_line.replace(mention.line) != Some(mention.line)).then_some(mention.line)
        });
        let addresses = lines.filter_map(move |line| converted(self.addresses[line as usize], families));
        addresses.take(if multi { usize::MAX } else { 1 })
    }
}

/// The bytes that glibc's reader makes of a line with leading blanks and without a newline, which can only be
/// the last one or one with a zero byte in it: it moves the text to the front and leaves what stood behind
/// where it is (`nss/nss_readline.c`), so that the end of the last name appears twice.
fn unterminated(line: &[u8]) -> Option<Vec<u8>> {
    let moved = skip(line, is_space);
    if moved.len() == line.len() || line.ends_with(b"\n") {
        return None;
    }
    Some([moved, &line[moved.len()..]].concat())
}

/// One line: an address, then names. `at` is its place in the text.
fn index(line: &[u8], at: usize, addresses: &mut Vec<IpAddr>, mentions: &mut Vec<Mention>) {
    let content = until(line, |byte| byte == b'#');
    let (address, mut rest) = word(skip(content, is_space));
    let Some(address) = address::strict(address) else { return };
    let before = mentions.len();
    loop {
        let (name, after) = word(skip(rest, is_space));
        if name.is_empty() {
            break;
        }
        // What is left ends where the content does.
        let start = at + content.len() - after.len() - name.len();
        mentions.push(Mention {
            hash: hash(name),
            line: addresses.len() as u32,
            start: start as u32,
            length: name.len() as u32,
        });
        rest = after;
    }
    if mentions.len() > before {
        addresses.push(address);
    }
}

/// The first word, and what follows it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(until(text, is_space).len())
}

/// What a line's address is for the families asked for, if it counts at all.
fn converted(address: IpAddr, families: Families) -> Option<IpAddr> {
    match (families, address) {
        (Families::Both, _) => Some(address),
        (Families::Only(Family::V4), IpAddr::V4(_)) | (Families::Only(Family::V6), IpAddr::V6(_)) => Some(address),
        (Families::Only(Family::V4), IpAddr::V6(v6)) if v6.is_loopback() => Some(Ipv4Addr::LOCALHOST.into()),
        (Families::Only(Family::V4), IpAddr::V6(v6)) => v6.to_ipv4_mapped().map(IpAddr::V4),
        (Families::Only(Family::V6), IpAddr::V4(_)) => None,
    }
}

/// FNV-1a of the name in lower case. The file is the administrator's: no one else can choose names that
/// collide.
fn hash(name: &[u8]) -> u32 {
    name.iter()
        .fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193))
}
