"""One measured speed, as a row of the results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.case import Case
from benchmarks.measure import Timing

MEASURED, NOT_RUN, MISSING, FAILED = "measured", "not run", "not installed", "failed"


@dataclass(frozen=True)
class Row:
    """A case at one n and d with one number of threads.

    Times are seconds of one call. Ratios are the time of memcpy over that of the operation, both
    timed in turn: 1 is as fast as copying the floats. Fields are None if not measured.
    """

    who: str
    name: str
    what: str
    against: str
    status: str
    why: str = ""
    n: int | None = None
    d: int | None = None
    threads: int | None = None
    bits: float | None = None
    coordinates: int | None = None
    rounds: int | None = None
    calls: int | None = None
    best: float | None = None
    median: float | None = None
    quartile1: float | None = None
    quartile3: float | None = None
    cores: float | None = None
    memcpy_best: float | None = None
    memcpy_median: float | None = None
    ratio_best: float | None = None
    ratio_median: float | None = None
    gcoords_best: float | None = None
    gcoords_median: float | None = None


def measured(
    who: str, case: Case, n: int, d: int, *, threads: int, timing: Timing, copy: Timing
) -> Row:
    """Return the row of a timing and of the copy that was timed with it."""
    coordinates = case.coordinates(n, d)
    return Row(
        *(who, case.name, case.what, case.against, MEASURED, ""),
        n=n,
        d=d,
        threads=threads,
        bits=case.bits,
        coordinates=coordinates,
        rounds=len(timing.seconds),
        calls=timing.calls,
        best=timing.best,
        median=timing.median,
        quartile1=timing.quartiles[0],
        quartile3=timing.quartiles[1],
        cores=timing.cores,
        memcpy_best=copy.best,
        memcpy_median=copy.median,
        ratio_best=copy.best / timing.best,
        ratio_median=copy.median / timing.median,
        gcoords_best=coordinates / timing.best / 1e9,
        gcoords_median=coordinates / timing.median / 1e9,
    )


def unmeasured(who: str, case: Case, n: int, d: int, *, threads: int, status: str, why: str) -> Row:
    """Return the row that says why there is no number."""
    about = (who, case.name, case.what, case.against, status, why)
    return Row(*about, n=n, d=d, threads=threads, bits=case.bits)


def rounded(record: Any) -> Any:
    """Return a record with its numbers rounded to six significant digits."""
    if isinstance(record, dict):
        return {name: rounded(value) for name, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [rounded(value) for value in record]
    return float(f"{record:.6g}") if isinstance(record, float) else record


def records(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return rows as dictionaries for JSON."""
    return [rounded(asdict(row)) for row in rows]
