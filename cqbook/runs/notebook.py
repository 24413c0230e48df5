"""Run one notebook: strict parameters, all of the output or none, provenance beside it.

A run is a folder: the executed notebook, its claims (``claims.jsonl``), its figures and data
(``results/``), and ``provenance.json``. The folder appears when everything in it is complete.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import yaml

from cqbook import paths
from cqbook.runs import provenance
from cqbook.runs.parameters import ParameterError as ParameterError
from cqbook.runs.parameters import checked as checked
from cqbook.runs.parameters import defaults as defaults
from cqlib.files import locked, write_atomic

_KEPT_CELL_METADATA = ("tags", "mystnb")


class NotebookError(RuntimeError):
    """A notebook failed; the message names the cell's error and where to look."""


class _CellFailed(Exception):
    """A cell raised; says which and what."""


@dataclass(frozen=True)
class Job:
    """A notebook with parameters, and the folder that its run goes to."""

    source: Path
    parameters: dict[str, Any]
    folder: Path

    @property
    def name(self) -> str:
        """The notebook's path below ``notebooks/`` without ending, or its file name."""
        return notebook_name(self.source)


def notebook_name(source: Path) -> str:
    """Return the path below ``notebooks/`` without ending, or the bare name of another file."""
    try:
        return source.resolve().relative_to(paths.notebooks()).with_suffix("").as_posix()
    except (ValueError, FileNotFoundError):
        return source.stem


def check_profile(profile: str) -> None:
    """Refuse a profile that does not exist."""
    folder = paths.root() / "profiles"
    known = ["quick", *sorted(path.stem for path in folder.glob("*.yml"))]
    if profile not in known:
        raise ParameterError(f"unknown profile {profile!r}; known: {', '.join(known)}")


def profile_parameters(source: Path, profile: str) -> dict[str, Any]:
    """Return what a profile sets for a notebook; the quick profile sets nothing.

    Raises:
        ParameterError: if there is no such profile.
    """
    check_profile(profile)
    if profile == "quick":
        return {}
    file = paths.root() / "profiles" / f"{profile}.yml"
    return dict(yaml.safe_load(file.read_text(encoding="utf-8")).get(notebook_name(source)) or {})


