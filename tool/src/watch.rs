//! `happy check --watch`: the rounds over time.

use crate::interrupt::Stop;
use crate::live::Live;
use crate::look::{Look, Paint};
use crate::names;
use crate::verdict::{Tally, Verdict};
use console::Term;
use std::time::{Duration, Instant};

/// What one round said of a family.
#[derive(Clone, Copy, Debug)]
struct Point {
    answered: usize,
    known: usize,
    rtt_ms: Option<f64>,
}

impl Point {
    fn of(tally: &Tally) -> Point {
        Point { answered: tally.answered(), known: tally.known(), rtt_ms: tally.rtt_median_ms }
    }
}

pub struct Watch {
    every: Duration,
    rounds: Option<u32>,
    term: Term,
    look: Look,
    live: Live,
    began: Instant,
    next: Instant,
    done: u32,
    points: [Vec<Point>; 2],
}

const FAMILIES: [&str; 2] = ["IPv6", "IPv4"];

impl Watch {
    pub fn new(seconds: u32, rounds: Option<u32>, term: Term, look: Look) -> Watch {
        let (every, began) = (Duration::from_secs(seconds.into()), Instant::now());
        let live = Live::new(term.clone(), look);
        Watch { every, rounds, term, look, live, began, next: began, done: 0, points: [Vec::new(), Vec::new()] }
    }

    /// Takes a round in, shows it, and waits for the next. False when there is none.
    pub fn round(&mut self, ipv6: &Tally, ipv4: &Tally, verdict: &Verdict, show: bool, stop: &Stop) -> bool {
        let ended = stop.is_set();
        if !ended {
            // A round that was broken off would look like a network that is.
            self.points[0].push(Point::of(ipv6));
            self.points[1].push(Point::of(ipv4));
            self.done += 1;
        }
        let last = ended || self.rounds.is_some_and(|rounds| self.done >= rounds);
        if show && !ended {
            self.show_round(verdict);
        }
        self.next += self.every;
        let goes_on = !last && !stop.wait(self.next.saturating_duration_since(Instant::now()));
        if show && !goes_on {
            self.show_end(verdict);
        }
        goes_on
    }

    fn show_round(&mut self, verdict: &Verdict) {
        if self.look.moves {
            let lines = self.lines(verdict);
            self.live.draw(&lines);
        } else if let Some(line) = self.line() {
            let _ = self.term.write_line(&line);
        }
    }

    fn show_end(&mut self, verdict: &Verdict) {
        if self.look.moves {
            let lines = self.lines(verdict);
            self.live.finish(&lines);
        } else {
            crate::verdict::say(verdict, &self.term, &self.look);
        }
    }

    fn lines(&self, verdict: &Verdict) -> Vec<String> {
        let elapsed = names::duration_ms(self.began.elapsed().as_secs_f64() * 1e3);
        let head = format!("round {}, {elapsed} so far, every {} s", self.done, self.every.as_secs());
        let mut lines = vec![self.look.paint(Paint::Quiet, &head)];
        for (name, points) in FAMILIES.iter().zip(&self.points) {
            lines.push(plot(name, points, &self.look));
        }
        lines.extend(self.look.wrap(&verdict.verdict).iter().map(|line| self.look.paint(Paint::Strong, line)));
        lines.extend(verdict.advice.iter().flat_map(|advice| self.look.wrap(advice)));
        lines
    }

    /// The latest round for a pipe: one line, the words in their places.
    fn line(&self) -> Option<String> {
        let mut text = format!("{:>8.1} s", self.began.elapsed().as_secs_f64());
        for (name, points) in FAMILIES.iter().zip(&self.points) {
            let Point { answered, known, rtt_ms } = points.last()?;
            let rtt = rtt_ms.map_or("-".to_owned(), names::duration_ms);
            text.push_str(&format!("  {name} {answered} of {known} {rtt:>8}"));
        }
        Some(text)
    }
}

const STEPS_UNICODE: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const STEPS_ASCII: [&str; 4] = ["_", ".", "-", "^"];

/// The rounds of a family, the latest at the right: how high is how slow, a cross is a round in which nobody
/// answered, a small mark below it one in which not everybody did.
fn plot(name: &str, points: &[Point], look: &Look) -> String {
    let Some(latest) = points.last() else { return name.to_owned() };
    let rtt = latest.rtt_ms.map_or("-".to_owned(), names::duration_ms);
    let head = format!("{name} {:>5}/{:<5} {rtt:>8}  ", latest.answered, latest.known);
    let room = look.width.min(120).saturating_sub(head.len());
    let shown = &points[points.len().saturating_sub(room)..];
    let slowest = shown.iter().filter_map(|point| point.rtt_ms).fold(0.0, f64::max);
    let steps: &[&str] = if look.unicode { &STEPS_UNICODE } else { &STEPS_ASCII };
    let bars: String = shown
        .iter()
        .map(|point| match point.rtt_ms {
            _ if point.known == 0 => " ".to_owned(),
            _ if point.answered == 0 => look.paint(Paint::Bad, look.mark(false)),
            Some(rtt) => {
                let step = (rtt / slowest * (steps.len() - 1) as f64).round() as usize;
                let paint = if point.answered < point.known { Paint::Bad } else { Paint::Good };
                look.paint(paint, steps[step.min(steps.len() - 1)])
            }
            None => look.paint(Paint::Bad, steps[0]),
        })
        .collect();
    format!("{}{bars}", look.paint(Paint::Plain, &head))
}
