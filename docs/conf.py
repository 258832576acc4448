"""Configures Sphinx; ``make docs`` builds with every warning an error."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # mdl, analyses and docs themselves

import mdl
from docs._ext import quoted

project = "mdl"
author = copyright = "mdl contributors"
version = release = mdl.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "docs._ext.reference",
    "docs._ext.directives",
    "docs._ext.mathml",
    "docs._ext.offline",
]
exclude_patterns = ["_ext"]

myst_enable_extensions = ["deflist", "dollarmath", "substitution"]
myst_substitutions = quoted.substitutions()
myst_heading_anchors = 3

default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_type_aliases = {name: name for name in ("Array", "ArrayLike", "NDArray", "PriorLike", "Symbols")}
napoleon_google_docstring = False
napoleon_use_rtype = False
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(?!mdl\.).*"),  # other libraries, whose pages would have to be fetched
    ("py:class", r"mdl\.(\w+\.)+(_\w+|[A-Z])"),  # private bases and type variables, which have no page
]
suppress_warnings = ["config.cache"]  # the substitutions are new in every build

html_theme = "furo"
html_title = "mdl"
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
html_static_path = ["_static"]
html_css_files = ["mdl.css"]
