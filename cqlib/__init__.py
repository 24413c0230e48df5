"""cqlib: correlated quantization for distributed optimization, with the checks of its theory."""

from cqlib.keys import Key
from cqlib.payload import Payload, PayloadError

__all__ = ["Key", "Payload", "PayloadError"]
__version__ = "0.1.0"
