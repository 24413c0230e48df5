"""Run one job in its own process; the runner and Snakemake start this for every job."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from cqbook import home
from cqbook.runs import family
from cqbook.runs.job import Job


def command(job: Job) -> list[str]:
    """Return the command line of a job; -P excludes packages in the current folder."""
    words = [str(job.source), str(job.folder), json.dumps(job.parameters)]
    return [sys.executable, "-P", "-m", "cqbook.runs.worker", *words]


def main(words: list[str] | None = None) -> None:
    """Run the job of a command line; on failure the last line is the error, the exit code 1."""
    parser = argparse.ArgumentParser(prog="cqbook.runs.worker", description=__doc__)
    parser.add_argument("source", type=Path, help="the notebook")
    parser.add_argument("folder", type=Path, help="where the run goes")
    parser.add_argument("parameters", type=json.loads, help="as JSON")
    parser.add_argument("--parent", type=int, help="end once this parent is gone")
    given = parser.parse_args(words)
    if given.parent is not None:
        family.end_with(given.parent)
    home.ensure()  # on the machines of a cluster, too
    from cqbook.runs import notebook  # papermill takes a second to load

    try:
        notebook.run(Job(given.source, given.parameters, given.folder))
    except (notebook.NotebookError, OSError) as error:
        raise SystemExit(f"cqlib: {error}") from None


if __name__ == "__main__":
    main()
