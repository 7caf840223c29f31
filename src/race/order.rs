//! The order of destination addresses, RFC 6724, section 6, as getaddrinfo(3) of glibc has it: pure, from
//! destination, source and policy table.
//!
//! A destination gets a [`Rank`] once, when its route is known; after that two destinations are compared
//! without looking at an address again.
//!
//! Where glibc and the RFC differ, this is glibc's order (nss/getaddrinfo.c, `rfc3484_sort`; seen from 2.36
//! to 2.43), so that a program that comes from getaddrinfo(3) meets the order that its machine has always
//! had, and what an administrator has set keeps its effect. There are two differences, both in rule 9;
//! [`PolicyTable`] has those of the table.
use super::policy::PolicyTable;
use std::cmp::{Ordering, Reverse};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// What the surroundings know of the way to one destination. What they do not know keeps its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// The source address that the system would use; None: there is no way there (rule 1).
    pub source: Option<IpAddr>,
    /// The source address is deprecated (rule 3).
    pub source_deprecated: bool,
    /// The source address is the home address of a mobile node (rule 4).
    pub source_is_home: bool,
    /// The interface of the source address is known, and is no tunnel (rule 7).
    pub native: bool,
    /// The bits of the source address's subnet (rule 9, IPv4 only); 0: not known.
    pub prefix_length: u8,
    /// Attempts from that source have gone unanswered lately: whatever is reached from another one goes
    /// first.
    pub unanswered: bool,
    /// The round-trip time seen earlier in this network (RFC 8305, section 4: between rules 8 and 9).
    pub round_trip: Option<Duration>,
    /// The address was used before in this network (RFC 8305, section 4).
    pub used_before: bool,
}

/// Where one destination stands. Only ranks made with the same policy table can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rank {
    key: Key,
    is_ipv6: bool,
    /// The bits that source and destination have in common (rule 9).
    common_prefix: u32,
}

/// Rules 1 to 8 and the history, in their order: the derived comparison goes through the fields from the top,
/// and what is smaller goes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// Rule 1: avoid unusable destinations.
    unusable: bool,
    /// Our rule: what goes unanswered is nearly unusable.
    unanswered: bool,
    /// Rule 2: prefer matching scope.
    scope_differs: bool,
    /// Rule 3: avoid deprecated addresses.
    source_deprecated: bool,
    /// Rule 4: prefer home addresses.
    source_is_care_of: bool,
    /// Rule 5: prefer matching label.
    label_differs: bool,
    /// Rule 6: prefer higher precedence.
    precedence: Reverse<u32>,
    /// Rule 7: prefer native transport.
    encapsulated: bool,
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
            unanswered: source.is_some() && route.unanswered,
            scope_differs: source.is_some_and(|source| policy.scope(source) != scope),
            source_deprecated: source.is_some() && route.source_deprecated,
            source_is_care_of: source.is_some() && !route.source_is_home,
            label_differs: source.is_some_and(|source| policy.label(source) != policy.label(destination)),
            precedence: Reverse(policy.precedence(destination)),
            encapsulated: source.is_some() && !route.native,
            scope,
            round_trip: route.round_trip.unwrap_or(Duration::MAX),
            never_used: !route.used_before,
        };
        let common_prefix = match (source, destination) {
            // Deliberate deviation, as in glibc: RFC 6724, section 2.2 counts no more bits than the prefix of
            // the source has, usually 64.
            (Some(IpAddr::V6(source)), IpAddr::V6(destination)) => {
                (source.to_bits() ^ destination.to_bits()).leading_zeros()
            }
            (Some(IpAddr::V4(source)), IpAddr::V4(destination)) => {
                common_prefix_on_link(source, destination, route.prefix_length)
            }
            _ => 0,
        };
        Rank { key, is_ipv6: destination.is_ipv6(), common_prefix }
    }

    /// Whether the system knows a way there.
    pub fn is_usable(&self) -> bool {
        !self.key.unusable
    }

    /// Whether the destination is an IPv6 address, an IPv4-mapped one included.
    pub fn is_ipv6(&self) -> bool {
        self.is_ipv6
    }

    /// Rules 1 to 9. Rule 9 compares within a family only.
    fn compare(&self, other: &Rank) -> Ordering {
        self.key.cmp(&other.key).then_with(|| match self.is_ipv6 == other.is_ipv6 {
            true => other.common_prefix.cmp(&self.common_prefix),
            false => Ordering::Equal,
        })
    }
}

/// The bits that two IPv4 addresses of one subnet have in common; 0 where the destination is beyond it.
///
/// Deliberate deviation from rule 9, as in glibc: beyond the subnet a common prefix says nothing of the way,
/// and an order by it would send every client of a network to the same address of a name that has many. A
/// subnet that is not known, or is everything, holds the source alone: so it comes out where glibc shifts
/// a 32-bit number by 32 places (x86 and Arm).
fn common_prefix_on_link(source: Ipv4Addr, destination: Ipv4Addr, prefix_length: u8) -> u32 {
    let host_bits = 32u32.saturating_sub(u32::from(prefix_length));
    let mask = u32::MAX.checked_shl(host_bits).unwrap_or(u32::MAX);
    let difference = source.to_bits() ^ destination.to_bits();
    if difference & mask == 0 { difference.leading_zeros() } else { 0 }
}

