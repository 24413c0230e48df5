"""The companion's folders. Notebooks and commands use these, not relative paths."""

from __future__ import annotations

import os
from pathlib import Path


def root() -> Path:
    """Return the checkout with notebooks, profiles and book.

    It is ``CQLIB_ROOT`` if set, else the folder above the package: the checkout, in an editable
    install.

    Raises:
        FileNotFoundError: if the folder has no ``book/claims.yml``.
    """
    folder = Path(os.environ.get("CQLIB_ROOT") or Path(__file__).parent.parent).resolve()
    if not (folder / "book" / "claims.yml").is_file():
        raise FileNotFoundError(
            f"{folder} is not a checkout of the companion (it has no book/claims.yml); "
            "set CQLIB_ROOT to one"
        )
    return folder


def notebooks() -> Path:
    """Return the folder of the notebooks."""
    return root() / "notebooks"


def runs(profile: str) -> Path:
    """Return the folder of the executed notebooks of a profile."""
    return root() / "runs" / profile
