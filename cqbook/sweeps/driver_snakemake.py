"""Snakemake as a program that an interruption ends without a traceback, also while it loads."""

from __future__ import annotations

try:
    if __name__ == "__main__":
        from snakemake.cli import main

        main()
except KeyboardInterrupt:
    raise SystemExit(130) from None
