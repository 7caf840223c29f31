//! Pictures, traces that were stored.

use crate::world::*;
use std::io::Cursor;

/// A race past a dead address, as it is stored.
fn stored(name: &str, arguments: &[&str]) -> Scratch {
    let port = greeter().to_string();
    let said = run(&[&["connect", "half.test", &port, "--json"][..], arguments].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    let trace = Scratch::new(name);
    std::fs::write(trace.path(), said.out).expect("a file of ours");
    trace
}

/// Width, height, and the pixels, three bytes each.
fn pixels(png: &[u8]) -> (u32, u32, Vec<u8>) {
    let mut reader = png::Decoder::new(Cursor::new(png)).read_info().expect("a PNG");
    let mut bytes = vec![0; reader.output_buffer_size().expect("of some size")];
    let frame = reader.next_frame(&mut bytes).expect("a picture");
    (frame.width, frame.height, bytes)
}

fn has_color(bytes: &[u8], color: [u8; 3]) -> bool {
    bytes.chunks_exact(3).any(|pixel| pixel == color)
}

const GREEN: [u8; 3] = [0x00, 0x9e, 0x73];
const VERMILLION: [u8; 3] = [0xd5, 0x5e, 0x00];
const SKY: [u8; 3] = [0x56, 0xb4, 0xe9];

#[test]
fn a_stored_race_is_drawn_as_it_was_shown() {
    in_network!();
    let trace = stored("same.json", &[]);
    let said = run(&["draw", trace.path()]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.out.contains("Connected to 203.0.113.1") && said.out.contains("2001:db8::77 no answer"),
        "{}",
        said.out
    );
    // Through a pipe it is the same.
    let piped = run_with_input(&["draw", "-"], &trace.bytes());
    assert_eq!((piped.code, piped.out), (Some(0), said.out));
}

#[test]
fn pictures_say_what_every_bar_is() {
    in_network!();
    let (svg, png) = (Scratch::new("race.svg"), Scratch::new("race.png"));
    let port = greeter().to_string();
    let said = run(&["connect", "half.test", &port, "--svg", svg.path(), "--png", png.path()]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let text = String::from_utf8(svg.bytes()).expect("SVG is text");
    for words in [
        "half.test port",
        "look up IPv6 (AAAA)",
        "2001:db8::77",
        "no answer, ",
        "Connection Attempt Delay",
        "✓ connected, ",
    ] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
    let (width, height, bytes) = pixels(&png.bytes());
    assert!(width > 1000 && height > 200, "{width} x {height}");
    assert!(has_color(&bytes, GREEN) && has_color(&bytes, SKY) && !has_color(&bytes, VERMILLION));
    assert_eq!(&bytes[..3], [255, 255, 255]);

    let said = run(&["connect", "live.test", &closed_port().to_string(), "--png", png.path()]);
    assert_eq!(said.code, Some(1));
    let (.., bytes) = pixels(&png.bytes());
    assert!(has_color(&bytes, VERMILLION) && !has_color(&bytes, GREEN));
}

#[test]
fn the_time_for_which_an_attempt_is_held_is_a_part_of_its_own() {
    // The race of the manual: IPv6 connects at once and is held to the end.
    let trace = root().join("docs/pictures/confirm.json");
    let said = run(&["draw", trace.to_str().expect("its name is plain")]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let bar = |address| said.out.lines().find(|line| line.contains(address)).expect("a line an attempt").to_owned();
    let held = |line: &str| line.chars().filter(|&letter| letter == '▒').count();
    let (six, four) = (bar("2001:db8:1::1 no handshake"), bar("203.0.113.1   connected"));
    assert!(held(&six) > 30 && (2..15).contains(&held(&four)), "{}", said.out);
    // Nothing of that rests on colour, or on letters that are not ASCII.
    let said = run(&["draw", "--ascii", trace.to_str().expect("its name is plain")]);
    assert!(said.words().contains("== TCP %% TLS handshake") && said.out.is_ascii(), "{}", said.out);
    let png = Scratch::new("held.png");
    assert_eq!(run(&["draw", trace.to_str().expect("its name is plain"), "--png", png.path()]).code, Some(0));
    let (width, _, bytes) = pixels(&png.bytes());
    // A line of pixels through the bar of what connected is coloured, white, and coloured again.
    let rows = bytes.chunks_exact(width as usize * 3);
    let changes = |row: &[u8]| {
        let green: Vec<bool> = row.chunks_exact(3).map(|pixel| pixel == GREEN).collect();
        green.windows(2).filter(|pair| pair[0] != pair[1]).count()
    };
    assert!(rows.map(changes).max().expect("it has rows") > 20);
}

#[test]
fn two_are_drawn_beside_each_other_on_one_scale() {
    in_network!();
    let (slow, fast) = (stored("slow.json", &[]), stored("fast.json", &["-4"]));
    let (one, two) = (Scratch::new("one.png"), Scratch::new("two.png"));
    assert_eq!(run(&["draw", slow.path(), "--png", one.path()]).code, Some(0));
    assert_eq!(run(&["draw", slow.path(), fast.path(), "--png", two.path()]).code, Some(0));
    let ((narrow, height, _), (wide, same_height, _)) = (pixels(&one.bytes()), pixels(&two.bytes()));
    assert!(wide > narrow * 19 / 10 && height == same_height, "{narrow} {wide} {height} {same_height}");
    // In text one stands below the other; the scale of both ends where the longer one does.
    let said = run(&["draw", slow.path(), fast.path()]);
    let scales: Vec<&str> = said.out.lines().filter(|line| line.trim_start().starts_with('0')).map(str::trim).collect();
    assert!(scales.len() == 2 && scales[0] == scales[1], "{scales:?}");
}

#[test]
fn what_is_no_trace_is_refused_by_name() {
    in_network!();
    let file = Scratch::new("wrong.json");
    for (text, told) in [
        ("", "it is empty"),
        ("hello", "it is no JSON"),
        ("{\"version\":1}", "it is no race"),
        ("{\"a\":1}", "it has no version"),
        ("{\"version\":77}", "it is of version 77"),
    ] {
        std::fs::write(file.path(), text).expect("a file of ours");
        let said = run(&["draw", file.path()]);
        assert_eq!(said.code, Some(1), "{text}: {said:?}");
        assert!(said.err.contains(file.path()) && said.err.contains(told), "{text}: {}", said.err);
    }
    let said = run(&["draw", "/nonexistent/trace"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("/nonexistent/trace") && said.err.contains("No such file"), "{}", said.err);
    let said = run(&["connect", LIVE, &greeter().to_string(), "--svg", "/nonexistent/picture"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("/nonexistent/picture"), "{}", said.err);
}
