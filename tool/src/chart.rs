//! A race as lines of text: one a lookup and one an attempt, each with a bar on a common scale.

use crate::look::{Look, Paint};
use crate::names;
use crate::record::{Attempt, AttemptState, Lookup, LookupOutcome, Record, WaitKind};

/// No bar is longer: on a wide terminal the eye would lose the line.
const LONGEST_BAR: usize = 100;
/// What stands between two columns.
const GAP: usize = 1;
const TIME_COLUMNS: usize = 8;
const STATE_COLUMNS: usize = 12;

/// One line.
struct Row {
    label: String,
    state: String,
    paint: Paint,
    /// From where a wait of its own led to its start.
    waited_from: Option<f64>,
    started: f64,
    /// From when on it was held for its TLS handshake.
    held_from: Option<f64>,
    ended: Option<f64>,
    is_lookup: bool,
}

/// The lines, as of `now_ms` while it runs. Every line fits the look's width.
pub fn lines(record: &Record, now_ms: f64, look: &Look) -> Vec<String> {
    let scale = if record.result.is_some() { record.span_ms() } else { growing_scale(now_ms) };
    lines_in(record, now_ms, &Frame { end_ms: scale, label_columns: widest_label(&rows(record)) }, look)
}

/// What several races have in common that are to be compared: where the scale ends, and where the bars begin.
pub struct Frame {
    end_ms: f64,
    label_columns: usize,
}

impl Frame {
    pub fn around(records: &[Record]) -> Frame {
        let end_ms = records.iter().map(Record::span_ms).fold(0.0, f64::max);
        let label_columns = records.iter().map(|record| widest_label(&rows(record))).max().unwrap_or(0);
        Frame { end_ms, label_columns }
    }
}

fn widest_label(rows: &[Row]) -> usize {
    rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0)
}

/// The lines within a frame.
pub fn lines_in(record: &Record, now_ms: f64, frame: &Frame, look: &Look) -> Vec<String> {
    let rows = rows(record);
    let end = record.result.as_ref().map_or(now_ms, |result| result.total_ms);
    let label_columns = frame.label_columns.clamp(8, (look.width * 3 / 10).max(12));
    let before_bar = 2 + label_columns + GAP + STATE_COLUMNS + GAP + TIME_COLUMNS + 2;
    let bar_columns = (look.width.saturating_sub(before_bar)).clamp(2, LONGEST_BAR);
    let scale = Scale { end: frame.end_ms.max(0.001), columns: bar_columns };
    let mut lines: Vec<String> = rows.iter().map(|row| line(row, end, &scale, label_columns, look)).collect();
    lines.push(look.paint(Paint::Quiet, &format!("{}{}", " ".repeat(before_bar), axis(&scale))));
    if record.has_held() {
        let (connecting, held) = (attempt_body(look), held_body(look));
        let legend = format!("{connecting}{connecting} TCP  {held}{held} TLS handshake");
        // Below the bars, unless it is wider than they are.
        let indent = before_bar.min(look.width.saturating_sub(legend.chars().count()));
        lines.push(look.paint(Paint::Quiet, &format!("{}{legend}", " ".repeat(indent))));
    }
    lines
}

/// The lookups without bars: what became of each, how long it took, and who has answered.
pub fn states(record: &Record, look: &Look) -> Vec<Vec<String>> {
    let state = |lookup: &Lookup| {
        let row = lookup_row(record, lookup);
        let took = names::duration_ms(row.ended.unwrap_or(record.span_ms()) - row.started);
        let mark = if row.paint == Paint::Bad { look.mark(false) } else { " " };
        let head = format!(
            "{} {} {} {}",
            look.paint(row.paint, mark),
            look.fit(&row.label, 13),
            look.paint(row.paint, &look.fit(&row.state, STATE_COLUMNS)),
            look.paint(Paint::Quiet, &format!("{took:>TIME_COLUMNS$}")),
        );
        let Some(source) = &lookup.source else { return vec![head] };
        let source = source.text();
        if console::measure_text_width(&head) + 2 + source.len() <= look.width {
            return vec![format!("{head}  {source}")];
        }
        let indented = Look { width: look.width - 4, ..*look };
        std::iter::once(head).chain(indented.wrap(&source).iter().map(|line| format!("    {line}"))).collect()
    };
    record.lookups.iter().map(state).collect()
}

