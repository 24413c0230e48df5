"""Where the companion's folders are. Notebooks and commands ask here, never for a relative path."""

from __future__ import annotations

import os
from pathlib import Path


def root() -> Path:
    """Return the checkout that holds notebooks, profiles and book.

    ``CQLIB_ROOT`` if set, else the folder above the package, which an editable install makes the
    checkout.

    Raises:
        FileNotFoundError: if that folder holds no ``book/claims.yml``.
    """
    folder = Path(os.environ.get("CQLIB_ROOT") or Path(__file__).parent.parent).resolve()
    if not (folder / "book" / "claims.yml").is_file():
        raise FileNotFoundError(
            f"{folder} is no checkout of the companion (it has no book/claims.yml); "
            "set CQLIB_ROOT to one"
        )
    return folder


def notebooks() -> Path:
    """Return the folder of the notebooks."""
    return root() / "notebooks"


def runs(profile: str) -> Path:
    """Return the folder of the executed notebooks of a profile."""
    return root() / "runs" / profile
