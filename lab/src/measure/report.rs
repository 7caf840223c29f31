//! What came out: tables for people, JSON for machines, and a judgement.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, Color, ContentArrangement, Table};
use lab::Family;
use serde_json::{Map, Value, json};

use super::plan::{self, Part};
use super::trial::Observation;
use super::{Measured, Results};

/// One judged row.
pub struct Judgement {
    /// What was judged.
    pub what: String,
    /// The part that it was judged by: a situation by itself, the others as a whole.
    part: Part,
    /// What should have come out.
    pub wanted: String,
    /// What came out.
    pub got: String,
    /// Whether that is close enough.
    pub passed: bool,
}

impl Judgement {
    /// Whether the runs of `experiment` were judged.
    pub fn is_about(&self, experiment: &plan::Experiment) -> bool {
        experiment.part == self.part && (self.part != Part::Situations || experiment.title == self.what)
    }
}

/// The number of the judged client.
pub const JUDGED: usize = 0;
/// A step of a sweep this close to a delay may go either way.
const EITHER_WAY_MS: f64 = 5.0;
/// A gap that reaches this part of the longest delay of a sweep follows the delay.
const FOLLOWS: f64 = 0.9;

/// The title of a part, for tables and figures.
pub fn title(part: Part) -> &'static str {
    match part {
        Part::AttemptDelay => "Connection Attempt Delay, IPv6 packets late",
        Part::AaaaDelay => "Resolution Delay, AAAA answer late",
        Part::ADelay => "A answer late",
        Part::Selection => "Address selection, all addresses dead",
        Part::Situations => "Time to connect",
    }
}

/// The middle of the values, or of the two in the middle; None if there is none.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    Some((upper + values[(values.len() - 1) / 2]) / 2.0)
}

/// The gap that a sweep is about.
pub fn gap(part: Part, seen: &Observation) -> Option<f64> {
    match part {
        Part::AttemptDelay => seen.v6_to_v4_ms,
        Part::AaaaDelay => seen.a_answer_to_v4_ms,
        Part::ADelay => seen.aaaa_answer_to_v6_ms,
        Part::Selection | Part::Situations => None,
    }
}

impl Results {
    /// The experiments of one part.
    pub fn of(&self, part: Part) -> impl Iterator<Item = &Measured> {
        self.measured.iter().filter(move |measured| measured.experiment.part == part)
    }
}

impl Measured {
    /// The median gap of a client's runs; None if most of them had none.
    pub fn gap(&self, client: usize) -> Option<f64> {
        let gaps: Vec<f64> = self.runs[client].iter().filter_map(|seen| gap(self.experiment.part, seen)).collect();
        if 2 * gaps.len() < self.runs[client].len() { None } else { median(gaps) }
    }

    /// The median time to connect; None if most runs did not.
    pub fn connect_ms(&self, client: usize) -> Option<f64> {
        let endless = self.runs[client].iter().map(|seen| seen.connect_ms.unwrap_or(f64::INFINITY));
        median(endless).filter(|value| value.is_finite())
    }

    /// The family that most runs connected to.
    pub fn family(&self, client: usize) -> Option<Family> {
        let families = || self.runs[client].iter().filter_map(|seen| seen.connected_to).map(Family::of);
        let (v6, all) = (families().filter(|family| *family == Family::Ipv6).count(), families().count());
        (all > 0).then_some(if 2 * v6 > all { Family::Ipv6 } else { Family::Ipv4 })
    }
}

fn milliseconds(value: Option<f64>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| format!("{value:.1}"))
}

/// The families of the destinations: "6 4 6 4"; runs longer than three are counted.
fn pattern(seen: &Observation) -> String {
    let families: Vec<&str> =
        seen.destinations.iter().map(|address| if address.is_ipv6() { "6" } else { "4" }).collect();
    let alternates = families.windows(2).all(|pair| pair[0] != pair[1]);
    if alternates && families.len() > 4 {
        return format!("{} alternating", families[..4].join(" "));
    }
    let runs = families.chunk_by(|one, other| one == other);
    runs.map(|run| if run.len() > 1 { format!("{}x{}", run[0], run.len()) } else { run[0].to_owned() })
        .collect::<Vec<_>>()
        .join(" ")
}

