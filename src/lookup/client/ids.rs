//! Ids of questions that nobody can guess (RFC 5452, section 9.2).

use crate::sys::fork::PerProcess;
use crate::sys::random;
use std::io;
use std::sync::{Mutex, PoisonError};

/// Bytes that are drawn from the kernel at a time: getrandom(2) gives as many without being interrupted.
const AT_A_TIME: usize = 256;

/// An id that is not among those in use, of which there are few. From random bytes that the whole process
/// shares, each of them given out once: a lone name needs four, for which the kernel would take as long as
/// for all. The child of a fork draws its own.
pub fn draw(is_in_use: impl Fn(u16) -> bool) -> io::Result<u16> {
    static DRAWN: PerProcess<Mutex<Vec<u8>>> = PerProcess::new();
    let mut drawn = DRAWN.get(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let (Some(high), Some(low)) = (drawn.pop(), drawn.pop()) else {
            drawn.resize(AT_A_TIME, 0);
            random::fill(&mut drawn).inspect_err(|_| drawn.clear())?;
            continue;
        };
        let id = u16::from_be_bytes([high, low]);
        if !is_in_use(id) {
            return Ok(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn no_id_is_given_out_that_is_in_use_and_nothing_is_given_out_again() {
        let draw = || {
            let mut seen = HashSet::new();
            for _ in 0..300 {
                let id = super::draw(|id| seen.contains(&id)).unwrap();
                assert!(seen.insert(id));
            }
            seen
        };
        assert_ne!(draw(), draw());
    }
}
