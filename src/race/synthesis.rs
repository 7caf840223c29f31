//! IPv4 addresses on a network without IPv4, whose translator (NAT64) leads to them: RFC 8305, section 7, by
//! the rules of version 3.
//!
//! Only where IPv4 has no network is an address synthesized, and the prefixes for it are asked for only when
//! nothing else is left to attempt: until then the IPv4 addresses are held. An address that a name server has
//! synthesized (DNS64) is known by its prefix; it counts as the IPv4 address that it stands for, and is that
//! again where IPv4 has a network.
use super::bindings::UNBOUND;
use super::candidates::Candidate;
use super::family::Family;
use super::lookup_error::LookupError;
use super::machine::Race;
use super::nat64::Nat64Prefix;
use super::question::{LookupId, Question, QuestionKind};
use super::trace::{AnsweredBy, TraceKind};
use super::translation::Translation;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

const PREFIX: Question = Question::host(QuestionKind::Nat64Prefix);

impl Race {
    /// Whether it has to be known first if IPv4 has a network.
    pub(super) fn awaits_connectivity(&self) -> bool {
        let Some(translation) = &self.translation else { return false };
        translation.ipv4.is_none() && self.candidates.any(|candidate| translation.concerns(&candidate.address))
    }

    pub(super) fn note_connectivity(&mut self, family: Family, connected: bool) {
        if !connected {
            self.unconnected.insert(family);
        }
        if let (Family::V4, Some(translation)) = (family, &mut self.translation) {
            translation.ipv4 = Some(connected);
        }
    }

    /// Whether addresses wait for the translator's prefixes.
    pub(super) fn holds_addresses(&self) -> bool {
        self.held() > 0
    }

    /// How many they are.
    pub(super) fn held(&self) -> usize {
        self.translation.as_ref().map_or(0, |translation| translation.held.len())
    }

    /// When the prefixes are to be asked for: when an attempt could start and nothing else is there for it.
    pub(super) fn prefix_due(&self) -> Option<Instant> {
        let translation = self.translation.as_ref()?;
        let needed = !translation.held.is_empty() && !translation.asked && self.candidates.is_empty();
        (needed && !self.goes_one_by_one()).then(|| self.earliest_start())
    }

    /// What the name of a translator's prefixes has been answered with.
    pub(super) fn note_prefixes(&mut self, now: Instant, lookup: LookupId, addresses: &[SocketAddr], by: AnsweredBy) {
        let prefixes = Nat64Prefix::discover(addresses);
        if prefixes.is_empty() {
            return self.note_lookup_failure(now, lookup, LookupError::NO_DATA, by);
        }
        self.lookups.ended(lookup);
        let addresses = addresses.len() as u32;
        self.log.add(now, TraceKind::LookupAnswered { lookup, question: PREFIX, addresses, by });
        if let Some(translation) = &mut self.translation {
            translation.prefixes = Some(prefixes.into());
        }
    }

    /// Makes of the candidates what is to be attempted in this network, as far as it is known.
    pub(super) fn translate(&mut self, now: Instant) {
        let Some(mut translation) = self.translation.take() else { return };
        match translation.ipv4 {
            None => {}
            Some(true) => self.turn_back(now, &translation),
            Some(false) => {
                if translation.asked && translation.prefixes.is_none() && !self.lookups.is_unfinished(PREFIX) {
                    // Nobody has told any.
                    translation.prefixes = Some(Arc::default());
                }
                match translation.prefixes.clone() {
                    None => self.hold(now, &mut translation),
                    Some(prefixes) => self.synthesize(now, &mut translation, &prefixes),
                }
            }
        }
        self.translation = Some(translation);
    }

    /// Where IPv4 has a network an address for the translator is the IPv4 address again.
    fn turn_back(&mut self, now: Instant, translation: &Translation) {
        for candidate in self.take_concerned(|candidate| translation.extract(&candidate.address).is_some()) {
            if let Some(v4) = translation.extract(&candidate.address) {
                self.drop_candidate(now, &candidate);
                self.add_candidate(now, SocketAddr::new(v4.into(), candidate.address.port()), None);
            }
        }
    }

    fn hold(&mut self, now: Instant, translation: &mut Translation) {
        for candidate in self.take_concerned(|candidate| translation.concerns(&candidate.address)) {
            self.drop_candidate(now, &candidate);
            translation.held.push(candidate.address);
        }
    }

    fn synthesize(&mut self, now: Instant, translation: &mut Translation, prefixes: &[Nat64Prefix]) {
        let concerned =
            |candidate: &Candidate| candidate.embedded.is_none() && translation.concerns(&candidate.address);
        let taken = self.take_concerned(concerned);
        let mut addresses = std::mem::take(&mut translation.held);
        for candidate in taken {
            match translation.extract(&candidate.address) {
                // DNS64 has made it: it stays what it is, and is sorted as what it stands for.
                Some(v4) => drop(self.add(candidate.address, Some(v4), UNBOUND)),
                None => {
                    self.drop_candidate(now, &candidate);
                    addresses.push(candidate.address);
                }
            }
        }
        for address in &addresses {
            // No prefix, or none that may stand before it: it is attempted as it is.
            if !translation.concerns(address) {
                self.add_candidate(now, *address, None);
            }
        }
        // The prefixes stand in the order of the network's preference: all addresses by the first one go first.
        for prefix in prefixes {
            for address in &addresses {
                let IpAddr::V4(v4) = address.ip().to_canonical() else { continue };
                if let Some(v6) = prefix.synthesize(v4) {
                    self.add_candidate(now, SocketAddr::new(v6.into(), address.port()), Some(v4));
                }
            }
        }
    }

    /// Has the prefixes asked for if they are needed now. True if it is too late for that, so that what waits
    /// for them is let go as it is.
    pub(super) fn ask_for_prefixes(&mut self, now: Instant) -> bool {
        if self.prefix_due().is_none_or(|due| due > now) {
            return false;
        }
        if let Some(translation) = &mut self.translation {
            translation.asked = true;
        }
        let too_late = self.resolve_limit_is_over(now);
        if !too_late {
            self.lookups.want(PREFIX);
        }
        too_late
    }

    fn take_concerned(&mut self, concerned: impl Fn(&Candidate) -> bool) -> Vec<Candidate> {
        if self.candidates.any(&concerned) { self.candidates.take_all(concerned) } else { Vec::new() }
    }

    fn drop_candidate(&mut self, now: Instant, candidate: &Candidate) {
        self.log.add(now, TraceKind::CandidateDropped { candidate: candidate.id, address: candidate.address });
    }

    /// Whether an address was tried or is to be.
    pub(super) fn is_known(&self, address: &SocketAddr) -> bool {
        let tried = self.attempts.iter().any(|attempt| attempt.destination == *address);
        tried || self.candidates.contains(address)
    }

    /// Takes in an address that is not among those that were tried or are to be.
    fn add_candidate(&mut self, now: Instant, address: SocketAddr, embedded: Option<Ipv4Addr>) {
        if self.is_known(&address) {
            return;
        }
        if self.candidates.is_empty() {
            self.candidates_since = now;
        }
        let candidate = self.add(address, embedded, UNBOUND);
        if let Some(v4) = embedded {
            self.log.add(now, TraceKind::AddressSynthesized { candidate, address, v4 });
        }
        self.log.add(now, TraceKind::CandidateAdded { candidate, address });
    }
}
