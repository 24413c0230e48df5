"""Optimisation methods: small init and step functions, and the loop that runs them."""

from cqlib.methods.by_bytes import marina_by_bytes
from cqlib.methods.dcgd import dcgd
from cqlib.methods.descend import Progress, descend
from cqlib.methods.diana import diana
from cqlib.methods.gd import gd
from cqlib.methods.marina import CombinatorialCompressor, marina
from cqlib.methods.trace import Trace
from cqlib.methods.weighted_marina import weighted_marina

__all__ = [
    "CombinatorialCompressor",
    "Progress",
    "Trace",
    "dcgd",
    "descend",
    "diana",
    "gd",
    "marina",
    "marina_by_bytes",
    "weighted_marina",
]
