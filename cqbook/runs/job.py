"""A job: a notebook with parameters and the folder of its run; and the check if it is current."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cqbook import paths, strict_yaml
from cqbook.cells import claims
from cqbook.runs import provenance
from cqbook.runs.parameters import ParameterError, checked, defaults
from cqbook.runs.run import evidence_of


@dataclass(frozen=True)
class Job:
    """A run to be made: a notebook, its parameters, and the folder of the run."""

    source: Path
    parameters: dict[str, Any]
    folder: Path

    @property
    def name(self) -> str:
        """The notebook's path below ``notebooks/`` without ending, or its file name."""
        return notebook_name(self.source)


def notebook_name(source: Path) -> str:
    """Return the path below ``notebooks/`` without ending; for other files the name only."""
    try:
        return source.resolve().relative_to(paths.notebooks()).with_suffix("").as_posix()
    except (ValueError, FileNotFoundError):
        return source.stem


def unique_name(source: Path) -> str:
    """Return :func:`notebook_name`; for files elsewhere with a digest of the path.

    So two notebooks of one file name do not share a folder, nor the parameters of a profile.
    """
    name, place = notebook_name(source), source.resolve()
    with suppress(FileNotFoundError):
        if place.is_relative_to(paths.notebooks()):
            return name
    return f"{name}-{provenance.digest(str(place))[:8]}"


def find(name: str) -> Path:
    """Return a notebook by its path, or by its name below ``notebooks/``.

    Raises:
        ParameterError: if it does not exist; the message lists the names.
    """
    is_path = name.endswith(".ipynb") and Path(name).is_file()
    return Path(name) if is_path else named(name.removesuffix(".ipynb"))


def named(name: Any) -> Path:
    """Return a notebook by its name below ``notebooks/``.

    Raises:
        ParameterError: if it does not exist; the message lists the names.
    """
    known = {notebook_name(path): path for path in sorted(paths.notebooks().rglob("*.ipynb"))}
    if not isinstance(name, str) or name not in known:
        raise ParameterError(f"no notebook {name!r}; known: {', '.join(sorted(known))}")
    return known[name]


def check_profile(profile: str) -> None:
    """Raise ParameterError unless the profile exists."""
    folder = paths.root() / "profiles"
    known = ["quick", *sorted(path.stem for path in folder.glob("*.yml"))]
    if profile not in known:
        raise ParameterError(f"unknown profile {profile!r}; known: {', '.join(known)}")


def profile_parameters(source: Path, profile: str) -> dict[str, Any]:
    """Return the parameters that a profile sets for a notebook; none for the quick profile.

    Raises:
        ParameterError: if the profile does not exist or maps no notebooks to parameters.
        YAMLError: if its file is not valid YAML, or repeats a key.
    """
    check_profile(profile)
    if profile == "quick":
        return {}
    file = paths.root() / "profiles" / f"{profile}.yml"
    told = strict_yaml.read(file, typed=False) or {}
    found = told.get(unique_name(source)) or {} if isinstance(told, dict) else None
    if not isinstance(found, dict):
        raise ParameterError(f"{file}: must map names of notebooks to parameters")
    return found


def planned(
    source: Path,
    *,
    profile: str = "quick",
    overrides: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> Job:
    """Return the job of a notebook, with the profile's parameters and overrides, all checked.

    The default folder is ``runs/PROFILE/NOTEBOOK``, with a hash of the path for notebooks elsewhere
    and of the overrides if there are any, so that no run overwrites another.

    Raises:
        ParameterError: if a parameter is wrong, or the folder is not that of a run.
    """
    if not source.is_file():
        raise ParameterError(f"no notebook {source}")
    given = {**profile_parameters(source, profile), **(overrides or {})}
    parameters = checked(source, defaults(source), given)
    if folder is None:
        folder = paths.runs(profile) / unique_name(source)
        if overrides:
            digest = provenance.digest(json.dumps(overrides, sort_keys=True))
            folder = folder.with_name(f"{folder.name}-{digest[:8]}")
    elif not _is_free(folder, source):
        raise ParameterError(f"{folder} is not the folder of a run; choose another")
    return Job(source.resolve(), parameters, folder.resolve())


def is_current(job: Job, snapshot: provenance.Snapshot | None = None) -> bool:
    """Return True if the job's folder holds a whole run of this notebook, parameters and code.

    `cqlib run`, `book`, `sweep` and `collect` all use this rule.

    Args:
        job: the job.
        snapshot: the files that jobs depend on, to be shared by several calls; None to read them.
    """
    if not (job.folder / "results").is_dir():
        return False
    try:
        facts = provenance.read(job.folder / "provenance.json")
        provenance.check_files(job.folder, facts)
        evidence_of(job.folder, facts)
    except (provenance.ProvenanceError, claims.RecordError, FileNotFoundError):
        return False
    now = snapshot or provenance.Snapshot()
    return bool(facts["fingerprint"] == now.fingerprint(job.source, job.parameters))


def _is_free(folder: Path, source: Path) -> bool:
    """Return True if a run may replace this folder: it is missing, empty or an earlier run.

    Below ``runs/``, which has only runs, it may also be a damaged run.
    """
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    inside = {path.name for path in folder.iterdir()}
    damaged = inside <= {f"{source.stem}.ipynb", "claims.jsonl", "results"}
    ours = (paths.root() / "runs") in folder.resolve().parents
    return "provenance.json" in inside or not inside or (ours and damaged)
