"""Checks of options, vectors and messages; the errors name the value or the client."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cqlib.compressors.parts import Statistic
from cqlib.compressors.types import Array, Constants, Layout, Symbols
from cqlib.keys import Key

SMALLEST_RANGE = 2.0**-126  # the smallest norm above zero


class TooLargeError(ValueError):
    """A decoded value of a client's vector would exceed the largest float32."""

    def __init__(self, client: int) -> None:
        self.client = client
        super().__init__(
            f"client {client}: the vector is too large to send, a value or its norm exceeds "
            f"the largest float32, {np.finfo(np.float32).max:.4g}"
        )


_FUNCTION = getattr(Tensor.__torch_function__, "__func__", None)


def check_plain(name: str, x: Tensor) -> None:
    """Raise unless x is a dense tensor with values of its own, a Parameter included."""
    if not isinstance(x, Tensor):
        raise ValueError(f"{name} must be a tensor, got {type(x).__name__}")
    kind = type(x)
    own = getattr(kind.__torch_function__, "__func__", kind.__torch_function__)
    usual = (_FUNCTION, nn.Parameter.__torch_function__)
    if kind.__torch_dispatch__ is not Tensor.__torch_dispatch__ or own not in usual:
        # DTensor, FakeTensor, tensors with units or masks, ...
        local = ", such as its part on this process, .to_local()" if hasattr(x, "to_local") else ""
        raise ValueError(f"{name} must be a plain tensor{local}, got a {kind.__name__}")
    if x.layout is not torch.strided or x.is_nested:
        layout = "nested" if x.is_nested else str(x.layout)
        raise ValueError(f"{name} must be a dense tensor, as .to_dense() gives, got {layout}")
    if x.is_meta:
        raise ValueError(f"{name} is on the meta device, where tensors have no values")
    try:
        held = x.untyped_storage().nbytes()
    except Exception:  # inside torch.vmap, torch.func.grad, ...
        raise ValueError(f"{name} has no memory of its own, as in torch.vmap") from None
    steps = sum(step * (size - 1) for step, size in zip(x.stride(), x.shape, strict=True))
    if x.numel() and held < (x.storage_offset() + steps + 1) * x.element_size():
        raise ValueError(f"the memory of {name} was freed")


def check_tensor(x: Tensor, *, ndim: tuple[int, ...], what: str) -> None:
    """Raise unless x is a float tensor with one of these numbers of axes, none of them empty."""
    if not isinstance(x, Tensor) or x.dtype not in (torch.float32, torch.float64):
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"expected a float32 or float64 tensor, got {kind}")
    check_plain("the vector", x)
    if x.ndim not in ndim:
        raise ValueError(f"{what}, got {tuple(x.shape)}")
    if 0 in x.shape:
        raise ValueError(f"{what} with no empty axis, got {tuple(x.shape)}")


