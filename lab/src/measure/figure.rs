//! The figure of the paper: the gap that was seen against the delay that was set, one file for each sweep.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lab::Family;
use svg::Document;
use svg::node::element::path::Data;
use svg::node::element::{Circle, Group, Line, Path as Stroke, Rectangle, Text, Title};

use super::plan::Part;
use super::{Results, report};

/// Okabe and Ito's colours, which colour-blind people can tell apart; then they repeat.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];
const WIDTH: f64 = 760.0;
const LEFT: f64 = 110.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const PLOT_HEIGHT: f64 = 300.0;
/// A strip for each client under the plot: which family it connected to.
const STRIP: f64 = 18.0;
/// The radius of the first client's points.
const SMALLEST_POINT: f64 = 1.5;
const MIDDLE: &str = "middle";

/// Draws every sweep that was measured and answers with the files.
pub fn draw(results: &Results, directory: &Path) -> Result<Vec<PathBuf>> {
    let sweeps = [
        (
            Part::AttemptDelay,
            "connection-attempt-delay.svg",
            "delay of IPv6 (ms)",
            "first IPv6 SYN to first IPv4 SYN (ms)",
        ),
        (
            Part::AaaaDelay,
            "resolution-delay-aaaa.svg",
            "delay of the AAAA answer (ms)",
            "A answer to first IPv4 SYN (ms)",
        ),
        (Part::ADelay, "resolution-delay-a.svg", "delay of the A answer (ms)", "AAAA answer to first IPv6 SYN (ms)"),
    ];
    let mut files = Vec::new();
    for (part, name, across, up) in sweeps {
        if results.of(part).next().is_none() {
            continue;
        }
        let file = directory.join(name);
        svg::save(&file, &figure(results, part, across, up))
            .with_context(|| format!("cannot write {}", file.display()))?;
        files.push(file);
    }
    Ok(files)
}

/// Places values on the sheet.
struct Scale {
    across: f64,
    up: f64,
}

impl Scale {
    fn x(&self, value: f64) -> f64 {
        LEFT + value / self.across * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        TOP + PLOT_HEIGHT - value / self.up * PLOT_HEIGHT
    }
}

/// A round number above `value`, and the distance of the marks below it.
fn round_up(value: f64) -> (f64, f64) {
    let power = 10_f64.powf(value.max(1.0).log10().floor());
    let step = [0.1, 0.2, 0.5, 1.0].map(|part| part * power).into_iter().find(|step| value / step <= 8.0);
    let step = step.unwrap_or(2.0 * power);
    ((value / step).ceil().max(1.0) * step, step)
}

fn text(content: &str, x: f64, y: f64) -> Text {
    Text::new(content).set("x", x).set("y", y).set("font-size", 12)
}

fn line(x1: f64, y1: f64, x2: f64, y2: f64, colour: &str) -> Line {
    Line::new().set("x1", x1).set("y1", y1).set("x2", x2).set("y2", y2).set("stroke", colour)
}

