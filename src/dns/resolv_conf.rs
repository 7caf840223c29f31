//! resolv.conf(5) as glibc reads it (`resolv/res_init.c`): nothing is ever refused, what is not understood is
//! skipped.
use super::address;
use super::text::{is_blank, skip, to_nul, until};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Port of name servers (RFC 1035, section 4.2).
const PORT: u16 = 53;
/// As many servers are asked, the first ones (`MAXNS` of resolv.h).
pub const MAX_SERVERS: usize = 3;
/// Caps of resolv.h: `RES_MAXNDOTS`, `RES_MAXRETRANS` (seconds), `RES_MAXRETRY`.
const MAX_NDOTS: i32 = 15;
const MAX_TIMEOUT: i32 = 30;
const MAX_ATTEMPTS: i32 = 5;
/// The first glibc that knows the option; distributions have carried these back, so an older one may know
/// them too.
const NO_AAAA_SINCE: (u32, u32) = (2, 36);
const STRICT_ERROR_SINCE: (u32, u32) = (2, 41);

/// Of an option: how it begins, what it sets, and since when.
type Flag = (&'static [u8], fn(&mut ResolvConf) -> &mut bool, (u32, u32));

/// Options without a number. Of two that begin alike the longer comes first.
const FLAGS: [Flag; 11] = [
    (b"rotate", |conf| &mut conf.rotate, (2, 0)),
    (b"edns0", |conf| &mut conf.edns0, (2, 0)),
    (b"single-request-reopen", |conf| &mut conf.single_request_reopen, (2, 0)),
    (b"single-request", |conf| &mut conf.single_request, (2, 0)),
    (b"no_tld_query", |conf| &mut conf.no_tld_query, (2, 0)),
    (b"no-tld-query", |conf| &mut conf.no_tld_query, (2, 0)),
    (b"no-reload", |conf| &mut conf.no_reload, (2, 26)),
    (b"use-vc", |conf| &mut conf.use_vc, (2, 0)),
    (b"trust-ad", |conf| &mut conf.trust_ad, (2, 31)),
    (b"no-aaaa", |conf| &mut conf.no_aaaa, NO_AAAA_SINCE),
    (b"strict-error", |conf| &mut conf.strict_error, STRICT_ERROR_SINCE),
];

/// What resolv.conf(5) says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// One to [`MAX_SERVERS`], with port 53 and the scope of a link-local address. 127.0.0.1 if the file
    /// names none.
    pub servers: Vec<SocketAddr>,
    /// The domains of the search list as they are written, in their order; any number. An empty one can be
    /// there (a host name that ends in a dot), and `.`.
    pub search: Vec<Box<[u8]>>,
    /// Names with as many dots are asked as they stand first: 0 to 15, 1 if nothing is said.
    pub ndots: u32,
    /// Seconds to wait for the first server: 0 to 30, 5 if nothing is said; 0 acts as 1.
    pub timeout: u32,
    /// How often the servers are asked: 0 to 5, 2 if nothing is said. With 0 every lookup fails at once.
    pub attempts: u32,
    /// Each lookup begins with another server.
    pub rotate: bool,
    /// Queries carry an OPT record (RFC 6891).
    pub edns0: bool,
    /// TCP from the start.
    pub use_vc: bool,
    /// Queries carry the AD bit (RFC 6840, section 5.7).
    pub trust_ad: bool,
    /// IPv6 addresses are not asked for: an A query goes out instead.
    pub no_aaaa: bool,
    /// A name without a dot is asked with the search list only.
    pub no_tld_query: bool,
    /// The file is read once in the life of a process.
    pub no_reload: bool,
    /// Of a pair of queries for both families, one that fails fails the lookup.
    pub strict_error: bool,
    /// Only for pairs of queries from one socket.
    pub single_request: bool,
    /// Likewise.
    pub single_request_reopen: bool,
    /// There is a `sortlist`: IPv4 addresses are sorted by it.
    pub sortlist: bool,
    /// Something whose meaning differs between versions of glibc, or that none has a good meaning for.
    pub unsure: bool,
}