def check_parameters(source: Path, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that the notebook does not have or of another type than its own."""
    checked(source, defaults(source), parameters)


def job(
    source: Path,
    *,
    profile: str = "quick",
    overrides: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> Job:
    """Plan a run: profile's parameters, then overrides, all checked.

    The default folder is ``runs/PROFILE/NOTEBOOK``, with a hash of the overrides if there are any,
    so that no run overwrites another.
    """
    if not source.is_file():
        raise ParameterError(f"no notebook {source}")
    given = {**profile_parameters(source, profile), **(overrides or {})}
    parameters = checked(source, defaults(source), given)
    if folder is None:
        folder = paths.runs(profile) / notebook_name(source)
        if overrides:
            digest = provenance.digest(json.dumps(overrides, sort_keys=True))
            folder = folder.with_name(f"{folder.name}-{digest[:8]}")
    elif not _is_free(folder, source):
        raise ParameterError(f"{folder} holds something else than a run; name another folder")
    return Job(source.resolve(), parameters, folder.resolve())


def _is_free(folder: Path, source: Path) -> bool:
    """Whether a run may replace what a user named: nothing, an empty folder, an earlier run.

    Below ``runs/``, where only runs are, a damaged one will do.
    """
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    inside = {path.name for path in folder.iterdir()}
    damaged = inside <= {f"{source.stem}.ipynb", "claims.jsonl", "results"}
    ours = (paths.root() / "runs") in folder.resolve().parents
    return "provenance.json" in inside or not inside or (ours and damaged)


def is_current(job: Job, snapshot: provenance.Snapshot | None = None) -> bool:
    """Tell whether the job's folder holds a run of just this notebook, parameters and code.

    Args:
        job: the job.
        snapshot: what jobs depend on, if many are asked about at once; read anew if None.
    """
    parts = (f"{job.source.stem}.ipynb", "results", "provenance.json")
    if not all((job.folder / part).exists() for part in parts):
        return False
    try:
        facts = json.loads((job.folder / parts[-1]).read_text(encoding="utf-8"))
        made_from, made = facts["key"], facts["files"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    now = snapshot or provenance.Snapshot()
    return made_from == now.key(job.source, job.parameters) and all(
        _is_intact(job.folder / file, digest) for file, digest in made
    )


def _is_intact(file: Path, digest: str) -> bool:
    return file.is_file() and provenance.file_digest(file) == digest


def run(job: Job) -> dict[str, Any]:
    """Execute a job and put its folder in place; return the provenance.

    Raises:
        NotebookError: if a cell fails. The partly executed notebook is kept beside the folder, and
            an earlier run in the folder stays as it was.
    """
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(job.folder):
        for stale in job.folder.parent.glob(f".{job.folder.name}.work-*"):
            shutil.rmtree(stale, ignore_errors=True)  # of a run that was killed
        return _run(job)


def _run(job: Job) -> dict[str, Any]:
    work = Path(tempfile.mkdtemp(dir=job.folder.parent, prefix=f".{job.folder.name}.work-"))
    output = work / f"{job.source.stem}.ipynb"
    failed = job.folder.parent / f"{job.folder.name}.failed.ipynb"
    key, started = provenance.Snapshot().key(job.source, job.parameters), time.time()
    try:
        (work / "results").mkdir()
        places = {"CQLIB_CLAIMS": work / "claims.jsonl", "CQLIB_RESULTS": work / "results"}
        with _environment({name: str(place) for name, place in places.items()}):
            _execute(job.source, output, parameters=job.parameters)
        nb = nbformat.read(output, as_version=4)
        write_atomic(output, nbformat.writes(clean(nb)) + "\n")
        facts = {
            "notebook": job.name,
            "parameters": {**defaults(job.source), **job.parameters},
            "key": key,
            "files": provenance.files(work),
            "seconds": round(time.time() - started, 2),
            **provenance.machine(),
        }
        write_atomic(work / "provenance.json", json.dumps(facts, indent=2) + "\n")
        work.chmod(0o755)
        _swap(work, job.folder)
        failed.unlink(missing_ok=True)
        return facts
    except _CellFailed as failure:
        os.replace(output, failed)
        told = f"{job.name}: {failure} (partly executed notebook: {failed})"
        raise NotebookError(told) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def store(source: Path) -> None:
    """Execute a notebook as it stands and write its outputs into it, cleaned."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / source.name
        try:
            _execute(source, output, cwd=str(source.parent))
        except _CellFailed as failure:
            raise NotebookError(f"{source.stem}: {failure}") from None
        nb = clean(nbformat.read(output, as_version=4))
    write_atomic(source, nbformat.writes(nb) + "\n")


def clean(nb: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop what differs from run to run: times, ids, language details, the cuts in a stream."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nb.metadata = nbformat.from_dict({"kernelspec": kernel, "language_info": {"name": "python"}})
    for number, cell in enumerate(nb.cells):
        kept = {k: v for k, v in cell.metadata.items() if k in _KEPT_CELL_METADATA}
        cell.metadata = nbformat.from_dict(kept)
        cell.id = f"cell-{number}"
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
    return nb


def _joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Outputs with a text in one piece that a busy kernel sent in several."""
    found: list[nbformat.NotebookNode] = []
    for output in outputs:
        last = found[-1] if found else {}
        if output.output_type == "stream" and last.get("name") == output.name:
            found[-1].text += output.text
        else:
            found.append(output)
    return found


def _execute(source: Path, output: Path, **options: Any) -> None:
    import papermill  # here, since notebooks import this module and need no runner
    from papermill.exceptions import PapermillExecutionError

    try:
        papermill.execute_notebook(
            source,
            output,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            start_timeout=120,
            extra_arguments=["--IPKernelApp.log_level=50"],  # no notices on start and stop
            **options,
        )
    except PapermillExecutionError as error:
        told = f"cell {error.cell_index} failed with {error.ename}: {error.evalue}"
        raise _CellFailed(told) from None


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the kernel, which inherits them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _swap(new: Path, place: Path) -> None:
    """Put a run's folder in place of an earlier one; the caller holds the lock."""
    if place.exists():
        old = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}.work-"))
        os.replace(place, old / "run")
        os.replace(new, place)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(new, place)
