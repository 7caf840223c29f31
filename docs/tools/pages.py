"""The pages of the reference: one a function, in Markdown and in mdoc, from the same model."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from inline import cut
from mdoc import Writer, argument, as_sentence

# What a page of the reference must have.
SECTIONS = ("what", "parameters", "returns", "errors", "threads", "since", "example")
# Constants are told where they are used.
CONSTANTS = {
    "happy_options": ("HAPPY_FLAG_", "HAPPY_OPTIONS_INIT"),
    "happy_result": ("HAPPY_LIMIT_", "HAPPY_RESULT_INIT"),
    "happy_attempt": ("HAPPY_OUTCOME_",),
    "happy_trace_event": ("HAPPY_TRACE_",),
    "happy_history_report": ("HAPPY_HISTORY_REPORT_",),
    "happy_socket_fn": ("HAPPY_POLL_",),
    "happy_multi_socket_action": ("HAPPY_SOCKET_",),
}
SELF = "the {noun} that the call is about; it stays the caller's"


@dataclass
class Example:
    """A program of docs/examples: what it shows, how it is run, what it prints."""

    name: str
    what: str
    code: list
    shows: list = field(default_factory=list)
    run: list = field(default_factory=list)
    prints: list = field(default_factory=list)
    skips: list = field(default_factory=list)


def read_example(path):
    """A program and the comment at its head."""
    text = path.read_text(encoding="utf-8")
    head, _, code = text.partition("*/\n")
    lines = [re.sub(r"^(/\*| \*) ?", "", line) for line in head.splitlines()]
    what = " ".join(line for line in lines if line and not re.match(r"(shows|run|prints|or-skipped):", line))

    def of(key):
        return [line.removeprefix(f"{key}:").strip() for line in lines if line.startswith(f"{key}:")]

    shows = " ".join(of("shows")).split()
    return Example(
        path.stem,
        what.strip(),
        code.splitlines(),
        shows,
        " ".join(of("run")).split(),
        of("prints"),
        of("or-skipped"),
    )


def read_examples(directory):
    """All programs, in the order of their names."""
    return [read_example(path) for path in sorted(Path(directory).glob("*.c"))]


class Page:
    """One page of section 3."""

    def __init__(self, entry, entries, ledger, examples, statuses, version):
        self.entry = entry
        self.name = entry.name
        self.doc = entry.doc
        self.version = version
        self.since = ledger.get(entry.name, version if entry.kind != "function" else None)
        self.examples = [example for example in examples if entry.name in example.shows]
        self.statuses = statuses
        prefixes = CONSTANTS.get(entry.name, ())
        constants = [other for other in entries if other.kind == "constant"]
        self.constants = [other for other in constants if prefixes and other.name.startswith(prefixes)]
        self.related = self.find_related(entries)

    def find_related(self, entries):
        """What the comment names, and the object that it belongs to."""
        known = {entry.name for entry in entries if entry.kind != "constant"}
        texts = [text for kind, text in self.doc.blocks if kind == "text"]
        texts += [text for _, text in self.doc.parameters + self.doc.returns] + [" ".join(self.types())]
        named = [
            text for sentence in texts for kind, text in cut(sentence) if kind == "ours" and text in known
        ]
        if self.entry.kind == "handle":
            named += [entry.name for entry in entries if entry.name.startswith(self.name + "_")]
        if match := re.match(r"happy_(lookup|connect|multi|history)_", self.name):
            named.append(f"happy_{match.group(1)}")
        return sorted(set(named) - {self.name})

    def types(self):
        """The types of the parameters and of the answer."""
        return [kind for kind, _ in self.entry.parameters] + [self.entry.returns]

    def parameters(self):
        """(names, text) of each parameter: self is told by the conventions where the comment says no more."""
        rows = list(self.doc.parameters)
        names = [name for row, _ in rows for name in row.split(", ")]
        if self.entry.parameters and self.entry.parameters[0][1] == "self" and "self" not in names:
            noun = {"happy_lookup": "lookup", "happy_connect": "connect", "happy_history": "history"}.get(
                self.entry.parameters[0][0].rstrip(" *"), "handle"
            )
            rows.insert(0, ("self", SELF.format(noun=noun)))
        return rows

    def undescribed(self):
        """The parameters that no row describes, and the rows that describe none."""
        described = [name for row, _ in self.parameters() for name in row.split(", ")]
        actual = [name for _, name in self.entry.parameters]
        return sorted(set(described) ^ set(actual))

    def is_error(self, key):
        """Whether a row of what is returned is a failure."""
        if (key.startswith("HAPPY_E") and key != "HAPPY_EAGAIN") or key in (
            "NULL",
            "EAI_SYSTEM",
            "EAI_*",
            "an errno",
        ):
            return not (key == "NULL" and self.entry.returns.startswith("void"))
        # -1 is an error where a descriptor or a length is the answer; as milliseconds it is none.
        return key == "-1" and not self.name.endswith("_timeout_ms")

    def returns(self):
        """The rows for what is no failure."""
        if self.entry.returns == "void":
            return []
        return [(key, text) for key, text in self.doc.returns if not self.is_error(key)]

    def errors(self):
        """The rows for failures; a status without words of its own has those of its constant."""
        rows = []
        for key, text in self.doc.returns:
            if self.is_error(key):
                rows.append((key, text or self.statuses.get(key, "")))
        return rows

    def says_why(self):
        """Whether happy_error_message tells more about a failure."""
        return (
            any(key.startswith(("HAPPY_E", "EAI", "-1")) for key, _ in self.errors())
            and self.name != "happy_result_message"
        )

    def threads(self):
        """Which threads may call it, or which call it, as a sentence."""
        who = re.sub(r"^any\b", "any thread", self.doc.threads)
        who = re.sub(r"^the one\b", "the thread", who)
        return f"May be called by {who}." if self.entry.kind == "function" else f"Called by {who}."

    def missing(self):
        """What a page of a function or a callback lacks."""
        is_function = self.entry.kind == "function"
        lacks = {
            "what": not self.doc.summary,
            "parameters": bool(self.undescribed()),
            "returns": self.entry.returns != "void" and not self.returns(),
            "errors": self.entry.returns != "void" and any(not text for _, text in self.errors()),
            "threads": not self.doc.threads,
            "since": is_function and self.since is None,
            "example": not self.examples,
        }
        return [section for section in SECTIONS if lacks[section]]

    def short(self):
        """One line for a list of contents."""
        text = self.doc.summary.replace("`", "")
        return text[0].lower() + text[1:] if not text.startswith(("EAI", "AF")) else text

    # ---- Markdown ------------------------------------------------------------------------------------------

    def markdown(self):
        """The page for the HTML manual; names become links when it is put into the manual."""
        out = [f"# {self.name}", ""]
        out += self.markdown_blocks(self.doc.blocks)
        if self.entry.code and self.entry.kind != "struct":
            out += ["## Synopsis", "", "```c", "#include <happysock.h>", "", self.entry.code, "```", ""]
        if self.entry.parameters:
            out += ["## Parameters", "", *self.markdown_rows(self.parameters(), names=True)]
        if self.entry.fields:
            out += ["## Fields", ""]
            for _, code, doc in self.entry.fields:
                out += [f"`{code}`", *definition(markdown_of(doc)), ""]
        if self.constants:
            out += ["## Constants", ""]
            for constant in self.constants:
                value = (
                    f" = {constant.code}" if re.fullmatch(r"\(?-?\d+\)?|\(1u << \d+\)", constant.code) else ""
                )
                out += [f"`{constant.name}{value}`", *definition(markdown_of(constant.doc)), ""]
        if self.entry.kind in ("function", "callback"):
            out += ["## Returns", ""]
            out += self.markdown_rows(self.returns()) if self.entry.returns != "void" else ["Nothing.", ""]
            out += ["## Errors", ""]
            out += self.markdown_rows(self.errors()) if self.errors() else ["None: it cannot fail.", ""]
            if self.says_why() and self.entry.kind == "function":
                out += ["`happy_error_message` says more about a failure. See `happysock_errors`(7).", ""]
        if self.doc.threads:
            out += ["## Threads", "", self.threads(), ""]
        if self.examples:
            out += ["## Example", ""]
            for example in self.examples[:1]:
                out += [example.what, "", "```c", *example.code, "```", ""]
                out += ["It prints:", "", "```text", *example.prints, "```", ""]
        if self.since:
            out += ["## Since", "", f"{self.since}", ""]
        if self.related:
            out += ["## See also", "", ", ".join(f"`{name}`" for name in self.related), ""]
        return "\n".join(out)

    def markdown_blocks(self, blocks):
        """Paragraphs, lists and code."""
        return [line for block in blocks for line in (markdown_block(*block), "")]

    def markdown_rows(self, rows, names=False):
        """A definition list."""
        out = []
        for key, text in rows:
            head = ", ".join(f"`{name}`" for name in key.split(", ")) if names else inline_markdown(key)
            out += [head, *definition(inline_markdown(as_sentence(text)) or "."), ""]
        return out

    # ---- mdoc ----------------------------------------------------------------------------------------------

    def mdoc(self, date):
        """The page for man(1)."""
        writer = Writer(self.name)
        out = ['.\\" Generated (make manual) from include/happysock.h; do not edit it.', f".Dd {date}"]
        out += [f".Dt {self.name.upper()} 3", f".Os happysock {self.version}", ".Sh NAME", f".Nm {self.name}"]
        out += [
            f".Nd {self.short().replace(chr(92), chr(92) + 'e')}",
            ".Sh LIBRARY",
            "happysock (libhappysock, \\-lhappysock)",
        ]
        out += [".Sh SYNOPSIS", ".In happysock.h"]
        out += self.synopsis(writer)
        out += [".Sh DESCRIPTION", *self.mdoc_blocks(writer, self.doc.blocks)]
        if self.parameters():
            out += [".Pp", "The arguments are:", *writer.rows(self.parameters())]
        if self.entry.fields:
            out += [".Pp", "The fields are:", ".Bl -tag -width Ds"]
            for _, code, doc in self.entry.fields:
                out += [f".It {argument(code)}", *self.mdoc_blocks(writer, doc.blocks)]
            out += [".El"]
        if self.constants:
            out += [".Pp", "The constants are:", ".Bl -tag -width Ds"]
            for constant in self.constants:
                out += [f".It Dv {constant.name}", *self.mdoc_blocks(writer, constant.doc.blocks)]
            out += [".El"]
        if self.entry.kind in ("function", "callback"):
            out += [".Ss Threads", *writer.text(self.threads())]
            out += [".Sh RETURN VALUES"]
            out += writer.rows(self.returns()) if self.entry.returns != "void" else ["Nothing."]
        if self.examples:
            out += [".Sh EXAMPLES", *writer.text(self.examples[0].what), *writer.code(self.examples[0].code)]
        if self.entry.kind in ("function", "callback"):
            out += [".Sh ERRORS"]
            out += writer.rows(self.errors()) if self.errors() else ["None: it cannot fail."]
            if self.says_why() and self.entry.kind == "function":
                out += [".Pp", ".Xr happy_error_message 3", "says more about a failure."]
        out += [".Sh SEE ALSO", *see_also(self.related, "3"), *see_also(["happysock"], "7", last=True)]
        if self.since:
            out += [".Sh HISTORY", f"It appeared in happysock {self.since}."]
        return "\n".join(out) + "\n"

    def synopsis(self, writer):
        """The declaration in mdoc's words."""
        if self.entry.kind == "function":
            arguments = [f".Fa {argument(glue(kind, name))}" for kind, name in self.entry.parameters] or [
                ".Fa void"
            ]
            return [f".Ft {argument(self.entry.returns)}", f".Fo {self.name}", *arguments, ".Fc"]
        if self.entry.kind == "struct":
            return writer.code([f"typedef struct {self.name} {{ ... }} {self.name};"])
        return writer.code(self.entry.code.splitlines())

    def mdoc_blocks(self, writer, blocks):
        """Paragraphs, lists and code."""
        out = []
        for kind, content in blocks:
            if kind == "text":
                out += ([".Pp"] if out else []) + writer.text(content)
            elif kind == "list":
                out += [
                    ".Bl -bullet",
                    *(line for item in content for line in (".It", *writer.text(item))),
                    ".El",
                ]
            else:
                out += writer.code(content)
        return out


