"""Compare printed numbers with stored ones within a tolerance that the cell's tag states.

nbval compares to the letter. Results of tuned runs cannot always bear that: processors add a matrix
product up in different orders, and where the last bit decides how a quantizer rounds, the run goes
another way from there.
"""

import copy
import re
from collections.abc import Iterable
from typing import Any

NUMBER = re.compile(r"(?<![\w.^])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w^])")
TAG = re.compile(r"numbers-within-(\d+\.\d+)")


def tolerance(tags: Iterable[str]) -> float | None:
    """Return what a tag ``numbers-within-0.1`` allows, or None without such a tag."""
    found = [float(match[1]) for tag in tags if (match := TAG.fullmatch(tag))]
    return found[0] if found else None


def agree(text: str, stored: str, within: float) -> bool:
    """Whether two texts differ in nothing but spacing and, by at most ``within``, in numbers."""
    words, stored_words = (" ".join(NUMBER.sub("#", each).split()) for each in (text, stored))
    pairs = zip(NUMBER.findall(text), NUMBER.findall(stored), strict=False)
    near = all(abs(float(a) - float(b)) <= within * (1 + 1e-9) for a, b in pairs)
    return words == stored_words and near


def adopt(outputs: list[Any], stored: list[Any], within: float) -> list[Any]:
    """Return the outputs with the stored texts in place of those that agree with them."""
    adopted = copy.deepcopy(outputs)
    for new, old in zip(adopted, stored, strict=False):
        for texts, kept in ((new, old), (new.get("data", {}), old.get("data", {}))):
            for key in ("text", "text/plain", "text/html", "text/markdown"):
                if isinstance(texts.get(key), str) and isinstance(kept.get(key), str):
                    texts[key] = kept[key] if agree(texts[key], kept[key], within) else texts[key]
    return adopted
