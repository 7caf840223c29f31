//! Lines that are drawn again in their places while something goes on.

use crate::look::Look;
use console::Term;

pub struct Live {
    term: Term,
    look: Look,
    drawn: usize,
}

impl Live {
    pub fn new(term: Term, look: Look) -> Live {
        Live { term, look, drawn: 0 }
    }

    /// Draws in the place of what was drawn before. On what is no terminal nothing is drawn before the end.
    pub fn draw(&mut self, lines: &[String]) {
        if !self.look.moves {
            return;
        }
        // What has scrolled out of sight cannot be drawn again: the last lines are the ones that change.
        let shown = &lines[lines.len().saturating_sub(self.look.height - 1)..];
        self.replace(shown);
    }

    /// Draws for the last time; all of it stays.
    pub fn finish(&mut self, lines: &[String]) {
        self.replace(lines);
        self.drawn = 0;
        if self.look.moves {
            let _ = self.term.show_cursor();
        }
    }

    /// One write, so that no half of it is ever seen. An error is that of a terminal that is gone.
    fn replace(&mut self, lines: &[String]) {
        let mut text = String::new();
        if self.drawn == 0 && self.look.moves {
            let _ = self.term.hide_cursor();
        }
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}A\r", self.drawn));
        }
        for line in lines {
            text.push_str(line);
            text.push_str(if self.look.moves { "\x1b[K\n" } else { "\n" });
        }
        if self.look.moves {
            text.push_str("\x1b[J");
        }
        let _ = self.term.write_str(&text);
        self.drawn = lines.len();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if self.drawn > 0 && self.look.moves {
            let _ = self.term.show_cursor();
        }
    }
}
