"""Training on several processes that average gradients by a given method.

Run it on every rank: ``python -m cqbook.network.training --dataset digits --method CQ``. Rank 0
prints a line of JSON for each method.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks import powerSGD_hook
from torch.futures import Future
from torch.nn.parallel import DistributedDataParallel

from cqlib import data
from cqlib.compressors import make
from cqlib.distributed.collectives import Group
from cqlib.distributed.hook import DDPHook

COMPRESSORS = {
    "IQ": make("iq"),
    "CQ": make("cq"),
    "CQ, rotated": make("cq", range="linf", rotate=True),
    "DRIVE": make("drive"),
    "TernGrad": make("terngrad"),
    "QSGD": make("standard_dithering", s=7),
    "Global-QSGD, linear": make("global_qsgd", s=31),
    "Global-QSGD, exponential": make("global_qsgd", levels="exponential", s=125),
}
METHODS = ("none", "fp16", "PowerSGD", *COMPRESSORS)
_SHIPPED = ("digits", "breast_cancer")  # with scikit-learn, unscaled, digits in ten classes


@dataclass(frozen=True)
class Task:
    """A network to train.

    Args:
        dataset: a name or path that `cqlib.data.load` knows. "digits" has its ten classes, every
            other set the two of its labels.
        hidden: units of the hidden layer.
        batch: samples per process and step.
        steps: number of steps.
        evaluate_every: steps between two evaluations; the last step is always evaluated.
    """

    dataset: str = "digits"
    hidden: int = 1024
    batch: int = 16
    steps: int = 120
    evaluate_every: int = 10

    def __post_init__(self) -> None:
        if self.dataset not in data.names() and not data.is_path(self.dataset):
            known = ", ".join(data.names())
            raise ValueError(
                f"dataset must be one of {known}, or the path of a LibSVM file, got "
                f"{self.dataset!r}"
            )
        for name in ("hidden", "batch", "steps", "evaluate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Trial:
    """Settings of one training of the network of a task.

    Args:
        method: method to average gradients, one of ``METHODS``.
        stepsize: positive.
        seed: seed of the first weights, the samples and the compressor.
    """

    method: str
    stepsize: float
    seed: int


def samples(dataset: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return inputs and classes for training, and those for testing, a quarter of the samples.

    Columns have mean 0 and variance 1 over the training samples. The split is fixed.

    Args:
        dataset: a name or path that `cqlib.data.load` knows.

    Returns:
        Inputs, float32, shape (N, d), and classes, int64, shape (N,), both for training; then both
        for testing.

    Raises:
        DataError: if a file is missing or malformed, or has fewer than 4 samples.
        ImportError: if the set comes from scikit-learn, which is not installed.
    """
    X, y = _with_classes(dataset)
    if len(y) < 4:
        raise data.DataError(f"{dataset}: training and testing need 4 samples, not {len(y)}")
    order = np.random.default_rng(0).permutation(len(y))
    cut = len(y) // 4
    test, train = order[:cut], order[cut:]
    center, scale = X[train].mean(axis=0), X[train].std(axis=0)
    Z = torch.from_numpy((X - center) / np.where(scale > 0, scale, 1.0)).float()
    classes = torch.from_numpy(y)
    return Z[train], classes[train], Z[test], classes[test]


def _with_classes(dataset: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return inputs (N, d) and classes 0, 1, ... of shape (N,)."""
    loaded = data.load(dataset)  # checks the content of a named set
    if dataset not in _SHIPPED:
        return loaded.X, (loaded.y > 0).astype(np.int64)
    import sklearn.datasets as shipped

    X, classes = getattr(shipped, f"load_{dataset}")(return_X_y=True)
    return X, classes


def train_all(rank: int, n: int, task: Task, trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Train once for each trial, on n processes; each process calls this with its rank."""
    return [train(task, trial, Group()) for trial in trials]


def train(task: Task, trial: Trial, group: Group) -> dict[str, Any]:
    """Train a network with one hidden layer by SGD with momentum 0.9.

    Args:
        task: the network, the data and the number of steps.
        trial: method, stepsize and seed.
        group: the processes, each with its own samples.

    Returns:
        ``rows``: step, bytes sent by this process, training loss, test accuracy; ``d``, the number
        of weights; ``seconds``, the median time of a step without evaluation.

    Raises:
        ValueError: if the method is unknown, the stepsize is not positive, or there are more
            processes than training samples.
    """
    if trial.method not in METHODS:
        raise ValueError(f"method must be one of {'; '.join(METHODS)}, got {trial.method!r}")
    if not trial.stepsize > 0:
        raise ValueError(f"stepsize must be positive, got {trial.stepsize}")
    X, y, test_X, test_y = samples(task.dataset)
    if len(y) < group.size:
        raise ValueError(
            f"{task.dataset}: {len(y)} training samples are too few for {group.size} processes"
        )
    classes = int(max(y.max(), test_y.max())) + 1
    network = _network(X.shape[1], task.hidden, classes, trial.seed)
    model = DistributedDataParallel(network)
    sent = _register(model, trial)
    optimizer = torch.optim.SGD(model.parameters(), lr=trial.stepsize, momentum=0.9)
    own = torch.arange(group.rank, len(y), group.size)
    generator = torch.Generator().manual_seed(trial.seed * 1000 + group.rank)
    rows, seconds = [], []
    for step in range(task.steps + 1):
        if step % task.evaluate_every == 0 or step == task.steps:
            with torch.no_grad():
                whole = float(nn.functional.cross_entropy(network(X), y))
                right = float((network(test_X).argmax(dim=1) == test_y).float().mean())
            rows.append([step, sent(), whole, right])
        if step == task.steps:
            break
        batch = own[torch.randint(len(own), (task.batch,), generator=generator)]
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(X[batch]), y[batch])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    d = sum(p.numel() for p in network.parameters())
    return {"rows": rows, "d": d, "seconds": float(np.median(seconds))}


