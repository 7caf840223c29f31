"""Pages for man(1), in mdoc(7)."""

import re
import textwrap

from inline import cut
from markdown_it import MarkdownIt
from mdit_py_plugins.deflist import deflist_plugin

CLOSING = ".,:;)]?!"


def escape(text):
    """What a text line of roff may hold: no escape, and no control character at its beginning."""
    text = text.replace("\\", "\\e").replace("~", "\\(ti").replace("^", "\\(ha")
    return re.sub(r"^([.'])", r"\\&\1", text)


def argument(text):
    """One argument of a macro."""
    text = text.replace("\\", "\\e").replace('"', '""')
    # Two such letters alone are a macro, also as an argument.
    if re.fullmatch(r"[A-Z][a-z]", text):
        return f"\\&{text}"
    return f'"{text}"' if " " in text or '"' in text or text == "" or text[0] in CLOSING + "([|" else text


class Writer:
    """Sentences become lines; a name that stands as a word becomes a macro."""

    def __init__(self, page):
        self.page = page

    def macro(self, kind, text):
        """The macro for a name, or None where it is only set in bold."""
        if kind == "manual":
            name, section = re.fullmatch(r"(.*)\((\d)\)", text).groups()
            return f"Xr {name} {section}"
        if kind == "ours":
            return f"Nm {text}" if text == self.page else f"Xr {text} 3" if "*" not in text else None
        if kind == "constant":
            return f"Dv {text}"
        if kind == "errno":
            return f"Er {text}"
        # A delimiter at the end would be taken for one of the sentence.
        return f"Ql {argument(text)}" if "\\" not in text and text[-1] not in CLOSING else None

    def sentence(self, pieces):
        """Lines of roff for (kind, text) pieces."""
        lines, current = [], ""

        def end_line():
            nonlocal current
            for line in one_sentence_a_line(current.strip()) if current.strip() else []:
                lines.extend(textwrap.wrap(line, 78, break_long_words=False, break_on_hyphens=False))
            current = ""

        pieces = list(pieces)
        for index, (kind, text) in enumerate(pieces):
            if kind == "text":
                current += text
                continue
            following = pieces[index + 1][1] if index + 1 < len(pieces) else ""
            closing = re.match(rf"([{re.escape(CLOSING)}]+)(?=\s|$)", following)
            stands_alone = not current or current[-1].isspace()
            ends_word = not following or following[0].isspace() or closing
            macro = self.macro(kind, text) if stands_alone and ends_word else None
            if macro is None:
                current += f"\0B{text}\0P"
                continue
            end_line()
            if closing:
                macro += " " + " ".join(closing.group(1))
                pieces[index + 1] = (pieces[index + 1][0], following[closing.end() :].lstrip())
            lines.append(f"\0.{macro}")
        end_line()
        return [line[1:] if line.startswith("\0.") else bold(escape(line)) for line in lines]

    def text(self, text):
        """Lines for a sentence of the header."""
        return self.sentence(cut(text))

    def code(self, lines):
        """A display of code as it stands."""
        body = [re.sub(r"^([.'])", r"\\&\1", line.replace("\\", "\\e")) for line in lines]
        while body and not body[-1]:
            body.pop()
        return [".Bd -literal -offset indent", *body, ".Ed"]

    def rows(self, rows):
        """A list of keys with what they mean."""
        lines = [".Bl -tag -width Ds"]
        for key, text in rows:
            lines.append(f".It {self.tag(key)}")
            lines += self.text(as_sentence(text)) if text else []
        return [*lines, ".El"]

    def tag(self, key):
        """The head of a list item."""
        pieces = [piece for piece in cut(key) if piece[1].strip()]
        if len(pieces) == 1 and pieces[0][0] in ("constant", "errno"):
            return self.macro(*pieces[0])
        if re.fullmatch(r"[a-z_0-9]+(, [a-z_0-9]+)*", key) and not key[0].isdigit():
            return "Fa " + " , ".join(key.split(", "))
        return " ".join(argument(word) for word in key.split())


def as_sentence(text):
    """A row of a table, which goes on after its key, as a sentence of its own."""
    text = text.removeprefix("and ")
    return text and text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")


def one_sentence_a_line(text):
    """mdoc wants each sentence on a line of its own."""
    return re.split(r"(?<=[a-z0-9)`\"][.!?]) +(?=[A-Z\0\"])", text)


def bold(text):
    """The marks of sentence() as roff."""
    return text.replace("\0B", "\\fB").replace("\0P", "\\fP")


# ---- Overviews: Markdown to mdoc ---------------------------------------------------------------------------


def inline_pieces(token):
    """(kind, text) of an inline token of markdown-it."""
    for child in token.children:
        if child.type == "text":
            yield from ((kind, text) for kind, text in cut(child.content))
        elif child.type == "code_inline":
            inside = list(cut(child.content))
            yield inside[0] if len(inside) == 1 and inside[0][0] != "text" else ("code", child.content)
        elif child.type == "softbreak":
            yield "text", " "


def join(pieces):
    """Neighbouring texts as one."""
    joined = []
    for kind, text in pieces:
        if joined and kind == "text" and joined[-1][0] == "text":
            joined[-1] = ("text", joined[-1][1] + text)
        else:
            joined.append((kind, text))
    return joined


def overview(markdown, writer):
    """The sections of an overview: (title, lines of roff)."""
    tokens = MarkdownIt("commonmark").use(deflist_plugin).parse(markdown)
    lines, fresh = [], True
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            title = tokens[index + 1].content
            lines.append(
                f".Sh {title.upper()}" if token.tag == "h2" else f".Ss {title}" if token.tag == "h3" else ""
            )
            fresh = True
        elif token.type == "inline":
            before = tokens[index - 1].type
            if before == "heading_open" or (token.children and token.children[0].type == "image"):
                continue
            pieces = join(inline_pieces(token))
            if before == "dt_open":
                lines.append(f".It {writer.tag(''.join(text for _, text in pieces))}")
                continue
            if not fresh:
                lines.append(".Pp")
            lines += writer.sentence(pieces)
            fresh = False
        elif token.type in ("bullet_list_open", "dl_open"):
            lines.append(".Bl -bullet" if token.type == "bullet_list_open" else ".Bl -tag -width Ds")
        elif token.type in ("list_item_open", "dd_open"):
            lines += [".It"] if token.type == "list_item_open" else []
            fresh = True
        elif token.type in ("bullet_list_close", "dl_close"):
            lines.append(".El")
            fresh = False
        elif token.type == "fence":
            lines += writer.code(token.content.splitlines())
            fresh = False
        elif token.type.startswith(("table", "html_block", "ordered_list")):
            raise ValueError(f"an overview cannot have a {token.type}: {token.content}")
    return [line for line in lines if line]
