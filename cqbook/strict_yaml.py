"""YAML in which a repeated key is an error: sweep files, profiles, the ledger, parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


class YAMLError(ValueError):
    """A text is not valid YAML, or repeats a key."""

    exit_code = 2


def load(text: str) -> Any:
    """Return the content of a YAML text.

    >>> load("n: [1, 2]")
    {'n': [1, 2]}

    Raises:
        YAMLError: if it is not valid YAML, or a mapping has a key twice.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise YAMLError(f"not valid YAML: {error}") from None


def read(file: Path) -> Any:
    """Return the content of a YAML file.

    Raises:
        YAMLError: as `load`, also if the file is not UTF-8; the message names the file.
        OSError: if the file cannot be read.
    """
    try:
        return load(file.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise YAMLError(f"{file}: {error}") from None


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for place, key in enumerate(keys) if key in keys[:place]]:
            raise YAMLError(f"the key {twice[0]!r} is repeated")
        return super().construct_mapping(node, deep)
