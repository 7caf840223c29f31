//! Ids of questions that nobody can guess (RFC 5452, section 9.2).

use crate::sys::random;
use std::io;

/// Random numbers, drawn from the kernel some at a time.
pub struct Ids {
    drawn: Vec<u8>,
    /// How many bytes are drawn at a time.
    at_a_time: usize,
}

impl Ids {
    /// For a client that asks for one name: the two ids that it needs, and no more.
    pub fn few() -> Ids {
        Ids { drawn: Vec::new(), at_a_time: 4 }
    }

    /// For a client that asks for many: getrandom(2) gives up to 256 bytes without being interrupted.
    pub fn many() -> Ids {
        Ids { drawn: Vec::new(), at_a_time: 256 }
    }

    /// An id that is not among those in use, of which there are few.
    pub fn draw(&mut self, is_in_use: impl Fn(u16) -> bool) -> io::Result<u16> {
        loop {
            let (Some(high), Some(low)) = (self.drawn.pop(), self.drawn.pop()) else {
                self.drawn.resize(self.at_a_time, 0);
                random::fill(&mut self.drawn).inspect_err(|_| self.drawn.clear())?;
                continue;
            };
            let id = u16::from_be_bytes([high, low]);
            if !is_in_use(id) {
                return Ok(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_id_is_given_out_that_is_in_use_and_no_two_clients_draw_the_same() {
        let draw = |mut ids: Ids| {
            let mut seen = HashSet::new();
            for _ in 0..300 {
                let id = ids.draw(|id| seen.contains(&id)).unwrap();
                assert!(seen.insert(id));
            }
            seen
        };
        assert_ne!(draw(Ids::few()), draw(Ids::many()));
    }
}
