"""Ways to change what a function does, whatever its code looks like.

A change runs the function with other arguments, turns its result into another one, or goes on where
it raises. It reports whether that made a difference. The function itself stays the same object, so
that the change reaches every module and every table that holds it.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np
from torch import Tensor

Function = Callable[..., Any]
Arguments = Any  # of one call, by name; ``original`` is the unchanged function
Change = Callable[[Function, Arguments, inspect.BoundArguments], tuple[Any, bool]]


class MutantError(ValueError):
    """A mutant that cannot be made."""


@dataclass
class Tally:
    """How often a changed function was called, and how often that made a difference."""

    calls: int = 0
    differences: int = 0


def arguments(**new: Callable[[Arguments], Any]) -> Change:
    """Replace arguments: a function of all arguments for each."""

    def run(original: Function, a: Arguments, bound: inspect.BoundArguments) -> tuple[Any, bool]:
        found = {name: value(a) for name, value in new.items()}
        differs = any(not same(value, getattr(a, name)) for name, value in found.items())
        bound.arguments.update(found)
        return original(*bound.args, **bound.kwargs), differs

    return run


def result(new: Callable[[Any, Arguments], Any]) -> Change:
    """Replace the result by a function of it and of the arguments; ``out`` is filled, too."""

    def run(original: Function, a: Arguments, bound: inspect.BoundArguments) -> tuple[Any, bool]:
        old = original(*bound.args, **bound.kwargs)
        with np.errstate(all="ignore"):
            found = new(old, a)
        differs = not same(found, old)
        if getattr(a, "out", None) is not None and differs:
            a.out[...] = found
            found = a.out
        return found, differs

    return run


def unrefused(message: str, instead: Callable[[Arguments], Any]) -> Change:
    """Return something else where the function raises ValueError with these words."""

    def run(original: Function, a: Arguments, bound: inspect.BoundArguments) -> tuple[Any, bool]:
        try:
            return original(*bound.args, **bound.kwargs), False
        except ValueError as error:
            if message not in str(error):
                raise
            return instead(a), True

    return run


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal, arrays within tuples included."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (np.ndarray, Tensor)):
        return np.array_equal(np.asarray(a), np.asarray(b))
    return bool(a == b)


def function_of(target: str) -> FunctionType:
    """Return the function, method or property under a name ``module:function``, in cqlib.

    Raises:
        MutantError: if there is none; a class must define the method itself.
    """
    module, _, path = target.partition(":")
    try:
        *owners, name = path.split(".")
        owner = pkgutil.resolve_name(f"cqlib.{module}:{'.'.join(owners)}")
        found = vars(owner)[name]
    except (ImportError, AttributeError, KeyError):
        raise MutantError(f"there is no cqlib.{target}") from None
    found = inspect.unwrap(getattr(found, "fget", getattr(found, "__func__", found)))
    if not isinstance(found, FunctionType):
        raise MutantError(f"cqlib.{target} is no function in Python, but {type(found).__name__}")
    return found


def put(change: Change, target: str) -> Tally:
    """Change a function for the rest of the process."""
    function, tally = function_of(target), Tally()
    code, signature = function.__code__, inspect.signature(function)
    original = FunctionType(
        code, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    original.__kwdefaults__ = function.__kwdefaults__

    def changed(*args: Any, **kwargs: Any) -> Any:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:  # not a call of this function
            return original(*args, **kwargs)
        bound.apply_defaults()
        tally.calls += 1
        a = SimpleNamespace(**bound.arguments, original=original)
        value, differs = change(original, a, bound)
        tally.differences += differs
        return value

    namespace: dict[str, Any] = {}
    function.__globals__.setdefault("__mutants__", {})[target] = changed
    source = f"def mutant(*args, **kwargs): return __mutants__[{target!r}](*args, **kwargs)"
    exec(source, namespace)
    mutant: Any = namespace["mutant"]
    function.__code__ = mutant.__code__.replace(co_freevars=code.co_freevars)
    function.__wrapped__ = original  # type: ignore[attr-defined]
    return tally
