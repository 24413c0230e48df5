"""The modules of the two packages that a piece of code uses, found from the sources."""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

PACKAGES = ("cqlib", "cqbook")
# These packages import all files in their folder.
IMPORT_ALL = ("cqlib.compressors",)


def files(root: Path) -> dict[str, Path]:
    """Return the files of the packages' modules by name; a package's file is ``__init__.py``."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(code: ast.AST, modules: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield each import as a pair: the module, and the name imported from it, or "".

    Imports inside functions and for types count, too.

    >>> modules = ["cqlib", "cqlib.keys", "cqlib.theory"]
    >>> code = ast.parse("import cqlib.keys; from cqlib import Key, theory; import torch")
    >>> list(imported(code, modules))
    [('cqlib.keys', ''), ('cqlib', 'Key'), ('cqlib.theory', '')]
    """
    for node in ast.walk(code):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if f"{node.module}.{alias.name}" in modules:
                    yield f"{node.module}.{alias.name}", ""
                elif node.module in modules:
                    yield node.module, alias.name


class Sources:
    """The modules of both packages, each as at its first reading.

    Args:
        root: the folder of the packages.
    """

    def __init__(self, root: Path) -> None:
        self.files = files(root)
        self._tree = functools.cache(self._parsed)
        self._imports = functools.cache(lambda name: set(self._named(self._tree(name))))
        self._digest = functools.cache(self._module_digest)

    def used(self, code: ast.AST) -> set[str]:
        """Return the modules that a piece of code uses, directly or indirectly.

        A module uses its package's ``__init__.py``, and a package in ``IMPORT_ALL`` uses all its
        files. ``cqlib/__init__.py`` loads modules on first use, so only those that the code names
        count. A text that is a module's name counts as an import, since processes are started by
        such names.
        """
        found: set[str] = set()
        waiting = set(self._named(code))
        while waiting:
            name = waiting.pop()
            found.add(name)
            if name not in PACKAGES:
                waiting |= self._imports(name) - found
        return found

    def digest(self, names: Iterable[str]) -> str:
        """Return the SHA-256 of modules, and of the data files of packages among them.

        It does not depend on comments, docstrings and the layout of the code.
        """
        parts = [f"{name} {self._digest(name)}" for name in sorted(names)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _named(self, code: ast.AST) -> Iterator[str]:
        """Yield the modules that code names directly, each with its packages."""
        texts = {node.value for node in ast.walk(code) if isinstance(node, ast.Constant)}
        named = {name for name in self.files.keys() - set(PACKAGES) if name in texts}
        named |= {f"{name}.__main__" for name in named} & self.files.keys()
        for module, name in [*imported(code, self.files), *((name, "") for name in named)]:
            yield from self._with_packages(module)
            if module in PACKAGES:
                for home in self._homes(module, name):
                    yield from self._with_packages(home)

    def _homes(self, package: str, name: str) -> list[str]:
        """Return the module from which a package's ``__init__.py`` imports a name; for "", all."""
        offered = imported(self._tree(package), self.files)
        return [module for module, taken in offered if name in ("", taken)]

    def _with_packages(self, module: str) -> Iterator[str]:
        parts = module.split(".")
        for package in (".".join(parts[:length]) for length in range(1, len(parts) + 1)):
            yield package
            if package in IMPORT_ALL:
                yield from (name for name in self.files if name.startswith(f"{package}."))

    def _parsed(self, name: str) -> ast.Module:
        return without_docstrings(ast.parse(self.files[name].read_text(encoding="utf-8")))

    def _module_digest(self, name: str) -> str:
        file = self.files[name]
        parts = [ast.dump(self._tree(name)).encode()]
        for path in _data(file.parent) if file.name == "__init__.py" else ():
            parts += [path.name.encode(), path.read_bytes()]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()


def without_docstrings(code: ast.Module) -> ast.Module:
    """Remove the docstrings from code, in place, and return it."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(code):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return code


def _data(package: Path) -> list[Path]:
    """Return the files of a package that are not code, without those of packages inside it."""
    found = []
    for path in sorted(package.iterdir()):
        if path.is_dir():
            inner = path.name != "__pycache__" and not (path / "__init__.py").exists()
            found += _data(path) if inner else []
        elif path.suffix not in (".py", ".pyc") and path.name != "py.typed":
            found.append(path)
    return found