struct Scale {
    end: f64,
    columns: usize,
}

impl Scale {
    fn column(&self, at: f64) -> usize {
        ((at / self.end * self.columns as f64) as usize).min(self.columns - 1)
    }
}

/// A scale that the bars grow into, made longer in steps so that it does not tremble.
fn growing_scale(now: f64) -> f64 {
    let mut end = 100.0;
    while end < now * 1.05 {
        end *= 2.0;
    }
    end
}

fn rows(record: &Record) -> Vec<Row> {
    let lookups = record.lookups.iter().map(|lookup| lookup_row(record, lookup));
    let attempts = record.attempts.iter().enumerate().map(|(number, attempt)| attempt_row(record, number, attempt));
    lookups.chain(attempts).collect()
}

fn lookup_row(record: &Record, lookup: &Lookup) -> Row {
    let label = match lookup.question.as_str() {
        "AAAA" => "IPv6 lookup".to_owned(),
        "A" => "IPv4 lookup".to_owned(),
        "local" => "local address".to_owned(),
        "service" => "bindings".to_owned(),
        text if text.contains(" of target ") => text.to_owned(),
        _ => "lookup".to_owned(),
    };
    let (state, paint) = match lookup.outcome {
        LookupOutcome::Running => ("asking".to_owned(), Paint::Plain),
        LookupOutcome::Answered if lookup.addresses.is_empty() => ("answered".to_owned(), Paint::Lookup),
        LookupOutcome::Answered => (names::count(lookup.addresses.len(), "address", "addresses"), Paint::Lookup),
        LookupOutcome::Failed => (lookup_failure(lookup), Paint::Bad),
        LookupOutcome::Abandoned if record.winner().is_some() => ("not needed".to_owned(), Paint::Quiet),
        LookupOutcome::Abandoned => ("no answer".to_owned(), Paint::Bad),
    };
    let (started, ended) = (lookup.started_ms, lookup.ended_ms);
    Row { label, state, paint, waited_from: None, started, held_from: None, ended, is_lookup: true }
}

/// Why a lookup failed, in a word or two.
pub fn lookup_failure(lookup: &Lookup) -> String {
    let code = lookup.error.as_ref().and_then(|error| error.gai_error).unwrap_or(0);
    match names::gai_error(code).0 {
        "EAI_NODATA" | "EAI_ADDRFAMILY" => "no address".to_owned(),
        "EAI_NONAME" => "not known".to_owned(),
        "EAI_AGAIN" => "no answer".to_owned(),
        "EAI_FAIL" => "no help".to_owned(),
        "EAI_SYSTEM" => {
            let errno = lookup.error.as_ref().and_then(|error| error.errno).unwrap_or(0);
            names::errno_short(errno)
        }
        name => name.to_owned(),
    }
}

fn attempt_row(record: &Record, number: usize, attempt: &Attempt) -> Row {
    let (state, paint) = match attempt.outcome {
        AttemptState::Running if attempt.connected_ms.is_some() => ("handshake".to_owned(), Paint::Plain),
        AttemptState::Abandoned if attempt.connected_ms.is_some() => ("no handshake".to_owned(), Paint::Quiet),
        AttemptState::Running => ("connecting".to_owned(), Paint::Plain),
        AttemptState::Connected => ("connected".to_owned(), Paint::Good),
        AttemptState::Failed => (attempt_failure(attempt), Paint::Bad),
        AttemptState::TimedOut => ("timed out".to_owned(), Paint::Bad),
        AttemptState::Abandoned => ("no answer".to_owned(), Paint::Quiet),
    };
    let wait =
        record.waits.iter().rfind(|wait| wait.ended_ms.is_some_and(|ended| (ended - attempt.started_ms).abs() < 1.0));
    let waited_from = wait.filter(|wait| wait.kind == WaitKind::ConnectionAttemptDelay || number == 0);
    Row {
        label: attempt.address.clone(),
        state,
        paint,
        waited_from: waited_from.map(|wait| wait.started_ms),
        started: attempt.started_ms,
        held_from: attempt.connected_ms,
        ended: attempt.ended_ms,
        is_lookup: false,
    }
}

