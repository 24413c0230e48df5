"""Times of means between real processes: encoding, exchange and decoding.

Run it on every rank: ``python -m cqbook.network.timing --d 1048576 --scheme cq/all_gather``. Rank 0
prints a line of JSON for each scheme.

A scheme is one of these texts:

* ``float32`` or ``float16``: an all-reduce of numbers of this type;
* COMPRESSOR/STRATEGY, such as ``cq/two_shot``;
* COMPRESSOR/STRATEGY/SECOND, such as ``cq/two_shot/iq``, with a compressor for the second shot.

Options of a compressor follow its name: ``cq:range=linf:rotate=true/all_gather``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import click
import torch
import torch.distributed as dist
import yaml
from torch import Tensor

from cqlib.compressors import Compressor, make
from cqlib.distributed.collectives import Group
from cqlib.distributed.mean import exchange
from cqlib.keys import Key

_WARM_UP = 2  # rounds before the timed ones, to compile functions and open connections


def time_mean(scheme: str, x: Tensor, *, repeats: int, group: Group) -> dict[str, Any]:
    """Time the mean of all processes' x; every process calls this function.

    Args:
        scheme: see the module.
        x: vector of this process, float32.
        repeats: number of timed rounds.
        group: the processes.

    Returns:
        ``scheme``, ``n``, ``d``; ``seconds`` of each repetition, from a common start until the last
        process has the mean; ``cpu_seconds`` of this process in each repetition; ``sent_bytes`` of
        this process in one repetition; ``mean``, the mean of the last repetition.

    Raises:
        ValueError: if the scheme is unknown.
    """
    run = _averager(scheme)
    seconds, busy, sent, own = [], [], 0, x
    for repeat in range(-_WARM_UP, repeats):
        own = x.clone()
        if group.size > 1:
            dist.barrier(group.handle)
        start, cpu_start = time.perf_counter(), time.process_time()
        sent = run(own, Key(0, repeat + _WARM_UP), group)
        taken = torch.tensor([time.perf_counter() - start], dtype=torch.float64)
        cpu_taken = time.process_time() - cpu_start
        if repeat >= 0:
            seconds.append(float(group.largest(taken)))
            busy.append(cpu_taken)
    facts = {"scheme": scheme, "n": group.size, "d": len(x), "seconds": seconds, "sent_bytes": sent}
    return facts | {"cpu_seconds": busy, "mean": own}


def _averager(scheme: str) -> Callable[[Tensor, Key, Group], int]:
    """Return a function that replaces x by the mean and returns the number of bytes sent.

    It takes x, the round's key and the group.
    """
    if scheme in ("float32", "float16"):
        return lambda x, key, group: _all_reduce(x, getattr(torch, scheme), group)
    compressor, strategy, second = parse(scheme)

    def run(x: Tensor, key: Key, group: Group) -> int:
        found = exchange(
            x,
            compressor=compressor,
            key=key,
            group=group.handle,
            strategy=strategy,
            second=second,
            out=x,
        )
        return found.sent_bytes

    return run


def parse(scheme: str) -> tuple[Compressor, str, Compressor | None]:
    """Return the compressor, the strategy and the compressor of the second shot of a scheme.

    Raises:
        ValueError: if the text has another form, or the compressor is unknown.
    """
    name, *rest = scheme.split("/")
    if len(rest) not in (1, 2):
        raise ValueError(f"a scheme is float32, float16 or COMPRESSOR/STRATEGY, got {scheme!r}")
    strategy, *other = rest
    return _made(name), strategy, _made(other[0]) if other else None


def _made(text: str) -> Compressor:
    name, *given = text.split(":")
    options = [option.partition("=") for option in given]
    return make(name, **{key: yaml.safe_load(value) for key, _, value in options})


def _all_reduce(x: Tensor, dtype: torch.dtype, group: Group) -> int:
    before = group.sent_bytes
    x.copy_(group.add(x.to(dtype)))
    x /= group.size
    return group.sent_bytes - before


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--d", default=2**20, show_default=True, type=click.IntRange(1), help="Coordinates.")
@click.option(
    "--scheme", "schemes", multiple=True, required=True, help="What to time; repeat for more."
)
@click.option("--repeats", default=5, show_default=True, type=click.IntRange(1))
@click.option("--backend", default="gloo", show_default=True)
def main(d: int, schemes: tuple[str, ...], repeats: int, backend: str) -> None:
    """Time means between the processes of a job."""
    torch.set_num_threads(1)
    dist.init_process_group(backend)
    group = Group()
    x = torch.randn(d, generator=torch.Generator().manual_seed(group.rank))
    for scheme in schemes:
        found = time_mean(scheme, x, repeats=repeats, group=group)
        if group.rank == 0:
            found.pop("mean")
            print(json.dumps(found), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
