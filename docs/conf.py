"""Settings of Sphinx for this site: `sphinx-build -W -b html docs docs/_build`."""

from __future__ import annotations

import sys
from pathlib import Path

import deepmath

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "deepmath"
author = "the authors of deepmath"
copyright = author  # the name that Sphinx looks for
version = release = deepmath.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "docstrings",
    "formulas",
    "mathml",
    "pictures",
]
exclude_patterns = ["_build", "README.md"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Docstrings are plain text in which code stands between backticks: what is a name of ours becomes a link.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
SHAPES = ("Array", "Elements", "Inputs", "Rows", "Index", "Columns", "Kernel", "Flat", "Features", "Axes")
autodoc_type_aliases = {name: name for name in (*SHAPES, "Scalar", "Namespace", "Values", "Bits", "Pullback", "Shape")}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
python_use_unqualified_type_names = True
smartquotes = False  # "--option" and "name" are meant as they stand
maximum_signature_line_length = 80
add_module_names = False
toc_object_entries = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"deepmath {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"  # browsers show MathML by themselves: no script, no font from a network
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"