fn table(header: Vec<String>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    table
}

fn header(results: &Results, first: &[&str]) -> Vec<String> {
    let clients = results.clients.iter().map(|client| client.name.clone());
    first.iter().map(|title| (*title).to_owned()).chain(clients).collect()
}

/// Prints every table.
pub fn print(results: &Results) {
    let mut behaviour = table(header(results, &["seen on the wire"]));
    for (title, of) in rows(results) {
        let cells = (0..results.clients.len()).map(of);
        behaviour.add_row(std::iter::once(title.to_owned()).chain(cells).collect::<Vec<_>>());
    }
    println!("\nBehaviour (milliseconds)\n{behaviour}");

    if results.of(Part::Situations).next().is_some() {
        let mut times = table(header(results, &["situation", "expected"]));
        for measured in results.of(Part::Situations) {
            let expected =
                measured.experiment.expected_ms.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
            let beyond = format!("> {}", measured.experiment.situation.limit.as_millis());
            let cells = (0..results.clients.len()).map(|client| {
                let seen = measured.connect_ms(client).map_or_else(|| beyond.clone(), |value| format!("{value:.1}"));
                if measured.experiment.expected_ms.is_some() {
                    seen
                } else {
                    format!("{seen}{}", worst(measured, client))
                }
            });
            times.add_row([measured.experiment.title.clone(), expected].into_iter().chain(cells).collect::<Vec<_>>());
        }
        println!("\nTime to connect: first DNS question to first completed handshake (milliseconds, medians)\n{times}");
    }

    let judgements = judge(results);
    if !judgements.is_empty() {
        let name = &results.clients[JUDGED].name;
        let mut verdicts = table(["judged", "wanted", "seen", "verdict"].map(str::to_owned).to_vec());
        for judgement in &judgements {
            let (word, colour) = if judgement.passed { ("ok", Color::Green) } else { ("FAILED", Color::Red) };
            verdicts.add_row(vec![
                Cell::new(&judgement.what),
                Cell::new(&judgement.wanted),
                Cell::new(&judgement.got),
                Cell::new(word).fg(colour),
            ]);
        }
        let failed = judgements.iter().filter(|judgement| !judgement.passed).count();
        println!("\n{name}, to within {} ms in the median\n{verdicts}", results.tolerance_ms);
        println!("{} passed, {failed} failed", judgements.len() - failed);
    }
}

/// The worst run, for situations where chance decides.
fn worst(measured: &Measured, client: usize) -> String {
    let times = measured.runs[client].iter().map(|seen| seen.connect_ms.unwrap_or(f64::INFINITY));
    match times.max_by(f64::total_cmp) {
        Some(worst) if worst.is_finite() => format!(" (at most {worst:.0})"),
        Some(_) => " (not always)".to_owned(),
        None => String::new(),
    }
}

type Row<'a> = (&'static str, Box<dyn Fn(usize) -> String + 'a>);

/// The rows of the behaviour table: a title, and a cell for each client.
fn rows(results: &Results) -> Vec<Row<'_>> {
    let has = |part| results.of(part).next().is_some();
    let all = |client: usize| results.measured.iter().flat_map(move |measured| &measured.runs[client]);
    let mut rows: Vec<Row<'_>> = Vec::new();
    if has(Part::AttemptDelay) {
        rows.push(("Connection Attempt Delay", Box::new(|client| sweep(results, Part::AttemptDelay, client))));
    }
    if has(Part::AaaaDelay) {
        rows.push(("A answer to IPv4 attempt, AAAA late", Box::new(|client| sweep(results, Part::AaaaDelay, client))));
    }
    if has(Part::ADelay) {
        rows.push(("AAAA answer to IPv6 attempt, A late", Box::new(|client| sweep(results, Part::ADelay, client))));
    }
    rows.push((
        "AAAA asked first",
        Box::new(move |client| {
            let orders: Vec<bool> = all(client).filter_map(|seen| seen.aaaa_asked_first).collect();
            let first = orders.iter().filter(|first| **first).count();
            format!("{:.0} %", 100.0 * first as f64 / orders.len().max(1) as f64)
        }),
    ));
    if let Some(fine) = results.of(Part::Situations).next() {
        rows.push((
            "all fine, by the client's own clock",
            Box::new(move |client| milliseconds(median(fine.runs[client].iter().filter_map(|seen| seen.own_ms)))),
        ));
    }
    if has(Part::Selection) {
        let seen = |client: usize| results.of(Part::Selection).find_map(move |measured| measured.runs[client].first());
        rows.push((
            "IPv6 + IPv4 addresses used of 10 + 10",
            Box::new(move |client| {
                let destinations = seen(client).map_or(&[][..], |seen| &seen.destinations);
                let v6 = destinations.iter().filter(|address| address.is_ipv6()).count();
                format!("{v6} + {}", destinations.len() - v6)
            }),
        ));
        rows.push(("order of the families", Box::new(move |client| seen(client).map(pattern).unwrap_or_default())));
    }
    rows
}

