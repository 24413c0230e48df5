"""Parameters of a notebook: the literals of its one cell, and what may be given in their place."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat


class ParameterError(ValueError):
    """A parameter that the notebook does not have, or of the wrong type."""


def defaults(source: Path) -> dict[str, Any]:
    """Return the notebook's quick profile: the literals of its one ``parameters`` cell.

    Raises:
        ParameterError: if there is not exactly one such cell or it is more than literals.
    """
    nb = nbformat.read(source, as_version=4)
    cells = [c for c in nb.cells if "parameters" in c.metadata.get("tags", [])]
    if len(cells) != 1:
        raise ParameterError(f"{source}: needs one cell tagged 'parameters', has {len(cells)}")
    found = {}
    for statement in ast.parse(cells[0].source).body:
        try:
            assert isinstance(statement, ast.Assign)
            (target,) = statement.targets
            assert isinstance(target, ast.Name)
            found[target.id] = ast.literal_eval(statement.value)
        except (AssertionError, ValueError):
            raise ParameterError(
                f"{source}: the parameters cell must hold lines 'name = literal' only, "
                f"not {ast.unparse(statement)!r}"
            ) from None
    return found


def checked(source: Path, known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is given, with floats where the notebook's own values, ``known``, are floats.

    Raises:
        ParameterError: for a parameter that is not known, or of another type.
    """
    found = {}
    for name, value in given.items():
        if name not in known:
            listed = ", ".join(known) or "none"
            raise ParameterError(f"unknown parameter {name!r} of {source}; known: {listed}")
        found[name] = _with_floats([known[name]], value)
        if misfit := _misfit([known[name]], found[name]):
            own, part = misfit
            verb = "is" if part is found[name] else "holds"
            raise ParameterError(
                f"parameter {name!r} of {source} {verb} a {type(own).__name__} like {own!r}, "
                f"got {part!r}"
            )
    return found


def _with_floats(own: list[Any], value: Any) -> Any:
    """A value with floats where the notebook has them: YAML takes 1e-3 for a text.

    Args:
        own: what the notebook has in this place; a list in it may have several.
        value: what is given for it.
    """
    kind = _one_type(own)
    if kind is list and isinstance(value, list):
        return [_with_floats(*pair) for pair in zip(_places(own, len(value)), value, strict=True)]
    if kind is float and type(value) in (int, str):
        with suppress(ValueError, OverflowError):
            return number if math.isfinite(number := float(value)) else value
    return value


def _misfit(own: list[Any], value: Any) -> tuple[Any, Any] | None:
    """The first part of a value that is of another type than the notebook's, after one of those."""
    kind = _one_type(own)
    if kind is None:
        return None
    if type(value) is not kind:
        return own[0], value
    parts = value if isinstance(value, list) else []
    return next(filter(None, (_misfit(_inside(own), part) for part in parts)), None)


def _one_type(values: list[Any]) -> type | None:
    """The type that all values have; None where there is no such type, or no value."""
    kinds = {type(value) for value in values}
    return kinds.pop() if len(kinds) == 1 else None


def _inside(lists: list[list[Any]]) -> list[Any]:
    return [part for each in lists for part in each]


def _places(lists: list[list[Any]], size: int) -> list[list[Any]]:
    """What lists hold, for each place of one of a size: rows of mixed types have columns."""
    inside = _inside(lists)
    if _one_type(inside) is None and {len(each) for each in lists} == {size}:
        return [list(column) for column in zip(*lists, strict=True)]
    return [inside] * size
