"""The ``cqlib`` command: one file per group of commands.

At the top the modules import only click and the standard library. Each command imports the rest
when it is called, so that help is fast.
"""

from __future__ import annotations

import io
import signal
import sys
from typing import NoReturn

_EXTRAS = {"snakemake": "batch"}  # all other packages come with the extra "book"


def main() -> None:
    """Run the command.

    The exit code is 0 for success, 1 for a failure, 2 for wrong use or a missing package, 130 after
    an interruption.
    """
    try:
        raise SystemExit(_run())
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "cqlib", "cqbook"):
            raise
        extra = _EXTRAS.get(package, "book")
        _fail(f"this command needs more packages: pip install 'cqlib[{extra}]'", 2)
    except (RuntimeError, ValueError, OSError) as error:
        _fail(error, getattr(error, "exit_code", 1))


def _run() -> int:
    """Run the command as click does, but with the exit code 130 after an interruption."""
    import click

    from cqbook import home
    from cqbook.cli.app import app

    for stream in (sys.stdout, sys.stderr):  # a terminal may lack a letter such as omega
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    home.ensure()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop as on Ctrl-C
    try:
        return app(prog_name="cqlib", standalone_mode=False) or 0
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        error.show()
        return error.exit_code


def _fail(told: object, code: int) -> NoReturn:
    print(f"cqlib: {told}", file=sys.stderr)
    raise SystemExit(code)
