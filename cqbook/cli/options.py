"""Options of several commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def profile_option(default: str) -> Callable[[Any], Any]:
    """Return the option that names a profile."""
    text = "quick, or the name of a file in profiles/ such as standard."
    return click.option("--profile", default=default, show_default=True, help=text)
