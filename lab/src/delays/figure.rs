//! The figure of `lab delays`: a panel for each thing that was measured, a colour for each loss; dashed is
//! the fixed delay, drawn through the one that fits.

use svg::Document;
use svg::node::element::path::Data;
use svg::node::element::{Circle, Line, Path as Stroke, Rectangle, Text, Title};

use super::{Figures, Row};

/// Okabe and Ito's colours, which colour-blind people can tell apart.
const COLOURS: [&str; 5] = ["#0072b2", "#009e73", "#e69f00", "#d55e00", "#cc79a7"];
const PANEL_WIDTH: f64 = 420.0;
const PANEL_HEIGHT: f64 = 260.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 64.0;
const BETWEEN: f64 = 70.0;
const WIDTH: f64 = LEFT + 2.0 * PANEL_WIDTH + BETWEEN + 20.0;
const HEIGHT: f64 = TOP + PANEL_HEIGHT + 76.0;
/// Marks on each axis that goes up.
const MARKS: usize = 5;

/// What a panel shows of one delay.
type Value = fn(&Figures) -> f64;
/// One of the two delays.
type Delay = fn(&Row) -> Figures;

fn text(content: &str, x: f64, y: f64) -> Text {
    Text::new(content).set("x", x).set("y", y).set("font-size", 12)
}

fn line(x1: f64, y1: f64, x2: f64, y2: f64, colour: &str) -> Line {
    Line::new().set("x1", x1).set("y1", y1).set("x2", x2).set("y2", y2).set("stroke", colour)
}

pub fn draw(rows: &[Row]) -> Document {
    let title = "Connection Attempt Delay: fixed (250 ms) and fitting";
    let mut document = Document::new()
        .set("viewBox", (0, 0, WIDTH, HEIGHT))
        .set("font-family", "sans-serif")
        .add(Title::new(title))
        .add(Rectangle::new().set("width", WIDTH).set("height", HEIGHT).set("fill", "white"))
        .add(text(title, LEFT, 22.0).set("font-weight", "bold"));
    let panels: [(&str, Value); 2] = [
        ("mean time to connect (ms)", |figures| figures.mean_ms),
        ("needless SYNs of 100 connects", |figures| figures.needless_per_100),
    ];
    for (number, (name, value)) in panels.into_iter().enumerate() {
        let left = LEFT + number as f64 * (PANEL_WIDTH + BETWEEN);
        document = panel(document, rows, left, name, value);
    }
    // The legend, under both.
    let y = TOP + PANEL_HEIGHT + 62.0;
    let mut x = LEFT;
    for (number, loss) in losses(rows).into_iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        document = document.add(line(x, y - 4.0, x + 24.0, y - 4.0, colour).set("stroke-width", 3)).add(text(
            &format!("{loss} % lost"),
            x + 30.0,
            y,
        ));
        x += 110.0;
    }
    for (label, dashes) in [("fixed", "6 4"), ("fitting", "none")] {
        document = document
            .add(line(x, y - 4.0, x + 34.0, y - 4.0, "#333333").set("stroke-dasharray", dashes).set("stroke-width", 2))
            .add(text(label, x + 40.0, y));
        x += 110.0;
    }
    document
}

fn losses(rows: &[Row]) -> Vec<f64> {
    let mut losses: Vec<f64> = rows.iter().map(|row| row.loss_percent).collect();
    losses.sort_by(f64::total_cmp);
    losses.dedup();
    losses
}

fn panel(mut document: Document, rows: &[Row], left: f64, name: &str, value: Value) -> Document {
    let longest = rows.iter().map(|row| row.round_trip_ms).fold(1.0, f64::max);
    let greatest = rows.iter().flat_map(|row| [value(&row.fixed), value(&row.fitting)]).fold(1.0, f64::max);
    // Marks at whole tens.
    let step = (greatest / MARKS as f64 / 10.0).ceil() * 10.0;
    let top = step * MARKS as f64;
    let x = |round_trip_ms: f64| left + round_trip_ms / longest * PANEL_WIDTH;
    let y = |value: f64| TOP + PANEL_HEIGHT - value / top * PANEL_HEIGHT;
    document = document.add(text(name, left, TOP - 14.0));
    for mark in (0..=MARKS).map(|number| number as f64 * step) {
        document = document
            .add(line(left, y(mark), left + PANEL_WIDTH, y(mark), "#dddddd"))
            .add(text(&mark.to_string(), left - 8.0, y(mark) + 4.0).set("text-anchor", "end"));
    }
    let bottom = TOP + PANEL_HEIGHT;
    for mark in (0..=4).map(|number| f64::from(number) * longest / 4.0) {
        document = document
            .add(line(x(mark), TOP, x(mark), bottom, "#eeeeee"))
            .add(text(&format!("{mark:.0}"), x(mark), bottom + 16.0).set("text-anchor", "middle"));
    }
    let label = text("round trip (ms)", left + PANEL_WIDTH / 2.0, bottom + 34.0).set("text-anchor", "middle");
    document = document.add(label);
    for (number, loss) in losses(rows).into_iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let delays: [(Delay, &str); 2] = [(|row| row.fitting, "none"), (|row| row.fixed, "6 4")];
        for (of, dashes) in delays {
            let mut data = Data::new();
            for (number, row) in rows.iter().filter(|row| row.loss_percent == loss).enumerate() {
                let point = (x(row.round_trip_ms), y(value(&of(row))));
                data = if number == 0 { data.move_to(point) } else { data.line_to(point) };
                document =
                    document.add(Circle::new().set("cx", point.0).set("cy", point.1).set("r", 2.5).set("fill", colour));
            }
            let stroke = Stroke::new().set("d", data).set("fill", "none").set("stroke", colour);
            document = document.add(stroke.set("stroke-width", 2).set("stroke-dasharray", dashes));
        }
    }
    document
}
