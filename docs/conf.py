"""How the documentation becomes a site: Sphinx makes site/ of the pages of this folder (`make docs`).
Links that lead nowhere and other warnings fail the build; pages that the index does not name are found."""

import re

project = "L2H Fleet"
extensions = ["myst_parser"]
myst_heading_anchors = 3  # links to a heading of another page are checked, too
highlight_language = "none"
html_theme = "furo"
html_title = "L2H Fleet"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False  # without a name it would be an empty line


def setup(app):
    app.connect("source-read", name_the_rest)


def name_the_rest(app, page, source):
    """Puts every page that the index does not name where it says so, by name."""
    if page == "index":
        named = set(re.findall(r"^\w+$", source[0], flags=re.MULTILINE))
        rest = sorted(app.env.found_docs - named - {"index"})
        source[0] = source[0].replace("(the pages named nowhere else)", "\n".join(rest))
