"""Tables of the page on speed, from the rows of ``results.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cqbook.book.tables import table

Record = Mapping[str, Any]

_TIMES = ("best", "median")
_SIZES = (2**14, 2**18, 2**20, 2**22, 2**24, 2**26)


def by_dimension(rows: Sequence[Record]) -> str:
    """Return speeds, a row per case, a column per d."""
    sizes = [d for d in _SIZES if any(r["d"] == d for r in rows)]
    lines = []
    for name in dict.fromkeys(r["name"] for r in rows):
        found = {r["d"]: r for r in rows if r["name"] == name}
        if set(found) & set(sizes):
            what = next(iter(found.values()))["what"]
            lines.append((name, what, *(speed(found.get(d)) for d in sizes)))
    return table(("case", "what", *(power(d) for d in sizes)), sorted(lines))


def others(theirs: Sequence[Record], ours: Sequence[Record]) -> str:
    """Return the cases of other libraries next to ours, at the largest d measured for both."""
    lines = []
    for name in dict.fromkeys(r["name"] for r in theirs):
        pairs = [
            (r, own)
            for r in theirs
            for own in ours
            if r["name"] == name and own["name"] == r["against"]
            if (own["n"], own["d"]) == (r["n"], r["d"]) and r["d"] <= 2**24
        ]
        if pairs:
            r, own = max(pairs, key=lambda pair: pair[0]["d"])
            factor = f"{g(r['best'] / own['best'])} ({g(r['median'] / own['median'])})"
            facts = (name, r["what"], f"{r['bits']:g}", power(r["d"]), speed(r))
            lines.append((*facts, own["name"], speed(own), factor))
    headers = ("other", "what", "bits", "d", "speed", "ours", "our speed", "we are faster by")
    return table(headers, lines)


def by_call(rows: Sequence[Record]) -> str:
    """Return times of a call on vectors that are too short for the tables by dimension."""
    lines = [
        (r["name"], r["what"], r["n"], power(r["d"]), *(f"{r[t] * 1e3:.4g}" for t in _TIMES))
        for r in rows
        if r["d"] < _SIZES[0]
    ]
    return table(("case", "what", "n", "d", "best ms", "median ms"), sorted(lines))


def missing(rows: Sequence[Record]) -> list[dict[str, str]]:
    """Return the cases that were not measured: name, status, reason, and ``at``, values of d."""
    failed = [r for r in rows if r["status"] != "measured"]
    cases = []
    for name in dict.fromkeys(r["name"] for r in failed):
        found = [r for r in failed if r["name"] == name]
        at = ", ".join(dict.fromkeys(power(r["d"]) for r in found if r["d"]))
        cases.append({"name": name, "at": at, "status": found[0]["status"], "why": found[0]["why"]})
    return cases


def by_clients(rows: Sequence[Record], name: str, *, of_all: bool) -> str:
    """Return a case for several numbers of clients; ``of_all`` adds the total speed."""
    found = [r for r in rows if r["name"] == name]
    headers = ["n", "d", "median ms", "speed"]
    lines = [[r["n"], power(r["d"]), f"{r['median'] * 1e3:.4g}", speed(r)] for r in found]
    if of_all:
        headers.append("n d a second, in 10⁹")
        for line, r in zip(lines, found, strict=True):
            line.append(g(r["n"] * r["d"] / r["best"] / 1e9))
    return table(headers, lines)


def threads(rows: Sequence[Record]) -> str:
    """Return the rows with more than one thread."""
    lines = []
    for r in rows:
        if r["status"] == "measured" and r["who"] == "cqlib" and r["threads"] != 1:
            lines.append((r["name"], power(r["d"]), r["threads"], speed(r), f"{r['cores']:.1f}"))
    return table(("what", "d", "threads", "speed", "cores busy"), sorted(lines))


def first_calls(rows: Sequence[Record]) -> str:
    """Return the seconds of imports, of the first call and of the second."""

    def cells(r: Record) -> tuple[str, ...]:
        return f"{r['import_s']:.2f}", f"{r['first_s']:.3f}", f"{r['second_s'] * 1e3:.3g}"

    headers = ("what", "Numba's cache", "imports s", "first call s", "second call ms")
    return _children(rows, headers, ("name", "cache"), cells)


def memory(rows: Sequence[Record]) -> str:
    """Return the sizes of inputs and results with the peaks of memory."""

    def cells(r: Record) -> tuple[str, ...]:
        sizes = ("input", "result", "resident_growth", "traced_peak")
        return tuple(f"{r[size] / 2**20:.1f}" for size in sizes)

    headers = ("what", "d", "input MiB", "result MiB", "resident growth MiB", "NumPy's peak MiB")
    return _children(rows, headers, ("name", "d"), cells)


def compiled(rows: Sequence[Record]) -> str:
    """Return registers, memory and speed limits of the compiled GPU functions."""
    columns = {
        "architecture": "sm",
        "registers": "registers",
        "shared_bytes": "shared B",
        "spilled_bytes": "spilled B",
        "instructions": "instructions",
        "occupancy": "occupancy",
        "memory_limit": "memory limit",
        "issue_limit": "issue limit",
    }
    lines = [
        (f"{r['kernel']} {r['options']}".strip(), *(g(r[key]) for key in columns)) for r in rows
    ]
    return table(("program", *columns.values()), lines)


# --- cells ---------------------------------------------------------------------------------------


def _children(
    rows: Sequence[Record],
    headers: Sequence[str],
    keys: Sequence[str],
    cells: Callable[[Record], tuple[str, ...]],
) -> str:
    """Return a table of measurements in child processes, or of their errors; "" without rows."""
    if not rows:
        return ""
    blank = ("",) * (len(headers) - len(keys) - 1)
    lines = []
    for r in rows:
        named = tuple(power(r[key]) if key == "d" else r[key] for key in keys)
        lines.append((*named, *((r["error"], *blank) if "error" in r else cells(r))))
    return table(headers, lines)


def speed(r: Record | None) -> str:
    """Return a speed and its ratios to memcpy."""
    if r is None:
        return ""
    return f"{g(r['gcoords_best'])} ({g(r['ratio_best'])}; {g(r['ratio_median'])})"


def power(d: int) -> str:
    """Return d as a power of two, if it is one."""
    return f"2^{d.bit_length() - 1}" if d & (d - 1) == 0 else str(d)


def g(value: float | None) -> str:
    """Return a number with three digits, as an integer from 1000 on; a dash for None."""
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
