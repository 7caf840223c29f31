//! A race as a picture, which a person reads without a legend: every bar says what it is and what became of
//! it.
//!
//! A lookup is a thin bar, an attempt a thick one, a wait a dotted line. What connected is filled, what
//! failed is filled and crossed out at its end, what nobody answered is hollow. While an attempt is held for its
//! TLS handshake its bar is hatched. The colours are of Okabe's and Ito's palette, which all kinds of eyes tell
//! apart; no meaning rests on them alone.

use crate::chart;
use crate::names;
use crate::record::{Attempt, AttemptState, Lookup, LookupOutcome, Record, WaitKind};
use anyhow::{Result, anyhow, bail};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Pixels of a PNG for each of the picture.
const PNG_SCALE: u32 = 2;
/// A picture that is larger than this nobody can look at.
const MOST_ROWS: usize = 500;

const MARGIN: i32 = 20;
const LABELS: i32 = 292;
const BARS: i32 = 420;
/// Room for what stands behind a bar.
const REMARKS: i32 = 230;
const PANEL: i32 = MARGIN + LABELS + BARS + REMARKS;
const HEAD: i32 = 78;
const ROW: i32 = 26;
const FOOT: i32 = 44;
const LEGEND: i32 = 22;

const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const FAINT: RGBColor = RGBColor(0x70, 0x70, 0x70);
const GRID: RGBColor = RGBColor(0xe2, 0xe2, 0xe2);
/// Okabe and Ito: sky blue, bluish green, vermillion, reddish purple.
const LOOKUP: RGBColor = RGBColor(0x56, 0xb4, 0xe9);
const CONNECTED: RGBColor = RGBColor(0x00, 0x9e, 0x73);
const FAILED: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
const TIMED_OUT: RGBColor = RGBColor(0xcc, 0x79, 0xa7);

const FONT: &str = "sans-serif";

pub fn svg(records: &[Record]) -> Result<String> {
    let (records, width, height) = plan(records)?;
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (width as u32, height as u32)).into_drawing_area();
        paint(&area, &records, 1).map_err(|error| anyhow!("cannot draw: {error}"))?;
        area.present().map_err(|error| anyhow!("cannot draw: {error}"))?;
    }
    Ok(text)
}

