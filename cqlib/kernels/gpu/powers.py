"""Signed powers of two for tensors on a GPU: by the CPU's compiled loops."""

from __future__ import annotations

from cqlib.kernels import cpu
from cqlib.kernels.api.on_tensors import OnTensors

encode_powers = OnTensors(cpu).encode_powers
decode_powers = OnTensors(cpu).decode_powers