/// Why an attempt failed, in a word or two.
pub fn attempt_failure(attempt: &Attempt) -> String {
    let errno = attempt.error.as_ref().and_then(|error| error.errno).unwrap_or(0);
    names::errno_short(errno)
}

fn line(row: &Row, now: f64, scale: &Scale, label_columns: usize, look: &Look) -> String {
    let mark = match row.paint {
        Paint::Good => look.mark(true),
        Paint::Bad => look.mark(false),
        _ => " ",
    };
    let took = names::duration_ms(row.ended.unwrap_or(now) - row.started);
    let label_paint = if row.paint == Paint::Good { Paint::Strong } else { Paint::Plain };
    format!(
        "{} {} {} {}  {}",
        look.paint(row.paint, mark),
        look.paint(label_paint, &look.fit(&row.label, label_columns)),
        look.paint(row.paint, &look.fit(&row.state, STATE_COLUMNS)),
        look.paint(Paint::Quiet, &format!("{took:>TIME_COLUMNS$}")),
        bar(row, now, scale, look),
    )
    .trim_end()
    .to_owned()
}

fn attempt_body(look: &Look) -> &'static str {
    look.letters("━", "=")
}

/// Another pattern, and not another colour: what an attempt does after TCP.
fn held_body(look: &Look) -> &'static str {
    look.letters("▒", "%")
}

/// Dots while it waited, then a line while it ran: thin for a lookup, thick for an attempt, dense while that was
/// held.
fn bar(row: &Row, now: f64, scale: &Scale, look: &Look) -> String {
    let start = scale.column(row.started);
    let end = scale.column(row.ended.unwrap_or(now)).max(start);
    let waited_from = row.waited_from.map_or(start, |from| scale.column(from).min(start));
    let held_from = row.held_from.map_or(end, |from| scale.column(from).clamp(start, end));
    let body = if row.is_lookup { look.letters("─", "-") } else { attempt_body(look) };
    // Its last column says how it stands: it goes on, it was reached, it was not.
    let tip = match row.paint {
        _ if row.ended.is_none() => look.letters("╸", ">"),
        Paint::Good => look.letters("●", "#"),
        Paint::Bad => look.letters("✗", "x"),
        Paint::Lookup => look.letters("┤", "|"),
        _ => look.letters("╌", "."),
    };
    let paint = if row.ended.is_none() && row.is_lookup { Paint::Lookup } else { row.paint };
    format!(
        "{}{}{}",
        " ".repeat(waited_from),
        look.paint(Paint::Quiet, &look.letters("·", ".").repeat(start - waited_from)),
        look.paint(
            paint,
            &format!("{}{}{tip}", body.repeat(held_from - start), held_body(look).repeat(end - held_from))
        ),
    )
}

/// The scale below the bars: as many times as there is room for.
fn axis(scale: &Scale) -> String {
    let step = step(scale.end, scale.columns);
    let mut axis = String::from("0");
    let mut at = step;
    while at < scale.end {
        let text = tick(at);
        let column = (at / scale.end * scale.columns as f64) as usize;
        let place = column.saturating_sub(text.chars().count() / 2);
        if place > axis.len() + 1 && column + text.len() / 2 < scale.columns.max(8) {
            axis.push_str(&" ".repeat(place - axis.len()));
            axis.push_str(&text);
        }
        at += step;
    }
    if axis == "0" {
        // Not one round time had room: the end is told instead.
        let end = names::duration_ms(scale.end);
        if end.len() + 2 <= scale.columns {
            axis.push_str(&format!("{end:>width$}", width = scale.columns - 1));
        }
    }
    axis
}

/// The distance between two times on a scale: 1, 2 or 5 of something, at least 12 columns.
pub fn step(end: f64, columns: usize) -> f64 {
    let least = end * 12.0 / columns as f64;
    let mut power = 1e-3;
    loop {
        for factor in [1.0, 2.0, 5.0] {
            if factor * power >= least {
                return factor * power;
            }
        }
        power *= 10.0;
    }
}

/// A time on a scale.
pub fn tick(at: f64) -> String {
    if at >= 1000.0 {
        let seconds = format!("{:.3}", at / 1e3);
        return format!("{} s", seconds.trim_end_matches('0').trim_end_matches('.'));
    }
    let text = format!("{at:.3}");
    format!("{} ms", text.trim_end_matches('0').trim_end_matches('.'))
}
