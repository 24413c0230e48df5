"""A home folder for users without one, such as those of a container that was started by number.

Jupyter, Snakemake and the compiler keep files in the home folder. Without one that can be written,
or for a user id without a name, each of them fails in its own way.
"""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

from cqlib.files import private_folder


def ensure() -> None:
    """Give this process and its children a home folder that can be written, and a user name.

    Where one is missing, ``HOME`` becomes a private temporary folder, which is said once on
    standard error, and ``USER`` becomes the user's number.
    """
    try:
        known = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        known = ""
        os.environ.setdefault("USER", str(os.getuid()))
    home = os.environ.get("HOME", known)
    if Path(home).is_absolute() and Path(home).is_dir() and os.access(home, os.W_OK | os.X_OK):
        return
    told = f"the home folder {home} cannot be written to" if home else "there is no home folder"
    private = private_folder("home")
    if private is not None:
        os.environ["HOME"] = str(private)
        print(f"cqlib: {told}; {private} is used", file=sys.stderr)
    else:
        wanted = "set HOME to a folder of yours, or TMPDIR to one in which you can make folders"
        print(f"cqlib: {told}, nor is there a private temporary one; {wanted}", file=sys.stderr)
