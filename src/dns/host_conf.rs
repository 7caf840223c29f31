//! host.conf(5): of all it can say, only `multi` and `reorder` still act in glibc (`resolv/res_hconf.c`).
use super::text::{is_space, skip, to_nul, until};

/// glibc reads lines into a buffer of 256 bytes; what a longer line has beyond 255 counts as a line of its
/// own.
const LONGEST_LINE: usize = 255;

/// What host.conf(5) says. The default is that of a system without the file, as small images often are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostConf {
    /// All lines of hosts(5) that name a host count, not only the first.
    pub multi: bool,
    /// IPv4 addresses are sorted by the networks of this machine.
    pub reorder: bool,
}

impl HostConf {
    /// Reads a whole file; `None` if there is none. glibc reads it once in the life of a process.
    pub fn parse(text: Option<&[u8]>) -> HostConf {
        let mut conf = HostConf::default();
        let lines = text.unwrap_or_default().split_inclusive(|&byte| byte == b'\n');
        for line in lines.flat_map(|line| line.chunks(LONGEST_LINE)) {
            let line = skip(until(to_nul(line), |byte| byte == b'\n'), is_space);
            let command = until(line, |byte| is_space(byte) || byte == b'#' || byte == b',');
            let setting = if command.eq_ignore_ascii_case(b"multi") {
                &mut conf.multi
            } else if command.eq_ignore_ascii_case(b"reorder") {
                &mut conf.reorder
            } else {
                continue;
            };
            let argument = skip(&line[command.len()..], is_space);
            // Only the beginning counts: "only" is on.
            let begins = |word: &[u8]| argument.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
            if begins(b"on") {
                *setting = true;
            } else if begins(b"off") {
                *setting = false;
            }
        }
        conf
    }
}
