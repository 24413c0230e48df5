"""Compressors by name: ``make("cq")``, ``names()``.

One file per idea. To add a compressor, add one file to this folder; the registry finds it there.
The classes below can also be imported by their own names.
"""

from cqlib.compressors.averaging import average
from cqlib.compressors.composition import Composition, compose
from cqlib.compressors.contract import Compressor
from cqlib.compressors.cq import CQ
from cqlib.compressors.drive import Drive
from cqlib.compressors.drive_plus import DrivePlus
from cqlib.compressors.global_qsgd import GlobalQSGD
from cqlib.compressors.identity import Identity
from cqlib.compressors.iq import IQ
from cqlib.compressors.iscc import ISCC
from cqlib.compressors.natural_compression import NaturalCompression
from cqlib.compressors.natural_dithering import NaturalDithering
from cqlib.compressors.perm_k import PermK
from cqlib.compressors.permk_cq import PermKCQ
from cqlib.compressors.rand_k import RandK
from cqlib.compressors.registry import make, names
from cqlib.compressors.standard_dithering import StandardDithering
from cqlib.compressors.terngrad import TernGrad
from cqlib.compressors.top_k import TopK
from cqlib.compressors.types import AB, Constants, Context, Facts, Layout, Symbols

__all__ = [
    "AB",
    "CQ",
    "IQ",
    "ISCC",
    "Composition",
    "Compressor",
    "Constants",
    "Context",
    "Drive",
    "DrivePlus",
    "Facts",
    "GlobalQSGD",
    "Identity",
    "Layout",
    "NaturalCompression",
    "NaturalDithering",
    "PermK",
    "PermKCQ",
    "RandK",
    "StandardDithering",
    "Symbols",
    "TernGrad",
    "TopK",
    "average",
    "compose",
    "make",
    "names",
]
