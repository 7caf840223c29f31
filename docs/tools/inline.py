"""A sentence of the header, cut into what the two kinds of pages set apart."""

import re

# What a sentence of the header may name, longest first.
PATTERN = re.compile(
    r"`(?P<code>[^`]+)`"
    r"|(?P<manual>\b[a-z_][a-z0-9_.-]*)\((?P<section>[1-8])\)"
    r"|(?P<ours>\b(?:happy|init_inetsock|rb_getaddrinfo)_[a-z0-9_]*[a-z0-9]\b)(?:\(\))?"
    r"|(?P<constant>\b(?:HAPPY|EAI|AF|AI)_[A-Z0-9_]+\b\*?|\bNULL\b)"
    r"|(?P<errno>\bE(?:MFILE|NFILE|NOMEM|INVAL|STALE|BUSY|TIMEDOUT|CANCELED|AGAIN|AFNOSUPPORT|IO|NXIO|NOENT|"
    r"INTR|CONNREFUSED|NETUNREACH|INPROGRESS)\b)"
)


def cut(text):
    """Yields (kind, text): text, code, manual ("name(3)"), ours (a name of the header), constant, errno."""
    position = 0
    for match in PATTERN.finditer(text):
        if match.start() > position:
            yield "text", text[position : match.start()]
        if match.group("code"):
            yield kind_of_code(match.group("code")), match.group("code")
        elif match.group("manual"):
            yield "manual", match.group(0)
        elif match.group("ours"):
            yield "ours", match.group("ours")
        else:
            yield ("constant" if match.group("constant") else "errno"), match.group(0)
        position = match.end()
    if position < len(text):
        yield "text", text[position:]


def kind_of_code(code):
    """What stands between backticks is a name of the header when it looks like one."""
    inside = list(cut(code)) if "`" not in code else []
    if len(inside) == 1 and inside[0][0] != "text":
        return inside[0][0]
    return "code"
