//! How many lookups and attempts may be in flight at once, and who waits for a permit.

use crate::drive::reactor::InFlight;
use crate::race::{Permits, Wanted};
use std::collections::BTreeSet;

/// The caps of a handle, what is in flight, and the connects that wait: the one that was added first goes
/// first.
#[derive(Default)]
pub(super) struct Pacing {
    /// 0: no cap.
    most: InFlight,
    in_flight: InFlight,
    /// By the order in which they were added, with their id.
    waiting_for_lookup: BTreeSet<(u64, u64)>,
    waiting_for_attempt: BTreeSet<(u64, u64)>,
}

impl Pacing {
    pub fn set_most_lookups(&mut self, most: u32) {
        self.most.lookups = most;
    }

    pub fn set_most_attempts(&mut self, most: u32) {
        self.most.attempts = most;
    }

    /// What a connect, the `order`-th that was added, may start that has `own` in flight, of which `counted`
    /// is known here.
    pub fn permits(&self, order: u64, own: InFlight, counted: InFlight) -> Permits {
        let free = |most: u32, in_flight: u32, own: u32, counted: u32, waiting: &BTreeSet<(u64, u64)>| {
            // One that was added earlier and waits has the next permit.
            most == 0 || in_flight - counted + own < most && waiting.first().is_none_or(|&(first, _)| order <= first)
        };
        let (most, all) = (self.most, self.in_flight);
        Permits {
            lookups: free(most.lookups, all.lookups, own.lookups, counted.lookups, &self.waiting_for_lookup),
            attempts: free(most.attempts, all.attempts, own.attempts, counted.attempts, &self.waiting_for_attempt),
        }
    }

    /// A connect had `before` in flight and has `after`.
    pub fn count(&mut self, before: InFlight, after: InFlight) {
        self.in_flight.lookups = self.in_flight.lookups - before.lookups + after.lookups;
        self.in_flight.attempts = self.in_flight.attempts - before.attempts + after.attempts;
    }

    /// Queues a connect for what it wants, instead of what it wanted `before`.
    pub fn wait(&mut self, order: u64, id: u64, before: Wanted, wanted: Wanted) {
        requeue(&mut self.waiting_for_lookup, (order, id), before.lookup, wanted.lookup);
        requeue(&mut self.waiting_for_attempt, (order, id), before.attempt, wanted.attempt);
    }

    /// The connect whose turn it is, if there is a permit for it.
    pub fn next(&self) -> Option<u64> {
        let free = |most: u32, in_flight: u32| most == 0 || in_flight < most;
        let first = |waiting: &BTreeSet<(u64, u64)>| waiting.first().map(|&(_, id)| id);
        // An attempt ends a connect sooner than a lookup, and frees what it holds.
        let attempt =
            if free(self.most.attempts, self.in_flight.attempts) { first(&self.waiting_for_attempt) } else { None };
        let lookup =
            if free(self.most.lookups, self.in_flight.lookups) { first(&self.waiting_for_lookup) } else { None };
        attempt.or(lookup)
    }
}

fn requeue(queue: &mut BTreeSet<(u64, u64)>, place: (u64, u64), before: bool, wanted: bool) {
    match (before, wanted) {
        (false, true) => drop(queue.insert(place)),
        (true, false) => drop(queue.remove(&place)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: InFlight = InFlight { lookups: 0, attempts: 0 };
    const ATTEMPT: Wanted = Wanted { lookup: false, attempt: true };
    const ONE_ATTEMPT: InFlight = InFlight { lookups: 0, attempts: 1 };

    #[test]
    fn without_caps_everything_is_permitted() {
        let mut pacing = Pacing::default();
        pacing.count(NOTHING, InFlight { lookups: 1_000_000, attempts: 1_000_000 });
        let permits = pacing.permits(7, NOTHING, NOTHING);
        assert!(permits.lookups && permits.attempts && pacing.next().is_none());
    }

    #[test]
    fn a_cap_counts_what_a_connect_has_started_itself() {
        let mut pacing = Pacing::default();
        pacing.set_most_attempts(2);
        pacing.count(NOTHING, ONE_ATTEMPT);
        assert!(pacing.permits(1, NOTHING, NOTHING).attempts);
        assert!(!pacing.permits(1, ONE_ATTEMPT, NOTHING).attempts);
        assert!(pacing.permits(1, ONE_ATTEMPT, ONE_ATTEMPT).attempts);
    }

    #[test]
    fn permits_go_to_the_connect_that_was_added_first() {
        let mut pacing = Pacing::default();
        pacing.set_most_attempts(1);
        pacing.count(NOTHING, ONE_ATTEMPT);
        pacing.wait(5, 50, Wanted::default(), ATTEMPT);
        pacing.wait(3, 30, Wanted::default(), ATTEMPT);
        assert_eq!(pacing.next(), None);
        pacing.count(ONE_ATTEMPT, NOTHING);
        assert_eq!(pacing.next(), Some(30));
        assert!(pacing.permits(3, NOTHING, NOTHING).attempts && !pacing.permits(4, NOTHING, NOTHING).attempts);
        pacing.wait(3, 30, ATTEMPT, Wanted::default());
        assert_eq!(pacing.next(), Some(50));
    }

    #[test]
    fn a_connect_that_wants_both_gets_whichever_is_free() {
        let mut pacing = Pacing::default();
        pacing.set_most_lookups(1);
        pacing.set_most_attempts(1);
        let both = InFlight { lookups: 1, attempts: 1 };
        pacing.count(NOTHING, both);
        pacing.wait(1, 10, Wanted::default(), Wanted { lookup: true, attempt: true });
        assert_eq!(pacing.next(), None);
        pacing.count(both, ONE_ATTEMPT);
        assert_eq!(pacing.next(), Some(10));
        pacing.count(ONE_ATTEMPT, InFlight { lookups: 1, attempts: 0 });
        assert_eq!(pacing.next(), Some(10));
        pacing.wait(1, 10, Wanted { lookup: true, attempt: true }, Wanted::default());
        assert_eq!(pacing.next(), None);
    }
}
