"""Time of means between real processes: encoding, exchange and decoding.

Run it on every rank: ``python -m cqbook.network.timing --d 1048576 --way float32 --way
cq/all_gather``. Rank 0 prints a line of JSON for each way.

A way is ``float32`` or ``float16``, an all-reduce of whole numbers, or a compressor and a strategy,
``cq/two_shot``, and a second compressor after that, ``cq/two_shot/iq``. Options of a compressor
follow its name, ``cq:range=linf:rotate=true/all_gather``.
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

_WARM_UP = 2  # rounds in which functions are compiled and connections made


def time_mean(way: str, x: Tensor, *, repeats: int, group: Group) -> dict[str, Any]:
    """Time the mean of all processes' x, on all of them at once.

    Args:
        way: see the module.
        x: this process's vector, float32.
        repeats: how often.
        group: the processes.

    Returns:
        The way; ``seconds``, from a common start to when the last process has the mean, for each
        repetition; ``cpu_seconds`` of this process; ``sent_bytes`` of it in one; the last ``mean``.

    Raises:
        ValueError: for a way that is not known.
    """
    run = _way(way)
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
    facts = {"way": way, "n": group.size, "d": len(x), "seconds": seconds, "sent_bytes": sent}
    return facts | {"cpu_seconds": busy, "mean": own}


def _way(way: str) -> Callable[[Tensor, Key, Group], int]:
    """Return a function of x, the round's key and the group that says how many bytes were sent."""
    if way in ("float32", "float16"):
        return lambda x, key, group: _all_reduce(x, getattr(torch, way), group)
    compressor, strategy, second = parse(way)

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


def parse(way: str) -> tuple[Compressor, str, Compressor | None]:
    """Return the compressor, the strategy and the second compressor that a way names.

    Raises:
        ValueError: for a way that is not of this form.
    """
    name, *rest = way.split("/")
    if len(rest) not in (1, 2):
        raise ValueError(f"a way is float32, float16 or COMPRESSOR/STRATEGY, got {way!r}")
    strategy, *seconds = rest
    return _made(name), strategy, _made(seconds[0]) if seconds else None


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
@click.option("--way", "ways", multiple=True, required=True, help="What to time; repeat for more.")
@click.option("--repeats", default=5, show_default=True, type=click.IntRange(1))
@click.option("--backend", default="gloo", show_default=True)
def main(d: int, ways: tuple[str, ...], repeats: int, backend: str) -> None:
    """Time means between the processes of a job."""
    torch.set_num_threads(1)
    dist.init_process_group(backend)
    group = Group()
    x = torch.randn(d, generator=torch.Generator().manual_seed(group.rank))
    for way in ways:
        found = time_mean(way, x, repeats=repeats, group=group)
        if group.rank == 0:
            found.pop("mean")
            print(json.dumps(found), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
