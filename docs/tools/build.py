"""Builds the manual: man pages and the source of its HTML, from the header and the documents beside it.

    build.py OUTPUT      writes OUTPUT/man/man3, OUTPUT/man/man7 and OUTPUT/source

The pages of the command are in the HTML where `happy generate OUTPUT/happy` has written them before.

make manual calls it, and then Sphinx.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import command
import header
import mdoc
import pages

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# Where the pages of the system are read.
SYSTEM = "https://man7.org/linux/man-pages/man{section}/{name}.{section}.html"


def version():
    """That of the library."""
    return re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE).group(1)


def date():
    """The day that the pages carry: that of the sources, so that building them again gives the same."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        asked = subprocess.run(
            ["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        epoch = asked.stdout.strip() or str(int(time.time()))
    return time.strftime("%B %-d, %Y", time.gmtime(int(epoch)))


def reasons_for_libc():
    """Why a name is left to libc, in the words of the gate and of the lines of nsswitch.conf that it refuses."""
    reasons = []
    for file in ("gate", "nsswitch"):
        source = (ROOT / f"src/dns/{file}.rs").read_text(encoding="utf-8")
        reasons += re.findall(r'(?:Reason|Unwalkable)::\w+ => "(.*)"', source)
    if not reasons:
        raise ValueError("src/dns says no reason for which libc is asked")
    return reasons


class Output:
    """A directory whose files are written only where they change, so that what is built from them is kept."""

    def __init__(self, directory):
        self.directory = directory
        self.written = set()

    def write(self, name, text):
        """Writes a file."""
        path = self.directory / name
        self.written.add(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")

    def close(self):
        """Removes what an earlier run has written and this one has not."""
        for path in self.directory.rglob("*"):
            if path.is_file() and path not in self.written:
                path.unlink()


class Manual:
    """All pages."""

    def __init__(self, output):
        self.version = version()
        self.entries = header.read(ROOT / "include/happysock.h")
        ledger = header.read_ledger(ROOT / "include/happysock.symbols")
        self.examples = pages.read_examples(DOCS / "examples")
        constants = [entry for entry in self.entries if entry.kind == "constant"]
        self.statuses = {
            entry.name: entry.doc.blocks[0][1] for entry in constants if re.match(r"HAPPY_(OK|E)", entry.name)
        }
        arguments = (self.entries, ledger, self.examples, self.statuses, self.version)
        self.reference = [pages.Page(entry, *arguments) for entry in self.entries if entry.kind != "constant"]
        self.overviews = sorted((DOCS / "overview").glob("*.md"))
        self.names = {page.name: f"reference/{page.name}" for page in self.reference}
        self.names.update({path.stem: f"overview/{path.stem}" for path in self.overviews})
        self.commands = sorted((output / "happy").glob("*.1"))
        self.names.update({path.stem: f"command/{path.stem}" for path in self.commands})

    # ---- What overviews have from the header ---------------------------------------------------------------

    def fill(self, text):
        """Puts lists from the header in the place of their marks."""
        statuses = [f"`{name}`\n: {pages.inline_markdown(says)}\n" for name, says in self.statuses.items()]
        functions = [f"`{page.name}`\n: {page.short()}\n" for page in self.reference]
        lists = {
            "statuses": statuses,
            "functions": functions,
            "reasons": [f"- {why}" for why in reasons_for_libc()],
        }
        for name, lines in lists.items():
            text = text.replace(f"<!-- {name} -->", "\n".join(lines))
        return text

    def overview_mdoc(self, path, day):
        """An overview for man(1)."""
        text = self.fill(path.read_text(encoding="utf-8"))
        title = re.match(r"# (.*)\n", text).group(1)
        body = text.split("\n", 1)[1].strip()
        writer = mdoc.Writer(path.stem)
        out = ['.\\" Generated (make manual) from docs/overview; do not edit it.', f".Dd {day}"]
        out += [f".Dt {path.stem.upper()} 7", f".Os happysock {self.version}", ".Sh NAME", f".Nm {path.stem}"]
        out += [f".Nd {title[0].lower()}{title[1:]}", *([] if body.startswith("#") else [".Sh DESCRIPTION"])]
        out += mdoc.overview(body, writer)
        others = [other.stem for other in self.overviews if other != path]
        out += [".Sh SEE ALSO", *pages.see_also(others, "7", last=True)]
        return "\n".join(out) + "\n"

    # ---- HTML ----------------------------------------------------------------------------------------------

    def link(self, text, place):
        """Makes links of the names between backticks, but not inside of code or of other links."""
        up = "../" * place.count("/")

        def of_name(match):
            code = match.group(1)
            name = re.sub(r"\(\d\)$|\(\)$", "", code)
            if name in self.names and self.names[name] != place:
                return f"[`{name}`]({up}{self.names[name]}.md)"
            return match.group(0)

        def of_system(match):
            name, section = match.groups()
            if name in self.names:
                return f"[{name}({section})]({up}{self.names[name]}.md)"
            return f"[{name}({section})]({SYSTEM.format(name=name, section=section)})"

        parts = re.split(r"(^```.*?^```$)", text, flags=re.DOTALL | re.MULTILINE)
        for index in range(0, len(parts), 2):
            pieces = re.split(
                r"(^#.*$|!?\[[^\]]*\]\([^)]*\)|`[^`\n]*`(?:\(\d\))?)", parts[index], flags=re.MULTILINE
            )
            for at, piece in enumerate(pieces):
                if at % 2 == 0:
                    pieces[at] = re.sub(r"(?<![\w`/.])([a-z_][a-z0-9_.-]+)\(([1-8])\)", of_system, piece)
                elif piece.startswith("`"):
                    pieces[at] = re.sub(r"^`([^`]*)`((?:\(\d\))?)$", of_name, piece)
            parts[index] = "".join(pieces)
        return "".join(parts)

    def write_source(self, output):
        """The Markdown that Sphinx reads."""
        for page in self.reference:
            place = f"reference/{page.name}"
            output.write(f"{place}.md", self.link(page.markdown(), place))
        for path in [*self.overviews, *sorted((DOCS / "guide").glob("*.md")), DOCS / "index.md"]:
            place = str(path.relative_to(DOCS).with_suffix(""))
            text = self.include(self.fill(path.read_text(encoding="utf-8")), place)
            if path in self.overviews:
                text = re.sub(r"^# (.*)\n", rf"# \1\n\n*{path.stem}*(7)\n", text)
            output.write(f"{place}.md", self.link(text, place))
        for path in self.commands:
            place = f"command/{path.stem}"
            text = command.markdown(path.stem, path.read_text(encoding="utf-8"))
            output.write(f"{place}.md", self.link(text, place))
        output.write("reference/index.md", self.link(self.contents(), "reference/index"))
        for path in [*(DOCS / "pictures").glob("*.svg"), DOCS / "conf.py"]:
            output.write(str(path.relative_to(DOCS)), path.read_text(encoding="utf-8"))

    def include(self, text, place):
        """A picture gets a twin for dark pages, and a line that is only a link to a program becomes the program."""
        here = (DOCS / place).parent

        def picture(match):
            title, path = match.groups()
            title = title.replace('"', "'")
            themes = [
                f'```{{image}} {path}-{theme}.svg\n:class: only-{theme}\n:alt: "{title}"\n```'
                for theme in ("light", "dark")
            ]
            return "\n\n".join(themes)

        def program(match):
            path = (here / match.group(1)).resolve()
            shown = path.parent == DOCS / "examples"
            code = pages.read_example(path).code if shown else path.read_text(encoding="utf-8").splitlines()
            return "\n".join(["```c", *code, "```"])

        text = re.sub(r"^!\[(.*)\]\((.*)-light\.svg\)$", picture, text, flags=re.MULTILINE)
        return re.sub(r"^\[.*\]\((.*\.[ch])\)$", program, text, flags=re.MULTILINE)

    def contents(self):
        """The list of functions, by the headings of the header."""
        out = ["# Functions and types", ""]
        sections = dict.fromkeys(page.entry.section for page in self.reference)
        for section in sections:
            here = [page for page in self.reference if page.entry.section == section]
            out += [f"## {section}", ""]
            for page in here:
                out += [
                    f"[`{page.name}`]({page.name}.md)",
                    f": {pages.inline_markdown(page.doc.summary)}.",
                    "",
                ]
        out += ["```{toctree}", ":hidden:", "", *sorted(page.name for page in self.reference), "```", ""]
        return "\n".join(out)

    # ---- man -----------------------------------------------------------------------------------------------

    def write_man(self, output):
        """The pages of sections 3 and 7."""
        day = date()
        for page in self.reference:
            output.write(f"man3/{page.name}.3", page.mdoc(day))
        for path in self.overviews:
            output.write(f"man7/{path.stem}.7", self.overview_mdoc(path, day))


def main():
    """Writes what make asked for."""
    manual = Manual(Path(sys.argv[1]))
    for name, write in (("man", manual.write_man), ("source", manual.write_source)):
        output = Output(Path(sys.argv[1]) / name)
        write(output)
        output.close()
    print(
        f"{len(manual.commands)} pages of section 1, {len(manual.reference)} of section 3, "
        f"{len(manual.overviews)} of section 7"
    )


if __name__ == "__main__":
    main()
