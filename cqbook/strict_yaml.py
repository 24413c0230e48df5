"""YAML without surprises: sweep files, profiles, the ledger, parameters.

A repeated key, an alias and a tag are errors: with aliases a small file can stand for billions of
values, and with tags, such as ``!!int``, values would be read by other rules.
Values without quotation marks follow the core schema of YAML 1.2: ``no``, ``1:30`` and
``2020-01-01`` are texts, ``010`` is ten. Unlike there, digits may be grouped, as in ``100_000``.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import yaml

_INTEGER = re.compile(r"[-+]?[0-9]+(_[0-9]+)*|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(_[0-9]+)*(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class YAMLError(ValueError):
    """A text is not valid YAML, repeats a key, or has an alias or a tag."""

    exit_code = 2


class Plain(str):
    """A value without quotation marks, as it is written; see `resolved`."""

    __slots__ = ()


def load(text: str, *, typed: bool = True) -> Any:
    """Return the content of a YAML text.

    Args:
        text: the text.
        typed: False to return values without quotation marks as `Plain`.

    >>> load("{n: [1, 010, 1e-3], ranks: no}")
    {'n': [1, 10, 0.001], 'ranks': 'no'}

    Raises:
        YAMLError: if it is not valid YAML, a mapping has a key twice, or there is an alias or tag.
    """
    try:
        found = yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError) as error:
        told = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise YAMLError(f"not valid YAML: {told}") from None
    return resolved(found) if typed else found


def read(file: Path, *, typed: bool = True) -> Any:
    """Return the content of a YAML file.

    Raises:
        YAMLError: as `load`, also if the file is not UTF-8; the message names the file.
        OSError: if the file cannot be read.
    """
    try:
        return load(file.read_text(encoding="utf-8"), typed=typed)
    except (YAMLError, UnicodeDecodeError) as error:
        raise YAMLError(f"{file}: {error}") from None


def resolved(value: Any) -> Any:
    """Return a value with the types of the core schema, also inside lists and mappings."""
    if isinstance(value, dict):
        return {resolved(key): resolved(part) for key, part in value.items()}
    if isinstance(value, list):
        return [resolved(part) for part in value]
    if not isinstance(value, Plain):
        return value
    if value in _WORDS:
        return _WORDS[value]
    if _INTEGER.fullmatch(value):
        base = {"0o": 8, "0x": 16}.get(value[:2], 10)
        try:
            return int(value, base)
        except ValueError:  # Python reads a few thousand digits
            raise YAMLError(f"{value[:20]}... has too many digits, {len(value)}") from None
    if _FLOAT.fullmatch(value):
        if math.isinf(number := float(value)):
            raise YAMLError(f"{value} exceeds the largest float")
        return number
    if _SPECIAL.fullmatch(value):
        return float(value.replace(".", ""))
    return str(value)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML's are those of YAML 1.1

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            where = f"line {event.start_mark.line + 1}"
            raise YAMLError(f"{where}: aliases such as *{event.anchor} are not allowed")
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None) is not None:
            where, tag = f"line {event.start_mark.line + 1}", event.tag
            tag = tag.replace("tag:yaml.org,2002:", "!!")
            raise YAMLError(f"{where}: tags such as {tag} are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        values: set[Any] = set()
        names: set[str] = set()
        for key in keys:
            value = resolved(key)
            name = value if isinstance(value, str) else json.dumps(value)
            if value in values or name in names:  # 1 and true are one key, 1 and "1" one of JSON
                raise YAMLError(f"the key {str(key)!r} is repeated")
            values.add(value)
            names.add(name)
        return super().construct_mapping(node, deep)


def _text(loader: _Loader, node: yaml.ScalarNode) -> str:
    text = str(loader.construct_scalar(node))
    return Plain(text) if node.style is None else text


_Loader.add_constructor("tag:yaml.org,2002:str", _text)
