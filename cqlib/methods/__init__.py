"""Optimisation methods: small init and step functions, and the loop that runs them."""

from cqlib.methods.descend import Round, descend
from cqlib.methods.gd import gd
from cqlib.methods.marina import marina
from cqlib.methods.trace import Trace

__all__ = ["Round", "Trace", "descend", "gd", "marina"]
