"""The command line of MARINA as a distributed program."""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from cqlib import __version__, compressors, data, problems
from cqlib.distributed.collectives import Group, GroupError, NotEncodedError
from cqlib.distributed.marina.checkpoint import Checkpoint, CheckpointError, read, save
from cqlib.distributed.marina.handshake import agree
from cqlib.distributed.marina.run import COLUMNS, Settings, run
from cqlib.files import write_atomic
from cqlib.methods import contenders
from cqlib.problems import Problem
from cqlib.theory.complexity import FLOAT_BITS

_LONGEST = 10**6  # seconds
_DESCRIPTION = 2**20  # bytes of a checkpoint beside its vectors and rows, at most


def main(arguments: Sequence[str] | None = None) -> None:
    """Run MARINA on logistic regression, one client per process, started by torchrun."""
    given = _parser().parse_args(arguments)
    rank = int(os.environ.get("RANK", "0"))
    try:
        group = _joined(given.backend, given.timeout)
        chosen = compressors.make(given.compressor, **_options(given.option))
        source = data.load(given.dataset)
        problem = problems.logistic(
            source.unit_rows() if given.unit_rows else source, group.size, given.reg
        )
        tuned = contenders.marina(problem, chosen)
        settings = Settings(
            chosen,
            tuned.p if given.p is None else given.p,
            tuned.stepsize if given.stepsize is None else given.stepsize,
            given.rounds,
            given.seed,
            given.log_every,
            given.save_every,
        )
        about = f"{source.label}: {source.source}"
        facts = _facts(problem, settings, about, given.reg)
        may_differ = ("rounds", "log_every", "save_every")
        agree(group, facts | {name: getattr(settings, name) for name in may_differ})
        start = _start(given.folder, group, facts, settings.rounds)
        end = run(
            problem,
            settings,
            group=group,
            facts=facts,
            start=start,
            on_row=lambda at: _say(at, settings) if rank == 0 else None,
            on_save=lambda at: _keep(given.folder, at) if given.folder and rank == 0 else None,
        )
        if not bool(end.rows.isfinite().all()):
            raise NotEncodedError("its log is not finite")
        if rank == 0:
            print(_summary(end, problem, group), flush=True)
        dist.destroy_process_group()
    except NotEncodedError as error:
        _fail(rank, f"the run has diverged: {error}; a smaller --stepsize may help")
    except (GroupError, CheckpointError, ValueError, OSError) as error:
        _fail(rank, str(error))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        if not _of_backend(error):
            _fail(rank, reason)
        _fail(
            rank, f"lost another process, or it did not answer within {given.timeout:g} s: {reason}"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="torchrun ... -m cqlib.distributed.marina",
        description=main.__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--dataset", default="breast_cancer", help="name of a data set, or path of a LibSVM file")
    add("--unit-rows", action="store_true", help="scale its rows to length 1")
    add("--reg", type=float, default=0.1, help="weight of the regulariser")
    add("--compressor", default="cq", help="name of a compressor")
    add(
        *("-o", "--option"),
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="option of the compressor; repeat for more",
    )
    add("--p", type=float, help="probability of whole gradients; if not given, the best")
    add("--stepsize", type=float, help="if not given, that of the theory")
    add("--rounds", type=_integer(0), default=200, help="rounds to run")
    add("--seed", type=_integer(0, 2**64 - 1), default=0, help="seed of coins and compressor")
    add("--log-every", type=_integer(1), default=10, help="rounds between two rows of the log")
    add("--save-every", type=_integer(1), default=50, help="rounds between two checkpoints")
    where = "where rank 0 keeps trace.csv and checkpoint.npz; a later run continues from these"
    add("--folder", type=Path, help=where)
    add("--timeout", type=_seconds, default=60.0, help="seconds to wait for other processes")
    add("--backend", default="gloo", choices=("gloo", "nccl"), help="backend of torch.distributed")
    return parser


def _integer(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return the parser of an integer in a range."""

    def parsed(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer") from None
        if value < low or (high is not None and value > high):
            wanted = f"at least {low}" if high is None else f"in [{low}, {high}]"
            raise argparse.ArgumentTypeError(f"{value} is not {wanted}")
        return value

    return parsed


def _seconds(text: str) -> float:
    """Return a positive number of seconds."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 < value <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{value:g} is not above 0 and at most {_LONGEST}")
    return value


def _options(given: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return the options of the compressor by name; raise if one is given twice."""
    names = [name for name, _ in given]
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise ValueError(f"option {twice[0]!r} is given twice")
    if "name" in names:
        raise ValueError("the compressor's name is given by --compressor")
    return {name: _value(text) for name, text in given}


def _value(text: str) -> Any:
    """Return an option's value: parsed as JSON (a number, true, a list), or else the text."""
    if text == "inf":  # JSON has no word for it that people know
        return math.inf
    try:
        return json.loads(text)
    except ValueError:
        return text


def _of_backend(error: RuntimeError) -> bool:
    """Return whether torch's backend raised the error, as it does when a peer is gone."""
    names = ("gloo", "nccl", "c10d")
    return isinstance(error, dist.DistError) or any(name in str(error).lower() for name in names)


def _joined(backend: str, timeout: float) -> Group:
    """Join the group under a prefix per attempt: after a restart the store has old entries."""
    if "WORLD_SIZE" not in os.environ:
        raise GroupError(
            "start it by torchrun: torchrun --nproc-per-node 4 -m cqlib.distributed.marina"
        )
    patience = timedelta(seconds=timeout)
    store, rank, size = next(rendezvous("env://", timeout=patience))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = PrefixStore(f"cqlib/{attempt}", store)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=patience)
    return Group()


def _facts(problem: Problem, settings: Settings, about: str, reg: float) -> dict[str, str]:
    """Return the facts that identify a run; checkpoints with other facts raise."""
    return {
        "version": __version__,
        "data": about,
        "n": str(problem.n),
        "d": str(problem.d),
        "reg": repr(reg),
        "compressor": repr(settings.compressor),
        "p": repr(settings.p),
        "stepsize": repr(settings.stepsize),
        "seed": str(settings.seed),
    }


def _start(
    folder: Path | None, group: Group, facts: Mapping[str, str], rounds: int
) -> Checkpoint | None:
    """Return the checkpoint that rank 0 has, if any, on all processes."""
    if folder and group.rank == 0:
        folder.mkdir(
            parents=True, exist_ok=True
        )  # an error must come now, not at the first checkpoint
    path = folder / "checkpoint.npz" if folder else None
    here = b""
    if group.rank == 0 and path:
        most = 16 * int(facts["d"]) + 32 * rounds + _DESCRIPTION  # two vectors, a row a round
        try:
            here = read(path, most)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None
    found = group.broadcast(torch.from_numpy(np.frombuffer(here, dtype=np.uint8).copy()))
    if not len(found):
        return None
    start = Checkpoint.from_bytes(found.numpy().tobytes())
    for name, value in facts.items():
        if (found_value := start.facts.get(name)) != value:
            shown = found_value if str(found_value).isprintable() else repr(found_value)
            raise CheckpointError(
                f"{path} is of a run with {name} {str(shown)[:200]}, not {value}: "
                f"name another --folder"
            )
    if surplus := sorted(set(start.facts) - set(facts)):
        raise CheckpointError(f"{path} has a fact that no run has: {surplus[0]!r:.80}")
    if str(len(start.x)) != facts["d"]:
        raise CheckpointError(f"{path} is damaged: {len(start.x)} coordinates, not d")
    if start.round > rounds:
        raise CheckpointError(
            f"{path} is at round {start.round}, beyond --rounds {rounds}: name another --folder"
        )
    return start


def _keep(folder: Path, at: Checkpoint) -> None:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((int(row[0]), *row[1:]) for row in at.rows.tolist())
    write_atomic(folder / "trace.csv", table.getvalue())
    save(folder / "checkpoint.npz", at)


def _say(at: Checkpoint, settings: Settings) -> None:
    _, bits, norm, value = at.rows[-1].tolist()
    print(
        f"round {at.round}/{settings.rounds}: {bits:.4g} bits per client, "
        f"squared gradient norm {norm:.4e}, value {value:.6f}",
        file=sys.stderr,
        flush=True,
    )


def _summary(end: Checkpoint, problem: Problem, group: Group) -> str:
    _, bits, norm, value = end.rows[-1].tolist()
    whole = FLOAT_BITS * problem.d * end.round
    return (
        f"{_counted(end.round, 'round')} of {_counted(group.size, 'client')}: "
        f"squared gradient norm {norm:.6e}, value {value:.9f}; "
        f"{bits:.0f} bits per client ({whole} for whole gradients), "
        f"{end.sent_bytes} bytes sent by rank 0"
    )


def _counted(number: int, noun: str) -> str:
    """Return a number with its noun in the singular or the plural."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _fail(rank: int, message: str) -> Any:
    print(f"cqlib: rank {rank}: {message}", file=sys.stderr, flush=True)
    os._exit(1)  # the backend's threads may hang in a broken group


if __name__ == "__main__":
    main()