/// The gap of a sweep in one cell.
fn sweep(results: &Results, part: Part, client: usize) -> String {
    let longest = results.of(part).max_by(|one, other| one.experiment.delay_ms.total_cmp(&other.experiment.delay_ms));
    let Some(longest) = longest else { return String::new() };
    let last = longest.gap(client);
    // A client that has both answers before it starts has no reason to use IPv4.
    if part == Part::AaaaDelay && last.is_none() && longest.family(client) == Some(Family::Ipv6) {
        return "waits for AAAA".to_owned();
    }
    if part != Part::AttemptDelay && last.is_some_and(|gap| gap >= FOLLOWS * longest.experiment.delay_ms) {
        return if part == Part::ADelay { "waits for A" } else { "waits for AAAA" }.to_owned();
    }
    milliseconds(median(results.of(part).filter_map(|measured| measured.gap(client))))
}

/// Judges the first client by the delays that it was told to keep; nothing if it is only a peer.
pub fn judge(results: &Results) -> Vec<Judgement> {
    if !results.judged {
        return Vec::new();
    }
    let mut judgements = Vec::new();
    let delays = results.delays;
    judge_sweep(results, Part::AttemptDelay, delays.attempt_ms, &mut judgements);
    judge_sweep(results, Part::AaaaDelay, delays.resolution_ms, &mut judgements);
    if results.of(Part::ADelay).next().is_some() {
        let gap = median(results.of(Part::ADelay).filter_map(|measured| measured.gap(JUDGED)));
        judgements.push(near(results, Part::ADelay, "A late: AAAA answer to IPv6 attempt", 0.0, gap));
    }
    for measured in results.of(Part::Selection) {
        judge_selection(results, measured, &mut judgements);
    }
    for measured in results.of(Part::Situations) {
        let title = &measured.experiment.title;
        match measured.experiment.expected_ms {
            Some(expected) => {
                judgements.push(near(results, Part::Situations, title, expected, measured.connect_ms(JUDGED)));
            }
            None => {
                let runs = &measured.runs[JUDGED];
                let connected = runs.iter().filter(|seen| seen.connect_ms.is_some()).count();
                judgements.push(Judgement {
                    what: title.clone(),
                    part: Part::Situations,
                    wanted: format!("{} of {} connect", runs.len(), runs.len()),
                    got: format!("{connected} of {} connect", runs.len()),
                    passed: connected == runs.len(),
                });
            }
        }
    }
    judgements
}

fn near(results: &Results, part: Part, what: &str, wanted_ms: f64, got_ms: Option<f64>) -> Judgement {
    Judgement {
        what: what.to_owned(),
        part,
        wanted: format!("{wanted_ms:.0} ms"),
        got: got_ms.map_or_else(|| "no connection".to_owned(), |got| format!("{got:.1} ms")),
        passed: got_ms.is_some_and(|got| (got - wanted_ms).abs() <= results.tolerance_ms),
    }
}

