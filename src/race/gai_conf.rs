//! gai.conf(5), read as glibc reads it (nss/getaddrinfo.c, `gaiconf_init`).
use super::policy::{Entry, GREATEST_VALUE, PolicyTable, SCOPE_GLOBAL, Table, entry};
use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

/// What `::/0` gets when the file replaces a table and leaves it out.
const FALLBACK_LABEL: u32 = 1;
const FALLBACK_PRECEDENCE: u32 = 40;

/// What a number that is missing stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingNumber {
    /// For 0: glibc before 2.41.
    Zero,
    /// For nothing: the line is skipped. glibc since 2.41.
    Nothing,
}

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GaiConf {
    /// Its `label` and `precedence` lines, or the tables that stand in for those that are missing.
    pub policy: PolicyTable,
    /// Whether the file is to be read again when it has changed; None: it says nothing of that.
    pub reload: Option<bool>,
}

impl GaiConf {
    /// Reads the text of a file; lines that libc would not accept are skipped.
    ///
    /// One `label` line replaces the whole table of labels, and likewise for `precedence` and `scopev4`; a
    /// table without an entry for everything gets one; among equal prefixes the first line counts. What the
    /// file does not say is as [`PolicyTable::of_glibc`] has it.
    ///
    /// In one case glibc before 2.41 cannot be followed: it took a prefix without a length for valid or not
    /// as a pointer without a value had it. Here it is the whole address, as it is since.
    pub fn read(text: &[u8], missing: MissingNumber) -> GaiConf {
        let (mut labels, mut precedences, mut scopes) = (Vec::new(), Vec::new(), Vec::new());
        let mut reload = None;
        for line in text.split(|&byte| byte == b'\n') {
            // To libc a line is a C string.
            let content = line.split(|byte| matches!(byte, 0 | b'#')).next().unwrap_or_default();
            // What is not UTF-8 is no keyword, no address and no number; nor is what it is replaced with.
            let content = String::from_utf8_lossy(content);
            let mut words = content.split(is_space).filter(|word| !word.is_empty());
            let mut word = || words.next().unwrap_or_default();
            let (keyword, first, second) = (word(), word(), word());
            match keyword {
                "label" => labels.extend(parse_entry(first, second, missing)),
                "precedence" => precedences.extend(parse_entry(first, second, missing)),
                "scopev4" => scopes.extend(parse_scope(first, second, missing)),
                "reload" => reload = Some(first == "yes"),
                _ => {}
            }
        }
        let policy = PolicyTable::of_glibc().with(
            table(labels, entry([0; 8], 0, FALLBACK_LABEL)),
            table(precedences, entry([0; 8], 0, FALLBACK_PRECEDENCE)),
            table(scopes, entry([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, SCOPE_GLOBAL)),
        );
        GaiConf { policy, reload }
    }
}

/// isspace(3) in the C locale.
fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

/// The lines of a file as a table: longest prefix first, `everything` at the end if no line says it; None if
/// the file has no such line at all.
fn table(mut lines: Vec<Entry>, everything: Entry) -> Option<Table> {
    if lines.is_empty() {
        return None;
    }
    if lines.iter().all(|line| line.bits != everything.bits) {
        lines.push(everything);
    }
    lines.sort_by_key(|line| std::cmp::Reverse(line.bits));
    Some(Cow::Owned(lines))
}

fn parse_entry(prefix: &str, value: &str, missing: MissingNumber) -> Option<Entry> {
    let (address, bits) = split_prefix(prefix);
    let address: Ipv6Addr = address.parse().ok()?;
    let bits = bits.map_or(Some(128), |bits| parse_number(bits, 128, missing))?;
    Some(Entry { prefix: address.to_bits(), bits, value: parse_number(value, GREATEST_VALUE, missing)? })
}

/// `scopev4` takes an IPv4 address, or an IPv4-mapped one with at least 96 bits of prefix.
fn parse_scope(prefix: &str, value: &str, missing: MissingNumber) -> Option<Entry> {
    let (address, bits) = split_prefix(prefix);
    let value = parse_number(value, GREATEST_VALUE, missing)?;
    let bits = |whole: u32| bits.map_or(Some(whole), |bits| parse_number(bits, whole, missing));
    let (address, bits) = match address.parse().ok()? {
        IpAddr::V4(v4) => (v4.to_ipv6_mapped(), bits(32)? + 96),
        IpAddr::V6(v6) => {
            v6.to_ipv4_mapped()?;
            (v6, bits(128).filter(|bits| *bits >= 96)?)
        }
    };
    Some(Entry { prefix: address.to_bits(), bits, value })
}

fn split_prefix(prefix: &str) -> (&str, Option<&str>) {
    match prefix.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (prefix, None),
    }
}

/// A number up to `greatest`, as strtoul(3) reads it in base 10: with a sign, if there is one, and a negative
/// number is what it is short of the range, so that "-0" is 0.
fn parse_number(word: &str, greatest: u32, missing: MissingNumber) -> Option<u32> {
    if word.is_empty() {
        return (missing == MissingNumber::Zero).then_some(0);
    }
    let (negative, digits) = match word.as_bytes() {
        [sign @ (b'+' | b'-'), digits @ ..] => (*sign == b'-', digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: UnsignedLong = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let number = if negative { number.wrapping_neg() } else { number };
    u32::try_from(number).ok().filter(|number| *number <= greatest)
}

/// `unsigned long`, which is as wide as a pointer wherever Linux runs.
type UnsignedLong = usize;