impl ResolvConf {
    /// Reads a whole file; `None` if there is none.
    ///
    /// `host_name` is gethostname(2)'s: what follows its first dot is the search list if the file has none.
    /// `glibc` is the version that would read the file. `interface` is if_nametoindex(3), for servers
    /// like `fe80::1%eth0`; it is only asked for those.
    pub fn parse(
        text: Option<&[u8]>,
        host_name: &[u8],
        glibc: (u32, u32),
        interface: impl Fn(&[u8]) -> Option<u32>,
    ) -> ResolvConf {
        let mut conf = ResolvConf {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: 5,
            attempts: 2,
            rotate: false,
            edns0: false,
            use_vc: false,
            trust_ad: false,
            no_aaaa: false,
            no_tld_query: false,
            no_reload: false,
            strict_error: false,
            single_request: false,
            single_request_reopen: false,
            sortlist: false,
            unsure: false,
        };
        let mut has_search = false;
        for line in text.unwrap_or_default().split_inclusive(|&byte| byte == b'\n') {
            let line = to_nul(line);
            // A comment needs no rule of its own: it is no keyword. Nor has a keyword blanks before it.
            let keyword = until(line, is_blank);
            if keyword.len() == line.len() {
                continue;
            }
            let argument = skip(&line[keyword.len()..], is_blank);
            let value = until(argument, |byte| byte == b'\n');
            match keyword {
                b"domain" if !value.is_empty() => {
                    conf.search = vec![until(value, is_blank).into()];
                    has_search = true;
                }
                b"search" if !value.is_empty() => {
                    let domains = value.split(|&byte| is_blank(byte)).filter(|domain| !domain.is_empty());
                    conf.search = domains.map(Into::into).collect();
                    has_search = true;
                }
                b"nameserver" if conf.servers.len() < MAX_SERVERS => {
                    conf.servers.extend(server(until(value, is_blank), &interface));
                }
                b"sortlist" => conf.sortlist = true,
                b"options" => conf.set_options(argument, glibc),
                _ => {}
            }
        }
        if conf.servers.is_empty() {
            conf.servers.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        if !has_search {
            let dot = host_name.iter().position(|&byte| byte == b'.');
            conf.search.extend(dot.map(|dot| host_name[dot + 1..].into()));
        }
        conf
    }

    /// The words of an `options` line. They are known by how they begin: `rotated` is `rotate`.
    fn set_options(&mut self, line: &[u8], glibc: (u32, u32)) {
        let mut rest = skip(line, is_blank);
        while !rest.is_empty() {
            if let Some(number) = rest.strip_prefix(b"ndots:") {
                let ndots = leading_int(number);
                // Kept in a field of four bits, whose check of itself a negative number fails.
                self.unsure |= ndots < 0;
                self.ndots = ndots.clamp(0, MAX_NDOTS) as u32;
            } else if let Some(number) = rest.strip_prefix(b"timeout:") {
                self.timeout = leading_int(number).clamp(0, MAX_TIMEOUT) as u32;
            } else if let Some(number) = rest.strip_prefix(b"attempts:") {
                self.attempts = leading_int(number).clamp(0, MAX_ATTEMPTS) as u32;
            } else {
                self.set_flag(rest, glibc);
            }
            rest = skip(skip(rest, |byte| !is_blank(byte)), is_blank);
        }
    }

    fn set_flag(&mut self, word: &[u8], glibc: (u32, u32)) {
        let (value, name) = match word.strip_prefix(b"-") {
            Some(name) => (false, name),
            None => (true, word),
        };
        let Some((_, flag, since)) = FLAGS.iter().find(|(flag, ..)| name.starts_with(flag)) else { return };
        *flag(self) = value;
        // Negation came with strict-error.
        self.unsure |= glibc < if value { *since } else { STRICT_ERROR_SINCE };
    }
}

/// What strtol(3) makes of the beginning of a text, as C narrows it to an int.
fn leading_int(text: &[u8]) -> i32 {
    let text = skip(text, super::text::is_space);
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        _ => (false, text),
    };
    let digits = until(digits, |byte| !byte.is_ascii_digit());
    let magnitude =
        digits.iter().fold(0i64, |sum, digit| sum.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    let number = match (magnitude, negative) {
        // The magnitude of the least number is one more than that of the greatest.
        (i64::MAX, true) => i64::MIN,
        (_, true) => -magnitude,
        (_, false) => magnitude,
    };
    number as i32
}

/// The address after `nameserver`.
fn server(word: &[u8], interface: impl Fn(&[u8]) -> Option<u32>) -> Option<SocketAddr> {
    if let Some(v4) = address::lenient_v4(word) {
        return Some((IpAddr::V4(v4), PORT).into());
    }
    let host = until(word, |byte| byte == b'%');
    let v6 = address::strict_v6(host)?;
    let scope = word.get(host.len() + 1..).map_or(0, |scope| scope_id(v6, scope, interface));
    Some(SocketAddrV6::new(v6, PORT, 0, scope).into())
}

/// The scope after `%`: the name of an interface, for addresses that need one, or a number. 0 if it is
/// neither.
fn scope_id(address: Ipv6Addr, scope: &[u8], interface: impl Fn(&[u8]) -> Option<u32>) -> u32 {
    // fe80::/10, ff01::/16 and ff02::/16 with any flags (RFC 4291, section 2.7).
    let first = address.segments()[0];
    let has_scope = first & 0xffc0 == 0xfe80 || first & 0xff0f == 0xff01 || first & 0xff0f == 0xff02;
    let named = if has_scope { interface(scope).filter(|&index| index != 0) } else { None };
    let is_number = scope.iter().all(u8::is_ascii_digit);
    let number = || std::str::from_utf8(scope).ok().filter(|_| is_number)?.parse().ok();
    named.or_else(number).unwrap_or(0)
}
