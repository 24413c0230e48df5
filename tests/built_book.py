"""The profile of the book that tests read, and the notebooks that it shows as they are stored."""

import os
from pathlib import Path

from cqbook.runs.job import profile_parameters

PROFILE = os.environ.get("PROFILE", "standard")


def shows(notebook: Path) -> bool:
    """Return True if the book shows the run of a notebook with its own parameters."""
    return not profile_parameters(notebook, PROFILE)
