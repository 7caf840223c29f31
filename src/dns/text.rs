//! The lines of a configuration file as C code reads them.

/// isspace(3) in the C locale: what separates words in nsswitch.conf(5), host.conf(5) and hosts(5).
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// What separates words in resolv.conf(5).
pub(super) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// As far as a C string goes.
pub(super) fn to_nul(line: &[u8]) -> &[u8] {
    until(line, |byte| byte == 0)
}

/// What comes before the first byte of a kind.
pub(super) fn until(text: &[u8], is_end: impl Fn(u8) -> bool) -> &[u8] {
    let length = text.iter().position(|&byte| is_end(byte)).unwrap_or(text.len());
    &text[..length]
}

/// What comes after the leading bytes of a kind.
pub(super) fn skip(text: &[u8], is_leading: impl Fn(u8) -> bool) -> &[u8] {
    let start = text.iter().position(|&byte| !is_leading(byte)).unwrap_or(text.len());
    &text[start..]
}
