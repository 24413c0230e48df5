"""The page of the book on speed, made from the saved results of ``python -m benchmarks``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cqbook import paths
from cqbook.book import performance_tables as tables

Record = Mapping[str, Any]

FOLDER = "performance-files"  # beside the page
_RERUN = """```sh
make bench                                  # installs into .venv, measures, prints, saves
.venv/bin/python -m benchmarks --quick      # small sizes, to see that everything runs
.venv/bin/python -m benchmarks --threads 1  # one thread only
```

The run takes some minutes. It writes `benchmarks/results`, from which the next `make book` makes
this page. Other libraries are compared with as far as they are installed; what is missing is
listed. Close other programs first: on a busy machine medians fall long before bests do. No test
fails for a speed."""


def saved() -> tuple[Record | None, dict[str, bytes]]:
    """Return the saved results, None if there are none, and all files of their folder."""
    folder = paths.root() / "benchmarks" / "results"
    files = {path.name: path.read_bytes() for path in sorted(folder.glob("[!.]*"))}
    whole = files.get("results.json")
    return (None if whole is None else json.loads(whole)), files


def performance_page(results: Record | None) -> str:
    """Return the page.

    Args:
        results: content of ``results.json``, or None where nothing has been measured.
    """
    title = "# Performance"
    if results is None:
        return f"{title}\n\nNothing has been measured yet.\n\n## Rerun\n\n{_RERUN}\n"
    rows = results["rows"]
    single = [r for r in rows if r["status"] == "measured" and r["threads"] == 1]
    ours = [r for r in single if r["who"] == "cqlib"]
    others = [r for r in single if r["who"] not in ("cqlib", "triton")]
    parts = [
        title,
        _where(results),
        "Speeds count coordinates: of the vector that is read, or, for a mean of received messages "
        "and for decoding, of the vector that is written. Each is timed in turn with memcpy, the C "
        "library's copy of that many float32 by one thread, into memory that has been touched. "
        "*x memcpy* is memcpy's time over the operation's: 1 is as fast as copying the "
        "floats. The best and the median of the rounds are given.",
        _files(),
        "## What the project asks of itself",
        "One thread, at d = 2^24 where nothing else is said; the best of the rounds.",
        _bars(results["bars"]),
        "## Against memcpy",
        f"![Speed against the dimension]({FOLDER}/throughput.svg)",
        "Best speed in 10⁹ coordinates a second (best ratio to memcpy; ratio of medians). "
        "*Encode*, *decode* and *mean* are the kernels, into memory that the caller gives; a "
        "*call* is the whole method, with checks, norm and payload. Means are of 16 messages.",
        tables.by_dimension([r for r in ours if not r["name"].endswith("by n")]),
        "## Against other libraries",
        "In the same run, one thread, at the largest d up to 2^24 that both did within the "
        "budget. *Bits* is what the result holds per coordinate in memory. A factor below 1 means "
        "that the other one is faster.",
        tables.others(others, ours),
        tables.missing(rows),
        "## A round in one process",
        "What a simulation pays for a round of communication, all clients together. A step of "
        "MARINA takes the differences of given gradients, compresses them and averages; the rows "
        "that begin with *round* say where the rest of a simulated round goes on a quadratic.",
        tables.by_call([*ours, *others]),
        "## Number of clients",
        "What one client pays for CQ as their number grows; all rows from one loop:",
        tables.by_clients(ours, "cq encode by n", of_all=False),
        f"![Speed against the number of clients]({FOLDER}/clients.svg)",
        "The mean of n received messages with equal ranges:",
        tables.by_clients(ours, "mean by n", of_all=True),
        "The vectors of n clients, compressed and averaged in one process:",
        tables.by_clients(ours, "cq simulated mean by n", of_all=True),
        "## More threads",
        "Reported, not compared with anything asked for; memcpy keeps one thread.",
        tables.threads(rows),
        "## First call",
        "The first call in a process compiles its kernels, or loads them from Numba's cache on "
        "disk. Imports of the library, PyTorch and Numba are apart. n = 16, d = 2^16; for the "
        "mean, the vectors of all clients.",
        tables.first_calls(results["first_calls"]),
        "## Memory",
        "One call in a process of its own, after one on a small vector: how much the peak of the "
        "resident memory grows, and the peak of what NumPy allocates (`tracemalloc`). Kernels "
        "write into memory that is there before; a call makes its result. "
        "Where there is no temporary of size d, neither is far above the result.",
        tables.memory(results["memory"]),
        "## GPUs",
        _gpu(results),
        "## Rerun",
        _RERUN,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def verdict(bar: Record) -> str:
    """Say whether a bar is met: "met", "missed" or "not measured".

    >>> verdict({"sense": "at most", "limit": 0.25, "measured": 0.3})
    'missed'
    """
    if bar["measured"] is None:
        return "not measured"
    low = bar["sense"] == "at least"
    good = bar["measured"] >= bar["limit"] if low else bar["measured"] <= bar["limit"]
    return "met" if good else "missed"


# --- parts ---------------------------------------------------------------------------------------


def _where(results: Record) -> str:
    m = results["machine"]
    caches = ", ".join(f"{name} {size}" for name, size in m["caches"].items())
    versions = ", ".join(f"{k} {v}" for k, v in m["versions"].items() if v)
    before, after = (f"{load[0]:.1f}" for load in (m["load"], results["load_after"]))
    text = (
        f"Measured on {m['date']} in {results['seconds']:.0f} s at commit `{m['commit']}` "
        f"(cqlib {m['cqlib']}), on {m['device']} with {m['cores']} cores ({caches}) and "
        f"{m['memory_gib']:.0f} GiB, {m['system']}, governor {m['governor']}. Load "
        f"(processes that want a core) before: {before}, after: {after}; above 1 other programs "
        f"took part of the machine. Versions: {versions}."
    )
    if results["quick"]:
        text += "\n\n```{warning}\nA quick run: small sizes and few rounds, which say little.\n```"
    return text


def _files() -> str:
    names = ("results.csv", "results.json", "throughput.svg", "clients.svg")
    links = " · ".join(f"{{download}}`{name} <{FOLDER}/{name}>`" for name in names)
    return f"All rows, with quartiles, rounds and what was not measured and why: {links}"


def _bars(bars: Sequence[Record]) -> str:
    met = sum(verdict(bar) == "met" for bar in bars)
    lines = [
        (
            b["name"],
            b["quantity"],
            f"{b['sense']} {b['limit']:g}",
            tables.g(b["measured"]),
            verdict(b),
        )
        for b in bars
    ]
    table = tables.table(("what", "quantity", "asked", "measured", "verdict"), lines)
    return f"{met} of {len(bars)} are met in this run.\n\n{table}"


def _gpu(results: Record) -> str:
    run = [r for r in results["rows"] if r["status"] == "measured" and r["who"] == "triton"]
    device, compiled = results["machine"]["gpu"], results["gpu_compiled"]
    parts = []
    if run:
        parts.append(f"Timed on {device} by events, against a copy on the device.")
        parts.append(tables.by_dimension(run))
    else:
        parts.append("This machine has none, so nothing is said about speed on one.")
    if compiled["rows"]:
        parts.append(
            "What the Triton programs are compiled to. They were compiled, **not run**, and the "
            "limits are **estimates**, in 10⁹ coordinates a second: what the memory bandwidth of "
            "the data sheet allows, and what issuing every instruction once allows."
        )
        parts.append(tables.compiled(compiled["rows"]))
    else:
        parts.append(f"The programs were not compiled either: {compiled['why']}")
    return "\n\n".join(parts)
