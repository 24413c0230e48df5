"""The command line of MARINA as a distributed program."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import torch
import torch.distributed as dist
import yaml
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from cqlib import __version__, compressors, data, problems
from cqlib.distributed.checkpoint import Checkpoint, CheckpointError, save
from cqlib.distributed.collectives import Group, GroupError, NotEncodedError
from cqlib.distributed.handshake import agree
from cqlib.distributed.marina import COLUMNS, Plan, run
from cqlib.experiments import contenders
from cqlib.files import write_atomic
from cqlib.problems import Problem
from cqlib.theory.complexity import FLOAT_BITS

_LONGEST = 10**6  # seconds


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--dataset", default="breast_cancer", show_default=True, help="Name of a data set.")
@click.option("--unit-rows", is_flag=True, help="Scale its rows to length 1.")
@click.option("--reg", default=0.1, show_default=True, help="Weight of the regulariser.")
@click.option("--compressor", default="cq", show_default=True, help="Name of a compressor.")
@click.option(
    "-o", "--option", nargs=2, multiple=True, metavar="NAME VALUE", help="Option of the compressor."
)
@click.option("--p", type=float, help="Probability of whole gradients.  [default: the best]")
@click.option("--stepsize", type=float, help="[default: what theory guarantees]")
@click.option("--rounds", default=200, show_default=True, type=click.IntRange(0))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**64 - 1))
@click.option("--log-every", default=10, show_default=True, type=click.IntRange(1))
@click.option("--save-every", default=50, show_default=True, type=click.IntRange(1))
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where rank 0 keeps trace.csv and checkpoint.npz; a run goes on from that.",
)
@click.option(
    "--timeout",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds that others are waited for.",
)
@click.option("--backend", default="gloo", show_default=True, type=click.Choice(["gloo", "nccl"]))
def main(
    dataset: str,
    unit_rows: bool,
    reg: float,
    compressor: str,
    option: tuple[tuple[str, str], ...],
    p: float | None,
    stepsize: float | None,
    rounds: int,
    seed: int,
    log_every: int,
    save_every: int,
    folder: Path | None,
    timeout: float,
    backend: str,
) -> None:
    """Run MARINA on logistic regression, a client a process, started by torchrun."""
    rank = int(os.environ.get("RANK", "0"))
    try:
        group = _joined(backend, timeout)
        chosen = compressors.make(compressor, **{name: _value(text) for name, text in option})
        source = data.load(dataset)
        problem = problems.logistic(source.unit_rows() if unit_rows else source, group.size, reg)
        tuned = contenders.marina(problem, chosen)
        plan = Plan(
            chosen,
            tuned.p if p is None else p,
            tuned.stepsize if stepsize is None else stepsize,
            rounds,
            seed,
            log_every,
            save_every,
        )
        facts = _facts(problem, plan, source.label, reg)
        agree(group, facts | {"rounds": rounds, "log_every": log_every, "save_every": save_every})
        start = _start(folder, group, facts, rounds)
        end = run(
            problem,
            plan,
            group=group,
            facts=facts,
            start=start,
            on_row=lambda at: _say(at, plan) if rank == 0 else None,
            on_save=lambda at: _keep(folder, at) if folder and rank == 0 else None,
        )
        if not bool(end.rows.isfinite().all()):
            raise NotEncodedError("what it logged is not finite")
        if rank == 0:
            click.echo(_summary(end, problem, group))
        dist.destroy_process_group()
    except NotEncodedError as error:
        _fail(rank, f"the run has diverged: {error}; a smaller --stepsize may do")
    except (GroupError, CheckpointError, ValueError, OSError) as error:
        _fail(rank, str(error))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        if not _of_backend(error):
            _fail(rank, reason)
        _fail(rank, f"lost another process, or it did not answer within {timeout:g} s: {reason}")


def _value(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"the value of an option, {text!r}, is no YAML: {error}") from None


def _of_backend(error: RuntimeError) -> bool:
    """Whether torch's backend has raised it, as where a peer is gone."""
    names = ("gloo", "nccl", "c10d")
    return isinstance(error, dist.DistError) or any(name in str(error).lower() for name in names)


