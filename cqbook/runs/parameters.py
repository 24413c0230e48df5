"""Parameters of a notebook: the literals of its parameters cell, and checks of other values."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat

from cqbook.strict_yaml import Plain, YAMLError, resolved


class ParameterError(ValueError):
    """A parameter is unknown or has the wrong type."""

    exit_code = 2


def defaults(source: Path) -> dict[str, Any]:
    """Return the notebook's quick profile: the literals of its ``parameters`` cell.

    Raises:
        ParameterError: if it is no notebook, there is not exactly one such cell, it has more than
            literals, or one of them cannot be written as JSON.
    """
    try:
        nb = nbformat.read(source, as_version=4)
        cells = [c for c in nb.cells if "parameters" in c.metadata.get("tags", [])]
    except OSError:
        raise
    except Exception as error:  # nbformat raises many kinds
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ParameterError(f"{source} is not a notebook: {told}") from None
    if len(cells) != 1:
        raise ParameterError(f"{source}: needs one cell tagged 'parameters', has {len(cells)}")
    found = {}
    try:
        statements = ast.parse(cells[0].source).body
    except (SyntaxError, ValueError) as error:
        raise ParameterError(f"{source}: the parameters cell is not Python: {error}") from None
    for statement in statements:
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
        try:
            json.dumps(found[target.id])
        except (TypeError, ValueError):
            raise ParameterError(
                f"{source}: the value of {target.id!r} cannot be written as JSON"
            ) from None
    return found


def checked(source: Path, known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given values, as floats where the notebook's own values, ``known``, are floats.

    Raises:
        ParameterError: if a parameter is unknown or has another type.
    """
    found = {}
    for name, value in given.items():
        if name not in known:
            listed = ", ".join(known) or "none"
            raise ParameterError(f"unknown parameter {name!r} of {source}; known: {listed}")
        try:
            found[name] = _like([known[name]], value)
        except _Misfit as misfit:
            own, part, inside = misfit.args
            verb = "must hold values" if inside else "must be"
            raise ParameterError(
                f"parameter {name!r} of {source} {verb} of type {type(own).__name__}, "
                f"such as {own!r}, got {part!r}"
            ) from None
        except YAMLError as error:
            raise ParameterError(f"parameter {name!r} of {source}: {error}") from None
    return found


class _Misfit(Exception):
    """A value has another type than the example.

    The arguments are the example, the value, and True if the value is inside a list.
    """


def _like(examples: list[Any], value: Any, *, row: bool = False) -> Any:
    """Return a value as one of the examples' type.

    A value without quotation marks has the type of the example, if it can be read so. An integer
    or a text may stand for a float, a list for a tuple.
    The items of a list are compared with the items of all examples. If these have several types, an
    item may have any type. In a row, a list inside a list, each column has its own type.
    """
    kinds = {type(example) for example in examples}
    if isinstance(value, Plain):
        value = str(value) if kinds == {str} else resolved(value)
    if kinds == {float} and type(value) in (int, str):
        value = _number(value)
    if kinds == {tuple} and type(value) is list:
        kinds = {list}
    if len(kinds) == 1 and type(value) not in kinds:
        raise _Misfit(examples[0], value, row)
    if kinds != {list}:
        return resolved(value)
    inside = [part for example in examples for part in example]
    columns = [inside] * len(value)
    mixed = len({type(part) for part in inside}) > 1
    if row and mixed and {len(example) for example in examples} == {len(value)}:
        columns = [list(column) for column in zip(*examples, strict=True)]
    return [_like(column, part, row=True) for column, part in zip(columns, value, strict=True)]


def _number(value: int | str) -> Any:
    """Return a finite number as a float, and any other value unchanged."""
    with suppress(ValueError, OverflowError):
        return number if math.isfinite(number := float(value)) else value
    return value
