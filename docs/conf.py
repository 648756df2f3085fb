"""The documentation as a site: `make docs` builds it into site/ and takes no warning.

The source folder is the repository itself, so that a link leads where it leads on a code host: to a page, to a heading,
or to a copy of any other file. The reference comes from the docstrings of whatever modules `handmap` has; they are read,
not imported. Conf.py of Sphinx, whose names these are.
"""

import re
import runpy
import shutil
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent

project = "HandMap Edge"
html_title = project
copyright = "the HandMap Edge authors"
version = runpy.run_path(str(ROOT / "handmap/system/version.py"))["version_of"](ROOT)
root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "reference/**.rst"]
exclude_patterns = [".*", "build", "dist", "runs", "site", "docs/examples"]
extensions = ["myst_parser", "autoapi.extension", "sphinxcontrib.mermaid"]
default_role = "code"  # docstrings are written in Markdown: `this` is code
html_theme = "furo"
html_copy_source = False
html_static_path = ["site.css"]
html_css_files = ["site.css"]

myst_heading_anchors = 4  # as code hosts make them
myst_fence_as_directive = ["mermaid"]

autoapi_dirs = [str(ROOT / "handmap")]
autoapi_root = "reference"
autoapi_add_toctree_entry = False
autoapi_options = ["members", "undoc-members", "show-module-summary"]
autoapi_member_order = "bysource"
autoapi_python_class_content = "class"

# The pages in the order of the navigation; a page that is in none of these lists is a warning.
NAVIGATION = {
    "Use": [
        "docs/configuration",
        "docs/cameras",
        "docs/recordings",
        "docs/operating",
        "docs/viewing",
        "docs/fleet",
        "docs/monitoring",
        "docs/jetson",
        "docs/client",
        "docs/codecs",
        "docs/protocol",
        "docs/protocol_dump",
        "docs/skeleton",
        "docs/security",
        "docs/robot",
        "docs/adapters",
    ],
    "Models": ["docs/bundle", "docs/datasets", "docs/training", "docs/evaluation", "docs/calibration"],
    "Numbers": ["docs/measured/README"],
    "Library": ["docs/library", "reference/handmap/index"],
    "Project": ["docs/architecture", "CONTRIBUTING", "docs/decisions", "CHANGELOG", "SECURITY"],
}
MEASURED = "docs/measured/README"


def add_navigation(_: Sphinx, page: str, source: list[str]) -> None:
    """Ends the first page, and that of measurements, with the lists that the navigation is made from; neither is shown."""
    if page == root_doc:
        source[0] += "".join(_toctree(names, caption) for caption, names in NAVIGATION.items())
    if page == MEASURED:
        folder = ROOT / "docs/measured"
        source[0] += _toctree(sorted(path.stem for path in folder.glob("*.md") if path.stem != "README"))


def restate_docstring(_: Sphinx, kind: str, name: str, found: object, options: object, lines: list[str]) -> None:
    """Turns the docstring's Markdown into reStructuredText: bars, stars and final underscores are plain, indented blocks code."""
    restated: list[str] = []
    for line in lines:
        is_code = line.startswith("    ")
        was_code = bool(restated) and restated[-1].startswith("    ")
        if is_code and not was_code:
            restated += ["", ".. code-block:: text", ""]
        elif was_code and not is_code and line.strip():
            restated.append("")
        restated.append(line if is_code else _escaped(line))
    lines[:] = restated


def copy_first_page(app: Sphinx, error: Exception | None) -> None:
    """Names the first page as web servers expect it."""
    if error is None:
        shutil.copyfile(app.outdir / "README.html", app.outdir / "index.html")


def setup(app: Sphinx) -> None:
    """Registers the functions above."""
    app.connect("source-read", add_navigation)
    app.connect("autodoc-process-docstring", restate_docstring)
    app.connect("build-finished", copy_first_page)


def _escaped(line: str) -> str:
    parts = re.split(r"(`[^`]*`)", line)
    return "".join(part if part.startswith("`") else re.sub(r"[|*]|_(?!\w)", r"\\\g<0>", part) for part in parts)


def _toctree(names: list[str], caption: str = "") -> str:
    title = f":caption: {caption}\n" if caption else ""
    pages = "\n".join(names if not caption else (f"/{name}" for name in names))
    return f"\n\n```{{toctree}}\n:hidden:\n{title}\n{pages}\n```\n"
