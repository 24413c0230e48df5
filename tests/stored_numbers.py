"""Compare printed numbers with stored ones within a tolerance that the cell's tag states.

nbval compares texts exactly. This is too strict for tuned runs: processors add the terms of a
matrix product in different orders, and if the last bit changes the rounding of a quantizer, the
rest of the run differs.
"""

import copy
import re
from collections.abc import Iterable
from typing import Any

NUMBER = re.compile(r"(?<![\w.^])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w^])")
TAG = re.compile(r"numbers-within-(\d+\.\d+)")


def tolerance(tags: Iterable[str]) -> float | None:
    """Return the tolerance of a tag such as ``numbers-within-0.1``, or None without one."""
    found = [float(match[1]) for tag in tags if (match := TAG.fullmatch(tag))]
    return found[0] if found else None


def agree(text: str, stored: str, within: float) -> bool:
    """Return True if two texts differ only in spacing and, by at most ``within``, in numbers."""
    words, stored_words = (" ".join(NUMBER.sub("#", each).split()) for each in (text, stored))
    pairs = zip(NUMBER.findall(text), NUMBER.findall(stored), strict=False)
    near = all(abs(float(a) - float(b)) <= within * (1 + 1e-9) for a, b in pairs)
    return words == stored_words and near


def adopt(outputs: list[Any], stored: list[Any], within: float) -> list[Any]:
    """Return the outputs, with each text replaced by the stored one if they agree."""
    adopted = copy.deepcopy(outputs)
    for new, old in zip(adopted, stored, strict=False):
        for texts, kept in ((new, old), (new.get("data", {}), old.get("data", {}))):
            for key in ("text", "text/plain", "text/html", "text/markdown"):
                if isinstance(texts.get(key), str) and isinstance(kept.get(key), str):
                    texts[key] = kept[key] if agree(texts[key], kept[key], within) else texts[key]
    return adopted
