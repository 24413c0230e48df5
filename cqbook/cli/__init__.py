"""The ``cqlib`` command: a file for each group of commands.

The modules import click alone; each command imports what it needs when it is called, so that help
is there at once.
"""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

_EXTRAS = {"snakemake": "batch"}  # all others come with the extra for the book


def main() -> None:
    """Run the command.

    The exit code is 0 if all went well, 1 if something failed, 2 for wrong use or a missing
    package, 130 after an interruption.
    """
    try:
        from cqbook.cli.app import app

        signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop as for Ctrl-C
        app(prog_name="cqlib")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "cqlib", "cqbook"):
            raise
        extra = _EXTRAS.get(package, "book")
        _fail(f"this command needs pip install 'cqlib[{extra}]'", 2)
    except (RuntimeError, ValueError, OSError) as error:
        _fail(error, getattr(error, "exit_code", 1))


def _fail(told: object, code: int) -> NoReturn:
    print(f"cqlib: {told}", file=sys.stderr)
    raise SystemExit(code)
