//! How many questions may be under way to one server.
//!
//! A server that falls behind loses what its socket's buffer has no room for, and every loss costs the name a
//! wait of seconds (resolv.conf(5), `timeout`). The buffer that Linux gives a socket (`rmem_default`) holds
//! 256 datagrams of the size of a question, and a quarter of it may be taken up by what was read already
//! (udp(7) sockets give memory back in such pieces).
//!
//! What is beyond that is safe only while the server reads. So questions to a slow server leave evenly: one that
//! answers in batches, and reads nothing meanwhile, would be asked in batches too, and each would be larger.

use std::time::{Duration, Instant};

/// What a window begins with: a hundred names, for both families. For 192 questions there is room for certain; of
/// 320,000 that were asked of a busy server 200 at a time none was lost, with 240 some were.
const FIRST: u32 = 200;
/// More are never under way.
const MOST: u32 = 1024;
/// Less it never becomes.
const LEAST: u32 = 32;
/// How many answers make it wider by one.
const ANSWERS_TO_GROW: u32 = 4;
/// A server that has answered sooner is kept busy by what is under way already, and its slow answers have
/// waited in its buffer: more would only wait there too.
const SLOW: Duration = Duration::from_millis(5);
/// By which part of itself the soonest time rises with each answer: an answer after 100 us is forgotten when
/// 8,000 have come, all after more than [`SLOW`].
const RISE: u32 = 2048;
/// How many questions may leave at once to a server that is asked evenly, to make up for time when none could.
const BURST: u32 = 64;

/// The window of one server.
#[derive(Debug)]
pub struct Window {
    width: u32,
    under_way: u32,
    /// Answers since it has grown.
    answers: u32,
    /// The soonest that an answer has come after its question. It rises by and by, since servers change. One of
    /// which nothing is known yet counts as quick, for a window's worth of answers.
    soonest: Duration,
    /// When the next question may leave, if they leave evenly.
    next: Option<Instant>,
}

impl Window {
    pub fn new() -> Window {
        Window { width: FIRST, under_way: 0, answers: 0, soonest: SLOW - SLOW / 8, next: None }
    }

    /// Whether so many more questions may go; where nothing is under way, any number may.
    pub fn admits(&self, questions: u32, now: Instant) -> bool {
        self.under_way == 0 || self.has_room(questions) && self.next.is_none_or(|next| next <= now)
    }

    /// When to ask again whether questions may go, if time alone keeps them back: some of them at a time.
    pub fn opens_at(&self) -> Option<Instant> {
        self.next.filter(|_| self.has_room(2)).map(|next| next + self.interval() * (BURST / 2))
    }

    pub fn begin(&mut self, questions: u32, now: Instant) {
        self.under_way += questions;
        if self.width > FIRST {
            // What was not used of the time that is past may be made up for, up to a point.
            let earliest = now.checked_sub(self.interval() * BURST).unwrap_or(now);
            let from = self.next.map_or(now, |next| next.max(earliest));
            self.next = Some(from + self.interval() * questions);
        } else {
            self.next = None;
        }
    }

    fn has_room(&self, questions: u32) -> bool {
        self.under_way + questions <= self.width
    }

    /// The time between two questions that fills the window just when the first answer comes.
    fn interval(&self) -> Duration {
        self.soonest / self.width
    }

    /// So many have come to their end, in whatever way.
    pub fn end(&mut self, questions: u32) {
        self.under_way -= questions;
    }

    /// An answer has come so long after its question.
    pub fn answered(&mut self, after: Duration) {
        self.soonest = self.soonest.saturating_add(self.soonest / RISE).min(after);
        let is_full = self.under_way + ANSWERS_TO_GROW >= self.width;
        if self.soonest < SLOW || !is_full || self.width >= MOST {
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
        let (mut window, now) = (Window::new(), Instant::now());
        window.begin(FIRST - 2, now);
        assert!(window.admits(2, now) && !window.admits(3, now));
        window.begin(2, now);
        assert!(!window.admits(1, now));
        window.end(FIRST);
        for _ in 0..20 {
            window.lost();
        }
        assert!(window.admits(1000, now));
        window.begin(LEAST, now);
        assert!(!window.admits(1, now));
    }

    #[test]
    fn it_grows_by_one_with_four_answers_of_a_slow_server_while_it_is_full() {
        let (mut window, now) = (Window::new(), Instant::now());
        window.begin(FIRST, now);
        (0..FIRST).for_each(|_| window.answered(SLOW));
        assert!(!window.admits(1, now), "nothing is known of it yet");
        while window.soonest < SLOW {
            window.answered(SLOW);
        }
        (0..3).for_each(|_| window.answered(SLOW));
        assert!(window.admits(1, now) && !window.admits(2, now));
        // Answers to few questions do not say that more would be of use.
        window.end(100);
        (0..80).for_each(|_| window.answered(SLOW));
        window.begin(100, now);
        let later = now + SLOW;
        assert!(window.admits(1, later) && !window.admits(2, later));
        for turn in 0..100_000 {
            let later = now + SLOW * (turn + 2);
            while window.admits(1, later) {
                window.begin(1, later);
            }
            window.answered(SLOW);
        }
        assert_eq!(window.under_way, MOST);
    }

    /// Twenty milliseconds for each answer, and five hundred of them at once.
    #[test]
    fn questions_to_a_slow_server_leave_evenly() {
        let begun = Instant::now();
        let (mut window, mut now) = (Window::new(), begun);
        (window.width, window.soonest) = (640, SLOW * 4);
        window.begin(640, now);
        window.end(500);
        now += SLOW * 6;
        let mut left = Vec::new();
        while left.iter().sum::<u32>() < 500 {
            let mut burst = 0;
            while window.admits(2, now) {
                window.begin(2, now);
                burst += 2;
            }
            left.push(burst);
            let opens = window.opens_at();
            assert_eq!(opens.is_some(), left.iter().sum::<u32>() < 500, "room, and not yet, or no room");
            now = opens.unwrap_or(now);
        }
        // What was saved up, then what a millisecond makes of it, within the time of one answer.
        assert_eq!(left[0], BURST + 2);
        assert!(left[1..].iter().all(|&burst| (2..=BURST / 2 + 2).contains(&burst)), "{left:?}");
        assert!(now - begun <= SLOW * 10);
    }

    #[test]
    fn a_server_that_was_quick_once_is_slow_only_after_thousands_of_slow_answers() {
        let (mut window, now) = (Window::new(), Instant::now());
        window.begin(FIRST, now);
        window.answered(SLOW / 50);
        (0..7_000).for_each(|_| window.answered(SLOW * 4));
        assert!(!window.admits(1, now));
        (0..2_000).for_each(|_| window.answered(SLOW * 4));
        assert!(window.admits(1, now));
    }

    #[test]
    fn a_loss_halves_it() {
        let (mut window, now) = (Window::new(), Instant::now());
        window.begin(70, now);
        window.lost();
        assert!(window.admits(FIRST / 2 - 70, now) && !window.admits(FIRST / 2 - 69, now));
    }
}
