"""fedjax, by Google: jitted JAX functions from vectors to decoded float32 vectors.

JAX takes its number of threads from the environment when it is imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("NPROC", str(torch.get_num_threads()))

import jax
from fedjax.aggregators import compression
from fedjax.aggregators.walsh_hadamard import structured_rotation

from benchmarks.case import Case, Operation
from benchmarks.inputs import vector

_LEVELS = 16


def _jitted(function: Callable[[Any, Any], Any]) -> Callable[[int, int], Operation]:
    def setup(n: int, d: int) -> Operation:
        x, key, compiled = jax.device_put(vector(d)), jax.random.key(7), jax.jit(function)
        return lambda: compiled(x, key).block_until_ready()

    return setup


def _uniform(x: Any, key: Any) -> Any:
    return compression.uniform_stochastic_quantize(x, _LEVELS, key)


def _drive(x: Any, key: Any) -> Any:
    return compression.drive_pytree(structured_rotation(x, key)[0])


CASES = (
    Case("fedjax IQ", "binary_stochastic_quantize",
         _jitted(compression.binary_stochastic_quantize), 32, against="iq call"),
    Case("fedjax TernGrad", "terngrad_quantize",
         _jitted(compression.terngrad_quantize), 32, against="terngrad call"),
    Case("fedjax dithering", f"uniform_stochastic_quantize, {_LEVELS} levels",
         _jitted(_uniform), 32, against="dithering call"),
    Case("fedjax DRIVE", "structured_rotation and drive_pytree, not rotated back",
         _jitted(_drive), 32, against="drive call"),
)  # fmt: skip
