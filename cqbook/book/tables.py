"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tabulate import tabulate  # type: ignore[import-untyped]


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table of the cells' ``str``, without padding.

    >>> lines = table(["name", "bits"], [("cq", 96), ("identity", 2048)]).splitlines()
    >>> lines[0], lines[3]
    ('| name | bits |', '| identity | 2048 |')
    """
    text = [[str(cell) for cell in row] for row in rows]
    # Without padding, a change of one number does not change the other rows.
    return str(
        tabulate(
            text, headers, tablefmt="github", disable_numparse=True, stralign=None, numalign=None
        )
    )
