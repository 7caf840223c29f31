"""The manual pages of the command `happy` as Markdown.

Its own definition writes them (`happy generate`), in the few macros of man(7) that clap_mangen uses. A macro that is
not known here is an error: what it says would be lost.
"""

import re


def inline(text):
    """The fonts and escapes of a line."""
    text = text.replace(r"\-", "-").replace(r"\*(Aq", "'").replace(r"\(aq", "'").replace(r"\&", "")
    # A pair of backticks is code already; what stands around it may hold angle brackets.
    text = re.sub(r"\\fB(.*?)\\fR", r"`\1`", text)
    text = re.sub(r"\\fI(.*?)\\fR", r"*\1*", text)
    text = text.replace("\\\\", "\\")
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [part.replace("<", r"\<").replace("[*", r"\[*") for part in parts[::2]]
    return "".join(parts)


class Reader:
    """One page, read line by line."""

    def __init__(self, name):
        self.name = name
        self.out = []
        # Lines of a definition are indented under its term; those of a list within it once more.
        self.indent = ""
        self.term_next = self.definition = self.verbatim = False
        self.section = ""

    def end_verbatim(self):
        """Closes a block that is shown as it stands."""
        if self.verbatim:
            self.out += ["```", ""]
        self.verbatim = False

    def begin(self, section):
        """A heading."""
        self.end_verbatim()
        self.section, self.indent, self.definition = section, "", False
        if section == "EXTRA":
            self.out += ["", "## Examples, exit codes, environment", "", "```text"]
            self.verbatim = True
        elif section != "NAME":
            self.out += ["", f"## {section.capitalize()}", ""]

    def macro(self, name, rest):
        """A line that begins with a dot."""
        if name == "SH":
            self.begin(rest.strip('"'))
        elif name == "TP":
            self.out.append("")
            self.term_next, self.definition, self.indent = True, False, ""
        elif name == "IP":
            self.out.append(f"{self.indent}- ")
        elif name in ("RS", "RE", "br"):
            self.out.append("")
        elif name not in ("TH", "ie", "el"):
            raise ValueError(f"{self.name}: the macro .{name} is not known")

    def text(self, line):
        """Any other line."""
        if self.verbatim:
            plain = line.replace(r"\-", "-").replace(r"\*(Aq", "'").replace("\\\\", "\\")
            self.out.append(plain.removeprefix(r"\&"))
        elif self.section == "NAME":
            self.out += ["", inline(line.split(r" \- ", 1)[-1]) + "."]
        elif self.term_next:
            self.out.append(inline(line))
            self.term_next, self.definition = False, True
        elif self.out and self.out[-1].endswith("- "):
            self.out[-1] += inline(line)
        elif self.definition:
            self.out.append(f": {inline(line)}")
            self.definition, self.indent = False, "  "
        else:
            self.out.append((self.indent + inline(line)).rstrip())


def markdown(name, source):
    """The page `name` of section 1."""
    reader = Reader(name)
    reader.out = [f"# {name.replace('-', ' ', 1)}", "", f"*{name}*(1)"]
    for line in source.splitlines():
        macro = re.match(r"\.([A-Za-z]+) ?(.*)$", line)
        if macro:
            reader.macro(*macro.groups())
        else:
            reader.text(line)
    reader.end_verbatim()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(reader.out)).strip() + "\n"
