"""The generator itself: what it reads out of a header, what it finds missing, what it writes for man."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import build
import command
import header
import mdoc
import pages

HEADER = """
/* ---- Noun ---------------------------------------------------------------- */

/** A number. */
#define HAPPY_EBAD (-7001)

/**
 * Does it; and more. See `code: with a colon`.
 *
 *     happy_noun_do(noun, 1);
 *
 * Parameters
 *   a, number         in milliseconds; -1 none. A text
 *                     that goes on
 *
 * Returns
 *   HAPPY_OK
 *   HAPPY_EBAD
 *
 * Threads: any
 */
int happy_noun_do(happy_noun *self,
                  const char *a,
                  int number);

/** Ends it. */
void happy_noun_free(happy_noun *self, int late);
"""


def page(name, examples=()):
    """The page of a function of HEADER."""
    entries = header.parse(HEADER)
    entry = next(entry for entry in entries if entry.name == name)
    return pages.Page(
        entry, entries, {"happy_noun_do": "0.1.0"}, list(examples), {"HAPPY_EBAD": "A number."}, "0.2.0"
    )


class Header(unittest.TestCase):
    """Reading."""

    def test_a_comment_is_cut_into_its_parts(self):
        doc = page("happy_noun_do").doc
        self.assertEqual(doc.summary, "Does it")
        self.assertIn(("code", ["happy_noun_do(noun, 1);"]), doc.blocks)
        self.assertEqual(doc.parameters, [("a, number", "in milliseconds; -1 none. A text that goes on")])
        self.assertEqual(doc.returns, [("HAPPY_OK", ""), ("HAPPY_EBAD", "")])
        self.assertEqual(doc.threads, "any")

    def test_a_list_is_a_list_in_both(self):
        doc = header.parse_doc(" * Does:\n *\n *   * one\n *     and more;\n *   * two.\n")
        self.assertEqual(doc.blocks[1], ("list", ["one and more;", "two."]))
        self.assertEqual(pages.markdown_of(doc), "Does:\n\n- one and more;\n- two.")
        roff = page("happy_noun_do").mdoc_blocks(mdoc.Writer("x"), doc.blocks)
        self.assertEqual(roff, ["Does:", ".Bl -bullet", ".It", "one and more;", ".It", "two.", ".El"])

    def test_a_declaration_has_its_types(self):
        entry = page("happy_noun_do").entry
        self.assertEqual((entry.kind, entry.returns, entry.section), ("function", "int", "Noun"))
        self.assertEqual(
            entry.parameters, [("happy_noun *", "self"), ("const char *", "a"), ("int", "number")]
        )

    def test_a_summary_ends_outside_of_code(self):
        doc = header.parse_doc(" * Says `a: b` and so on. More.")
        self.assertEqual(doc.summary, "Says `a: b` and so on")


class Missing(unittest.TestCase):
    """What a page lacks."""

    def test_a_page_without_an_example_lacks_one(self):
        self.assertEqual(page("happy_noun_do").missing(), ["example"])

    def test_a_page_with_everything_lacks_nothing(self):
        example = pages.Example("do", "Does it.", ["happy_noun_do();"], shows=["happy_noun_do"])
        self.assertEqual(page("happy_noun_do", [example]).missing(), [])

    def test_each_thing_is_missed(self):
        self.assertEqual(page("happy_noun_free").missing(), ["parameters", "threads", "since", "example"])

    def test_a_failure_has_the_words_of_its_constant(self):
        self.assertEqual(page("happy_noun_do").errors(), [("HAPPY_EBAD", "A number.")])


class Man(unittest.TestCase):
    """Writing for man."""

    def lines(self, text):
        """A sentence of the header as roff."""
        return mdoc.Writer("happy_noun_do").text(text)

    def test_names_are_macros_and_keep_their_punctuation(self):
        self.assertEqual(
            self.lines("Like getaddrinfo(3), but happy_noun_free frees `a`."),
            ["Like", ".Xr getaddrinfo 3 ,", "but", ".Xr happy_noun_free 3", "frees", ".Ql a ."],
        )

    def test_a_line_of_text_is_never_taken_for_a_macro(self):
        self.assertEqual(self.lines("'quoted' text"), ["\\&'quoted' text"])
        self.assertEqual(self.lines(".hidden text"), ["\\&.hidden text"])
        self.assertEqual(mdoc.Writer("x").code([".Sh"])[1], "\\&.Sh")

    def test_a_word_is_never_taken_for_a_macro(self):
        self.assertEqual(mdoc.Writer("x").tag("An event loop"), "\\&An event loop")

    def test_a_backslash_stays_one(self):
        self.assertEqual(self.lines("a \\n b"), ["a \\en b"])

    def test_an_overview_refuses_what_man_cannot_show(self):
        with self.assertRaises(ValueError):
            mdoc.overview("1. one\n2. two\n", mdoc.Writer("x"))


class Command(unittest.TestCase):
    """The manual pages of the command."""

    PAGE = r"""
.TH happy-try 1  "try "
.SH NAME
happy\-try \- Try it
.SH OPTIONS
.TP
\fB\-p\fR, \fB\-\-port\fR \fI<PORT>\fR
A port, \*(Aqhttp\*(Aq or so
.br

.br
\fIPossible values:\fR
.RS 14
.IP \(bu 2
80
.RE
.SH EXTRA
Examples:
  happy try *this*
"""

    def test_a_page_has_its_options_and_shows_its_examples_as_they_stand(self):
        """Nothing is lost, and nothing that looks like Markdown becomes some."""
        self.assertEqual(
            command.markdown("happy-try", self.PAGE.strip()).splitlines(),
            [
                "# happy try",
                "",
                "*happy-try*(1)",
                "",
                "Try it.",
                "",
                "## Options",
                "",
                "`-p`, `--port` *\\<PORT>*",
                ": A port, 'http' or so",
                "",
                "  *Possible values:*",
                "",
                "  - 80",
                "",
                "## Examples, exit codes, environment",
                "",
                "```text",
                "Examples:",
                "  happy try *this*",
                "```",
            ],
        )

    def test_a_macro_that_is_not_known_is_an_error(self):
        """What it says would be lost."""
        with self.assertRaisesRegex(ValueError, r"happy: the macro \.UR"):
            command.markdown("happy", ".UR https://example.org")


class Links(unittest.TestCase):
    """Names in the HTML."""

    def test_names_become_links_but_not_in_code_nor_on_their_own_page(self):
        manual = build.Manual.__new__(build.Manual)
        manual.names = {
            "happy_noun_do": "reference/happy_noun_do",
            "happysock_errors": "overview/happysock_errors",
        }
        text = "`happy_noun_do`, happysock_errors(7)\n\n```c\nhappy_noun_do\n`happy_noun_do`\n```\n"
        linked = manual.link(text, "guide/x")
        self.assertIn("[`happy_noun_do`](../reference/happy_noun_do.md), [happysock_errors(7)](", linked)
        self.assertIn("```c\nhappy_noun_do\n`happy_noun_do`\n```", linked)
        self.assertEqual(manual.link("`happy_noun_do`", "reference/happy_noun_do"), "`happy_noun_do`")


if __name__ == "__main__":
    outcome = unittest.main(exit=False, verbosity=0).result
    failed = len(outcome.failures) + len(outcome.errors)
    print(f"{outcome.testsRun - failed} passed, {failed} failed")
    sys.exit(failed != 0)