def _network(inputs: int, hidden: int, classes: int, seed: int) -> nn.Sequential:
    """Return a network with one hidden layer; its weights depend only on the seed."""
    first, last = nn.Linear(inputs, hidden), nn.Linear(hidden, classes)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in (first, last):
            reach = layer.in_features**-0.5
            for p in layer.parameters():
                p.uniform_(-reach, reach, generator=generator)
    return nn.Sequential(first, nn.ReLU(), last)


def _register(model: DistributedDataParallel, trial: Trial) -> Callable[[], int]:
    """Register the method's hook; return a function that returns the bytes sent so far."""
    if trial.method in COMPRESSORS:
        hook = DDPHook(COMPRESSORS[trial.method], seed=trial.seed)
        model.register_comm_hook(None, hook)
        return lambda: hook.sent_bytes
    if trial.method == "PowerSGD":
        state = powerSGD_hook.PowerSGDState(
            None, matrix_approximation_rank=1, start_powerSGD_iter=2, random_seed=trial.seed
        )
        model.register_comm_hook(state, powerSGD_hook.powerSGD_hook)
        d = sum(p.numel() for p in model.parameters())
        return lambda: _power_bytes(state, d)
    whole = _Whole({"none": torch.float32, "fp16": torch.float16}[trial.method])
    model.register_comm_hook(None, whole)
    return lambda: whole.group.sent_bytes


class _Whole:
    """An all-reduce of uncompressed gradients that counts its bytes."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.group, self.dtype = Group(), dtype
        self.__name__ = self.__qualname__ = type(self).__name__  # DDP reads them

    def __call__(
        self,
        state: Any,
        bucket: dist.GradBucket,  # type: ignore[name-defined]
    ) -> Future[Tensor]:
        sent = (bucket.buffer() / self.group.size).to(self.dtype)
        mean = self.group.add(sent).to(bucket.buffer().dtype)
        future: Future[Tensor] = Future()
        future.set_result(mean)
        return future


def _power_bytes(state: powerSGD_hook.PowerSGDState, d: int) -> int:
    """Return the bytes of ring all-reduces: of whole gradients at first, then of the factors."""
    n = dist.get_world_size()
    whole = min(state.iter, state.start_powerSGD_iter) * d
    return round(2 * (n - 1) / n * 4 * (whole + state.total_numel_after_compression))


def seconds_of_steps(
    methods: Sequence[str], task: Task, group: Group, stepsize: float = 0.01
) -> list[dict[str, Any]]:
    """Return, for each method, the median seconds of a step on the slowest process, and bytes."""
    found = []
    for method in methods:
        trained = train(task, Trial(method, stepsize, seed=0), group)
        slowest = group.largest(torch.tensor([trained["seconds"]], dtype=torch.float64))
        sent = trained["rows"][-1][1] / task.steps
        row = {"method": method, "dataset": task.dataset, "n": group.size, "d": trained["d"]}
        found.append(row | {"sent_bytes": sent, "seconds": float(slowest)})
    return found


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--dataset", default="digits", show_default=True, help="A name or a LibSVM file.")
@click.option("--method", "methods", multiple=True, type=click.Choice(METHODS), default=METHODS[:1])
@click.option("--hidden", default=1024, show_default=True, type=click.IntRange(1))
@click.option("--steps", default=30, show_default=True, type=click.IntRange(1))
@click.option("--backend", default="gloo", show_default=True)
def main(dataset: str, methods: tuple[str, ...], hidden: int, steps: int, backend: str) -> None:
    """Time steps of training between the processes of a job."""
    try:
        task = Task(dataset, hidden, steps=steps, evaluate_every=steps)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    torch.set_num_threads(1)
    dist.init_process_group(backend)
    for row in seconds_of_steps(methods, task, Group()):
        if dist.get_rank() == 0:
            print(json.dumps(row), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
