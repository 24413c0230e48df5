"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tabulate import tabulate  # type: ignore[import-untyped]


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; cells are shown as ``str`` gives them, without padding.

    >>> print(table(["name", "bits"], [("cq", 96), ("identity", 2048)]))
    | name | bits |
    |--------|--------|
    | cq | 96 |
    | identity | 2048 |
    """
    text = [[str(cell) for cell in row] for row in rows]
    # Without alignment the cells keep their length: pages change only where numbers do.
    return str(
        tabulate(
            text, headers, tablefmt="github", disable_numparse=True, stralign=None, numalign=None
        )
    )
