//! The candidates that were not tried yet, in the order of their arrival.
use super::attempt::CandidateId;
use super::bindings::{Group, UNBOUND};
use super::family::Family;
use super::loopback::is_loopback;
use super::order::{self, Placed, Rank};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) id: CandidateId,
    pub(super) address: SocketAddr,
    /// The IPv4 address that it stands for, where it leads to a translator: it is sorted as that.
    pub(super) embedded: Option<Ipv4Addr>,
    /// All of a group go before those of the next one.
    pub(super) group: Group,
    /// None until its route was asked for. Then that of an unusable destination until the route is known.
    pub(super) rank: Option<Rank>,
}

impl Candidate {
    /// The address that its place depends on.
    pub(super) fn sorted_as(&self) -> IpAddr {
        self.embedded.map_or(self.address.ip(), IpAddr::V4)
    }

    /// The family whose turns it takes.
    pub(super) fn family(&self) -> Family {
        if self.embedded.is_some() { Family::V4 } else { Family::of_packets(&self.address) }
    }
}

#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// Those whose route was asked for stand before those whose route was not, since both come in by arrival.
    untried: Vec<Candidate>,
}

impl Candidates {
    pub(super) fn len(&self) -> usize {
        self.untried.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.untried.is_empty()
    }

    /// Makes room for `count` more, and not for twice as many: thousands of races wait with these in memory.
    pub(super) fn reserve(&mut self, count: usize) {
        self.untried.reserve_exact(count);
    }

    pub(super) fn add(&mut self, candidate: Candidate) {
        self.untried.push(candidate);
    }

    pub(super) fn contains(&self, address: &SocketAddr) -> bool {
        self.untried.iter().any(|candidate| candidate.address == *address)
    }

    pub(super) fn any(&self, is_meant: impl Fn(&Candidate) -> bool) -> bool {
        self.untried.iter().any(is_meant)
    }

    /// Takes out all for which `is_meant` says so, in the order of their arrival.
    pub(super) fn take_all(&mut self, is_meant: impl Fn(&Candidate) -> bool) -> Vec<Candidate> {
        let (taken, kept) = std::mem::take(&mut self.untried).into_iter().partition(is_meant);
        self.untried = kept;
        taken
    }

    pub(super) fn only_loopback(&self) -> bool {
        self.untried.iter().all(|candidate| is_loopback(candidate.address.ip()))
    }

    /// The oldest candidate whose route was not asked for.
    pub(super) fn next_without_route(&mut self) -> Option<&mut Candidate> {
        let place = self.untried.partition_point(|candidate| candidate.rank.is_some());
        self.untried.get_mut(place)
    }

    /// A candidate whose route was asked for.
    pub(super) fn with_route(&mut self, id: CandidateId) -> Option<&mut Candidate> {
        self.untried.iter_mut().find(|candidate| candidate.id == id && candidate.rank.is_some())
    }

    /// Keeps the candidates for which `keep` says so.
    pub(super) fn retain(&mut self, keep: impl FnMut(&Candidate) -> bool) {
        self.untried.retain(keep);
    }

    /// Gives each the group that it belongs to now.
    pub(super) fn regroup(&mut self, group_of: impl Fn(&SocketAddr) -> Option<Group>) {
        for candidate in &mut self.untried {
            candidate.group = group_of(&candidate.address).unwrap_or(UNBOUND);
        }
    }

    /// The group whose turn it is.
    pub(super) fn first_group(&self) -> Group {
        self.untried.iter().map(|candidate| candidate.group).min().unwrap_or(UNBOUND)
    }

    /// The places of those whose rank is known, best first.
    fn order(&self) -> Vec<usize> {
        let ranks: Vec<&Rank> = self.untried.iter().map_while(|candidate| candidate.rank.as_ref()).collect();
        let mut places = order::sorted(&ranks);
        places.sort_by_key(|&place| self.untried[place].group);
        places
    }

    /// Takes out the best one of the first group: of the family `wanted` if it has any, otherwise of all.
    pub(super) fn take_best(&mut self, wanted: Option<Family>) -> Option<Candidate> {
        let places = self.order();
        let group = self.first_group();
        let of_wanted = |place: &&usize| {
            let candidate = &self.untried[**place];
            candidate.group == group && Some(candidate.family()) == wanted
        };
        // Without any rank there is only one, or the order is not asked for.
        let place = places.iter().find(of_wanted).or(places.first()).copied().unwrap_or(0);
        self.take(place)
    }

    /// All of them, in the order that [`Candidates::take_best`] follows within a family; as they came where no
    /// route was asked for.
    pub(super) fn placed(&self) -> Vec<Placed> {
        let places = self.order();
        if places.len() < self.untried.len() {
            let unsorted = |candidate: &Candidate| Placed { address: candidate.address, is_usable: true, rule: None };
            return self.untried.iter().map(unsorted).collect();
        }
        let ranked = places.iter().filter_map(|&place| {
            let candidate = &self.untried[place];
            Some((candidate, candidate.rank.as_ref()?))
        });
        let before = std::iter::once(None).chain(ranked.clone().map(Some));
        std::iter::zip(ranked, before)
            .map(|((candidate, rank), before)| Placed {
                address: candidate.address,
                is_usable: rank.is_usable(),
                rule: before
                    .filter(|(before, _)| before.group == candidate.group)
                    .map(|(_, before)| before.decided_by(rank)),
            })
            .collect()
    }

    /// The family that a list begins with which has `head` too, the best of those tried.
    pub(super) fn first_family(&self, head: &Candidate) -> Family {
        let best = self.order().first().map(|&place| &self.untried[place]);
        let first = match (best, &head.rank) {
            (Some(best @ Candidate { rank: Some(rank), .. }), Some(of_head))
                if order::sorted(&[of_head, rank]) == [1, 0] =>
            {
                best
            }
            _ => head,
        };
        first.family()
    }

    /// Whether both families are among them.
    pub(super) fn are_mixed(&self) -> bool {
        let mut families = self.untried.iter().map(Candidate::family);
        families.next().is_some_and(|first| families.any(|family| family != first))
    }

    /// Takes out the one that came first.
    pub(super) fn take_oldest(&mut self) -> Option<Candidate> {
        self.take(0)
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.untried = Vec::new();
    }

    fn take(&mut self, place: usize) -> Option<Candidate> {
        if place >= self.untried.len() {
            return None;
        }
        let candidate = self.untried.remove(place);
        if self.untried.is_empty() {
            // An attempt can last minutes; what served to choose it need not.
            self.clear();
        }
        Some(candidate)
    }
}
