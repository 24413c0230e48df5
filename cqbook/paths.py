"""The companion's folders. Notebooks and commands use these, not relative paths."""

from __future__ import annotations

import os
from pathlib import Path


def root() -> Path:
    """Return the checkout with notebooks, profiles and book.

    It is ``CQLIB_ROOT`` if set. Else it is the folder above the package (the checkout, in an
    editable install), the current folder, or the first folder above that which is a checkout.

    Raises:
        FileNotFoundError: if none of them has a ``book/claims.yml``.
    """
    given = os.environ.get("CQLIB_ROOT")
    if not given:
        for folder in (Path(__file__).parent.parent, Path.cwd(), *Path.cwd().parents):
            if _is_checkout(folder):
                return folder.resolve()
    here = Path(given or Path.cwd()).resolve()
    if not _is_checkout(here):
        raise FileNotFoundError(
            f"{here} is not a checkout of the companion (it has no book/claims.yml); "
            "change to one, or set CQLIB_ROOT to one"
        )
    return here


def _is_checkout(folder: Path) -> bool:
    return (folder / "book" / "claims.yml").is_file()


def notebooks() -> Path:
    """Return the folder of the notebooks."""
    return root() / "notebooks"


def runs(profile: str) -> Path:
    """Return the folder of the executed notebooks of a profile."""
    return root() / "runs" / profile