/// A sweep whose gap is to be `delay_ms` once the fault lasts longer, with no IPv4 attempt before.
fn judge_sweep(results: &Results, part: Part, delay_ms: f64, judgements: &mut Vec<Judgement>) {
    if results.of(part).next().is_none() {
        return;
    }
    let short = |measured: &&Measured| measured.experiment.delay_ms < delay_ms - EITHER_WAY_MS;
    let long = |measured: &&Measured| measured.experiment.delay_ms > delay_ms + EITHER_WAY_MS;
    let gaps = results.of(part).filter(long).map(|measured| measured.gap(JUDGED).unwrap_or(f64::INFINITY));
    judgements.push(near(results, part, title(part), delay_ms, median(gaps).filter(|gap| gap.is_finite())));
    let steps = results.of(part).filter(short).count();
    let right = results.of(part).filter(short);
    let right =
        right.filter(|measured| measured.gap(JUDGED).is_none() && measured.family(JUDGED) == Some(Family::Ipv6));
    let right = right.count();
    judgements.push(Judgement {
        what: format!("{}: IPv6 alone below the delay", title(part)),
        part,
        wanted: format!("{steps} of {steps} steps"),
        got: format!("{right} of {steps} steps"),
        passed: right == steps,
    });
}

/// Dead addresses are to be tried one after the other, IPv6 first, the families in turn, the delay apart.
fn judge_selection(results: &Results, measured: &Measured, judgements: &mut Vec<Judgement>) {
    let wanted: Vec<_> = (1..=plan::ADDRESSES).flat_map(|number| [plan::v6(number), plan::v4(number)]).collect();
    let runs = &measured.runs[JUDGED];
    let right = runs.iter().filter(|seen| seen.destinations == wanted).count();
    judgements.push(Judgement {
        what: measured.experiment.title.clone(),
        part: Part::Selection,
        wanted: "6 4 alternating, in order".to_owned(),
        got: if right == runs.len() {
            "6 4 alternating, in order".to_owned()
        } else {
            runs.iter().find(|seen| seen.destinations != wanted).map(pattern).unwrap_or_default()
        },
        passed: right == runs.len(),
    });
    let gap = median(runs.iter().flat_map(|seen| seen.gaps_ms.iter().copied()));
    let what = format!("{}: between attempts", measured.experiment.title);
    judgements.push(near(results, Part::Selection, &what, results.delays.attempt_ms, gap));
}

