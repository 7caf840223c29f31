//! Addresses as libc's own readers take them: inet_aton(3) for the lenient form, inet_pton(3) for the strict
//! one.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the last part of an address may be, by the number of parts before it: `a.b.c` has 16 bits in `c`
/// (inet_aton(3)).
const GREATEST_LAST_PART: [u32; 4] = [0xffff_ffff, 0xff_ffff, 0xffff, 0xff];

/// The IPv4 address that inet_aton(3) reads, if the whole text is one: one to four parts, each decimal, octal
/// after `0` or hexadecimal after `0x`. What follows a blank is no part of an address here, as in
/// resolv.conf(5) and getaddrinfo(3).
pub fn lenient_v4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut leading = 0u32;
    let mut count = 0;
    let mut rest = text;
    loop {
        let (value, after) = leading_number(rest)?;
        match after.split_first() {
            None => {
                let fits = value <= GREATEST_LAST_PART[count];
                return fits.then(|| Ipv4Addr::from_bits(leading | value));
            }
            Some((b'.', next)) if count < 3 && value <= 0xff => {
                leading |= value << (24 - 8 * count);
                count += 1;
                rest = next;
            }
            Some(_) => return None,
        }
    }
}

/// The number at the start, in the base that strtoul(3) finds for itself, and what follows it.
fn leading_number(text: &[u8]) -> Option<(u32, &[u8])> {
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    let hexadecimal = text.len() > 2 && text[0] == b'0' && text[1] | 0x20 == b'x' && text[2].is_ascii_hexdigit();
    let (base, digits) = match text[0] {
        b'0' if hexadecimal => (16, &text[2..]),
        b'0' => (8, text),
        _ => (10, text),
    };
    let length = digits.iter().take_while(|&&digit| char::from(digit).is_digit(base)).count();
    let mut value = 0u32;
    for &digit in &digits[..length] {
        value = value.checked_mul(base)?.checked_add(char::from(digit).to_digit(base)?)?;
    }
    Some((value, &digits[length..]))
}

/// The address that inet_pton(3) reads in either family: four decimal parts, or IPv6 without a scope.
pub fn strict(text: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The address that inet_pton(3) reads as IPv6.
pub fn strict_v6(text: &[u8]) -> Option<Ipv6Addr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
