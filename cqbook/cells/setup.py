"""Setup of a notebook's kernel."""

from __future__ import annotations

from cqbook.cells import plotting
from cqbook.threads import one_thread


def ready() -> None:
    """Set one thread, for repeatable numbers, and the style of figures."""
    one_thread()
    plotting.use_style()
