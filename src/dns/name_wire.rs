//! Domain names as they stand in a message (RFC 1035, section 4.1.4): labels with their lengths, the root
//! label at the end.
//!
//! Kept on the stack, 255 octets at most. Reading follows compression pointers as glibc does, forward ones
//! too, with one limit of our own: no more pointers than a name has octets, so that a message of pointers to
//! pointers costs no more than any other of its size.

use std::fmt;

/// The most octets of a name, root label included (RFC 1035, section 2.3.4).
pub const LONGEST_NAME: usize = 255;
/// The most octets of a label (RFC 1035, section 2.3.4).
const LONGEST_LABEL: usize = 63;
/// No message of a server comes near it: a pointer to a pointer serves nothing.
const MOST_POINTERS: usize = LONGEST_NAME;

/// A domain name in wire form, not compressed.
#[derive(Clone, Debug)]
pub struct WireName {
    octets: [u8; LONGEST_NAME],
    length: u8,
}

/// Not a domain name: an empty label within it, a label over 63 octets, more than 255 octets, a broken
/// escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAName;

/// Why there is no name at a place of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// What stands there is none, whatever follows the message.
    NotAName,
    /// It goes on at this place, which is beyond the end of the message.
    BeyondEnd(usize),
}

impl WireName {
    /// From presentation form: labels between dots, `\` before a character or three decimal digits. With or
    /// without a dot at the end; `""` and `"."` are the root.
    pub fn from_presentation(text: impl IntoIterator<Item = u8>) -> Result<WireName, NotAName> {
        let mut name = WireName { octets: [0; LONGEST_NAME], length: 0 };
        let mut text = text.into_iter().peekable();
        // The root, which is the only name that may begin with a dot.
        let mut label = 0;
        let mut at = 1;
        while let Some(octet) = text.next() {
            if octet == b'.' {
                let length = at - label - 1;
                let last = text.peek().is_none();
                if length > LONGEST_LABEL || length == 0 && !(last && label == 0) {
                    return Err(NotAName);
                }
                name.octets[label] = length as u8;
                if length > 0 {
                    label = at;
                    at += 1;
                }
                continue;
            }
            let octet = if octet == b'\\' { escaped(&mut text)? } else { octet };
            *name.octets.get_mut(at).ok_or(NotAName)? = octet;
            at += 1;
        }
        // The last label; nothing follows a dot at the end, and the length that stands there is the root's.
        let length = at - label - 1;
        if length > LONGEST_LABEL {
            return Err(NotAName);
        }
        *name.octets.get_mut(label).ok_or(NotAName)? = length as u8;
        // The root label after the last one: it is zero already, and only has to fit.
        let end = if length > 0 { at + 1 } else { label + 1 };
        if end > LONGEST_NAME {
            return Err(NotAName);
        }
        name.length = end as u8;
        Ok(name)
    }

    /// The name that stands at `at` in `message`, and the place after it there.
    pub fn read(message: &[u8], at: usize) -> Result<(WireName, usize), Unreadable> {
        let mut name = WireName { octets: [0; LONGEST_NAME], length: 0 };
        let mut length = 0;
        let (mut at, mut after) = (at, None);
        let mut pointers = 0;
        loop {
            let octet = *message.get(at).ok_or(Unreadable::BeyondEnd(at))?;
            match octet {
                0 => break,
                1..=63 => {
                    let end = at + 1 + usize::from(octet);
                    // The root label has to fit after it.
                    let room = name.octets[..LONGEST_NAME - 1].get_mut(length..length + end - at);
                    let room = room.ok_or(Unreadable::NotAName)?;
                    let label = message.get(at..end).ok_or(Unreadable::BeyondEnd(message.len()))?;
                    room.copy_from_slice(label);
                    length += label.len();
                    at += label.len();
                }
                0xc0.. => {
                    pointers += 1;
                    if pointers > MOST_POINTERS {
                        return Err(Unreadable::NotAName);
                    }
                    let low = *message.get(at + 1).ok_or(Unreadable::BeyondEnd(at + 1))?;
                    after = after.or(Some(at + 2));
                    at = usize::from(octet & 0x3f) << 8 | usize::from(low);
                }
                _ => return Err(Unreadable::NotAName),
            }
        }
        name.length = (length + 1) as u8;
        Ok((name, after.unwrap_or(at + 1)))
    }

    pub fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.length)]
    }

    /// Whether both are the same name: upper and lower case of ASCII letters are equal (RFC 4343).
    pub fn is_same(&self, other: &WireName) -> bool {
        // Lengths of labels are below the letters, so that they compare as they are.
        self.octets().eq_ignore_ascii_case(other.octets())
    }
}

/// In presentation form, which [`WireName::from_presentation`] reads as the same name: without the dot at the
/// end, and so the root is empty.
impl fmt::Display for WireName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.octets();
        while let Some((&length @ 1.., after)) = rest.split_first() {
            if rest.len() < self.octets().len() {
                f.write_str(".")?;
            }
            let (label, after) = after.split_at(usize::from(length));
            for &octet in label {
                match octet {
                    b'.' | b'\\' => write!(f, "\\{}", char::from(octet))?,
                    b'!'..=b'~' => write!(f, "{}", char::from(octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            rest = after;
        }
        Ok(())
    }
}

/// What follows a backslash.
fn escaped(text: &mut impl Iterator<Item = u8>) -> Result<u8, NotAName> {
    let first = text.next().ok_or(NotAName)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let mut value = u32::from(first - b'0');
    for _ in 0..2 {
        let digit = text.next().filter(u8::is_ascii_digit).ok_or(NotAName)?;
        value = value * 10 + u32::from(digit - b'0');
    }
    u8::try_from(value).map_err(|_| NotAName)
}
