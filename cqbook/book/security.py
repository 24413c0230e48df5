"""The page on security and reliability, with the figures of the last recorded fuzzing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cqbook import paths
from cqbook.book.tables import table
from cqbook.book.templates import plain, render


def recorded() -> Mapping[str, Any] | None:
    """Return the record of ``tools/fuzz_record.py``; None if there is none."""
    file = paths.root() / "benchmarks" / "fuzz.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def security_page(record: Mapping[str, Any] | None) -> str:
    """Return the page.

    Args:
        record: content of ``benchmarks/fuzz.json``, or None if nothing was recorded.
    """
    return render("security", record=record, fuzzing="" if record is None else _fuzzing(record))


def _fuzzing(record: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    rows = [
        ("inputs", f"{record['inputs']:,}"),
        ("faults", f"{record['faults']:,}"),
        ("hours of a processor", f"{record['seconds'] * record['processes'] / 3600:.1f}"),
        ("date", record["date"]),
        ("commit", f"`{record['commit']}`"),
        ("versions", f"cqlib {record['cqlib']}, {versions}"),
        ("processor", plain(record["device"])),
    ]
    return table(("", "last recorded run"), rows)
