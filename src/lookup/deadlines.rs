//! The deadlines of many things: the nearest in constant time, every change in the logarithm of their number.

use std::time::Instant;

/// A binary heap that knows where each of its members is, so that a deadline can be moved or taken out.
pub struct Deadlines {
    /// Times count from here, in nanoseconds: half the memory of an [`Instant`].
    base: Instant,
    heap: Vec<(u64, u32)>,
    /// Where in the heap each member is, by its number.
    places: Vec<u32>,
}

/// Not in the heap.
const NOWHERE: u32 = u32::MAX;

impl Deadlines {
    pub fn new(base: Instant) -> Deadlines {
        Deadlines { base, heap: Vec::new(), places: Vec::new() }
    }

    /// The nearest deadline.
    pub fn nearest(&self) -> Option<Instant> {
        self.heap.first().map(|&(time, _)| self.base + std::time::Duration::from_nanos(time))
    }

    /// Takes out a member whose deadline has come.
    pub fn expired(&mut self, now: Instant) -> Option<u32> {
        let &(time, member) = self.heap.first()?;
        if time > self.nanoseconds(now) {
            return None;
        }
        self.remove(member);
        Some(member)
    }

    /// Sets, moves or takes out (None) the deadline of a member.
    pub fn set(&mut self, member: u32, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return self.remove(member) };
        let time = self.nanoseconds(deadline);
        let index = member as usize;
        if self.places.len() <= index {
            self.places.resize(index + 1, NOWHERE);
        }
        let mut place = self.places[index] as usize;
        if self.places[index] == NOWHERE {
            place = self.heap.len();
            self.heap.push((time, member));
            self.places[index] = place as u32;
        } else {
            self.heap[place].0 = time;
        }
        self.restore(place);
    }

    fn remove(&mut self, member: u32) {
        let Some(entry) = self.places.get_mut(member as usize) else { return };
        let place = std::mem::replace(entry, NOWHERE);
        if place == NOWHERE {
            return;
        }
        self.heap.swap_remove(place as usize);
        if let Some(&(_, moved)) = self.heap.get(place as usize) {
            self.places[moved as usize] = place;
            self.restore(place as usize);
        }
    }

    /// Moves one member up or down to where it belongs.
    fn restore(&mut self, mut place: usize) {
        while place > 0 && self.heap[place].0 < self.heap[(place - 1) / 2].0 {
            self.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
        loop {
            let children = 2 * place + 1..(2 * place + 3).min(self.heap.len());
            let Some(least) = children.min_by_key(|&child| self.heap[child].0) else { return };
            if self.heap[least].0 >= self.heap[place].0 {
                return;
            }
            self.swap(place, least);
            place = least;
        }
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.heap.swap(one, other);
        for place in [one, other] {
            self.places[self.heap[place].1 as usize] = place as u32;
        }
    }

    fn nanoseconds(&self, time: Instant) -> u64 {
        u64::try_from(time.saturating_duration_since(self.base).as_nanos()).unwrap_or(u64::MAX)
    }
}

// Not with loom, which this needs nothing of: the models are built without proptest.
#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    proptest! {
        /// Against a map that is searched whole.
        #[test]
        fn the_nearest_comes_first(steps in prop::collection::vec((0u32..40, prop::option::of(0u64..50), 0u64..50), 1..200)) {
            let base = Instant::now();
            let at = |time: u64| base + Duration::from_nanos(time);
            let mut deadlines = Deadlines::new(base);
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            for (member, time, now) in steps {
                deadlines.set(member, time.map(at));
                match time {
                    Some(time) => drop(model.insert(member, time)),
                    None => drop(model.remove(&member)),
                }
                prop_assert_eq!(deadlines.nearest(), model.values().min().copied().map(at));
                if now < 10 {
                    while let Some(member) = deadlines.expired(at(now)) {
                        let time = model.remove(&member);
                        prop_assert!(time.is_some_and(|time| time <= now && model.values().all(|&other| other >= time)));
                    }
                    prop_assert!(model.values().all(|&time| time > now));
                }
            }
        }
    }
}
