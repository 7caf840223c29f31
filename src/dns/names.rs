//! What can be told of a name by looking at it: whether it is put to DNS at all, and which modules may know
//! it.
use super::address;

/// The longest name on the wire (RFC 1035, section 2.3.4), the label of the root included.
const LONGEST_NAME: usize = 255;
/// RFC 1035, section 2.3.4.
const LONGEST_LABEL: usize = 63;

/// How a name is to be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// A host name: every source is asked.
    HostName,
    /// No host name (a blank, `*`, a letter outside ASCII, an empty label, a leading `-`, ...): hosts(5) may
    /// still have it, but DNS says "not found" without a packet (res_hnok(3)).
    NotAHostName,
    /// Something that libc takes, or may take, for an address or a scope.
    Numeric,
    /// libc reads an escape, and what comes of it depends on the source.
    Escaped,
    Empty,
}

/// The form of a name, which holds no zero byte.
pub fn form(name: &[u8]) -> Form {
    if name.is_empty() {
        Form::Empty
    } else if name.contains(&b'\\') {
        Form::Escaped
    } else if is_numeric(name) {
        Form::Numeric
    } else if is_host_name(name) {
        Form::HostName
    } else {
        Form::NotAHostName
    }
}

/// Whether libc takes the name for an address, or refuses it because it looks like one: a `:` or a `%`
/// anywhere, digits and dots with no dot at the end (`nss/digits_dots.c`), and all that inet_aton(3) reads.
fn is_numeric(name: &[u8]) -> bool {
    if name.iter().any(|byte| matches!(byte, b':' | b'%')) {
        return true;
    }
    let digits = name[0].is_ascii_digit() && name.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    digits && !name.ends_with(b".") || address::lenient_v4(name).is_some()
}

/// res_hnok(3) for a name without escapes: labels of letters, digits, `-` and `_`, of 1 to 63 bytes, 255 in
/// all as they go over the wire, no `-` at the very beginning. A dot at the end is fine, and so is a dot
/// alone.
fn is_host_name(name: &[u8]) -> bool {
    if name == b"." {
        return true;
    }
    let name = name.strip_suffix(b".").unwrap_or(name);
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    // Each label has a length byte before it, and the root ends the name.
    name.len() + 2 <= LONGEST_NAME
        && !name.starts_with(b"-")
        && name
            .split(|&byte| byte == b'.')
            .all(|label| (1..=LONGEST_LABEL).contains(&label.len()) && label.iter().all(is_letter))
}

/// Whether nss-mdns may know the name: it ends in `.local`, with or without a dot behind. Newer versions also
/// want exactly two labels and no SOA record for `local`; older ones do not.
pub fn is_multicast(name: &[u8]) -> bool {
    ends_with(without_dot(name), b".local")
}

/// Whether nss-myhostname(8) may know the name, in any of its versions: the names of this machine, of its
/// gateway, and of the address it is seen with. `node_name` is uname(2)'s. Some versions mind the case of the
/// last, which is overlooked here: a name too many is asked of libc, none too few.
pub fn is_my_host_name(name: &[u8], node_name: &[u8]) -> bool {
    let name = without_dot(name);
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    is(b"localhost")
        || is(b"localhost.localdomain")
        || ends_with(name, b".localhost")
        || ends_with(name, b".localhost.localdomain")
        || is(b"_gateway")
        || is(b"gateway")
        || is(b"_outbound")
        || is(without_dot(node_name))
}

/// Whether the name can be that of a machine of nss-mymachines(8), and a file in /run/systemd/machines: not a
/// path.
pub fn can_be_machine(name: &[u8]) -> bool {
    !name.contains(&b'/') && !matches!(name, b"" | b"." | b"..")
}

fn without_dot(name: &[u8]) -> &[u8] {
    name.strip_suffix(b".").unwrap_or(name)
}

fn ends_with(name: &[u8], suffix: &[u8]) -> bool {
    name.len() >= suffix.len() && name[name.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
}
