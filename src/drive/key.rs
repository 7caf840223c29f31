//! What a driver waits for.

use crate::race::AttemptId;

/// One thing that is waited for with a descriptor: every way to wait (poll, epoll, a caller's loop) knows it
/// by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The wake-up: a lookup has ended, or somebody wants the driver's attention.
    WakeUp,
    /// The timer that makes a descriptor readable when something is due.
    Timer,
    /// The socket of an attempt.
    Attempt(AttemptId),
    /// A descriptor of the driver's [`Client`](crate::lookup::Client), by its number there.
    Lookup(u32),
}

/// How many bits a key takes, so that a driver of many has the others to say whose it is.
pub const KEY_BITS: u32 = 34;

impl Key {
    /// The key as a number below 2^[`KEY_BITS`]: the kind above the attempt's number.
    pub fn to_bits(self) -> u64 {
        let (kind, number) = match self {
            Key::WakeUp => (0, 0),
            Key::Timer => (1, 0),
            Key::Attempt(attempt) => (2, attempt.0),
            Key::Lookup(socket) => (3, socket),
        };
        kind << 32 | u64::from(number)
    }

    /// The key that a number came from; what is above its bits is ignored.
    pub fn from_bits(bits: u64) -> Key {
        match bits >> 32 & 3 {
            0 => Key::WakeUp,
            1 => Key::Timer,
            2 => Key::Attempt(AttemptId(bits as u32)),
            _ => Key::Lookup(bits as u32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_its_bits_whoever_it_belongs_to() {
        let attempts = [0, u32::MAX].map(|number| Key::Attempt(AttemptId(number)));
        let lookups = [0, u32::MAX].map(Key::Lookup);
        for key in [Key::WakeUp, Key::Timer].into_iter().chain(attempts).chain(lookups) {
            assert!(key.to_bits() < 1 << KEY_BITS);
            assert_eq!(Key::from_bits(key.to_bits()), key);
            assert_eq!(Key::from_bits(key.to_bits() | 0xffffff << KEY_BITS), key);
        }
    }
}