def checked_ids(client: int, n_clients: int) -> tuple[int, int]:
    """Return a client's id and the number of clients as Python integers; raise if they are not."""
    for name, value in (("n_clients", n_clients), ("client", client)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise ValueError(f"{name} must be an integer, got {value!r}")
    if not 1 <= n_clients < 2**32:
        raise ValueError(f"n_clients must be in [1, 2^32), got {n_clients}")
    if not 0 <= client < n_clients:
        raise ValueError(f"client must be in [0, {n_clients}), got {client}")
    return int(client), int(n_clients)


def check_key(key: Any) -> None:
    """Raise unless it is the key of a round."""
    if not isinstance(key, Key):
        raise ValueError(f"key must be a Key, got {key!r}")


def checked_dimension(d: int) -> int:
    """Return the dimension that a server expects as a Python integer; raise if it is not one."""
    if isinstance(d, bool) or not isinstance(d, (int, np.integer)):
        raise ValueError(f"d must be an integer, the server's own dimension, got {d!r}")
    if d < 1:
        raise ValueError(f"d must be at least 1, got {d}")
    return int(d)


def checked_max_norm(max_norm: Any) -> float | None:
    """Return the largest norm that a server takes as a float; None stands for no limit."""
    if max_norm is None:
        return None
    kinds = (int, float, np.integer, np.floating)
    if isinstance(max_norm, bool) or not isinstance(max_norm, kinds) or not max_norm > 0:
        raise ValueError(f"max_norm must be a number above 0, or None, got {max_norm!r}")
    largest = float(np.finfo(np.float64).max)
    try:
        return min(float(max_norm), largest)
    except OverflowError:  # an integer beyond every float
        return largest


def check_finite(rows: Array, clients: Array) -> None:
    """Raise if a vector, shape (..., c, d), has NaN or infinity; the error names the client."""
    bad = ~np.isfinite(rows)
    if bad.any():
        row = np.argwhere(bad.any(axis=-1))[0]
        count = int(bad[tuple(row)].sum())
        raise ValueError(
            f"client {clients[row[-1]]}: {count} of {rows.shape[-1]} entries are NaN or infinite"
        )


def check_norms(symbols: Symbols, smallest: float = 0.0) -> None:
    """Raise if a scale is not a valid norm, or if a symbol is not zero although its norm is.

    A valid norm is 0 or at least ``smallest``. Symbols and scales have shapes that broadcast to
    (..., c, d); one norm per client has shape (..., c, 1).
    """
    values, scales = symbols
    if np.signbit(scales).any() or ((scales > 0) & (scales < smallest)).any():
        raise ValueError(f"a norm must be 0 or at least {smallest:.4g}, got {scales.min()}")
    zero = scales == 0
    if zero.any() and (values * zero).any():
        raise ValueError("the norm is zero but the codes are not")


def checked_statistic(
    name: str, before: Statistic | None, shared: object
) -> NDArray[np.float32] | None:
    """Return the statistic as float32, or None if the compressor uses none.

    Raises:
        ValueError: if it is missing, given but not used, negative or not finite.
    """
    if before is not None:
        return as_statistic(name, shared, ())
    if shared is not None:
        raise ValueError(f"{name} uses no statistic; shared must be None")
    return None


def as_statistic(name: str, shared: object, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return a statistic as float32 of the given shape."""
    if shared is None:
        raise ValueError(
            f"{name} needs a statistic of all clients: give shared = before.merge(stats), where "
            f"stats holds before.of(x) of each client"
        )
    try:
        found = np.broadcast_to(np.asarray(shared, dtype=np.float32), tuple(shape))
    except (TypeError, ValueError):
        raise ValueError(
            f"shared must be a number or of shape {tuple(shape)}, got {shared!r}"
        ) from None
    if not (np.isfinite(found) & (found >= 0)).all():
        raise ValueError(f"shared must be finite and at least 0, got {shared!r}")
    return found


def check_constants(n: int, d: int, constants: str) -> None:
    """Raise if n or d is below 1, or the kind of constants is unknown."""
    if constants not in get_args(Constants):
        known = ", ".join(get_args(Constants))
        raise ValueError(f"unknown constants {constants!r}; known: {known}")
    if n < 1 or d < 1 or n != int(n) or d != int(d):
        raise ValueError(f"n and d must be integers of at least 1, got {n} and {d}")


def as_integer(option: str, value: Any, low: int, high: int) -> int:
    """Return an option as an integer; raise unless it is one in [low, high], NumPy's included."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ValueError(f"{option} must be an integer, got {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{option} must be in [{low}, {high}], got {value!r}")
    return int(value)


def one_of(option: str, value: Any, known: Iterable[str]) -> str:
    """Return an option; raise unless it is one of the known words."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{option} must be one of {', '.join(known)}, got {value!r}")
    return str(value)


def check_scales(scales: Array, clients: Array, what: str = "a scale") -> None:
    """Raise if a scale, shape (..., c, scales), exceeds float32 or is NaN; name the client."""
    if scales.ndim < 2:
        raise TypeError(f"{what} must have shape (..., c, scales), got {scales.shape}")
    bad = ~np.isfinite(scales)
    if bad.any():
        place = tuple(np.argwhere(bad)[0])
        client = int(clients[place[-2]])
        if np.isnan(scales[place]):
            raise ValueError(f"client {client}: {what} is NaN")
        raise TooLargeError(client)


def check_decodable(largest: Array, clients: Array) -> None:
    """Raise unless decoded values are below float32's end even after rounding; name the client.

    Args:
        largest: bounds on their absolute values, shape (..., c, k).
        clients: ids, shape (c,).
    """
    with np.errstate(over="ignore"):
        check_scales((largest.astype(np.float64) * (1 + 2.0**-20)).astype(np.float32), clients)


def check_mean(mean: Tensor) -> None:
    """Raise if a mean exceeds float32, or a smaller dtype of its own.

    A mean of decoded vectors cannot; but a sum of powers of two may be rounded up.
    """
    dtype = min(mean.dtype, torch.float32, key=lambda one: torch.finfo(one).max)
    if not float(mean.abs().max()) <= torch.finfo(dtype).max:  # a NaN fails, too
        raise ValueError(f"the mean exceeds the largest {str(dtype).removeprefix('torch.')}")


def check_symbols(name: str, symbols: Symbols, layout: Layout, shape: tuple[int, ...]) -> None:
    """Raise TypeError unless symbols are as a compressor's layout says, but for their values.

    Args:
        name: the compressor.
        symbols: result of ``quantize``.
        layout: that of the same clients.
        shape: (..., c), that of the vectors without their last axis.
    """
    values, scales = symbols
    if values.dtype.kind not in "biu":
        raise TypeError(f"{name}: symbols must be integers or booleans, got {values.dtype}")
    if scales.dtype != np.float32:
        raise TypeError(f"{name}: scales must be float32, got {scales.dtype}")
    _check_width(f"{name}: symbols", values.shape, shape, layout.symbols)
    _check_width(f"{name}: scales", scales.shape, shape, layout.scales)


def _check_width(
    what: str, found: tuple[int, ...], shape: tuple[int, ...], sizes: int | NDArray[np.int64]
) -> None:
    """Raise unless an array has a row per client, of the layout's length or padded to it."""
    width = int(np.max(sizes, initial=0)) if isinstance(sizes, np.ndarray) else sizes
    padded = isinstance(sizes, np.ndarray) and found[-1:] > (width,)
    if found[:-1] != shape or not (padded or found[-1:] == (width,)):
        raise TypeError(f"{what} must have shape {(*shape, width)} by the layout, got {found}")


def check_alphabet(name: str, symbols: Array, alphabet: int) -> None:
    """Raise ValueError unless integers or booleans are in [0, alphabet)."""
    if not symbols.size or (symbols.dtype == bool and alphabet > 1):
        return
    for value in (symbols.max(), symbols.min()):
        if not 0 <= value < alphabet:
            raise ValueError(f"{name}: symbols must be in [0, {alphabet}), got {int(value)}")


def check_decoded(name: str, values: Array, shape: tuple[int, ...]) -> None:
    """Raise TypeError unless decoded vectors are float32 of this shape."""
    if values.dtype != np.float32 or values.shape != shape:
        raise TypeError(
            f"{name}: dequantize must return float32 of shape {shape}, "
            f"got {values.dtype} of shape {values.shape}"
        )


def as_norm_index(p: Any, option: str = "p") -> float:
    """Return the index of a norm as a float; raise unless it lies in [1, inf]."""
    number = isinstance(p, (int, float, np.integer, np.floating)) and not isinstance(p, bool)
    if not number or not p >= 1:
        raise ValueError(f"{option} must be in [1, inf], got {p!r}")
    try:
        return float(p)
    except OverflowError:
        raise ValueError(
            f"{option} exceeds the largest float; for the largest entry give inf"
        ) from None
