"""A sweep: the jobs of a sweep file, or the chapters of a profile.

A sweep file is YAML: a notebook, a profile that gives the default parameters, fixed parameters, and
a grid of values for others. Every combination of the grid is one job, a run like any other, in
``runs/sweeps/NAME/JOB``. Relative paths of data files start at the sweep file's folder.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cqbook import paths, strict_yaml
from cqbook.runs import contents, data_files, provenance
from cqbook.runs.job import Job, named, planned
from cqbook.runs.parameters import ParameterError, checked, defaults
from cqlib.files import write_atomic

_KEYS = ("notebook", "profile", "parameters", "grid")
MOST_JOBS = 100_000
_LONGEST = 80  # most characters of a folder's name
_DIGITS = 12  # of a digest in it
_NOTE = ".sweep"  # file in a sweep's folder that names its sweep file


class SweepError(ParameterError):
    """A sweep file is wrong; the message names the file and the value."""


@dataclass(frozen=True)
class Sweep:
    """Jobs that run together.

    Args:
        folder: folder of all runs and tables.
        jobs: jobs by name, in the file's order; the last parameter of the grid changes fastest.
        grid: names of the parameters in the grid.
        file: the sweep file; None for the chapters of a profile.
    """

    folder: Path
    jobs: dict[str, Job]
    grid: tuple[str, ...] = ()
    file: Path | None = None

    def point(self, name: str) -> dict[str, Any]:
        """Return a job's place in the grid."""
        return {key: self.jobs[name].parameters[key] for key in self.grid}


def chapters(profile: str) -> Sweep:
    """Return the book's notebooks with a profile's parameters."""
    sources = {name: paths.notebooks() / f"{name}.ipynb" for name in contents.chapters()}
    found = {name: planned(source, profile=profile) for name, source in sources.items()}
    return Sweep(paths.runs(profile).resolve(), found)


def read(file: Path) -> Sweep:
    """Read and check a sweep file.

    Raises:
        SweepError: if anything in it is wrong.
    """
    try:
        return _sweep(file.resolve(), strict_yaml.read(file, typed=False))
    except OSError as error:
        raise SweepError(f"cannot read the sweep file {file}: {error.strerror}") from None
    except strict_yaml.YAMLError as error:
        raise SweepError(str(error)) from None
    except ParameterError as error:
        raise SweepError(f"{file}: {error}") from None


def _sweep(file: Path, told: Any) -> Sweep:
    found = _mapping("a sweep file", told)
    if unknown := [str(key) for key in found if key not in _KEYS]:
        raise SweepError(f"unknown key {unknown[0]!r}; known: {', '.join(_KEYS)}")
    if file.stem in (".", ".."):
        raise SweepError("the sweep file needs a name, which its folder of runs will have")
    source = named(found.get("notebook"))
    fixed = _mapping("parameters", found.get("parameters", {}))
    known = defaults(source)
    fixed = data_files.located(fixed, file.parent, known)
    grid = _mapping("grid", found.get("grid"))
    if not grid:
        raise SweepError("grid needs at least one parameter with a list of values")
    if twice := [name for name in grid if name in fixed]:
        raise SweepError(f"{twice[0]!r} is in both parameters and grid")
    profile = found.get("profile", "quick")
    if not isinstance(profile, str):
        raise SweepError(f"profile must be a name, got {profile!r}")
    base = planned(source, profile=str(profile), overrides=fixed)
    for name, value in base.parameters.items():
        _check_plain(name, value)
    sizes = [len(values) for values in grid.values() if isinstance(values, list)]
    if (count := math.prod(sizes)) > MOST_JOBS:
        raise SweepError(f"the grid has {count} jobs; a sweep has at most {MOST_JOBS}")
    axes = [_axis(source, known, str(name), values, file.parent) for name, values in grid.items()]
    names = tuple(map(str, grid))
    folder = paths.runs("sweeps").resolve() / file.stem
    _check_folder(folder, file)
    made: dict[str, Job] = {}
    for values in itertools.product(*axes):
        point = dict(zip(names, values, strict=True))
        name = job_name(point)
        if name in made:
            raise SweepError(f"two places of the grid have the name {name}; change one of them")
        made[name] = Job(base.source, {**base.parameters, **point}, folder / name)
    return Sweep(folder, made, names, file)


def mark(sweep: Sweep) -> None:
    """Write the name of the sweep file into the sweep's folder.

    Raises:
        SweepError: if the folder belongs to another sweep file.
    """
    if sweep.file is not None:
        _check_folder(sweep.folder, sweep.file)
        write_atomic(sweep.folder / _NOTE, _as_noted(sweep.file))


def _check_folder(folder: Path, file: Path) -> None:
    """Raise if another sweep file of the same name owns the folder."""
    note = folder / _NOTE
    if note.is_file() and (noted := note.read_text(encoding="utf-8")) != _as_noted(file):
        raise SweepError(
            f"{folder} holds the runs of {paths.root() / noted}, not of {file}; "
            f"give one of them another name, or if the file was moved, remove {note}"
        )


def _as_noted(file: Path) -> str:
    """Return the path of a file, relative inside the checkout, which may be moved as a whole."""
    root = paths.root()
    return str(file.relative_to(root) if file.is_relative_to(root) else file)


def _axis(source: Path, known: Mapping[str, Any], name: str, values: Any, base: Path) -> list[Any]:
    """Return the checked values of a parameter of the grid; paths of files start at ``base``."""
    if not isinstance(values, list):
        told = strict_yaml.resolved(values)
        raise SweepError(f"grid: {name!r} needs a list of values, got {told!r}")
    if not values:
        raise SweepError(f"grid: the list of {name!r} is empty")
    whole = [data_files.located({name: value}, base, known) for value in values]
    found = [checked(source, known, each)[name] for each in whole]
    for value in found:
        _check_plain(name, value)
    seen: set[str] = set()
    for value in found:
        if (text := as_text(value)) in seen:
            raise SweepError(f"grid: {name!r} has {value!r} twice")
        seen.add(text)
    return found


def job_name(point: Mapping[str, Any]) -> str:
    """Return a folder's name for a place in the grid.

    It depends only on the place, so that a larger grid keeps its runs. If the name is long, or a
    value has special characters, a digest tells places apart.

    >>> job_name({"reg": 0.01, "n_clients": 30})
    'reg=0.01_n_clients=30'
    >>> job_name({"sizes": [1, 2]})
    'sizes=1-2-b0969d9592a4'
    """
    whole = "_".join(f"{name}={as_text(value)}" for name, value in point.items())
    bare = re.sub(r'[\[\]{}"\s]', "", whole)
    plain = re.sub(r"[^A-Za-z0-9=._+-]+", "-", bare)  # a comma would confuse Snakemake
    ambiguous = any("=" in as_text(value) for value in point.values())
    if plain == whole and len(plain) <= _LONGEST and not ambiguous:
        return plain
    digest = provenance.digest(json.dumps(point))[:_DIGITS]
    return f"{plain[: _LONGEST - _DIGITS - 1]}-{digest}"


def _check_plain(name: Any, value: Any) -> None:
    """Raise unless a value is JSON: no dates, infinity, or lists that contain themselves."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise SweepError(f"the value of {name!r} cannot be written as JSON: {value!r}") from None


def as_text(value: Any) -> str:
    """Return a text unchanged, and any other value as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _mapping(what: str, value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise SweepError(f"{what} must be a mapping, got {strict_yaml.resolved(value)!r}")
    return value
