//! `happy connect --repeat`: one line a race, and what they have in common.

use crate::look::{Look, Paint};
use crate::names;
use crate::record::{Record, Status};
use console::Term;
use happysock::HistoryReport;

/// A line for the race that has just ended, with the headings before the first.
pub fn show_one(term: &Term, look: &Look, records: &[Record]) {
    let Some(record) = records.last() else { return };
    if records.len() == 1 {
        let _ = term.write_line(&look.paint(Paint::Strong, &record.title()));
    }
    let Some(result) = &record.result else { return };
    let connected = result.status == Status::Connected;
    let what = match record.winner() {
        Some(winner) => format!("{} {}", winner.family, winner.address),
        None => result.message.clone(),
    };
    let columns = look.width.min(100) - 30;
    let line = format!(
        "{:>5}  {} {} {:>8}  {}",
        records.len(),
        look.mark(connected),
        look.fit(&what, columns),
        names::duration_ms(result.total_ms),
        names::count(record.attempts.len(), "try", "tries"),
    );
    let _ = term.write_line(&look.paint(if connected { Paint::Plain } else { Paint::Bad }, line.trim_end()));
}

/// How many of each, the least, the middle and the greatest time, and what was learnt.
pub fn summarize(term: &Term, look: &Look, records: &[Record], learnt: Option<HistoryReport>) {
    let connected: Vec<&Record> = records.iter().filter(|record| record.winner().is_some()).collect();
    let mut sentences = Vec::new();
    for family in ["IPv6", "IPv4"] {
        let of_family = connected.iter().filter(|record| record.winner().is_some_and(|winner| winner.family == family));
        let times: Vec<f64> = of_family.map(|record| record.span_ms()).collect();
        if let Some((least, middle, greatest)) = spread(times.clone()) {
            let ms = names::duration_ms;
            let many = names::count(times.len(), "time", "times");
            let text = format!(
                "{family} {many}: {} at least, {} in the middle, {} at most.",
                ms(least),
                ms(middle),
                ms(greatest)
            );
            sentences.push(text);
        }
    }
    let failed = records.len() - connected.len();
    if failed > 0 {
        sentences.push(format!("Not connected {}.", names::count(failed, "time", "times")));
    }
    let unanswered = learnt.map_or([0; 2], |learnt| [learnt.unanswered_v6, learnt.unanswered_v4]);
    for (family, networks) in ["IPv6", "IPv4"].iter().zip(unanswered) {
        if networks > 0 {
            sentences.push(format!("Learnt: {family} does not answer in this network.{}", first_with_that(records)));
        }
    }
    for line in sentences.iter().flat_map(|sentence| look.wrap(sentence)) {
        let _ = term.write_line(&line);
    }
}

/// From which race on what was learnt showed: the first that began with another family than the first one.
fn first_with_that(records: &[Record]) -> String {
    let first_family = |record: &Record| record.attempts.first().map(|attempt| attempt.family.clone());
    let before = records.first().and_then(first_family);
    let place = records.iter().position(|record| first_family(record).is_some_and(|family| Some(family) != before));
    match place.and_then(|place| Some((place + 1, first_family(&records[place])?))) {
        Some((race, family)) => format!(" Race {race} was the first to begin with {family}."),
        None => String::new(),
    }
}

/// The least, the median and the greatest.
pub fn spread(mut times: Vec<f64>) -> Option<(f64, f64, f64)> {
    times.sort_by(f64::total_cmp);
    Some((*times.first()?, times[times.len() / 2], *times.last()?))
}