/// Writes measure.json: every run, the medians, and the judgement.
pub fn write_json(results: &Results, directory: &Path) -> Result<PathBuf> {
    let experiments = results.measured.iter().map(|measured| {
        let experiment = &measured.experiment;
        let clients = results.clients.iter().zip(&measured.runs).enumerate().map(|(number, (client, runs))| {
            let summary = json!({
                "gap_ms": measured.gap(number),
                "connect_ms": measured.connect_ms(number),
                "family": measured.family(number),
                "runs": runs,
            });
            (client.name.clone(), summary)
        });
        json!({
            "part": experiment.part,
            "title": experiment.title,
            "delay_ms": experiment.delay_ms,
            "expected_ms": experiment.expected_ms,
            "clients": clients.collect::<Map<String, Value>>(),
        })
    });
    let judgements = judge(results).into_iter().map(|judgement| {
        json!({
            "what": judgement.what,
            "wanted": judgement.wanted,
            "got": judgement.got,
            "passed": judgement.passed,
        })
    });
    let whole = json!({
        "clients": results.clients,
        "resolution_delay_ms": results.delays.resolution_ms,
        "connection_attempt_delay_ms": results.delays.attempt_ms,
        "tolerance_ms": results.tolerance_ms,
        "kernel": nix::sys::utsname::uname()?.release().to_string_lossy(),
        "experiments": experiments.collect::<Vec<_>>(),
        "judgements": judgements.collect::<Vec<_>>(),
    });
    let file = directory.join("measure.json");
    std::fs::write(&file, serde_json::to_string_pretty(&whole)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client that keeps the delays shows in an experiment of a short run.
    fn ideal(experiment: &plan::Experiment, delays: plan::Delays) -> Observation {
        let falls_back = |delay_ms: f64, gap_ms| (delay_ms >= gap_ms).then_some(gap_ms);
        let v6_to_v4_ms = falls_back(experiment.delay_ms, delays.attempt_ms);
        let a_answer_to_v4_ms = falls_back(experiment.delay_ms, delays.resolution_ms);
        let fell_back = match experiment.part {
            Part::AttemptDelay => v6_to_v4_ms.is_some(),
            Part::AaaaDelay => a_answer_to_v4_ms.is_some(),
            _ => false,
        };
        Observation {
            connect_ms: Some(experiment.expected_ms.unwrap_or(1.0)),
            connected_to: Some(if fell_back { plan::v4(1) } else { plan::v6(1) }),
            v6_to_v4_ms,
            a_answer_to_v4_ms,
            aaaa_answer_to_v6_ms: Some(0.0),
            destinations: (1..=plan::ADDRESSES).flat_map(|number| [plan::v6(number), plan::v4(number)]).collect(),
            gaps_ms: vec![delays.attempt_ms; 19],
            ..Observation::default()
        }
    }

    fn results(observe: impl Fn(&plan::Experiment, plan::Delays) -> Observation) -> Results {
        let delays = plan::Delays { resolution_ms: 50.0, attempt_ms: 250.0 };
        let extent = plan::Extent {
            attempt_step_ms: 50,
            resolution_step_ms: 100,
            repeat: 1,
            slow_repeat: 1,
            peer_step_repeat: 1,
            peer_repeat: 1,
            loss_repeat: 1,
            limit: std::time::Duration::from_secs(1),
        };
        let measured = plan::experiments(extent, delays).into_iter();
        let measured =
            measured.map(|experiment| Measured { runs: vec![vec![observe(&experiment, delays)]], experiment });
        Results { clients: Vec::new(), judged: true, delays, tolerance_ms: 3.0, measured: measured.collect() }
    }

    fn failed(results: &Results) -> Vec<String> {
        judge(results).into_iter().filter(|judgement| !judgement.passed).map(|judgement| judgement.what).collect()
    }

    #[test]
    fn a_client_that_keeps_the_delays_passes_every_row() {
        let results = results(ideal);
        assert_eq!(judge(&results).len(), 23);
        for judgement in judge(&results) {
            let about = results.measured.iter().filter(|measured| judgement.is_about(&measured.experiment)).count();
            assert!(about >= 1 && about < results.measured.len(), "{}", judgement.what);
        }
        assert_eq!(failed(&results), [""; 0]);
    }

    #[test]
    fn each_fault_of_a_client_fails_its_row() {
        let with = |change: fn(&mut Observation)| {
            results(move |experiment, delays| {
                let mut seen = ideal(experiment, delays);
                change(&mut seen);
                seen
            })
        };
        let late = with(|seen| seen.v6_to_v4_ms = seen.v6_to_v4_ms.map(|gap| gap + 3.5));
        assert_eq!(failed(&late), ["Connection Attempt Delay, IPv6 packets late"]);
        let without_race = with(|seen| {
            seen.v6_to_v4_ms = None;
            seen.a_answer_to_v4_ms = None;
        });
        assert_eq!(
            failed(&without_race),
            ["Connection Attempt Delay, IPv6 packets late", "Resolution Delay, AAAA answer late"]
        );
        let waits_for_a = with(|seen| seen.aaaa_answer_to_v6_ms = Some(100.0));
        assert_eq!(failed(&waits_for_a), ["A late: AAAA answer to IPv6 attempt"]);
        let wrong_order = with(|seen| seen.destinations.swap(3, 4));
        assert_eq!(failed(&wrong_order), ["10 + 10 dead addresses"]);
        let prefers_ipv4 = with(|seen| seen.connected_to = Some(plan::v4(1)));
        assert_eq!(failed(&prefers_ipv4).len(), 2, "below the delays, IPv6 is to win");
        let never_connects = with(|seen| seen.connect_ms = None);
        assert_eq!(failed(&never_connects).len(), 16, "every situation");
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([]), None);
    }

    #[test]
    fn patterns_are_short() {
        let seen = |families: &str| Observation {
            destinations: families
                .chars()
                .map(|family| if family == '6' { plan::v6(1) } else { plan::v4(1) })
                .collect(),
            ..Observation::default()
        };
        assert_eq!(pattern(&seen("64646464")), "6 4 6 4 alternating");
        assert_eq!(pattern(&seen("66664")), "6x4 4");
        assert_eq!(pattern(&seen("")), "");
    }
}
