//! The order of RFC 6724, section 6, over candidates of both families: pure, from destination, source and
//! policy table.
//!
//! A destination gets a [`Rank`] once, when its route is known; after that two destinations are compared
//! without looking at an address again. [`first`] finds the one that goes first among those left, which is
//! all that a race ever asks: candidates come and go between two attempts, so a sorted list would have to be
//! sorted again each time.
use super::family::Family;
use super::policy::PolicyTable;
use std::cmp::{Ordering, Reverse};
use std::net::IpAddr;
use std::time::Duration;

/// The longest common prefix that rule 9 counts. RFC 6724, section 2.2 compares up to the length of the
/// source's prefix; [`Route`] does not tell it, and RFC 4291, section 2.5.1 makes it 64 for the unicast
/// addresses in use.
const LONGEST_PREFIX: u32 = 64;

/// What the surroundings know of the way to one destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// The source address that the system would use; None: there is no way there (rule 1).
    pub source: Option<IpAddr>,
    /// The source address is deprecated (rule 3).
    pub source_deprecated: bool,
    /// The round-trip time seen earlier in this network (RFC 8305, section 4: between rules 8 and 9).
    pub round_trip: Option<Duration>,
    /// The address was used before in this network (RFC 8305, section 4).
    pub used_before: bool,
}

/// Where one destination stands. Only ranks made with the same policy table can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rank {
    key: Key,
    family: Family,
    /// The bits that source and destination have in common (rule 9); 0 for IPv4.
    common_prefix: u32,
}

/// Rules 1 to 8 and the history, in their order: the derived comparison goes through the fields from the top,
/// and what is smaller goes first.
///
/// Rule 4 (home addresses) and rule 7 (native transport) are missing since [`Route`] tells of neither. Every
/// rule is a property of one destination alone, so the order is total; the RFC's pairwise form of it is the
/// same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// Rule 1: avoid unusable destinations.
    unusable: bool,
    /// Rule 2: prefer matching scope.
    scope_differs: bool,
    /// Rule 3: avoid deprecated addresses.
    source_deprecated: bool,
    /// Rule 5: prefer matching label.
    label_differs: bool,
    /// Rule 6: prefer higher precedence.
    precedence: Reverse<u32>,
    /// Rule 8: prefer smaller scope.
    scope: u32,
    /// RFC 8305, section 4: lower round-trip time first. An unknown one comes last, since whoever has a
    /// round-trip time was also used before.
    round_trip: Duration,
    /// RFC 8305, section 4: used addresses before unused ones.
    never_used: bool,
}

impl Rank {
    /// The rank of `destination`, reached over `route`.
    pub fn new(destination: IpAddr, route: &Route, policy: &PolicyTable) -> Rank {
        let scope = policy.scope(destination);
        let source = route.source;
        let key = Key {
            unusable: source.is_none(),
            scope_differs: source.is_some_and(|source| policy.scope(source) != scope),
            source_deprecated: source.is_some() && route.source_deprecated,
            label_differs: source.is_some_and(|source| policy.label(source) != policy.label(destination)),
            precedence: Reverse(policy.precedence(destination)),
            scope,
            round_trip: route.round_trip.unwrap_or(Duration::MAX),
            never_used: !route.used_before,
        };
        let common_prefix = match (source, destination) {
            (Some(IpAddr::V6(source)), IpAddr::V6(destination)) => {
                (source.to_bits() ^ destination.to_bits()).leading_zeros().min(LONGEST_PREFIX)
            }
            // Deliberate deviation from rule 9: IPv4 addresses are not compared by prefix. It would send
            // every client of a network to the same address of a name that has many and so undo DNS round
            // robin; glibc limits the rule to the source's own subnet, and Go leaves it out (golang/go issue
            // 13283).
            _ => 0,
        };
        let family = if destination.is_ipv6() { Family::V6 } else { Family::V4 };
        Rank { key, family, common_prefix }
    }

    /// Whether the system knows a way there.
    pub fn is_usable(&self) -> bool {
        !self.key.unusable
    }

    /// The destination's family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Whether this destination, which stands further down in the list, goes before one that stands further
    /// up.
    fn overtakes(&self, earlier: &Rank) -> bool {
        match self.key.cmp(&earlier.key) {
            Ordering::Less => true,
            Ordering::Greater => false,
            // Rule 9, within IPv6; otherwise rule 10: leave the order unchanged.
            Ordering::Equal => self.family == earlier.family && self.common_prefix > earlier.common_prefix,
        }
    }
}

/// The destination that goes first, given as (anything, rank) in the order in which they became known.
///
/// Taking it out and asking again gives the whole order. Where two families tie up to rule 8 (a policy table
/// can make that so), the family listed first goes first and rule 9 chooses within it: rules 9 and 10 applied
/// pair by pair would go round in a circle.
pub fn first<'a, T>(destinations: impl Iterator<Item = (T, &'a Rank)>) -> Option<T> {
    let mut best: Option<(T, &Rank)> = None;
    for (destination, rank) in destinations {
        if best.as_ref().is_none_or(|(_, earlier)| rank.overtakes(earlier)) {
            best = Some((destination, rank));
        }
    }
    best.map(|(destination, _)| destination)
}
