"""Sphinx configuration of the documentation site; `make docs` builds it into `site/`.

The source folder is the repository, not `docs/`, so that a relative link works here and in a repository
browser alike: a link to a page becomes a link on the site, and a link to a source file or a table becomes a
copy of that file. Sphinx reports links that lead nowhere, and `make docs` turns each report into an error.

The site loads nothing from other hosts, neither when it is built nor when it is read.
"""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "Obliq"
author = "The Obliq developers"
project_copyright = f"2026, {author}"
version = release = version_of("obliq")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "public_api",
    "navigation",
    "offline",
]
root_doc = "docs/index"
source_suffix = {".md": "markdown"}
include_patterns = ["docs/*.md", "benchmarks/results/**.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]
exclude_patterns = [
    ".*",
    "src",
    "tests",
    "site",
    "runs",
    "demo",
    "build",
    "dist",
]  # folders not worth walking
suppress_warnings = ["myst.header"]  # generated reports skip a heading level

myst_heading_anchors = 4  # the same anchors as repository browsers give to headings

default_role = "py:obj"  # a name in backticks links to its entry where it has one
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints_format = "short"
autodoc_type_aliases = {"DataLike": "DataLike"}  # the name instead of the five types that it stands for
napoleon_use_ivar = True  # fields as one list instead of one entry each
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

html_theme = "pydata_sphinx_theme"
html_title = "Obliq"
html_static_path = ["static"]
html_css_files = ["style.css"]
templates_path = ["templates"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {"**": ["pages"]}
html_theme_options = {
    "navbar_center": [],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "show_prev_next": True,
}
