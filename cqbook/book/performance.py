"""The page of the book on speed, made from the saved results of ``python -m benchmarks``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cqbook import paths
from cqbook.book import performance_tables as tables
from cqbook.book.tables import table
from cqbook.book.templates import render

Record = Mapping[str, Any]

FOLDER = "performance-files"  # in the folder of the page


def saved() -> tuple[Record | None, dict[str, bytes]]:
    """Return the saved results, None if there are none, and all files of their folder."""
    folder = paths.root() / "benchmarks" / "results"
    files = {path.name: path.read_bytes() for path in sorted(folder.glob("[!.]*"))}
    whole = files.get("results.json")
    return (None if whole is None else json.loads(whole)), files


def performance_page(results: Record | None) -> str:
    """Return the page.

    Args:
        results: content of ``results.json``, or None if nothing has been measured.
    """
    if results is None:
        return render("performance", machine=None)
    rows = results["rows"]
    single = [r for r in rows if r["status"] == "measured" and r["threads"] == 1]
    ours = [r for r in single if r["who"] == "cqlib"]
    others = [r for r in single if r["who"] not in ("cqlib", "triton")]
    on_gpu = [r for r in rows if r["status"] == "measured" and r["who"] == "triton"]
    compiled = results["gpu_compiled"]
    return render(
        "performance",
        folder=FOLDER,
        **_where(results),
        **_bars(results["bars"]),
        by_dimension=tables.by_dimension([r for r in ours if not r["name"].endswith("by n")]),
        others=tables.others(others, ours),
        missing=tables.missing(rows),
        by_call=tables.by_call([*ours, *others]),
        encode_by_clients=tables.by_clients(ours, "cq encode by n", of_all=False),
        mean_by_clients=tables.by_clients(ours, "mean by n", of_all=True),
        simulated_by_clients=tables.by_clients(ours, "cq simulated mean by n", of_all=True),
        threads=tables.threads(rows),
        first_calls=tables.first_calls(results["first_calls"]),
        memory=tables.memory(results["memory"]),
        on_gpu=tables.by_dimension(on_gpu) if on_gpu else "",
        compiled=tables.compiled(compiled["rows"]) if compiled["rows"] else "",
        why_not_compiled=compiled.get("why", ""),
    )


def verdict(bar: Record) -> str:
    """Return the state of a bar: "met", "missed" or "not measured".

    >>> verdict({"sense": "at most", "limit": 0.25, "measured": 0.3})
    'missed'
    """
    if bar["measured"] is None:
        return "not measured"
    low = bar["sense"] == "at least"
    good = bar["measured"] >= bar["limit"] if low else bar["measured"] <= bar["limit"]
    return "met" if good else "missed"


def _where(results: Record) -> dict[str, Any]:
    """Return the template's values for the machine and the run."""
    machine = results["machine"]
    load_before, load_after = (
        f"{load[0]:.1f}" for load in (machine["load"], results["load_after"])
    )
    return {
        "machine": machine,
        "seconds": f"{results['seconds']:.0f}",
        "quick": results["quick"],
        "caches": ", ".join(f"{name} {size}" for name, size in machine["caches"].items()),
        "memory_gib": f"{machine['memory_gib']:.0f}",
        "versions": ", ".join(f"{name} {v}" for name, v in machine["versions"].items() if v),
        "load_before": load_before,
        "load_after": load_after,
    }


def _bars(bars: Sequence[Record]) -> dict[str, Any]:
    """Return the template's values for the bars: their numbers, and a table."""
    lines = [
        (
            bar["name"],
            bar["quantity"],
            f"{bar['sense']} {bar['limit']:g}",
            tables.g(bar["measured"]),
            verdict(bar),
        )
        for bar in bars
    ]
    return {
        "bars_met": sum(verdict(bar) == "met" for bar in bars),
        "bars_asked": len(bars),
        "bars": table(("what", "quantity", "asked", "measured", "verdict"), lines),
    }
