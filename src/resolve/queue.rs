//! The order in which requests are served.
//!
//! First come, first served, with one exception that matters only while every worker is busy: a companion (a lookup that is not needed if
//! the one started with it leads to a connection) gives way to ordinary ones, except that a few workers are its own. So thousands of names at
//! once are looked up in their first family first, and most of the second family's lookups are given up before they cost
//! anything; but where the first family's name servers do not answer, the second family does not wait for them. When the first has found
//! something, the companion rests until its owner has seen to that: it is then given up, or hastened, which makes it the next to be
//! served.

use std::collections::VecDeque;

/// Where in the queue something begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// It has become clear that it is needed.
    Next = 0,
    Ordinary = 1,
    Companion = 2,
    /// Not served before it is put into another lane.
    Resting = 3,
}

/// How many low bits of a ticket name the lane.
const LANE_BITS: u32 = 2;

pub(super) struct Queue<T> {
    /// Each in the order of its numbers.
    lanes: [VecDeque<Place<T>>; 4],
    /// How many are to be served: those at rest are not.
    waiting: usize,
    last_number: u64,
}

struct Place<T> {
    number: u64,
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
    pub fn push(&mut self, lane: Lane, make: impl FnOnce(u64) -> T) -> u64 {
        self.last_number += 1;
        let ticket = self.last_number << LANE_BITS | lane as u64;
        let content = Some(make(ticket));
        self.lanes[lane as usize].push_back(Place { number: self.last_number, content });
        self.waiting += usize::from(lane != Lane::Resting);
        ticket
    }

    /// The next to be served and its ticket, for a pool of `workers` of which `busy` serve ordinary requests.
    pub fn pop(&mut self, busy: usize, workers: usize) -> Option<(T, u64)> {
        // The front of a lane, where there is one, is never an empty place.
        let front = |lane: Lane| self.lanes[lane as usize].front().map(|place| place.number);
        let lane = match (front(Lane::Next), front(Lane::Ordinary), front(Lane::Companion)) {
            (Some(_), ..) => Lane::Next,
            (None, Some(ordinary), Some(companion)) => {
                let first_come = if companion < ordinary { Lane::Companion } else { Lane::Ordinary };
                match companions_share(workers) {
                    0 => first_come,
                    share if busy + share >= workers => Lane::Companion,
                    _ => Lane::Ordinary,
                }
            }
            (None, Some(_), None) => Lane::Ordinary,
            (None, None, _) => Lane::Companion,
        };
        let Place { number, content } = self.lanes[lane as usize].pop_front()?;
        self.waiting -= 1;
        self.clear_front(lane as usize);
        Some((content?, number << LANE_BITS | lane as u64))
    }

    /// Takes out the companion of an ordinary one: what was put in right after it.
    pub fn remove_companion(&mut self, ticket: u64) -> Option<T> {
        let next = (ticket >> LANE_BITS) + 1;
        self.remove(next << LANE_BITS | Lane::Companion as u64)
    }

    /// Takes something out; None if it was served or taken out before.
    pub fn remove(&mut self, ticket: u64) -> Option<T> {
        let index = (ticket & ((1 << LANE_BITS) - 1)) as usize;
        let lane = self.lanes.get_mut(index)?;
        let place = lane.binary_search_by_key(&(ticket >> LANE_BITS), |place| place.number).ok()?;
        let content = lane[place].content.take()?;
        self.waiting -= usize::from(index != Lane::Resting as usize);
        self.clear_front(index);
        Some(content)
    }

    /// Empties it.
    pub fn drain(&mut self) -> Vec<T> {
        self.waiting = 0;
        self.lanes.iter_mut().flat_map(std::mem::take).filter_map(|place| place.content).collect()
    }

    fn clear_front(&mut self, lane: usize) {
        while self.lanes[lane].front().is_some_and(|place| place.content.is_none()) {
            self.lanes[lane].pop_front();
        }
    }
}

/// Whether a ticket was given in the ordinary lane.
pub(super) fn is_ordinary(ticket: u64) -> bool {
    ticket & ((1 << LANE_BITS) - 1) == Lane::Ordinary as u64
}