/// The places of `ranks` in the order in which their destinations go; `ranks` stand in the order in which
/// these became known, which is kept where no rule says otherwise (rule 10).
///
/// It is a merge sort that compares the same pairs as glibc's. That matters where two families tie up to rule
/// 8, which a policy table can make so: rules 9 and 10 applied pair by pair may then go round in a circle,
/// and which of them counts hangs on who was compared with whom.
pub fn sorted(ranks: &[&Rank]) -> Vec<usize> {
    // The room that sorting takes lies behind them.
    let mut places: Vec<usize> = (0..ranks.len()).chain(0..ranks.len()).collect();
    let (sorted, room) = places.split_at_mut(ranks.len());
    merge_sort(sorted, room, &|&one, &other| ranks[one].compare(ranks[other]).then(one.cmp(&other)));
    places.truncate(ranks.len());
    places
}

/// Sorts `places`; `room` has the same length.
fn merge_sort(places: &mut [usize], room: &mut [usize], compare: &impl Fn(&usize, &usize) -> Ordering) {
    if places.len() <= 1 {
        return;
    }
    let middle = places.len() / 2;
    let (front_room, back_room) = room.split_at_mut(middle);
    merge_sort(&mut places[..middle], front_room, compare);
    merge_sort(&mut places[middle..], back_room, compare);
    let (mut front, mut back) = places.split_at(middle);
    for slot in room.iter_mut() {
        let from_front = match (front.first(), back.first()) {
            (Some(one), Some(other)) => compare(one, other).is_le(),
            (one, _) => one.is_some(),
        };
        let half = if from_front { &mut front } else { &mut back };
        *slot = half[0];
        *half = &half[1..];
    }
    places.copy_from_slice(room);
}

/// What puts one destination before another: a rule of RFC 6724, section 6, or of RFC 8305, section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Rule 1: avoid unusable destinations.
    Usable,
    /// Our rule, with a history: what goes unanswered goes behind what does not.
    Answered,
    /// Rule 2: prefer matching scope.
    MatchingScope,
    /// Rule 3: avoid deprecated addresses.
    NotDeprecated,
    /// Rule 4: prefer home addresses.
    HomeAddress,
    /// Rule 5: prefer matching label.
    MatchingLabel,
    /// Rule 6: prefer higher precedence.
    HigherPrecedence,
    /// Rule 7: prefer native transport.
    NativeTransport,
    /// Rule 8: prefer smaller scope.
    SmallerScope,
    /// RFC 8305, section 4: the lower round-trip time first.
    RoundTrip,
    /// RFC 8305, section 4: what was used before first.
    UsedBefore,
    /// Rule 9: use longest matching prefix.
    LongestPrefix,
    /// Rule 10: leave the order unchanged.
    Unchanged,
}

impl Rule {
    /// Its number in RFC 6724; None for those of RFC 8305 and ours.
    pub const fn number(self) -> Option<u32> {
        Some(match self {
            Rule::Usable => 1,
            Rule::MatchingScope => 2,
            Rule::NotDeprecated => 3,
            Rule::HomeAddress => 4,
            Rule::MatchingLabel => 5,
            Rule::HigherPrecedence => 6,
            Rule::NativeTransport => 7,
            Rule::SmallerScope => 8,
            Rule::Answered | Rule::RoundTrip | Rule::UsedBefore => return None,
            Rule::LongestPrefix => 9,
            Rule::Unchanged => 10,
        })
    }
}

impl Rank {
    /// The first rule by which one of two destinations goes before the other; [`Rule::Unchanged`] where none
    /// does.
    pub fn decided_by(&self, other: &Rank) -> Rule {
        let (one, two) = (&self.key, &other.key);
        let differences = [
            (Rule::Usable, one.unusable != two.unusable),
            (Rule::Answered, one.unanswered != two.unanswered),
            (Rule::MatchingScope, one.scope_differs != two.scope_differs),
            (Rule::NotDeprecated, one.source_deprecated != two.source_deprecated),
            (Rule::HomeAddress, one.source_is_care_of != two.source_is_care_of),
            (Rule::MatchingLabel, one.label_differs != two.label_differs),
            (Rule::HigherPrecedence, one.precedence != two.precedence),
            (Rule::NativeTransport, one.encapsulated != two.encapsulated),
            (Rule::SmallerScope, one.scope != two.scope),
            (Rule::RoundTrip, one.round_trip != two.round_trip),
            (Rule::UsedBefore, one.never_used != two.never_used),
            (Rule::LongestPrefix, self.compare(other).is_ne()),
        ];
        differences.iter().find(|(_, differs)| *differs).map_or(Rule::Unchanged, |(rule, _)| *rule)
    }
}

/// A destination in its place among those that it was sorted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Where to.
    pub address: SocketAddr,
    /// Whether the system knows a way there. A destination that is alone is not asked about: then it counts
    /// as usable.
    pub is_usable: bool,
    /// What put it behind the one before it; None for the first, and where the list was taken as it came.
    pub rule: Option<Rule>,
}
