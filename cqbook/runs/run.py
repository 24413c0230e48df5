"""A run, read from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from cqbook.cells import claims
from cqbook.runs import provenance


class RunError(RuntimeError):
    """A folder does not hold a complete run."""


@dataclass(frozen=True)
class Run:
    """An executed notebook and its files.

    Args:
        name: the notebook's path below ``notebooks/``, without ending.
        folder: folder of the run.
        executed: bytes of the executed notebook.
        provenance: content of ``provenance.json``: parameters, versions, commit, seconds, device.
        evidence: the verdicts that the notebook recorded, in order.
        results: bytes of the figures and tables that the run made, by file name, in order of names;
            files that were added later are left out.
    """

    name: str
    folder: Path
    executed: bytes
    provenance: Mapping[str, Any]
    evidence: tuple[claims.Evidence, ...]
    results: Mapping[str, bytes]

    @property
    def stem(self) -> str:
        """The notebook's file name without ending."""
        return Path(self.name).name

    def notebook(self) -> nbformat.NotebookNode:
        """Return the executed notebook, a new copy at every call."""
        return nbformat.reads(self.executed.decode(), as_version=4)


def evidence_of(folder: Path, facts: Mapping[str, Any]) -> tuple[claims.Evidence, ...]:
    """Return the verdicts of a run; a file of claims that was added later is not of the run.

    Args:
        folder: folder of the run.
        facts: its provenance.

    Raises:
        RecordError: if the file of claims is damaged.
    """
    made = "claims.jsonl" in facts["files"]
    return tuple(claims.read(folder / "claims.jsonl")) if made else ()


def read(name: str, folder: Path) -> Run:
    """Read the run of a notebook.

    Args:
        name: the notebook's path below ``notebooks/``, without ending.
        folder: folder of the run.

    Raises:
        RunError: if the folder lacks the provenance, the executed notebook or the results, or if
            one of them was changed.
    """
    executed, results = folder / f"{Path(name).name}.ipynb", folder / "results"
    record = folder / "provenance.json"
    for part in (record, executed, results):
        if not part.exists():
            raise RunError(f"no complete run of {name} in {folder}: {part.name} is missing")
    try:
        facts = provenance.read(record)
        provenance.check_files(folder, facts)
        evidence = evidence_of(folder, facts)
    except provenance.ProvenanceError as error:
        raise RunError(f"no complete run of {name}: {error}") from None
    except claims.RecordError as error:
        raise RunError(f"no complete run of {name}: {error}; run the notebook again") from None
    made = sorted(folder / file for file in facts["files"])
    return Run(
        name=name,
        folder=folder,
        executed=executed.read_bytes(),
        provenance=facts,
        evidence=evidence,
        results={path.name: path.read_bytes() for path in made if path.parent == results},
    )
