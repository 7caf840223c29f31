"""Looks at the manual that was built: what its pages lack, whether man takes them, where links lead.

check_pages.py OUTPUT
"""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS / "tools"))

import build
import header

# A page in a terminal: code stands eight columns in.
CODE_WIDTH = 78


def every_function_has_a_page(manual, output):
    """Each function and callback has what a page must have, and its page is there."""
    for page in manual.reference:
        if page.entry.kind in ("function", "callback"):
            for section in page.missing():
                yield f"{page.name} lacks {section}" + (
                    f": {page.undescribed()}" if section == "parameters" else ""
                )
    names = {page.name for page in manual.reference}
    for name in header.read_ledger(ROOT / "include/happysock.symbols"):
        if name not in names or not (output / "man/man3" / f"{name}.3").exists():
            yield f"{name} has no page"


def every_constant_is_told(manual, output):
    """Each constant of the header stands on a page."""
    text = "".join(path.read_text(encoding="utf-8") for path in (output / "man").rglob("*.[37]"))
    for entry in manual.entries:
        if entry.kind == "constant" and not re.search(rf"\b{entry.name}\b", text):
            yield f"{entry.name} is on no page"


def examples_are_what_they_say(manual, output):
    """An example calls what it shows, fits a terminal, and is shown."""
    del output
    names = {page.name for page in manual.reference}
    guides = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "guide").glob("*.md"))
    for example in manual.examples:
        code = "\n".join(example.code)
        for name in example.shows:
            if name not in names:
                yield f"{example.name} shows {name}, which the header does not have"
            # A callback or a struct is shown by what fills it.
            elif not name.endswith("_fn") and name not in code:
                yield f"{example.name} does not use {name}"
        if not example.shows and f"(../examples/{example.name}.c)" not in guides:
            yield f"{example.name} is on no page"
        for line in example.code:
            if len(line) > CODE_WIDTH:
                yield f"{example.name}: longer than {CODE_WIDTH} columns: {line}"


def the_first_page_has_every_command(manual, output):
    """The pages of the command are made of its definition, and the first page lists them by hand."""
    del output
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    if not manual.commands:
        yield "the command has written no page"
    for path in manual.commands:
        for place in (f"](command/{path.stem}.md)", f"\ncommand/{path.stem}\n"):
            if place not in index:
                yield f"docs/index.md has no {place.strip()}"


def man_takes_them(manual, output):
    """mandoc and groff have nothing to say."""
    del manual
    paths = sorted((output / "man").rglob("*.[37]"))
    found = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "style", *paths], capture_output=True, text=True, check=False
    )
    for line in (found.stdout + found.stderr).splitlines():
        # Other pages may not be installed, and nobody need have indexed those that are.
        if "referenced manual not found" not in line and "mandoc.db" not in line:
            yield line
    groff = subprocess.run(
        ["groff", "-mandoc", "-Tutf8", "-ww", "-z", *paths], capture_output=True, text=True, check=False
    )
    yield from groff.stderr.splitlines()
    # A reference to a page of ours leads to one.
    ours = {(path.stem, path.suffix[1:]) for path in paths}
    for path in paths:
        for name, section in re.findall(r"^\.Xr (\S+) (\d)", path.read_text(encoding="utf-8"), re.MULTILINE):
            if name.startswith(("happy", "init_inetsock", "rb_")) and (name, section) not in ours:
                yield f"{path.name} refers to {name}({section}), which there is not"


class Links(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self):
        super().__init__()
        self.links, self.anchors = [], set()

    def handle_starttag(self, tag, attrs):
        """Collects."""
        for key, value in attrs:
            if key in ("href", "src") and value:
                self.links.append(value)
            elif key == "id" and value:
                self.anchors.add(value)


def links_lead_somewhere(manual, output):
    """Each link of the HTML that stays in the manual, and its anchor."""
    del manual
    pages = {}
    for path in (output / "html").rglob("*.html"):
        pages[path.resolve()] = Links()
        pages[path.resolve()].feed(path.read_text(encoding="utf-8"))
    if not pages:
        yield "there is no HTML"
    for path, page in pages.items():
        for link in page.links:
            if re.match(r"[a-z]+:", link):
                continue
            name, _, anchor = unquote(link).partition("#")
            target = Path(os.path.normpath(path.parent / name.split("?")[0])) if name else path
            where = path.relative_to(output.resolve())
            if not target.exists():
                yield f"{where}: {link} leads nowhere"
            elif (
                anchor
                and target in pages
                and anchor not in pages[target].anchors
                and path.name not in ("search.html",)
            ):
                yield f"{where}: {link}: there is no such anchor"


def documents_name_what_there_is(manual, output):
    """The files, functions and constants of the project that the documents name between backticks exist."""
    del output
    text_of_header = (ROOT / "include/happysock.h").read_text(encoding="utf-8")
    rooms = r"(?:src|tests|c_tests|include|scripts|lab|ruby_ext|benches|docs|bindings|fuzz|tool)/"
    for path in [
        *DOCS.rglob("*.md"),
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
        *(ROOT / ".github").rglob("*.md"),
    ]:
        if not path.exists():
            continue
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
            # The reference is made of the header, and the command's pages by the command.
            if not re.search(r"reference/|command/", link) and not (path.parent / link).exists():
                yield f"{path.relative_to(ROOT)}: {link} leads nowhere"
        prose = "".join(
            re.split(r"^```.*?^```$", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        )
        for code in re.findall(r"`([^`\n]+)`", prose):
            if re.match(rooms, code) and "*" not in code:
                file, _, test = code.partition("::")
                if not (ROOT / file).exists():
                    yield f"{path.relative_to(ROOT)}: there is no {file}"
                elif test and not re.search(rf"\bfn {test}\b", (ROOT / file).read_text(encoding="utf-8")):
                    yield f"{path.relative_to(ROOT)}: {file} has no test {test}"
            name = re.sub(r"\(\d?\)$", "", code)
            if (
                re.fullmatch(r"(?:happy|HAPPY|rb_getaddrinfo|init_inetsock)_\w*[a-zA-Z0-9]", name)
                and name not in text_of_header
            ):
                yield f"{path.relative_to(ROOT)}: the header has no {name}"


def pictures_are_true(manual, output):
    """The pictures are what is drawn of what stands beside them, and the house has the rooms that there are."""
    del manual, output
    drawn = subprocess.run(
        [sys.executable, "-B", DOCS / "pictures/draw.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    yield from (drawn.stdout + drawn.stderr).splitlines()
    house = json.loads((DOCS / "pictures/house.json").read_text(encoding="utf-8"))
    shown = {room["name"] for row in house["rows"] for room in row}
    rooms = {path.name for path in (ROOT / "src").iterdir() if path.is_dir()}
    if shown != rooms:
        yield f"the house shows {sorted(shown)}, and there are {sorted(rooms)}"


CHECKS = (
    every_function_has_a_page,
    every_constant_is_told,
    examples_are_what_they_say,
    the_first_page_has_every_command,
    man_takes_them,
    links_lead_somewhere,
    documents_name_what_there_is,
    pictures_are_true,
)


def main():
    """Each check is one test."""
    output = Path(sys.argv[1])
    manual = build.Manual(output)
    failed = 0
    for check in CHECKS:
        wrong = list(check(manual, output))
        failed += bool(wrong)
        print(f"{'FAILED' if wrong else 'ok'} {check.__name__}")
        for line in wrong:
            print(f"    {line}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
