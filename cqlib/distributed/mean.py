"""Mean of the vectors of all processes, by compressed messages."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cqlib import __version__
from cqlib.compressors import Compressor
from cqlib.compressors.checks import check_mean, check_plain
from cqlib.distributed import costs
from cqlib.distributed.collectives import Group, NotEncodedError
from cqlib.distributed.messages import Agreement, Call
from cqlib.distributed.strategies import STRATEGIES, check_suits
from cqlib.distributed.warm_up import Compilation, warm_up
from cqlib.keys import Key
from cqlib.payload import LAYOUT, PayloadError
from cqlib.theory.collectives import Link

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class Exchange:
    """A mean, the strategy that computed it, and the bytes sent."""

    mean: Tensor
    strategy: str
    sent_bytes: int  # by this process, to all others together


def mean(
    x: Tensor,
    *,
    compressor: Compressor,
    key: Key,
    group: Any = None,
    out: Tensor | None = None,
    strategy: str = "auto",
    second: Compressor | None = None,
    link: Link = costs.LINK,
) -> Tensor:
    r"""Return the compressed mean of the vectors of all processes of a group.

    Every process calls it with its own x. All get the same bits: those of
    ``compressor.mean(X, key=key)`` for the rows of X in the order of the ranks, whatever the
    strategy, unless ``second`` is given.

    Args:
        x: this process's vector, a tensor of any shape, float16, bfloat16, float32 or float64; the
            same shape and dtype on all processes.
        compressor: the compressor of all processes.
        key: the round's key, the same on all processes; every round needs another one.
        group: torch's process group; None for the default one, or for one process if there is none.
        out: tensor of x's shape and dtype to fill; it may be x.
        strategy: "all_gather" sends every message to every process; "two_shot" sends each process a
            shard of every message, and then the mean of each shard to every process; "all_reduce"
            adds up integers on their way (linear ``global_qsgd``), "tree" powers of two
            (exponential ``global_qsgd``); "auto" takes the strategy that should be fastest.
        second: compressor of the means of shards in a two-shot exchange, on top of the first. Its
            error adds $\sum_s\mathbb E\|C(m_s)-m_s\|^2$ over the shards' means $m_s$; with an
            unbiased one that is at most $\omega\,\mathbb E\|m\|^2$.
        link: latency and bandwidth for the prediction of "auto".

    Returns:
        Tensor of x's shape and dtype.

    Raises:
        ValueError: if x is not a plain dense tensor of this kind on a device of the group, or has
            no coordinates, the strategy is unknown or does not suit the compressors, or out does
            not fit. The other processes then raise PayloadError, unless their own arguments are
            wrong, too.
        NotEncodedError: on all processes, if a vector holds NaN or infinity or is too large to
            send, or the mean is too large for float16.
        PayloadError: on all processes, if they do not agree on compressor, shape, dtype, key,
            strategy, second or the version of cqlib. They compare these first, by 16 bytes each.

    >>> from cqlib import compressors
    >>> x = torch.tensor([1.0, -2.0, 3.0])
    >>> alone = mean(x, compressor=compressors.make("cq"), key=Key(0))
    >>> torch.equal(alone, compressors.make("cq").mean(x[None], key=Key(0)))
    True
    """
    return exchange(
        x,
        compressor=compressor,
        key=key,
        group=group,
        out=out,
        strategy=strategy,
        second=second,
        link=link,
    ).mean


def exchange(
    x: Tensor,
    *,
    compressor: Compressor,
    key: Key,
    group: Any = None,
    out: Tensor | None = None,
    strategy: str = "auto",
    second: Compressor | None = None,
    link: Link = costs.LINK,
) -> Exchange:
    """Return :func:`mean`, the strategy taken, and the bytes that this process has sent."""
    members = group if isinstance(group, Group) else Group(group)
    before = members.sent_bytes
    request = _Request(x, compressor, key, out, strategy, second, link)
    try:
        strategy = request.checked(members)
        vector = request.vector()
        compilation = warm_up(
            compressor,
            second,
            strategy=strategy,
            d=x.numel(),
            n=members.size,
            dtype=x.dtype,
            device=x.device,
        )
    except Exception as error:  # let the other processes raise, too, instead of waiting
        with suppress(PayloadError):
            Agreement(members, {"refused": str(error)}, _device(x, members)).wait()
        raise
    call = request.call(members, strategy, vector, compilation)
    found = STRATEGIES[strategy](call)
    if request.may_overflow:
        try:
            check_mean(found)  # the same on all processes
        except ValueError as error:
            raise NotEncodedError(str(error)) from None
    if out is not None and found is not call.out:
        out.detach().copy_(found.reshape(x.shape))
    return Exchange(
        found.reshape(x.shape) if out is None else out, strategy, members.sent_bytes - before
    )


@dataclass(frozen=True)
class _Request:
    """The arguments of :func:`exchange` without the group."""

    x: Tensor
    compressor: Compressor
    key: Key
    out: Tensor | None
    strategy: str
    second: Compressor | None
    link: Link

    @property
    def may_overflow(self) -> bool:
        """True if the mean of finite messages may exceed the dtype of the result."""
        sums = self.compressor.sums
        return self.x.dtype.itemsize == 2 or (sums is not None and sums.kind != "integers")

    def checked(self, members: Group) -> str:
        """Check all arguments, and return the strategy."""
        x, c, n = self.x, self.compressor, members.size
        if not isinstance(c, Compressor):
            raise ValueError(f"compressor must be a Compressor, as make gives, got {c!r}")
        if not isinstance(self.key, Key):
            raise ValueError(f"key must be a Key, got {self.key!r}")
        if not isinstance(self.link, Link):
            raise ValueError(f"link must be a Link, got {self.link!r}")
        check_plain("x", x)
        if x.dtype not in _FLOATS:
            raise ValueError(f"expected a tensor of 16, 32 or 64-bit floats, got {x.dtype}")
        if not x.numel():
            raise ValueError(f"expected one or more coordinates, got shape {tuple(x.shape)}")
        if members.devices and x.device.type not in members.devices:
            known = " or ".join(members.devices)
            raise ValueError(f"x is on {x.device}, but the group sends tensors on {known}")
        if self.out is not None:
            _check_out(self.out, x)
        if self.second is None and self.strategy == "auto":
            return costs.fastest(c, d=x.numel(), n=n, itemsize=x.element_size(), link=self.link)
        strategy = "two_shot" if self.strategy == "auto" else self.strategy
        check_suits(strategy, c, self.second, n)
        return strategy

    def vector(self) -> Tensor:
        """Return x as one contiguous vector, float32 or float64."""
        flat = self.x.detach().reshape(-1).resolve_neg()
        wide = flat if flat.dtype in (torch.float32, torch.float64) else flat.float()
        return wide.contiguous()

    def call(self, members: Group, strategy: str, vector: Tensor, compilation: Compilation) -> Call:
        """Start the comparison with the other processes, and return the call.

        While this process compiles, it only compares, so that the others do not give it up.
        """
        x, out = self.x, self.out
        arguments = {
            "cqlib": __version__,
            "layout of payloads": LAYOUT,
            "strategy": strategy,
            "compressor": self.compressor,
            "second": self.second,
            "shape": tuple(x.shape),
            "n": members.size,
            "dtype": x.dtype,
            "key": self.key,
        }
        agreement = Agreement(members, arguments, x.device, compilation)
        # out must stay unchanged if anything may fail after the mean is known.
        direct = self.second is None and not self.may_overflow
        fits = out is not None and out.is_contiguous() and not out.is_neg()
        place = out.detach().view(-1) if out is not None and fits and direct else None
        return Call(
            self.compressor, self.key, members, vector, x.dtype, agreement, self.second, place
        )


def _device(x: Any, members: Group) -> torch.device:
    """Return the device of x, where the other processes compare, or else one of the group."""
    with suppress(Exception):  # of a subclass
        if isinstance(x, Tensor) and x.device.type in members.devices:
            return torch.device(x.device)
    return members.device


def _check_out(out: Tensor, x: Tensor) -> None:
    """Raise unless out is as x, and has its own memory for each coordinate."""
    check_plain("out", out)
    if out.device != x.device:
        raise ValueError(f"out must be on {x.device} as x is, got {out.device}")
    if out.shape != x.shape or out.dtype != x.dtype:
        raise ValueError(
            f"out must be {x.dtype} of shape {tuple(x.shape)}, "
            f"got {out.dtype} of shape {tuple(out.shape)}"
        )
    if out.is_inference() and not torch.is_inference_mode_enabled():
        raise ValueError("out was made in inference mode, and can be changed only there")
    end = 0  # of the memory of the axes with smaller steps
    for step, size in sorted(zip(out.stride(), out.shape, strict=True)):
        if size > 1 and step <= end:
            raise ValueError("out must not be expanded: its coordinates share memory")
        end += step * (size - 1)