def glue(kind, name):
    """A parameter as C writes it."""
    return f"{kind}{name}" if kind.endswith("*") else f"{kind} {name}"


def see_also(names, section, last=False):
    """Lines of references, with commas between."""
    lines = [f".Xr {name} {section} ," for name in names]
    if last:
        lines[-1] = lines[-1].removesuffix(" ,")
    return lines


def definition(text):
    """The second half of an item of a definition list."""
    lines = text.splitlines() or [""]
    return [f": {lines[0]}", *("  " + line if line else "" for line in lines[1:])]


def markdown_block(kind, content):
    """A paragraph, a list, or code."""
    if kind == "text":
        return inline_markdown(content)
    if kind == "list":
        return "\n".join(f"- {inline_markdown(item)}" for item in content)
    return "\n".join(["```c", *content, "```"])


def markdown_of(doc):
    """A comment inside of a list."""
    return "\n\n".join(markdown_block(*block) for block in doc.blocks)


def inline_markdown(text):
    """A sentence of the header as Markdown: names between backticks, the rest escaped."""
    out = ""
    for kind, piece in cut(text):
        if kind == "text":
            out += re.sub(r"([*_<>\[\]\\])", r"\\\1", piece)
        elif kind == "manual":
            out += piece
        else:
            out += f"`{piece}`"
    return out
