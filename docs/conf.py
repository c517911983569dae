"""Sphinx: pages in Markdown, a notebook that is executed, references and figures from the code itself."""

import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))

import generate

project = "seamless-sm"
copyright = "MIT licence"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "seamless-sm"
html_favicon = "../service/static/icon.svg"
html_theme_options = {"source_edit_link": "", "top_of_page_buttons": []}

myst_heading_anchors = 4
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 180

napoleon_google_docstring = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"


def setup(app: Sphinx) -> None:
    """Have what is generated written before the pages are read."""
    app.connect("builder-inited", lambda _: generate.write(Path(__file__).parent))
