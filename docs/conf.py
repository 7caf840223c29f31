"""How Sphinx makes HTML of the manual. make manual copies this file to the source that it generates."""

import importlib.util
import re
import sys
from pathlib import Path

# Where make manual puts the theme.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "theme"))

with open("../../../Cargo.toml", encoding="utf-8") as file:
    release = re.search(r'^version = "(.*)"$', file.read(), re.MULTILINE).group(1)

project = "happysock"
author = "the happysock project"
extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
found = importlib.util.find_spec("furo")
html_theme = "furo" if found and found.origin else "alabaster"
html_title = f"happysock {release}"
pygments_dark_style = "github-dark"
html_copy_source = False
html_show_copyright = False
html_show_sourcelink = False
if html_theme == "furo":
    html_theme_options = {
        "light_css_variables": {"color-brand-primary": "#0b5ea8", "color-brand-content": "#0b5ea8"},
        "dark_css_variables": {"color-brand-primary": "#6cb6ff", "color-brand-content": "#6cb6ff"},
    }
