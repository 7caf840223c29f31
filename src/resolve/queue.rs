//! The order in which requests are served.
//!
//! First come, first served, with one exception that matters only while every worker is busy: a companion (a lookup that is not needed if
//! the one started with it leads to a connection) counts as having come a little later. So thousands of names at once are looked up in
//! their first family first, and most of the second family's lookups are given up before they cost anything; none waits for more
//! than what came within that little time after it. One that turns out to be needed is served next.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How much later than it came a companion counts as having come. Of the order of the Resolution Delay (RFC 8305, section 3), which is how long
/// a connect would wait for the first family anyway.
const COMPANION_DELAY: Duration = Duration::from_millis(50);

/// Where in the queue something begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// It has become clear that it is needed.
    Next = 0,
    Ordinary = 1,
    Companion = 2,
}

/// How many low bits of a ticket name the lane.
const LANE_BITS: u32 = 2;

pub(super) struct Queue<T> {
    /// Each in the order of its numbers.
    lanes: [VecDeque<Place<T>>; 3],
    waiting: usize,
    last_number: u64,
}

struct Place<T> {
    number: u64,
    counts_from: Instant,
    /// None: taken out. The place goes when it comes to the front, so that taking out moves nothing.
    content: Option<T>,
}

impl<T> Queue<T> {
    pub fn new() -> Queue<T> {
        Queue { lanes: Default::default(), waiting: 0, last_number: 0 }
    }

    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Puts something in, and gives the ticket (never 0) to find it with.
    pub fn push(&mut self, lane: Lane, now: Instant, make: impl FnOnce(u64) -> T) -> u64 {
        self.last_number += 1;
        let ticket = self.last_number << LANE_BITS | lane as u64;
        let counts_from = if lane == Lane::Companion { now + COMPANION_DELAY } else { now };
        let content = Some(make(ticket));
        self.lanes[lane as usize].push_back(Place { number: self.last_number, counts_from, content });
        self.waiting += 1;
        ticket
    }

    /// The next to be served.
    pub fn pop(&mut self) -> Option<T> {
        // The front of a lane, where there is one, is never an empty place.
        let front = |lane: Lane| self.lanes[lane as usize].front().map(|place| place.counts_from);
        let lane = match (front(Lane::Next), front(Lane::Ordinary), front(Lane::Companion)) {
            (Some(_), ..) => Lane::Next,
            (None, Some(ordinary), Some(companion)) if companion < ordinary => Lane::Companion,
            (None, Some(_), _) => Lane::Ordinary,
            (None, None, _) => Lane::Companion,
        };
        let content = self.lanes[lane as usize].pop_front()?.content;
        self.waiting -= 1;
        self.clear_front(lane as usize);
        content
    }

    /// Takes something out; None if it was served or taken out before.
    pub fn remove(&mut self, ticket: u64) -> Option<T> {
        let index = (ticket & ((1 << LANE_BITS) - 1)) as usize;
        let lane = self.lanes.get_mut(index)?;
        let place = lane.binary_search_by_key(&(ticket >> LANE_BITS), |place| place.number).ok()?;
        let content = lane[place].content.take()?;
        self.waiting -= 1;
        self.clear_front(index);
        Some(content)
    }

    /// Empties it.
    pub fn drain(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.pop()).collect()
    }

    fn clear_front(&mut self, lane: usize) {
        while self.lanes[lane].front().is_some_and(|place| place.content.is_none()) {
            self.lanes[lane].pop_front();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn companions_come_after_what_came_soon_after_them_and_before_the_rest() {
        let (mut queue, began) = (Queue::new(), Instant::now());
        for name in 0..10 {
            let now = began + ms(name * 10);
            queue.push(Lane::Ordinary, now, |_| (name, 6));
            queue.push(Lane::Companion, now, |_| (name, 4));
        }
        let order: Vec<_> = queue.drain();
        let place = |what| order.iter().position(|&other| other == what).unwrap();
        assert_eq!((order.len(), queue.len()), (20, 0));
        assert_eq!(order[0], (0, 6));
        assert!(place((0, 4)) > place((5, 6)) && place((0, 4)) < place((6, 6)));
        assert!((1..10).all(|name| place((name, 6)) > place((name - 1, 6)) && place((name, 4)) > place((name - 1, 4))));
    }

    #[test]
    fn what_is_needed_is_next() {
        let (mut queue, now) = (Queue::new(), Instant::now());
        queue.push(Lane::Ordinary, now, |_| 1);
        let ticket = queue.push(Lane::Companion, now, |_| 2);
        queue.push(Lane::Ordinary, now, |_| 3);
        let needed = queue.remove(ticket).unwrap();
        queue.push(Lane::Next, now, |_| needed);
        assert_eq!(queue.drain(), [2, 1, 3]);
    }

    #[test]
    fn what_was_taken_out_is_not_served() {
        let (mut queue, now) = (Queue::new(), Instant::now());
        let tickets: Vec<u64> = (0..6).map(|number| queue.push(Lane::Ordinary, now, |_| number)).collect();
        for gone in [0, 1, 3, 5] {
            assert_eq!(queue.remove(tickets[gone]), Some(gone));
            assert_eq!(queue.remove(tickets[gone]), None);
        }
        assert_eq!((queue.len(), queue.remove(0)), (2, None));
        assert_eq!(queue.drain(), [2, 4]);
    }
}