fn figure(results: &Results, part: Part, across: &str, up: &str) -> Document {
    let steps = || results.of(part);
    let clients = 0..results.clients.len();
    let last = steps().map(|measured| measured.experiment.delay_ms).fold(1.0, f64::max);
    let gaps = steps().flat_map(|measured| clients.clone().filter_map(|client| measured.gap(client)));
    let (top, step_up) = round_up(gaps.fold(10.0, f64::max) * 1.02);
    let (_, step_across) = round_up(last);
    let scale = Scale { across: last, up: top };
    let strips = TOP + PLOT_HEIGHT + 56.0;
    let height = strips + STRIP * results.clients.len() as f64 + 24.0;

    let mut document = Document::new()
        .set("viewBox", (0, 0, WIDTH, height))
        .set("font-family", "sans-serif")
        .add(Title::new(report::title(part)))
        .add(Rectangle::new().set("width", WIDTH).set("height", height).set("fill", "white"))
        .add(text(report::title(part), LEFT, 22.0).set("font-weight", "bold"));
    for mark in (0..=(top / step_up).round() as usize).map(|number| number as f64 * step_up) {
        document = document.add(line(LEFT, scale.y(mark), WIDTH - RIGHT, scale.y(mark), "#dddddd"));
        document = document.add(text(&mark.to_string(), LEFT - 8.0, scale.y(mark) + 4.0).set("text-anchor", "end"));
    }
    for mark in (0..=(last / step_across) as usize).map(|number| number as f64 * step_across) {
        document = document.add(line(scale.x(mark), TOP, scale.x(mark), TOP + PLOT_HEIGHT, "#eeeeee"));
        let label = text(&mark.to_string(), scale.x(mark), TOP + PLOT_HEIGHT + 16.0);
        document = document.add(label.set("text-anchor", MIDDLE));
    }
    let middle = TOP + PLOT_HEIGHT / 2.0;
    document = document
        .add(text(across, (LEFT + WIDTH - RIGHT) / 2.0, TOP + PLOT_HEIGHT + 34.0).set("text-anchor", MIDDLE))
        .add(text(up, 56.0, middle).set("text-anchor", MIDDLE).set("transform", format!("rotate(-90 56 {middle})")))
        .add(text("family connected to: filled IPv6, hollow IPv4", LEFT, strips - 4.0).set("font-size", 10));

    let width = (WIDTH - LEFT - RIGHT) / steps().count().max(1) as f64;
    // The first client on top, with the smallest points, so that equal ones show as rings around each other.
    for client in clients.rev() {
        let colour = COLOURS[client % COLOURS.len()];
        document = document.add(curve(results, part, client, &scale).set("stroke", colour).set("fill", colour));
    }
    for (client, name) in results.clients.iter().map(|client| &client.name).enumerate() {
        let colour = COLOURS[client % COLOURS.len()];
        let y = strips + STRIP * client as f64;
        let mut strip = Group::new().set("stroke", colour).set("fill", colour);
        for measured in steps() {
            let Some(family) = measured.family(client) else { continue };
            // Around its mark, and no wider than the plot.
            let x = scale.x(measured.experiment.delay_ms);
            let (start, end) = ((x - width / 2.0).max(LEFT), (x + width / 2.0).min(WIDTH - RIGHT));
            let block = Rectangle::new().set("x", start).set("y", y + 4.0).set("height", STRIP - 8.0);
            let block = block.set("width", end - start).set("stroke-width", 0.5);
            strip = strip.add(if family == Family::Ipv6 { block } else { block.set("fill", "white") });
        }
        let label = text(name, LEFT - 6.0, y + 13.0).set("text-anchor", "end").set("font-size", 9).set("fill", colour);
        document = document.add(strip).add(label);
    }
    document
}

/// The gaps of one client: points, joined where one follows the other.
fn curve(results: &Results, part: Part, client: usize, scale: &Scale) -> Group {
    let mut group = Group::new();
    let mut data = Data::new();
    let mut drawing = false;
    let radius = SMALLEST_POINT + client as f64;
    for measured in results.of(part) {
        let Some(gap) = measured.gap(client) else {
            drawing = false;
            continue;
        };
        let point = (scale.x(measured.experiment.delay_ms), scale.y(gap));
        data = if drawing { data.line_to(point) } else { data.move_to(point) };
        drawing = true;
        group = group.add(Circle::new().set("cx", point.0).set("cy", point.1).set("r", radius));
    }
    group.add(Stroke::new().set("d", data).set("fill", "none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, end, step) in
            [(400.0, 400.0, 50.0), (255.0, 300.0, 50.0), (1000.0, 1000.0, 200.0), (12.0, 12.0, 2.0)]
        {
            assert_eq!(round_up(value), (end, step), "{value}");
        }
    }
}
