"""Payload: the message that one client sends to the server in one round.

The bytes of a payload, little-endian, are the fields of :data:`HEADER_FIELDS`, then the name of the
compressor, the scales, the codes, and the CRC-32 of all these bytes.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_MAGIC = b"CQLB"
LAYOUT = 1
HEADER_FIELDS = (
    ("4s", "magic, `CQLB`"),
    ("B", "version of this layout, 1"),
    ("B", "length of the compressor's name"),
    ("I", "tag: check of compressor, options, d, n, client and key"),
    ("Q", "d, the dimension of the vector"),
    ("Q", "number of code bytes"),
    ("I", "number of scales"),
)
_HEADER = struct.Struct("<" + "".join(kind for kind, _ in HEADER_FIELDS))
_CRC = struct.Struct("<I")


class PayloadError(ValueError):
    """A payload that is malformed, damaged, or meant for another compressor, client or round."""


@dataclass(frozen=True, eq=False)
class Payload:
    """One client's message of one round.

    Args:
        compressor: name of the compressor that made it.
        d: dimension of the vector that was compressed.
        tag: 32-bit check of compressor, options, d, n, client and key.
        codes: packed codes, uint8, shape (bytes,).
        scales: floats sent with the codes, float32, shape (scales,), all finite.

    Raises:
        PayloadError: if a field has the wrong type, shape or range.

    >>> import torch
    >>> p = Payload("cq", 9, 0, torch.zeros(2, dtype=torch.uint8), torch.ones(1))
    >>> p.bits  # two bytes of codes and one scale
    48
    >>> Payload.from_bytes(p.to_bytes()).codes.tolist()
    [0, 0]
    """

    compressor: str
    d: int
    tag: int
    codes: Tensor
    scales: Tensor

    def __post_init__(self) -> None:
        if not (self.compressor.isascii() and self.compressor.isidentifier()):
            raise PayloadError(f"compressor name must be an ASCII word, got {self.compressor!r}")
        if not 1 <= len(self.compressor) <= 255:
            raise PayloadError("compressor name must have 1 to 255 characters")
        if type(self.d) is not int or type(self.tag) is not int:
            raise PayloadError(f"d and tag must be integers, got {self.d!r} and {self.tag!r}")
        if not 1 <= self.d < 2**63:
            raise PayloadError(f"d must be in [1, 2^63), got {self.d}")
        if not 0 <= self.tag < 2**32:
            raise PayloadError(f"tag must be in [0, 2^32), got {self.tag}")
        for name, tensor, dtype in (
            ("codes", self.codes, torch.uint8),
            ("scales", self.scales, torch.float32),
        ):
            if tensor.dtype != dtype or tensor.ndim != 1:
                raise PayloadError(
                    f"{name} must be one-dimensional {dtype}, "
                    f"got {tensor.dtype} of shape {tuple(tensor.shape)}"
                )
        if not bool(torch.isfinite(self.scales).all()):
            raise PayloadError("scales hold NaN or infinity")

    @property
    def bits(self) -> int:
        """Bits of codes and scales as stored; the header is counted by ``header_bits``."""
        return 8 * self.codes.numel() + 32 * self.scales.numel()

    @property
    def header_bits(self) -> int:
        """Bits of everything else on the wire: header, name, checksum."""
        return 8 * (_HEADER.size + len(self.compressor) + _CRC.size)

    def to_bytes(self) -> bytes:
        """Return the payload as bytes, checksum included."""
        name = self.compressor.encode("ascii")
        header = _HEADER.pack(
            _MAGIC,
            LAYOUT,
            len(name),
            self.tag,
            self.d,
            self.codes.numel(),
            self.scales.numel(),
        )
        scales = self.scales.detach().cpu().numpy().astype("<f4").tobytes()
        body = header + name + scales + self.codes.detach().cpu().numpy().tobytes()
        return body + _CRC.pack(zlib.crc32(body))

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> Payload:
        """Parse bytes made by :meth:`to_bytes`.

        Raises:
            PayloadError: if anything is malformed; lengths in the header are compared with the
                number of bytes before they are used.
        """
        data = bytes(data)
        if len(data) < _HEADER.size + _CRC.size:
            raise PayloadError(f"{len(data)} bytes are too few for a payload")
        magic, version, name_length, tag, d, n_codes, n_scales = _HEADER.unpack_from(data)
        if magic != _MAGIC:
            raise PayloadError(f"not a payload: starts with {magic!r}, not {_MAGIC!r}")
        if version != LAYOUT:
            raise PayloadError(f"payload layout {version} is not known; this is layout {LAYOUT}")
        expected = _HEADER.size + name_length + 4 * n_scales + n_codes + _CRC.size
        if len(data) != expected:
            raise PayloadError(f"header announces {expected} bytes, got {len(data)}")
        (crc,) = _CRC.unpack_from(data, len(data) - _CRC.size)
        if crc != zlib.crc32(data[: -_CRC.size]):
            raise PayloadError("checksum does not match: the payload was damaged on its way")
        name_end = _HEADER.size + name_length
        scales_end = name_end + 4 * n_scales
        try:
            name = data[_HEADER.size : name_end].decode("ascii")
        except UnicodeDecodeError:
            raise PayloadError("compressor name is not ASCII") from None
        scales = np.frombuffer(data[name_end:scales_end], dtype="<f4").astype(np.float32)
        codes = np.frombuffer(data[scales_end : scales_end + n_codes], dtype=np.uint8).copy()
        return cls(name, d, tag, torch.from_numpy(codes), torch.from_numpy(scales))
