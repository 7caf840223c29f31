"""A little SVG: boxes, bars, lines and texts in two palettes, for light and for dark pages."""

from html import escape

# From the palette of Okabe and Ito, which colour-blind readers tell apart; darker or lighter as the page asks.
PALETTES = {
    "light": {
        "page": "#ffffff",
        "ink": "#1f2328",
        "faint": "#59636e",
        "rule": "#d1d9e0",
        "panel": "#f6f8fa",
        "blue": "#0072b2",
        "orange": "#d98a00",
        "green": "#007a5a",
        "red": "#c04a00",
        "violet": "#8a4f7d",
        "amber": "#8f5c00",
        "on": "#ffffff",
    },
    "dark": {
        "page": "#0d1117",
        "ink": "#e6edf3",
        "faint": "#9198a1",
        "rule": "#3d444d",
        "panel": "#161b22",
        "blue": "#56b4e9",
        "orange": "#e69f00",
        "green": "#2bc49a",
        "red": "#ff8a4c",
        "violet": "#cc79a7",
        "amber": "#e69f00",
        "on": "#0d1117",
    },
}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


class Picture:
    """A picture of a width and a height, told in a sentence for those who do not see it."""

    def __init__(self, theme, width, height, title):
        self.colours = PALETTES[theme]
        self.size = width, height
        self.title = title
        self.parts = []

    def colour(self, name):
        """A colour of the palette."""
        return self.colours.get(name, name)

    def box(self, x, y, width, height, fill="panel", stroke="rule", radius=6, dash=""):
        """A rectangle."""
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius}" '
            f'fill="{self.colour(fill)}" stroke="{self.colour(stroke)}"{dashes}/>'
        )

    def line(self, x1, y1, x2, y2, colour="rule", width=1.0, dash="", arrow=False):
        """A line, maybe with a head."""
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        head = f' marker-end="url(#head-{colour})"' if arrow else ""
        self.parts.append(
            f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{self.colour(colour)}" '
            f'stroke-width="{width:g}"{dashes}{head}/>'
        )

    def path(self, points, colour="faint", width=1.5, arrow=True):
        """A line through points."""
        head = f' marker-end="url(#head-{colour})"' if arrow else ""
        route = " ".join(f"{'M' if index == 0 else 'L'}{x:g} {y:g}" for index, (x, y) in enumerate(points))
        self.parts.append(
            f'<path d="{route}" fill="none" stroke="{self.colour(colour)}" stroke-width="{width:g}"{head}/>'
        )

    def text(self, x, y, text, size=14, colour="ink", anchor="start", bold=False, mono=False):
        """A line of text."""
        weight = ' font-weight="600"' if bold else ""
        family = " font-family=\"ui-monospace, 'DejaVu Sans Mono', monospace\"" if mono else ""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{self.colour(colour)}" '
            f'text-anchor="{anchor}"{weight}{family}>{escape(text)}</text>'
        )

    def __str__(self):
        width, height = self.size
        heads = "".join(
            f'<marker id="head-{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
            f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" fill="{self.colour(name)}"/></marker>'
            for name in ("faint", "ink", "green", "blue", "orange", "red")
        )
        hatch = (
            '<pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            f'<rect width="7" height="7" fill="{self.colour("page")}"/>'
            f'<rect width="3.5" height="7" fill="{self.colour("orange")}"/></pattern>'
        )
        # Only where it is used.
        parts = "\n".join(self.parts)
        if "url(#hatch-green)" in parts:
            hatch += hatch.replace('id="hatch"', 'id="hatch-green"').replace(
                self.colour("orange"), self.colour("green")
            )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
            f'height="{height:g}" role="img" font-family="{FONT}">\n<title>{escape(self.title)}</title>\n'
            f"<defs>{heads}{hatch}</defs>\n"
            f'<rect width="{width:g}" height="{height:g}" rx="8" fill="{self.colour("page")}"/>\n'
            + parts
            + "\n</svg>\n"
        )
