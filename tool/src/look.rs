//! How things look here: colour, letters, width, and whether anything may move.

use crate::args::{LookOptions, When};
use console::{Style, Term};

/// What a piece of text means; its colour follows. Blue, cyan and yellow are told apart by every kind of eye,
/// and no meaning rests on colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Strong,
    Quiet,
    Good,
    Bad,
    Lookup,
}

#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub color: bool,
    pub unicode: bool,
    pub width: usize,
    /// Lines may be drawn again in their places.
    pub moves: bool,
    pub height: usize,
}

/// What is drawn in where nothing says how wide: a pipe, a file.
const WIDTH_WITHOUT_TERMINAL: usize = 80;
/// The least that everything is laid out for.
const LEAST_WIDTH: usize = 40;

impl Look {
    /// How it looks on a terminal, or in a pipe that may be there instead.
    pub fn of(term: &Term, options: &LookOptions) -> Look {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let terminal = term.is_term();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let color = match options.color {
            When::Always => true,
            When::Never => false,
            When::Auto => terminal && !dumb && !no_color,
        };
        let size = term.size_checked().map(|(height, width)| (usize::from(height), usize::from(width)));
        let (height, width) = size.filter(|_| terminal).unwrap_or((24, WIDTH_WITHOUT_TERMINAL));
        let width = options.width.map_or(width, usize::from);
        Look {
            color,
            unicode: !options.ascii && speaks_utf8(),
            width: width.max(LEAST_WIDTH),
            moves: terminal && !dumb,
            height: height.max(4),
        }
    }

    pub fn paint(&self, paint: Paint, text: &str) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        let style = Style::new().force_styling(true);
        let style = match paint {
            Paint::Plain => return text.to_owned(),
            Paint::Strong => style.bold(),
            Paint::Quiet => style.dim(),
            Paint::Good => style.cyan().bold(),
            Paint::Bad => style.yellow(),
            Paint::Lookup => style.blue(),
        };
        style.apply_to(text).to_string()
    }

    /// One of two texts, as the letters allow.
    pub fn letters<'a>(&self, unicode: &'a str, ascii: &'a str) -> &'a str {
        if self.unicode { unicode } else { ascii }
    }

    /// What something that is in place or out of place is marked with.
    pub fn mark(&self, good: bool) -> &'static str {
        match (good, self.unicode) {
            (true, true) => "✓",
            (true, false) => "+",
            (false, true) => "✗",
            (false, false) => "x",
        }
    }

    /// The text in exactly so many columns: cut in its middle, or with blanks behind.
    pub fn fit(&self, text: &str, columns: usize) -> String {
        let width = console::measure_text_width(text);
        if width <= columns {
            return format!("{text}{}", " ".repeat(columns - width));
        }
        let dots = self.letters("…", "~");
        let letters: Vec<char> = text.chars().collect();
        let kept = columns.saturating_sub(1);
        let head: String = letters[..kept.div_ceil(2)].iter().collect();
        let tail: String = letters[letters.len() - kept / 2..].iter().collect();
        format!("{head}{dots}{tail}")
    }

    /// Sentences in lines of this width.
    pub fn wrap(&self, text: &str) -> Vec<String> {
        let width = self.width.min(100);
        let mut lines = vec![String::new()];
        for word in words(text) {
            let line = lines.last_mut().expect("there is always one");
            let needed = console::measure_text_width(line) + 1 + console::measure_text_width(&word);
            if line.is_empty() {
                line.push_str(&word);
            } else if needed <= width {
                line.push(' ');
                line.push_str(&word);
            } else {
                lines.push(word);
            }
        }
        lines
    }
}

/// What no line is broken within: the words, a number with its unit for one.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let is_unit = matches!(word.trim_end_matches([',', '.', ':', ';', ')']), "ms" | "s");
        match words.last_mut() {
            Some(number) if is_unit && number.ends_with(|letter: char| letter.is_ascii_digit()) => {
                number.push(' ');
                number.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// As setlocale(3) looks for it: the first of the three that is set.
fn speaks_utf8() -> bool {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_its_unit() {
        let look = Look { color: false, unicode: true, width: 20, moves: false, height: 24 };
        assert_eq!(
            look.wrap("the same order, 8.23 ms. After 3 tries"),
            ["the same order,", "8.23 ms. After 3", "tries"]
        );
    }
}
