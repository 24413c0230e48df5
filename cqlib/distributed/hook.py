"""A communication hook of DistributedDataParallel that averages by compressed messages."""

# Annotations must not be strings here: DDP compares those of a hook with its own.

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.futures import Future

from cqlib.compressors import Compressor
from cqlib.compressors.checks import check_plain
from cqlib.distributed import costs
from cqlib.distributed.collectives import Group, NotEncodedError
from cqlib.distributed.mean import exchange
from cqlib.distributed.strategies import check_suits
from cqlib.keys import Key
from cqlib.theory.collectives import Link


class DDPHook:
    r"""Average the gradients of a ``DistributedDataParallel`` model by compressed messages.

    Register it as torch's own hooks, with the process group as the state, or None::

        hook = DDPHook(make("cq"), seed=0)
        model.register_comm_hook(None, hook)

    The key of a bucket is ``Key(seed, step).fold(bucket.index())``, where a step is a backward pass
    that synchronises. So it does not depend on the buckets of earlier steps, and all processes draw
    the same shared randomness. Where a gradient holds NaN or infinity, all
    processes get NaN in that bucket, as without compression: a gradient scaler then skips the step.
    Sparse gradients are added up without compression, and empty buckets are not exchanged.

    Args:
        compressor: compressor of the buckets.
        seed: root of all randomness, the same on all processes; give each model its own.
        error_feedback: keep the error of a process's own message, and add it to its next gradient:
            $C(g+e)$ is sent, and $e\leftarrow g+e-C(g+e)$. It helps biased compressors. After a
            gradient with NaN or infinity, all errors are dropped, since the step is not taken and
            a gradient scaler changes its scale.
        scaler: the model's ``torch.amp.GradScaler``, if it has one. Errors are then kept in units
            of the gradients without its scale, and stay right when it grows.
        strategy: as in :func:`mean`.
        second: as in :func:`mean`.
        link: as in :func:`mean`.

    Attributes:
        step: number of steps done.
        sent_bytes: bytes that this process has sent so far.

    Raises:
        ValueError: if a seed is out of range, compressor is not a Compressor, the strategy does not
            suit it, or error feedback is wanted with a compressor that adds messages up, so that a
            process's own message cannot be decoded.

    Source: hooks are torch's; error feedback is that of Seide et al. 2014.
    """

    def __init__(
        self,
        compressor: Compressor,
        seed: int,
        *,
        error_feedback: bool = False,
        scaler: torch.amp.GradScaler | None = None,
        strategy: str = "auto",
        second: Compressor | None = None,
        link: Link = costs.LINK,
    ) -> None:
        seed = Key(seed).seed
        if not isinstance(link, Link):
            raise ValueError(f"link must be a Link, got {link!r}")
        if scaler is not None and not isinstance(scaler, torch.amp.GradScaler):
            raise ValueError(f"scaler must be a torch.amp.GradScaler, got {scaler!r}")
        if not isinstance(compressor, Compressor):
            raise ValueError(f"compressor must be a Compressor, as make gives, got {compressor!r}")
        if strategy != "auto" or second is not None:
            check_suits("two_shot" if strategy == "auto" else strategy, compressor, second)
        if error_feedback and (compressor.sums or compressor.before):
            raise ValueError(f"no error to feed back: {compressor!r} cannot decode one message")
        self.__name__ = self.__qualname__ = type(self).__name__  # DDP asks hooks for them
        self.compressor, self.seed, self.error_feedback = compressor, seed, error_feedback
        self.scaler = scaler
        self.strategy, self.second, self.link = strategy, second, link
        self.step, self.sent_bytes = 0, 0
        self._errors: dict[nn.Parameter, Tensor] = {}
        self._overflowed = False  # in this step

    def __call__(
        self,
        state: Any,
        bucket: dist.GradBucket,  # type: ignore[name-defined]
    ) -> Future[Tensor]:
        """Exchange one bucket; DDP calls it.

        Args:
            state: process group, None for the default one.
            bucket: gradients of some parameters, one after the other.
        """
        x, group = bucket.buffer(), Group(state)
        if x.layout != torch.strided:
            mean = _without_compression(x, group)
        elif x.numel():
            mean = self._exchanged(x, bucket, group)
        else:
            mean = x
        self.sent_bytes += group.sent_bytes
        if bucket.is_last():
            self.step += 1
            if self._overflowed:
                self._errors, self._overflowed = {}, False
        future: Future[Tensor] = Future(devices=[x.device] if x.is_cuda else None)
        future.set_result(mean)
        return future

    def _exchanged(
        self,
        x: Tensor,
        bucket: dist.GradBucket,  # type: ignore[name-defined]
        group: Group,
    ) -> Tensor:
        """Return the mean of a bucket, or NaN if it cannot be sent."""
        key, parameters = Key(self.seed, self.step).fold(bucket.index()), bucket.parameters()
        if self.error_feedback:
            x = x + self._fed_back(parameters, x)
        try:
            mean = exchange(
                x,
                compressor=self.compressor,
                key=key,
                group=group,
                strategy=self.strategy,
                second=self.second,
                link=self.link,
            ).mean
        except NotEncodedError:
            self._overflowed = True
            return torch.full_like(x, float("nan"))
        if self.error_feedback:
            self._keep(parameters, x - self._own(x, key, group))
        return mean

    def __getstate__(self) -> dict[str, Any]:
        """Return the hook's attributes, for pickle and deepcopy.

        Raises:
            ValueError: if errors are kept: a copy would not know whose they are. If there is a
                scaler: a copy of it would scale otherwise than the model's own.
        """
        if self.scaler is not None:
            raise ValueError(
                "this hook reads the scale of a GradScaler, of which a copy would be another; "
                "make a new hook with that scaler, and load hook.state_dict(model)"
            )
        if self._errors:
            raise ValueError(
                "this hook keeps errors of a model's parameters, which a copy or a file would "
                "lose; keep hook.state_dict(model), and load it into a new hook"
            )
        return {**self.__dict__, "_errors": {}}

    def state_dict(self, model: nn.Module | None = None) -> dict[str, Any]:
        """Return the state that a continued run needs: tensors, numbers and text.

        The continued run has the bits of an uninterrupted one if its buckets are the same. DDP
        makes new buckets after a process's first step.

        Args:
            model: the model, whose parameter names label the errors; only needed with error
                feedback.

        Raises:
            ValueError: if the model is needed and not given, or lacks a parameter.
        """
        found = self._about() | {"step": self.step}
        if not self.error_feedback:
            return found
        if model is None:
            raise ValueError("errors are kept by the names of parameters: give the model")
        named = {name: self._errors.get(p) for name, p in model.named_parameters()}
        errors = {name: error.clone() for name, error in named.items() if error is not None}
        if len(errors) < len(self._errors):
            raise ValueError("the hook keeps errors of parameters that are not in this model")
        return found | {"errors": errors, "scaler": self.scaler is not None}

    def load_state_dict(self, state: dict[str, Any], model: nn.Module | None = None) -> None:
        """Continue from a state that :meth:`state_dict` returned.

        Raises:
            ValueError: if the state is of another compressor, seed or model, or has no step.
        """
        if not isinstance(state, dict):
            raise ValueError(f"the state must be a dictionary, got {type(state).__name__}")
        for name, value in self._about().items():
            if state.get(name) != value:
                raise ValueError(f"the state is of {name} {state.get(name)!r}, not {value!r}")
        step = state.get("step")
        if type(step) is not int or not 0 <= step < 2**63:
            raise ValueError(f"the state must have a step, an integer in [0, 2^63), got {step!r}")
        if ("errors" in state) != self.error_feedback:
            raise ValueError("the state is of a hook with another error_feedback")
        if self.error_feedback:
            if model is None:
                raise ValueError("errors are kept by the names of parameters: give the model")
            if state.get("scaler", False) != (self.scaler is not None):
                raise ValueError("the errors are in other units: only one hook has a scaler")
            parameters = dict(model.named_parameters())
            if not isinstance(state["errors"], dict):
                raise ValueError("the errors must be a dictionary of tensors")
            for name, error in state["errors"].items():
                check_plain(f"the error of {name!r}", error)
                if name not in parameters or parameters[name].shape != error.shape:
                    raise ValueError(f"the model has no parameter {name!r} of {tuple(error.shape)}")
                if error.dtype != self._kept_as(parameters[name]):
                    raise ValueError(f"the error of {name!r} has another dtype, {error.dtype}")
                if not bool(error.isfinite().all()):
                    raise ValueError(f"the error of {name!r} has NaN or infinity")
            self._errors = {
                parameters[name]: error.clone().to(parameters[name].device)
                for name, error in state["errors"].items()
            }
        self.step = step

    def _about(self) -> dict[str, Any]:
        """The options that must be equal in a state and in the hook that loads it."""
        about = {"compressor": self.compressor, "second": self.second}
        return {name: repr(value) for name, value in about.items()} | {"seed": self.seed}

    def _fed_back(self, parameters: list[nn.Parameter], like: Tensor) -> Tensor:
        """Return the kept errors in the order of a bucket, times the scale of the loss."""
        found = torch.zeros_like(like, dtype=self._kept_as(like))
        for p, part in zip(parameters, _parts(found, parameters), strict=True):
            if p in self._errors:
                part.copy_(self._errors[p])
        return (found * self._scale()).to(like)

    def _keep(self, parameters: list[nn.Parameter], errors: Tensor) -> None:
        errors = errors.detach().to(self._kept_as(errors)) / self._scale()
        for p, part in zip(parameters, _parts(errors, parameters), strict=True):
            self._errors[p] = part.clone()

    def _kept_as(self, x: Tensor) -> torch.dtype:
        """Return the dtype of kept errors: without its scale, one may be too small for 16 bits."""
        return torch.float32 if self.scaler is not None and x.itemsize == 2 else x.dtype

    def _scale(self) -> float:
        return 1.0 if self.scaler is None else self.scaler.get_scale()

    def _own(self, x: Tensor, key: Key, group: Group) -> Tensor:
        """Return the vector that this process's own message decodes to."""
        who: dict[str, Any] = {"client": group.rank, "n_clients": group.size, "key": key}
        wide = x.detach().reshape(-1)
        wide = wide if wide.dtype in (torch.float32, torch.float64) else wide.float()
        payload = self.compressor.encode(wide, **who)
        if payload is None:
            return torch.zeros_like(x)
        return self.compressor.decode(payload, d=len(wide), **who).to(x)


def _parts(flat: Tensor, parameters: list[nn.Parameter]) -> list[Tensor]:
    """Return views of a bucket, one in the shape of each parameter, as DDP lays them out.

    The entries of a parameter are in the order of its memory if it has no gaps, such as one in
    channels-last format, else in that of its shape. Complex entries are pairs.
    """
    if any(p.is_complex() for p in parameters) and not flat.is_complex():
        flat = torch.view_as_complex(flat.view(-1, 2))
    found, start = [], flat.storage_offset()
    for p in parameters:
        dense = torch.empty_like(p, device="meta").stride() == p.stride()
        strides = p.stride() if dense else torch.empty(p.shape, device="meta").stride()
        found.append(flat.as_strided(p.shape, strides, start))
        start += p.numel()
    return found


def _without_compression(x: Tensor, group: Group) -> Tensor:
    """Return the mean of sparse gradients, as DDP computes it."""
    mean = x.coalesce() / group.size
    if group.size > 1:
        group.sent_bytes += (group.size - 1) * sum(
            part.numel() * part.element_size() for part in (mean.indices(), mean.values())
        )
        dist.all_reduce(mean, group=group.handle)
    return mean
