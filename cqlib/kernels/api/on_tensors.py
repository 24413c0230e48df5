"""Kernels of NumPy arrays with torch tensors as arguments and results.

The data of a CPU tensor is used without a copy. A tensor on another device is copied to main
memory, and the result is copied back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cqlib.kernels.api import Array, Kernels
from cqlib.keys import Key


@dataclass(frozen=True)
class OnTensors:
    """A backend of NumPy arrays as one of tensors, with the operations of ``Kernels``."""

    arrays: Kernels[Array]

    def sums_of_squares(self, x: Tensor) -> Tensor:
        return _tensor(self.arrays.sums_of_squares(_array(x)), x)

    def norm_scale(self, x: Tensor, p: float) -> Tensor:
        return _tensor(self.arrays.norm_scale(_array(x), p), x)

    def encode_one_bit(
        self,
        x: Tensor,
        scale: Tensor | float,
        *,
        key: Key,
        client: int,
        n_clients: int,
        correlated: bool,
        out: Tensor | None = None,
    ) -> Tensor:
        codes = self.arrays.encode_one_bit(
            _array(x),
            float(scale),
            key=key,
            client=client,
            n_clients=n_clients,
            correlated=correlated,
            out=_optional(out),
        )
        return _tensor(codes, x, out)

    def decode_one_bit(
        self, codes: Tensor, scale: Tensor | float, *, d: int, out: Tensor | None = None
    ) -> Tensor:
        values = self.arrays.decode_one_bit(_array(codes), float(scale), d=d, out=_optional(out))
        return _tensor(values, codes, out)

    def average_one_bit(
        self, codes: Tensor, scales: Tensor, *, d: int, out: Tensor | None = None
    ) -> Tensor:
        average = self.arrays.average_one_bit(
            _array(codes), _array(scales), d=d, out=_optional(out)
        )
        return _tensor(average, codes, out)

    def simulate_one_bit(
        self,
        X: Tensor,
        scales: Tensor,
        *,
        key: Key | Sequence[Key],
        correlated: bool,
        out: Tensor | None = None,
    ) -> Tensor:
        mean = self.arrays.simulate_one_bit(
            _array(X), _array(scales), key=key, correlated=correlated, out=_optional(out)
        )
        return _tensor(mean, X, out)

    def quantize_levels(
        self,
        x: Tensor,
        scale: Tensor | float,
        *,
        levels: int,
        key: Key,
        client: int,
        out: Tensor | None = None,
    ) -> Tensor:
        integers = self.arrays.quantize_levels(
            _array(x), float(scale), levels=levels, key=key, client=client, out=_optional(out)
        )
        return _tensor(integers, x, out)

    def encode_levels(
        self,
        x: Tensor,
        scale: Tensor | float,
        *,
        levels: int,
        key: Key,
        client: int,
        out: Tensor | None = None,
    ) -> Tensor:
        codes = self.arrays.encode_levels(
            _array(x), float(scale), levels=levels, key=key, client=client, out=_optional(out)
        )
        return _tensor(codes, x, out)

    def decode_levels(
        self,
        codes: Tensor,
        scale: Tensor | float,
        *,
        d: int,
        levels: int,
        out: Tensor | None = None,
    ) -> Tensor:
        values = self.arrays.decode_levels(
            _array(codes), float(scale), d=d, levels=levels, out=_optional(out)
        )
        return _tensor(values, codes, out)

    def encode_powers(
        self,
        x: Tensor,
        scale: Tensor | float,
        *,
        lowest: int,
        levels: int,
        key: Key,
        client: int,
        out: Tensor | None = None,
    ) -> Tensor:
        codes = self.arrays.encode_powers(
            _array(x),
            float(scale),
            lowest=lowest,
            levels=levels,
            key=key,
            client=client,
            out=_optional(out),
        )
        return _tensor(codes, x, out)

    def decode_powers(
        self,
        codes: Tensor,
        scale: Tensor | float,
        *,
        d: int,
        lowest: int,
        levels: int,
        out: Tensor | None = None,
    ) -> Tensor:
        values = self.arrays.decode_powers(
            _array(codes), float(scale), d=d, lowest=lowest, levels=levels, out=_optional(out)
        )
        return _tensor(values, codes, out)

    def transform(self, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        return _tensor(self.arrays.transform(_array(x), out=_optional(out)), x, out)

    def encode_drive(
        self,
        x: Tensor,
        squares: float,
        *,
        unbiased: bool,
        key: Key,
        client: int,
        out: Tensor | None = None,
        scratch: Tensor | None = None,
    ) -> tuple[Tensor, np.float32]:
        codes, S = self.arrays.encode_drive(
            _array(x),
            squares,
            unbiased=unbiased,
            key=key,
            client=client,
            out=_optional(out),
            scratch=_optional(scratch),
        )
        return _tensor(codes, x, out), S

    def decode_drive(
        self,
        codes: Tensor,
        scale: Tensor | float,
        *,
        d: int,
        key: Key,
        client: int,
        out: Tensor | None = None,
    ) -> Tensor:
        values = self.arrays.decode_drive(
            _array(codes), float(scale), d=d, key=key, client=client, out=_optional(out)
        )
        return _tensor(values, codes, out)


def _array(x: Tensor) -> Array:
    """Return a tensor as an array, which shares the memory of a CPU tensor."""
    x = x.detach()
    return x.numpy() if x.is_cpu else x.cpu().numpy()


def _optional(out: Tensor | None) -> Array | None:
    return None if out is None else _array(out)


def _tensor(result: Array, like: Tensor, out: Tensor | None = None) -> Tensor:
    """Return a result on the device of ``like``, or in ``out``."""
    if out is None:
        made = torch.from_numpy(np.asarray(result))
        return made if like.is_cpu else made.to(like.device)
    if not out.is_cpu:
        out.copy_(torch.from_numpy(result))
    return out
