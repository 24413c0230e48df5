"""Checks of a compressor's class when Python defines it, so that mistakes have a reason."""

from __future__ import annotations

import inspect
from collections.abc import Iterator


def check_class(cls: type, base: type, *, abstract: bool) -> None:
    """Raise unless a subclass of ``base`` is a correct definition of a compressor.

    Args:
        cls: the new class; its dataclass fields are not known yet.
        base: the class whose final members may not be overridden.
        abstract: True for a base class of several compressors, which may lack members.

    Raises:
        TypeError: naming the members that are overridden, annotated or missing.
    """
    _raise(cls, "may not override {}, final in " + base.__name__, overridden(cls, base))
    _raise(cls, "may not annotate {}: an annotated name is an option", annotated(cls))
    if not abstract:
        _raise(
            cls, "lacks {}; if it is a base of compressors, name it _" + cls.__name__, lacks(cls)
        )


def overridden(cls: type, base: type) -> Iterator[str]:
    """Yield the final members of ``base`` that a subclass defines, or inherits from elsewhere."""
    own = set(inspect.get_annotations(cls))
    own.update(*(vars(c) for c in cls.__mro__[: cls.__mro__.index(base)]))
    for name, member in vars(base).items():
        if name in own and getattr(getattr(member, "fget", member), "__final__", False):
            yield name


def annotated(cls: type) -> Iterator[str]:
    """Yield the members among ``name`` and ``facts`` that the dataclass takes for an option."""
    for name, kind in inspect.get_annotations(cls).items():
        if name in ("name", "facts") and "ClassVar" not in str(kind):
            yield name


def lacks(cls: type) -> Iterator[str]:
    """Yield the members that a compressor must define and a class does not; the name is its own."""
    if not isinstance(vars(cls).get("name"), str):
        yield "name"
    for name in dir(cls):
        if getattr(inspect.getattr_static(cls, name), "__isabstractmethod__", False):
            yield name


def _raise(cls: type, reason: str, found: Iterator[str]) -> None:
    """Raise TypeError for the reason if any member is found."""
    if names := ", ".join(found):
        raise TypeError(f"compressor {cls.__module__}.{cls.__qualname__} {reason.format(names)}")
