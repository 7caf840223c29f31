//! How many questions may be under way to one server.
//!
//! A server that falls behind loses what its socket's buffer has no room for, and every loss costs the name a
//! wait of seconds (resolv.conf(5), `timeout`). The buffer that Linux gives a socket (`rmem_default`) holds
//! 256 datagrams of the size of a question.

use std::time::Duration;

/// What a window begins with.
const FIRST: u32 = 256;
/// More are never under way.
const MOST: u32 = 1024;
/// Less it never becomes.
const LEAST: u32 = 32;
/// How many answers make it wider by one.
const ANSWERS_TO_GROW: u32 = 8;
/// A server that answers sooner is kept busy by what is under way already: more would only wait in its
/// buffer.
const SLOW: Duration = Duration::from_millis(5);

/// The window of one server.
#[derive(Debug)]
pub struct Window {
    width: u32,
    under_way: u32,
    answers: u32,
}

impl Window {
    pub fn new() -> Window {
        Window { width: FIRST, under_way: 0, answers: 0 }
    }

    /// Whether so many more questions may go; where nothing is under way, any number may.
    pub fn admits(&self, questions: u32) -> bool {
        self.under_way == 0 || self.under_way + questions <= self.width
    }

    pub fn begin(&mut self, questions: u32) {
        self.under_way += questions;
    }

    /// So many have come to their end, in whatever way.
    pub fn end(&mut self, questions: u32) {
        self.under_way -= questions;
    }

    /// An answer has come so long after its question.
    pub fn answered(&mut self, after: Duration) {
        let is_full = self.under_way + ANSWERS_TO_GROW >= self.width;
        if after < SLOW || !is_full || self.width >= MOST {
            return;
        }
        self.answers += 1;
        if self.answers == ANSWERS_TO_GROW {
            self.answers = 0;
            self.width += 1;
        }
    }

    /// A question was not answered in time: perhaps there were too many.
    pub fn lost(&mut self) {
        self.width = (self.width / 2).max(LEAST);
        self.answers = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_what_a_servers_buffer_holds_and_lets_one_name_through_in_any_case() {
        let mut window = Window::new();
        window.begin(254);
        assert!(window.admits(2) && !window.admits(3));
        window.begin(2);
        assert!(!window.admits(1));
        window.end(256);
        for _ in 0..20 {
            window.lost();
        }
        assert!(window.admits(1000));
        window.begin(LEAST);
        assert!(!window.admits(1));
    }

    #[test]
    fn it_grows_by_one_with_eight_slow_answers_while_it_is_full() {
        let mut window = Window::new();
        window.begin(256);
        (0..8).for_each(|_| window.answered(SLOW));
        assert!(window.admits(1) && !window.admits(2));
        // Neither quick answers nor answers to few questions say that more would be of use.
        (0..80).for_each(|_| window.answered(SLOW / 2));
        assert!(!window.admits(2));
        window.end(200);
        (0..80).for_each(|_| window.answered(SLOW));
        window.begin(200);
        assert!(window.admits(1) && !window.admits(2));
        for _ in 0..100_000 {
            while window.admits(1) {
                window.begin(1);
            }
            window.answered(SLOW);
        }
        assert_eq!(window.under_way, MOST);
    }

    #[test]
    fn a_loss_halves_it() {
        let mut window = Window::new();
        window.begin(100);
        window.lost();
        assert!(window.admits(28) && !window.admits(29));
    }
}
