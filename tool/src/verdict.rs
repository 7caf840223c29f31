//! What all targets together say about this network.

use crate::look::{Look, Paint};
use crate::names;
use crate::repeat::spread;
use crate::sweep::{Checked, State};
use console::Term;
use happysock::race::Family;
use serde::Serialize;

/// How many targets are what over one family.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tally {
    pub reachable: usize,
    pub refused: usize,
    pub silent: usize,
    pub no_route: usize,
    pub no_address: usize,
    pub lookup_failed: usize,
    pub failed: usize,
    pub not_checked: usize,
    /// Of those that can be reached: the middle one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_median_ms: Option<f64>,
    /// Silent here, although the other family can be reached: the network's fault rather than the target's.
    pub silent_here_only: usize,
}

impl Tally {
    pub fn of(checked: &[Checked], family: Family) -> Tally {
        let mut tally = Tally::default();
        for target in checked {
            let slot = match target.reach(family).state {
                State::Reachable => &mut tally.reachable,
                State::Refused => &mut tally.refused,
                State::Silent => &mut tally.silent,
                State::NoRoute => &mut tally.no_route,
                State::NoAddress => &mut tally.no_address,
                State::LookupFailed | State::LookupSilent => &mut tally.lookup_failed,
                State::Failed => &mut tally.failed,
                State::NotChecked => &mut tally.not_checked,
            };
            *slot += 1;
            if target.reach(family).state == State::Silent && target.reach(family.other()).answered() {
                tally.silent_here_only += 1;
            }
        }
        let times: Vec<f64> = checked.iter().filter_map(|target| target.reach(family).rtt_ms).collect();
        tally.rtt_median_ms = spread(times).map(|(_, middle, _)| middle);
        tally
    }

    /// Those of which it is known what becomes of a connect.
    pub fn known(&self) -> usize {
        self.reachable + self.refused + self.silent + self.no_route + self.failed
    }

    /// Those that answered, be it with a refusal.
    pub fn answered(&self) -> usize {
        self.reachable + self.refused
    }

    fn health(&self) -> Health {
        match self.known() {
            0 => Health::Unknown,
            known if self.no_route == known => Health::Absent,
            known if self.answered() == known => Health::Works,
            _ if self.answered() == 0 && self.silent > 0 => Health::Dead,
            _ if self.silent_here_only > 0 || self.no_route > 0 => Health::Patchy,
            _ => Health::Works,
        }
    }
}

/// A family in this network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Unknown,
    /// There is no way out in it.
    Absent,
    Works,
    /// Some answer, and others only over the other family.
    Patchy,
    /// There is a way out, and nothing comes back.
    Dead,
}

/// The sentence about the network, and what to look at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    pub verdict: String,
    pub advice: Vec<String>,
}

pub fn of(checked: &[Checked], ipv6: &Tally, ipv4: &Tally) -> Verdict {
    let mut verdict = format!("{}; {}.", about("IPv6", ipv6), about("IPv4", ipv4));
    let waits: Vec<f64> = checked.iter().map(|target| target.wait_without_race_ms).filter(|wait| *wait > 0.0).collect();
    if let Some((_, middle, _)) = spread(waits.clone()) {
        verdict.push_str(&format!(
            " Without Happy Eyeballs {} {} longer.",
            names::count(waits.len(), "target would take", "targets would each take"),
            names::duration_ms(middle)
        ));
    }
    Verdict { verdict, advice: advice(ipv6, ipv4) }
}

fn about(family: &str, tally: &Tally) -> String {
    let (answered, known) = (tally.answered(), tally.known());
    match tally.health() {
        Health::Unknown => format!("{family} is unknown, since no target has an address of it"),
        Health::Absent => format!("this network has no {family}"),
        Health::Works => match tally.rtt_median_ms {
            Some(rtt) => {
                format!("{family} works ({answered} of {known} answer, {} in the middle)", names::duration_ms(rtt))
            }
            None => format!("{family} works ({answered} of {known} answer)"),
        },
        Health::Patchy => format!("{family} works in part ({answered} of {known} answer)"),
        Health::Dead => format!("{family} is broken: there is a route, and nothing comes back (0 of {known} answer)"),
    }
}

fn advice(ipv6: &Tally, ipv4: &Tally) -> Vec<String> {
    let mut advice = Vec::new();
    for (family, flag, tally) in [("IPv6", "-6", ipv6), ("IPv4", "-4", ipv4)] {
        match tally.health() {
            Health::Absent => advice.push(format!(
                "Route: this machine knows no way out over {family}; `ip {flag} route` shows whether there is a \
                 default route."
            )),
            Health::Dead => advice.push(format!(
                "Firewall or router: {family} packets leave and none comes back; `traceroute {flag}` finds the last \
                 station that answers.{}",
                if family == "IPv6" { " A firewall has to let ICMPv6 pass." } else { "" }
            )),
            Health::Patchy => advice.push(format!(
                "Path: {} over {family} only; `traceroute {flag}` to one that is silent and to one that answers shows \
                 where they part.",
                names::count(tally.silent_here_only + tally.no_route, "target is silent", "targets are silent")
            )),
            Health::Works | Health::Unknown => {}
        }
    }
    let lookups = ipv6.lookup_failed + ipv4.lookup_failed;
    if lookups > 0 {
        advice.push(format!(
            "DNS: {}; `happy lookup` with one of the names, and resolv.conf(5), show whom it asks.",
            names::count(lookups, "lookup got no answer", "lookups got no answer")
        ));
    }
    let refused = ipv6.refused + ipv4.refused;
    if refused > 0 {
        advice.push(format!(
            "Port: {}: the host is there, and nothing listens or a firewall says so.",
            names::count(refused, "connect was refused", "connects were refused")
        ));
    }
    advice
}

/// The sentence, and what to look at.
pub fn say(verdict: &Verdict, term: &Term, look: &Look) {
    for line in look.wrap(&verdict.verdict) {
        let _ = term.write_line(&look.paint(Paint::Strong, &line));
    }
    for line in verdict.advice.iter().flat_map(|advice| look.wrap(advice)) {
        let _ = term.write_line(&line);
    }
}
