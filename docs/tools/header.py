"""The header as a model: what happysock.h declares, with what its comments say.

The comments are the one source of the reference. Their form:

    A paragraph, and more of them, and code that is indented by four blanks.

      * a list
      * of such lines

    Parameters
      name, name        what it is, its unit, who owns it

    Returns
      a value           what it means

    Threads: which may call it
"""

import re
from dataclasses import dataclass, field


@dataclass
class Doc:
    """What a comment says."""

    blocks: list = field(default_factory=list)  # ("text", sentence), ("code", lines) or ("list", sentences)
    parameters: list = field(default_factory=list)  # (names, text)
    returns: list = field(default_factory=list)  # (value, text)
    threads: str = ""

    @property
    def summary(self):
        """The beginning, as short as a list of contents wants it."""
        text = next((text for kind, text in self.blocks if kind == "text"), "")
        # Not inside of backticks, where a colon is code.
        match = re.match(r"(?:`[^`]*`|[^`])*?(?=[.;:](?:\s|$)|$)", text)
        return match.group(0)


@dataclass
class Entry:
    """A declaration."""

    name: str
    kind: str  # function, callback, struct, handle, constant
    doc: Doc
    code: str
    section: str
    returns: str = ""  # the type
    parameters: list = field(default_factory=list)  # (type, name)
    fields: list = field(default_factory=list)  # (name, declaration, Doc)


def parse_doc(comment):
    """The model of a comment between /** and */."""
    lines = [re.sub(r"^\s*\* ?", "", line).rstrip() for line in comment.strip().splitlines()]
    doc = Doc()
    paragraphs = "\n".join(lines).split("\n\n")
    for paragraph in paragraphs:
        if paragraph.startswith("Parameters\n"):
            doc.parameters = parse_rows(paragraph)
        elif paragraph.startswith("Returns\n"):
            doc.returns = parse_rows(paragraph)
        elif paragraph.startswith("Threads: "):
            doc.threads = " ".join(paragraph.removeprefix("Threads: ").split())
        elif paragraph.startswith("  * "):
            items = re.split(r"(?:^|\n)  \* ", paragraph)[1:]
            doc.blocks.append(("list", [" ".join(item.split()) for item in items]))
        elif paragraph.startswith("    "):
            doc.blocks.append(("code", [line[4:] for line in paragraph.splitlines()]))
        elif paragraph.strip():
            doc.blocks.append(("text", " ".join(paragraph.split())))
    return doc


def parse_rows(paragraph):
    """The rows of a list: a key at the second column, its text at the twentieth or on the next line."""
    rows = []
    for line in paragraph.splitlines()[1:]:
        if re.match(r"  \S", line):
            key, _, text = line.strip().partition("  ")
            rows.append([key.strip("`"), text.strip()])
        else:
            rows[-1][1] = f"{rows[-1][1]} {line.strip()}".strip()
    return [tuple(row) for row in rows]


def split_parameters(text):
    """(type, name) of each parameter; a lone void is none."""
    parts = [" ".join(part.split()) for part in text.split(",")]
    if parts == ["void"]:
        return []
    found = [re.fullmatch(r"(.*?[ *])(\w+)", part) for part in parts]
    return [(match.group(1).strip(), match.group(2)) for match in found]


def parse_fields(body):
    """(name, declaration, Doc) of each field of a struct."""
    found = re.findall(r"/\*\*(.*?)\*/\s*([^;]*);", body, re.DOTALL)
    return [
        (re.search(r"(\w+)$", code).group(1), " ".join(code.split()), parse_doc(doc)) for doc, code in found
    ]


def parse(text):
    """All that a header declares, in its order."""
    pattern = re.compile(
        r"/\* ---- (?P<section>.*?) -+ \*/"
        r"|/\*\*(?P<doc>(?:(?!\*/).)*)\*/\s*"
        r"(?P<code>#(?:ifdef|define)(?:[^\n]*\\\n)*[^\n]*|typedef struct \w+ \{.*?\n\} \w+;|[^;{]*;)",
        re.DOTALL,
    )
    entries, section = [], ""
    for match in pattern.finditer(text):
        if match.group("section"):
            section = match.group("section")
            continue
        entry = parse_declaration(match.group("code"), parse_doc(match.group("doc")), section)
        # One comment stands before both forms of HAPPY_RESULT_INIT.
        if entry is not None:
            entries.append(entry)
    return entries


def parse_declaration(code, doc, section):
    """The entry for a declaration."""
    if code.startswith("#ifdef"):
        return Entry("HAPPY_RESULT_INIT", "constant", doc, "", section)
    if code.startswith("#define"):
        _, name, *value = code.replace("\\\n", " ").split(None, 2)
        return Entry(name, "constant", doc, " ".join("".join(value).split()), section)
    if match := re.match(r"typedef struct (\w+) \{(.*)\}", code, re.DOTALL):
        return Entry(match.group(1), "struct", doc, code, section, fields=parse_fields(match.group(2)))
    if match := re.match(r"typedef struct (\w+) \w+;", code):
        return Entry(match.group(1), "handle", doc, code, section)
    if match := re.match(r"typedef (.*?)\(\*(\w+)\)\((.*)\);", code, re.DOTALL):
        kind, returns, name, parameters = "callback", *match.groups()
    else:
        match = re.match(r"(.*?)(\w+)\((.*)\);", code, re.DOTALL)
        kind, returns, name, parameters = "function", *match.groups()
    return Entry(name, kind, doc, code, section, " ".join(returns.split()), split_parameters(parameters))


def read(path="include/happysock.h"):
    """The model of the header in a file."""
    with open(path, encoding="utf-8") as file:
        return parse(file.read())


def read_ledger(path="include/happysock.symbols"):
    """The version in which each exported function arrived."""
    with open(path, encoding="utf-8") as file:
        rows = [line.split() for line in file if line.strip() and not line.startswith("#")]
    return dict(rows)
