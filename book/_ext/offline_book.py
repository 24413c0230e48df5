"""Serve MathJax from the book itself, so that pages need no other host.

The file comes from the package sphinx-mathjax-offline: MathJax 3.2.2 with its fonts in one file.
"""

import shutil
from importlib.metadata import files
from pathlib import Path
from typing import Any

MATHJAX = "tex-svg-full.js"
STYLE = "book.css"


def setup(app: Any) -> dict[str, bool]:
    """Register the two hooks."""
    app.connect("config-inited", use_local_mathjax)
    app.connect("build-finished", copy_assets)
    app.add_css_file(STYLE)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def use_local_mathjax(app: Any, config: Any) -> None:
    """Point every page at the copy below _static."""
    config.mathjax_path = f"mathjax/{MATHJAX}"


def copy_assets(app: Any, exception: Exception | None) -> None:
    """Copy MathJax and the style sheet into the finished book."""
    if exception is None:
        (script,) = (f for f in files("sphinx-mathjax-offline") or () if f.name == MATHJAX)
        static = Path(app.outdir) / "_static"
        (static / "mathjax").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(script.locate()), static / "mathjax" / MATHJAX)
        shutil.copyfile(Path(__file__).with_name(STYLE), static / STYLE)
