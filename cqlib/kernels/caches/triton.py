"""The folder in which Triton keeps its code."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from cqlib.files import can_be_written, private_folder


@cache
def give_triton_a_folder() -> None:
    """Let Triton keep its code in a private temporary folder if its own cannot be written.

    Nothing changes if the user has chosen one by ``TRITON_CACHE_DIR`` or ``TRITON_HOME``.
    """
    own = Path(os.path.expanduser("~")) / ".triton" / "cache"
    chosen = {"TRITON_CACHE_DIR", "TRITON_HOME"} & set(os.environ)
    if chosen or (own.is_absolute() and can_be_written(own)):
        return
    private = private_folder("triton")
    if private is not None:
        os.environ["TRITON_CACHE_DIR"] = str(private)
