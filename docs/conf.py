"""Configuration of Sphinx: pages in Markdown, an executed notebook, and references and figures made from the code."""

import re
import sys
from pathlib import Path
from typing import Any

from numpydoc.xref import DEFAULT_LINKS
from pydantic import BaseModel
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))

import generate

from runtime import errors

DEFAULT_LINKS.clear()  # links to Python's own manual need a network when the site is built

project = "seamless-sm"
copyright = "MIT licence"
extensions = ["myst_nb", "sphinx.ext.autodoc", "numpydoc", "sphinx_copybutton"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "seamless-sm"
html_favicon = "../service/static/icon.svg"
html_theme_options = {"source_edit_link": "", "top_of_page_buttons": []}

myst_heading_anchors = 4
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 180

numpydoc_show_class_members = False  # autodoc lists them
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"
numpydoc_xref_aliases = {name: f"runtime.errors.{name}" for name in vars(errors) if name[0].isupper()}
numpydoc_xref_aliases |= {
    "Bundle": "runtime.bundle.Bundle",
    "Config": "runtime.config.Config",
    "Grid": "runtime.common.grid.Grid",
}
default_role = "py:obj"
autodoc_default_options = {"members": True, "exclude-members": "model_config"}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_type_aliases = {name: name for name in ("Bools", "Floats")}
ALIAS = re.compile(r"TypeAliasForwardRef\('(\w+)'\)")
ARRAY = re.compile(r"[~\w.]*ndarray\[tuple\[[~\w.]+, \.\.\.\], [~\w.]*dtype\[([~\w.]+)\]\]")


def _shorten(
    _app: Sphinx, _what: str, _name: str, obj: Any, _options: Any, *parts: str | None
) -> tuple[str | None, ...]:
    """Shorten a signature: no fields of pydantic models, which are listed below, and short names for array types."""
    if isinstance(obj, type) and issubclass(obj, BaseModel):
        return "", None
    return tuple(part and ALIAS.sub(r"\1", ARRAY.sub(r"NDArray[\1]", part)) for part in parts)


def setup(app: Sphinx) -> None:
    """Write the generated pages and figures before Sphinx reads the pages."""
    app.connect("builder-inited", lambda _: generate.write(Path(__file__).parent))
    app.connect("autodoc-process-signature", _shorten)
