//! The order in which jobs are served.
//!
//! First come, first served, within priorities that matter only while every worker is busy. What is worth
//! doing when there is time for it gives way to what is needed now, except that a few workers are its own. So
//! thousands of names at once are looked up in their first family first, and most of the second family's
//! lookups are given up before they cost anything; but where the first family's name servers do not answer,
//! the second family does not wait for them.
//!
//! A job may follow another one, its leader. Leaders never take the workers that are kept for the others,
//! also when no other waits at that moment: the next may come in a moment, and a leader may hang. Once a
//! leader has found something its followers are held back when their turn comes, until they are raised: their
//! owner, who has been given what the leader found, knows whether they are still needed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// When a job is served, compared with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    Now,
    /// Now, by any worker but those that are kept for what can wait: others may follow it.
    Leading,
    /// After those that are needed now, but for the workers that are kept for it.
    WhenFree,
}

/// What a leader tells its followers.
#[derive(Debug, Default)]
pub(super) struct Link(AtomicBool);

impl Link {
    /// The leader has found something.
    pub fn leader_has_found(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn holds_back(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Where in the queue something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    /// Raised: before all others.
    Raised = 0,
    Now = 1,
    Leading = 2,
    WhenFree = 3,
    /// Its turn had come, but its leader has found something. Not served before it is raised.
    Held = 4,
}

/// How many low bits of a ticket name the lane that the job was put into.
const LANE_BITS: u32 = 3;

pub(super) struct Queue<T> {
    /// Each in the order of its numbers.
    lanes: [VecDeque<Place<T>>; 5],
    /// How many are to be served: those held back are not.
    waiting: usize,
    last_number: u64,
}

struct Place<T> {
    number: u64,
    /// None: taken out. The place goes when it comes to the front, so that taking out moves nothing.
    content: Option<T>,
    leader: Option<Arc<Link>>,
}

impl<T> Queue<T> {
    pub fn new() -> Queue<T> {
        Queue { lanes: Default::default(), waiting: 0, last_number: 0 }
    }

    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Puts something in, and gives the ticket (never 0) to find it with. `leader`: the link to the one that
    /// it follows.
    pub fn push(&mut self, priority: Priority, leader: Option<Arc<Link>>, make: impl FnOnce(u64) -> T) {
        let lane = match priority {
            Priority::Now => Lane::Now,
            Priority::Leading => Lane::Leading,
            Priority::WhenFree => Lane::WhenFree,
        };
        self.put(lane, leader, make);
    }

    /// Puts something that was taken out before all others.
    pub fn push_raised(&mut self, make: impl FnOnce(u64) -> T) {
        self.put(Lane::Raised, None, make);
    }

    fn put(&mut self, lane: Lane, leader: Option<Arc<Link>>, make: impl FnOnce(u64) -> T) {
        self.last_number += 1;
        let content = Some(make(self.last_number << LANE_BITS | lane as u64));
        self.lanes[lane as usize].push_back(Place { number: self.last_number, content, leader });
        self.waiting += 1;
    }

    /// The next to be served and its ticket; None also where all that waits has to wait until a worker is
    /// through.
    pub fn pop(&mut self, crew: Crew) -> Option<(T, u64)> {
        self.hold_back_followers();
        // The front of a lane, where there is one, is never an empty place.
        let front = |lane: Lane| self.lanes[lane as usize].front().map(|place| (place.number, lane));
        let kept = kept_for_when_free(crew.most);
        let leading = front(Lane::Leading).filter(|_| kept == 0 || crew.leading + kept < crew.most);
        let needed = front(Lane::Now).into_iter().chain(leading).min_by_key(|(number, _)| *number);
        let (_, lane) = front(Lane::Raised).or_else(|| match (needed, front(Lane::WhenFree)) {
            (Some(needed), Some(when_free)) => Some(match kept_for_when_free(crew.workers) {
                0 => std::cmp::min_by_key(needed, when_free, |(number, _)| *number),
                kept if crew.needed + kept >= crew.workers => when_free,
                _ => needed,
            }),
            (needed, when_free) => needed.or(when_free),
        })?;
        let Place { number, content, .. } = self.lanes[lane as usize].pop_front()?;
        self.waiting -= 1;
        self.clear_front(lane as usize);
        Some((content?, number << LANE_BITS | lane as u64))
    }

    /// Moves those at the front of their lane whose leader has found something out of the way. They come in
    /// the order of their numbers, so the lane that they come to stays in that order.
    fn hold_back_followers(&mut self) {
        let when_free = Lane::WhenFree as usize;
        let held = |place: &Place<T>| place.leader.as_ref().is_some_and(|leader| leader.holds_back());
        while self.lanes[when_free].front().is_some_and(held) {
            let place = self.lanes[when_free].pop_front();
            self.lanes[Lane::Held as usize].extend(place);
            self.waiting -= 1;
            self.clear_front(when_free);
        }
    }

    /// Takes something out; None if it was served or taken out before.
    pub fn remove(&mut self, ticket: u64) -> Option<T> {
        let (number, lane) = (ticket >> LANE_BITS, (ticket & ((1 << LANE_BITS) - 1)) as usize);
        if let Some(content) = self.remove_from(lane, number) {
            self.waiting -= 1;
            return Some(content);
        }
        // It may have been held back, and has kept its ticket.
        if lane == Lane::WhenFree as usize { self.remove_from(Lane::Held as usize, number) } else { None }
    }

    fn remove_from(&mut self, lane: usize, number: u64) -> Option<T> {
        let places = self.lanes.get_mut(lane)?;
        let place = places.binary_search_by_key(&number, |place| place.number).ok()?;
        let content = places[place].content.take()?;
        self.clear_front(lane);
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

/// The workers for whom something is to be served.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Crew {
    /// How many there are, and how many there may be.
    pub workers: usize,
    pub most: usize,
    /// How many serve what was needed now, and how many of these what leads.
    pub needed: usize,
    pub leading: usize,
}

impl Crew {
    /// Counts one that serves what has this ticket.
    pub fn begins(&mut self, ticket: u64) {
        let lane = ticket & ((1 << LANE_BITS) - 1);
        self.needed += usize::from(lane == Lane::Now as u64 || lane == Lane::Leading as u64);
        self.leading += usize::from(lane == Lane::Leading as u64);
    }

    /// Counts one that has served it.
    pub fn ends(&mut self, ticket: u64) {
        let lane = ticket & ((1 << LANE_BITS) - 1);
        self.needed -= usize::from(lane == Lane::Now as u64 || lane == Lane::Leading as u64);
        self.leading -= usize::from(lane == Lane::Leading as u64);
    }
}

/// How many workers are kept for what can wait. Few suffice: those that answer at all answer soon.
fn kept_for_when_free(workers: usize) -> usize {
    if workers < 2 { 0 } else { (workers / 32).max(1) }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Names 0..10, each with a question for IPv6 and, to be asked when there is time, one for IPv4. The
    /// links are those that the second ones have to the first.
    fn ten_names() -> (Queue<(usize, usize)>, Vec<Arc<Link>>) {
        let mut queue = Queue::new();
        let links: Vec<Arc<Link>> = (0..10).map(|_| Arc::default()).collect();
        for (name, link) in links.iter().enumerate() {
            queue.push(Priority::Leading, None, |_| (name, 6));
            queue.push(Priority::WhenFree, Some(link.clone()), |_| (name, 4));
        }
        (queue, links)
    }

    /// All workers that there may be are there; so many serve what leads.
    fn crew(leading: usize, workers: usize) -> Crew {
        Crew { workers, most: workers, needed: leading, leading }
    }

    fn popped(queue: &mut Queue<(usize, usize)>, leading: usize, workers: usize) -> (usize, usize) {
        queue.pop(crew(leading, workers)).unwrap().0
    }

    #[test]
    fn what_can_wait_gives_way_but_for_its_share() {
        let (mut queue, _) = ten_names();
        assert_eq!(popped(&mut queue, 0, 64), (0, 6));
        assert_eq!(popped(&mut queue, 61, 64), (1, 6));
        assert_eq!(popped(&mut queue, 62, 64), (0, 4));
        assert_eq!(popped(&mut queue, 62, 64), (1, 4));
        let (mut queue, _) = ten_names();
        assert_eq!((popped(&mut queue, 0, 2), popped(&mut queue, 1, 2)), ((0, 6), (0, 4)));
    }

    #[test]
    fn one_worker_serves_in_the_order_of_arrival() {
        let (mut queue, _) = ten_names();
        for name in 0..10 {
            assert_eq!((popped(&mut queue, 0, 1), popped(&mut queue, 0, 1)), ((name, 6), (name, 4)));
        }
        assert!(queue.pop(crew(0, 1)).is_none());
    }

    /// What hung in a program whose thread that adds names lost its CPU between two of them: the worker that
    /// was kept for IPv4 found none waiting, took a question for IPv6 that is never answered, and whoever
    /// came later had none.
    #[test]
    fn a_worker_that_is_kept_stays_free_of_leaders_although_nothing_else_waits() {
        let (mut queue, _) = ten_names();
        for name in 0..10 {
            assert_eq!(popped(&mut queue, 3, 4), (name, 4));
        }
        assert!(queue.pop(crew(3, 4)).is_none() && queue.len() == 10);
        // What leads nobody is served by any worker.
        queue.push(Priority::Now, None, |_| (11, 0));
        assert_eq!(popped(&mut queue, 3, 4), (11, 0));
        assert_eq!(popped(&mut queue, 2, 4), (0, 6));
    }

    #[test]
    fn each_is_served_once_whoever_asks() {
        let (mut queue, _) = ten_names();
        let mut order: Vec<_> = (0..20).map(|turn| popped(&mut queue, turn % 5, 4)).collect();
        assert!(queue.pop(crew(0, 4)).is_none() && queue.len() == 0);
        order.sort_unstable();
        order.dedup();
        assert_eq!(order.len(), 20);
    }

    #[test]
    fn what_is_raised_is_next() {
        let mut queue = Queue::new();
        let mut ticket = 0;
        queue.push(Priority::Now, None, |_| 1);
        queue.push(Priority::WhenFree, None, |given| {
            ticket = given;
            2
        });
        let raised = queue.remove(ticket).unwrap();
        queue.push_raised(|_| raised);
        let order: Vec<_> = std::iter::from_fn(|| queue.pop(crew(0, 8))).map(|(job, _)| job).collect();
        assert_eq!(order, [2, 1]);
    }

    #[test]
    fn a_follower_is_held_back_once_its_own_leader_has_found_something() {
        let (mut queue, links) = ten_names();
        links[0].leader_has_found();
        links[3].leader_has_found();
        let mut served: Vec<_> = std::iter::from_fn(|| queue.pop(crew(0, 8))).map(|(job, _)| job).collect();
        assert_eq!(queue.len(), 0);
        served.sort_unstable();
        let all = (0..10).flat_map(|name| [(name, 4), (name, 6)]);
        assert_eq!(served, all.filter(|job| *job != (0, 4) && *job != (3, 4)).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_held_back_can_be_raised_and_taken_out_by_its_ticket() {
        let mut queue = Queue::new();
        let link = Arc::<Link>::default();
        let mut tickets = Vec::new();
        for name in 0..3 {
            queue.push(Priority::WhenFree, Some(link.clone()), |ticket| {
                tickets.push(ticket);
                name
            });
        }
        link.leader_has_found();
        assert_eq!((queue.pop(crew(0, 8)), queue.len()), (None, 0));
        let raised = queue.remove(tickets[1]).unwrap();
        queue.push_raised(|_| raised);
        assert_eq!(queue.len(), 1);
        assert_eq!((queue.remove(tickets[0]), queue.remove(tickets[0]), queue.len()), (Some(0), None, 1));
        assert_eq!(queue.pop(crew(0, 8)).map(|(job, _)| job), Some(1));
        assert_eq!((queue.drain(), queue.len()), (vec![2], 0));
    }

    #[test]
    fn a_job_that_follows_none_is_not_held_back_by_its_neighbour() {
        let mut queue = Queue::new();
        let link = Arc::<Link>::default();
        queue.push(Priority::Now, None, |_| 1);
        queue.push(Priority::WhenFree, None, |_| 2);
        queue.push(Priority::WhenFree, Some(link.clone()), |_| 3);
        link.leader_has_found();
        let order: Vec<_> = std::iter::from_fn(|| queue.pop(crew(0, 8))).map(|(job, _)| job).collect();
        assert_eq!(order, [1, 2]);
    }

    #[test]
    fn what_was_taken_out_is_not_served() {
        let mut queue = Queue::new();
        let mut tickets = Vec::new();
        for number in 0..6 {
            queue.push(Priority::Now, None, |ticket| {
                tickets.push(ticket);
                number
            });
        }
        for gone in [0, 1, 3, 5] {
            assert_eq!(queue.remove(tickets[gone]), Some(gone));
            assert_eq!(queue.remove(tickets[gone]), None);
        }
        assert_eq!((queue.len(), queue.remove(0)), (2, None));
        assert_eq!(queue.pop(crew(0, 8)).map(|(job, _)| job), Some(2));
        assert_eq!((queue.drain(), queue.len()), (vec![4], 0));
    }
}