/// How many workers do not serve ordinary requests while companions wait. Few suffice: those that answer at all answer soon.
fn companions_share(workers: usize) -> usize {
    if workers < 2 { 0 } else { (workers / 32).max(1) }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Names 0..10, each with a question for IPv6 and its companion for IPv4.
    fn ten_names() -> Queue<(usize, usize)> {
        let mut queue = Queue::new();
        for name in 0..10 {
            queue.push(Lane::Ordinary, |_| (name, 6));
            queue.push(Lane::Companion, |_| (name, 4));
        }
        queue
    }

    fn popped(queue: &mut Queue<(usize, usize)>, busy: usize, workers: usize) -> (usize, usize) {
        queue.pop(busy, workers).unwrap().0
    }

    #[test]
    fn companions_give_way_but_for_their_share() {
        let mut queue = ten_names();
        assert_eq!(popped(&mut queue, 0, 64), (0, 6));
        assert_eq!(popped(&mut queue, 61, 64), (1, 6));
        assert_eq!(popped(&mut queue, 62, 64), (0, 4));
        assert_eq!(popped(&mut queue, 62, 64), (1, 4));
        let mut queue = ten_names();
        assert_eq!((popped(&mut queue, 0, 2), popped(&mut queue, 1, 2)), ((0, 6), (0, 4)));
    }

    #[test]
    fn one_worker_serves_in_the_order_of_arrival() {
        let mut queue = ten_names();
        for name in 0..10 {
            assert_eq!((popped(&mut queue, 0, 1), popped(&mut queue, 0, 1)), ((name, 6), (name, 4)));
        }
        assert!(queue.pop(0, 1).is_none());
    }

    #[test]
    fn each_is_served_once_whoever_asks() {
        let mut queue = ten_names();
        let mut order: Vec<_> = (0..20).map(|turn| popped(&mut queue, turn % 5, 4)).collect();
        assert!(queue.pop(0, 4).is_none() && queue.len() == 0);
        order.sort_unstable();
        order.dedup();
        assert_eq!(order.len(), 20);
    }

    #[test]
    fn what_is_needed_is_next() {
        let mut queue = Queue::new();
        queue.push(Lane::Ordinary, |_| 1);
        let ticket = queue.push(Lane::Companion, |_| 2);
        let needed = queue.remove(ticket).unwrap();
        queue.push(Lane::Next, |_| needed);
        let order: Vec<_> = std::iter::from_fn(|| queue.pop(0, 8)).map(|(request, _)| request).collect();
        assert_eq!(order, [2, 1]);
    }

    #[test]
    fn a_companion_at_rest_is_served_only_when_it_is_needed() {
        let mut queue = ten_names();
        let (name, ticket) = queue.pop(0, 8).unwrap();
        assert!(is_ordinary(ticket));
        let companion = queue.remove_companion(ticket).unwrap();
        assert_eq!((name, companion), ((0, 6), (0, 4)));
        assert!(queue.remove_companion(ticket).is_none());
        let resting = queue.push(Lane::Resting, |_| companion);
        assert_eq!(queue.len(), 18);
        assert!((0..18).all(|_| popped(&mut queue, 0, 8) != companion));
        assert!(queue.len() == 0 && queue.pop(0, 8).is_none());
        let needed = queue.remove(resting).unwrap();
        queue.push(Lane::Next, |_| needed);
        assert_eq!(popped(&mut queue, 0, 8), companion);
    }

    #[test]
    fn what_was_taken_out_is_not_served() {
        let mut queue = Queue::new();
        let tickets: Vec<u64> = (0..6).map(|number| queue.push(Lane::Ordinary, |_| number)).collect();
        for gone in [0, 1, 3, 5] {
            assert_eq!(queue.remove(tickets[gone]), Some(gone));
            assert_eq!(queue.remove(tickets[gone]), None);
        }
        assert_eq!((queue.len(), queue.remove(0)), (2, None));
        assert_eq!(queue.pop(0, 8).map(|(request, _)| request), Some(2));
        assert_eq!((queue.drain(), queue.len()), (vec![4], 0));
    }
}