def _joined(backend: str, timeout: float) -> Group:
    """Join the group under a prefix of its own: after a restart old entries are still there."""
    if "WORLD_SIZE" not in os.environ:
        raise GroupError(
            "start it by torchrun: torchrun --nproc-per-node 4 -m cqlib.distributed.marina"
        )
    if not timeout <= _LONGEST:
        raise ValueError(f"--timeout must be at most {_LONGEST} seconds, got {timeout}")
    patience = timedelta(seconds=timeout)
    store, rank, size = next(rendezvous("env://", timeout=patience))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = PrefixStore(f"cqlib/{attempt}", store)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=patience)
    return Group()


def _facts(problem: Problem, plan: Plan, label: str, reg: float) -> dict[str, str]:
    """What makes a run the same run: a checkpoint of any other is refused."""
    return {
        "version": __version__,
        "data": label,
        "n": str(problem.n),
        "d": str(problem.d),
        "reg": repr(reg),
        "compressor": repr(plan.compressor),
        "p": repr(plan.p),
        "stepsize": repr(plan.stepsize),
        "seed": str(plan.seed),
    }


def _start(
    folder: Path | None, group: Group, facts: Mapping[str, str], rounds: int
) -> Checkpoint | None:
    """Return the checkpoint that rank 0 has, if any, on all processes."""
    if folder and group.rank == 0:
        folder.mkdir(parents=True, exist_ok=True)  # now, not when the first rounds are to be saved
    path = folder / "checkpoint.npz" if folder else None
    here = path.read_bytes() if group.rank == 0 and path and path.exists() else b""
    found = group.broadcast(torch.from_numpy(np.frombuffer(here, dtype=np.uint8).copy()))
    if not len(found):
        return None
    try:
        checkpoint = Checkpoint.from_bytes(found.numpy().tobytes())
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    for name, value in facts.items():
        if checkpoint.facts.get(name) != value:
            raise CheckpointError(
                f"{path} is of a run with {name} {checkpoint.facts.get(name)}, not {value}: "
                f"name another --folder"
            )
    if str(len(checkpoint.x)) != facts["d"]:
        raise CheckpointError(f"{path} is damaged: {len(checkpoint.x)} coordinates in place of d")
    if checkpoint.round > rounds:
        raise CheckpointError(
            f"{path} is at round {checkpoint.round}, beyond --rounds {rounds}: name another "
            f"--folder"
        )
    return checkpoint


def _keep(folder: Path, at: Checkpoint) -> None:
    table = pd.DataFrame(at.rows.numpy(), columns=list(COLUMNS)).astype({"round": int})
    write_atomic(folder / "trace.csv", table.to_csv(index=False))
    save(folder / "checkpoint.npz", at)


def _say(at: Checkpoint, plan: Plan) -> None:
    _, bits, norm, value = at.rows[-1].tolist()
    click.echo(
        f"round {at.round}/{plan.rounds}: {bits:.4g} bits per client, "
        f"squared gradient norm {norm:.4e}, value {value:.6f}",
        err=True,
    )


def _summary(end: Checkpoint, problem: Problem, group: Group) -> str:
    _, bits, norm, value = end.rows[-1].tolist()
    whole = FLOAT_BITS * problem.d * end.round
    return (
        f"{end.round} rounds of {group.size} clients: squared gradient norm {norm:.6e}, value "
        f"{value:.9f}; {bits:.0f} bits per client ({whole} for whole gradients), "
        f"{end.sent_bytes} bytes sent by rank 0"
    )


def _fail(rank: int, message: str) -> Any:
    print(f"cqlib: rank {rank}: {message}", file=sys.stderr, flush=True)
    os._exit(1)  # the backend's threads may hang in a broken group