pub fn png(records: &[Record]) -> Result<Vec<u8>> {
    let (records, width, height) = plan(records)?;
    let (width, height) = (width as u32 * PNG_SCALE, height as u32 * PNG_SCALE);
    let mut pixels = vec![0; (width * height * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        paint(&area, &records, PNG_SCALE as i32).map_err(|error| anyhow!("cannot draw: {error}"))?;
        area.present().map_err(|error| anyhow!("cannot draw: {error}"))?;
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(file)
}

/// What is drawn and how large that is. Of several races the first and the last.
fn plan(records: &[Record]) -> Result<(Vec<&Record>, i32, i32)> {
    let shown: Vec<&Record> = match records {
        [] => bail!("there is no race to draw"),
        [one] => vec![one],
        [first, .., last] => vec![first, last],
    };
    let rows = shown.iter().map(|record| record.lookups.len() + record.attempts.len()).max().unwrap_or(0);
    if rows > MOST_ROWS {
        bail!("{rows} lookups and attempts are more than a picture takes ({MOST_ROWS})");
    }
    // Without this the names of fonts mean nothing; a second time changes nothing.
    for (style, bytes) in [(FontStyle::Normal, dejavu::sans::regular()), (FontStyle::Bold, dejavu::sans::bold())] {
        plotters::style::register_font(FONT, style, bytes).map_err(|_| anyhow!("the font cannot be read"))?;
    }
    let width = PANEL * shown.len() as i32 + MARGIN;
    let legend = if shown.iter().any(|record| record.has_held()) { LEGEND } else { 0 };
    Ok((shown, width, HEAD + ROW * rows as i32 + FOOT + legend))
}

type Drawn<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

fn paint<B: DrawingBackend>(area: &DrawingArea<B, Shift>, records: &[&Record], zoom: i32) -> Drawn<B> {
    area.fill(&WHITE)?;
    let end = records.iter().map(|record| record.span_ms()).fold(0.001, f64::max);
    for (number, record) in records.iter().enumerate() {
        let panel = Panel { area, zoom, left: PANEL * number as i32 + MARGIN, end };
        panel.paint(record)?;
    }
    Ok(())
}

/// One race: where it stands, and its scale.
struct Panel<'a, B: DrawingBackend> {
    area: &'a DrawingArea<B, Shift>,
    zoom: i32,
    left: i32,
    end: f64,
}

/// How a bar looks.
enum Shape {
    Filled,
    Crossed,
    Hollow,
    Hatched,
}

impl<B: DrawingBackend> Panel<'_, B> {
    fn paint(&self, record: &Record) -> Drawn<B> {
        let rows = record.lookups.len() + record.attempts.len();
        self.text(0, 24, 21.0, &INK, true, HPos::Left, &shortened(&record.title(), 60))?;
        let conclusion = crate::cost::sentences(record);
        for (line, sentence) in conclusion.iter().take(2).enumerate() {
            self.text(0, 46 + 17 * line as i32, 14.0, &FAINT, false, HPos::Left, &shortened(sentence, 130))?;
        }
        self.grid(rows)?;
        for (row, lookup) in record.lookups.iter().enumerate() {
            self.lookup(row, lookup, record)?;
        }
        for (number, attempt) in record.attempts.iter().enumerate() {
            self.attempt(record.lookups.len() + number, attempt, record)?;
        }
        if record.has_held() { self.legend(rows) } else { Ok(()) }
    }

    /// Upright lines at round times, with the times below.
    fn grid(&self, rows: usize) -> Drawn<B> {
        let bottom = HEAD + ROW * rows as i32 + 4;
        let step = chart::step(self.end, 66);
        let mut at = 0.0;
        while at <= self.end * 1.0001 {
            let x = self.x(at);
            self.line((x, HEAD - 6), (x, bottom), &GRID, 1)?;
            self.text(
                x,
                bottom + 12,
                13.0,
                &FAINT,
                false,
                HPos::Center,
                &if at == 0.0 { "0".to_owned() } else { chart::tick(at) },
            )?;
            at += step;
        }
        Ok(())
    }

    fn lookup(&self, row: usize, lookup: &Lookup, record: &Record) -> Drawn<B> {
        let label = match lookup.question.as_str() {
            "AAAA" => "look up IPv6 (AAAA)",
            "A" => "look up IPv4 (A)",
            "local" => "look up the local address",
            "service" => "look up the bindings of the service",
            text if text.contains(" of target ") => text,
            _ => "look up both families",
        };
        let (from, to) = (lookup.started_ms, lookup.ended_ms.unwrap_or(record.span_ms()));
        let took = names::duration_ms(to - from);
        let (color, shape, remark) = match lookup.outcome {
            LookupOutcome::Answered => (
                LOOKUP,
                Shape::Filled,
                format!("{}, {took}", names::count(lookup.addresses.len(), "address", "addresses")),
            ),
            LookupOutcome::Failed => (FAILED, Shape::Crossed, format!("{}, {took}", chart::lookup_failure(lookup))),
            LookupOutcome::Abandoned if record.winner().is_none() => {
                (FAINT, Shape::Hollow, format!("no answer, {took}"))
            }
            LookupOutcome::Abandoned => (FAINT, Shape::Hollow, format!("not needed any more, {took}")),
            LookupOutcome::Running => (FAINT, Shape::Hollow, took),
        };
        self.label(row, label, &INK)?;
        self.bar(row, from, to, 4, &color, &shape)?;
        self.remark(row, to, &remark, &INK)
    }

    fn attempt(&self, row: usize, attempt: &Attempt, record: &Record) -> Drawn<B> {
        let (from, to) = (attempt.started_ms, attempt.ended_ms.unwrap_or(record.span_ms()));
        let took = names::duration_ms(to - from);
        let held = attempt.connected_ms;
        let (color, shape, remark) = match attempt.outcome {
            AttemptState::Connected => (CONNECTED, Shape::Filled, format!("✓ connected, {took}")),
            AttemptState::Failed => (FAILED, Shape::Crossed, format!("{}, {took}", chart::attempt_failure(attempt))),
            AttemptState::TimedOut => (TIMED_OUT, Shape::Crossed, format!("time limit, {took}")),
            AttemptState::Abandoned if held.is_some() => (FAINT, Shape::Hollow, format!("no handshake, {took}")),
            AttemptState::Abandoned => (FAINT, Shape::Hollow, format!("no answer, {took}")),
            AttemptState::Running => (FAINT, Shape::Hollow, took),
        };
        let ink = if attempt.outcome == AttemptState::Connected { CONNECTED } else { INK };
        self.label(row, &attempt.address, &ink)?;
        self.wait(row, attempt, record)?;
        match held {
            // TCP went well, whatever came of the handshake.
            Some(held) => {
                self.bar(row, held, to, 8, &color, &Shape::Hatched)?;
                self.bar(row, from, held, 8, &color, &Shape::Filled)?;
                if let Shape::Crossed = shape {
                    self.cross(row, to, 8)?;
                }
            }
            None => self.bar(row, from, to, 8, &color, &shape)?,
        }
        self.remark(row, to, &remark, &ink)
    }

    /// What the two parts of the bars are; only where there are two.
    fn legend(&self, rows: usize) -> Drawn<B> {
        let y = HEAD + ROW * rows as i32 + FOOT;
        for (x, shape, says) in
            [(LABELS, Shape::Filled, "TCP"), (LABELS + 80, Shape::Hatched, "connected, held for its TLS handshake")]
        {
            self.block((x, x + 24), y, 6, &FAINT, &shape)?;
            self.text(x + 31, y, 13.0, &FAINT, false, HPos::Left, says)?;
        }
        Ok(())
    }

    /// What an attempt waited for before it began: a dotted line that leads to it, with its name above.
    fn wait(&self, row: usize, attempt: &Attempt, record: &Record) -> Drawn<B> {
        let led_here = |ended: Option<f64>| ended.is_some_and(|ended| (ended - attempt.started_ms).abs() < 1.0);
        let Some(wait) = record.waits.iter().rfind(|wait| led_here(wait.ended_ms)) else { return Ok(()) };
        let (from, to, y) = (self.x(wait.started_ms), self.x(attempt.started_ms), self.y(row));
        if to - from < 12 {
            return Ok(());
        }
        for x in (from + 2..to - 4).step_by(6) {
            self.line((x, y), (x + 2, y), &FAINT, 2)?;
        }
        let name = match wait.kind {
            WaitKind::ResolutionDelay => "Resolution Delay",
            WaitKind::ConnectionAttemptDelay => "Connection Attempt Delay",
        };
        // It has to fit: about four and a half pixels a letter.
        if to - from > 5 * name.len() as i32 {
            self.text((from + to) / 2, y - 7, 11.0, &FAINT, false, HPos::Center, name)?;
        }
        Ok(())
    }

    fn label(&self, row: usize, text: &str, color: &RGBColor) -> Drawn<B> {
        self.text(LABELS - 12, self.y(row), 14.5, color, false, HPos::Right, &shortened(text, 40))
    }

    fn remark(&self, row: usize, at: f64, text: &str, color: &RGBColor) -> Drawn<B> {
        self.text(self.x(at).max(LABELS + 3) + 13, self.y(row), 14.0, color, false, HPos::Left, text)
    }

    fn bar(&self, row: usize, from: f64, to: f64, half: i32, color: &RGBColor, shape: &Shape) -> Drawn<B> {
        let left = self.x(from);
        // The shortest can still be seen.
        let right = self.x(to).max(left + 3);
        self.block((left, right), self.y(row), half, color, shape)?;
        if let Shape::Crossed = shape { self.cross(row, to, half.max(6)) } else { Ok(()) }
    }

    fn block(&self, (left, right): (i32, i32), y: i32, half: i32, color: &RGBColor, shape: &Shape) -> Drawn<B> {
        let corners = [self.at((left, y - half)), self.at((right, y + half))];
        if let Shape::Filled | Shape::Crossed = shape {
            return self.area.draw(&Rectangle::new(corners, color.filled()));
        }
        self.area.draw(&Rectangle::new(corners, WHITE.filled()))?;
        if let Shape::Hatched = shape {
            // Strokes that rise to the right, cut where the block ends.
            for foot in (left - 2 * half..right).step_by(6) {
                let (low, high) = ((left - foot).max(0), (right - foot).min(2 * half));
                self.line((foot + low, y + half - low), (foot + high, y + half - high), color, 2)?;
            }
        }
        self.area.draw(&Rectangle::new(corners, color.stroke_width(self.zoom as u32)))
    }

    /// Where something ended badly.
    fn cross(&self, row: usize, at: f64, arm: i32) -> Drawn<B> {
        let (x, y) = (self.x(at), self.y(row));
        self.line((x - arm, y - arm), (x + arm, y + arm), &INK, 2)?;
        self.line((x - arm, y + arm), (x + arm, y - arm), &INK, 2)
    }

    /// In the picture's own pixels: how far right a time is, how far down a row.
    fn x(&self, at: f64) -> i32 {
        LABELS + (at / self.end * f64::from(BARS)) as i32
    }

    fn y(&self, row: usize) -> i32 {
        HEAD + ROW * row as i32 + ROW / 2
    }

    /// From those to the pixels that are drawn.
    fn at(&self, (x, y): (i32, i32)) -> (i32, i32) {
        ((self.left + x) * self.zoom, y * self.zoom)
    }

    fn line(&self, from: (i32, i32), to: (i32, i32), color: &RGBColor, width: i32) -> Drawn<B> {
        let style = color.stroke_width((width * self.zoom) as u32);
        self.area.draw(&PathElement::new(vec![self.at(from), self.at(to)], style))
    }

    #[expect(clippy::too_many_arguments, reason = "a text has a place, a look and letters")]
    fn text(&self, x: i32, y: i32, size: f64, color: &RGBColor, bold: bool, side: HPos, text: &str) -> Drawn<B> {
        let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
        let font = (FONT, size * f64::from(self.zoom), style).into_font();
        let style = TextStyle::from(font).color(color).pos(Pos::new(side, VPos::Center));
        self.area.draw(&Text::new(text.to_owned(), self.at((x, y)), style))
    }
}

fn shortened(text: &str, most: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= most {
        return text.to_owned();
    }
    letters[..most - 1].iter().collect::<String>() + "…"
}
