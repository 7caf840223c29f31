"""How Sphinx makes HTML of the manual. make manual copies this file to the source that it generates."""

import re

with open("../../../Cargo.toml", encoding="utf-8") as file:
    release = re.search(r'^version = "(.*)"$', file.read(), re.MULTILINE).group(1)

project = "happysock"
author = "the happysock project"
extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"happysock {release}"
html_copy_source = False
html_show_copyright = False
html_show_sourcelink = False
html_theme_options = {
    # Colours that a colour-blind reader tells apart, as in the pictures.
    "light_css_variables": {"color-brand-primary": "#0b5ea8", "color-brand-content": "#0b5ea8"},
    "dark_css_variables": {"color-brand-primary": "#6cb6ff", "color-brand-content": "#6cb6ff"},
}
