"""The modules of the two packages that a piece of code uses, found from the sources."""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Collection, Iterable, Iterator
from importlib.util import resolve_name
from pathlib import Path

PACKAGES = ("cqlib", "cqbook")
# These packages import all files in their folder.
IMPORT_ALL = ("cqlib.compressors",)
DATA = (".json", ".xz")  # endings of the data files in packages


def files(root: Path) -> dict[str, Path]:
    """Return the files of the packages' modules by name; a package's file is ``__init__.py``.

    Hidden files, such as an editor's, do not count.
    """
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("[!.]*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def package_of(module: str, file: Path) -> str:
    """Return the package at which the relative imports of a module start."""
    return module if file.name == "__init__.py" else module.rpartition(".")[0]


def imported(
    code: ast.AST, modules: Collection[str], package: str = ""
) -> Iterator[tuple[str, str]]:
    """Yield each import as a pair: the module, and the name imported from it, or "".

    Imports inside functions and for types count, too, and ``import_module`` with a literal.

    Args:
        code: the code.
        modules: the names of the modules that are looked for.
        package: the package at which relative imports start; "" if the code has none.

    >>> modules = ["cqlib", "cqlib.keys", "cqlib.theory"]
    >>> code = ast.parse("import cqlib.keys; from cqlib import Key, theory; import torch")
    >>> list(imported(code, modules))
    [('cqlib.keys', ''), ('cqlib', 'Key'), ('cqlib.theory', '')]
    >>> list(imported(ast.parse("from . import keys"), modules, "cqlib"))
    [('cqlib.keys', '')]
    """
    for node in ast.walk(code):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute("." * node.level + (node.module or ""), package)
            for alias in node.names:
                if f"{module}.{alias.name}" in modules:
                    yield f"{module}.{alias.name}", ""
                elif module in modules:
                    yield module, alias.name
        elif isinstance(node, ast.Call):
            module = _absolute(_loaded(node), package)
            if module in modules:
                yield module, ""


class Sources:
    """The modules of both packages, each as at its first reading.

    Args:
        root: the folder of the packages.
    """

    def __init__(self, root: Path) -> None:
        self.files = files(root)
        self._names = frozenset(self.files)
        self._text = functools.cache(self._read)
        self._imports = functools.cache(self._named_by)
        self._digest = functools.cache(self._module_digest)

    def used(self, code: ast.AST, without: str = "") -> set[str]:
        """Return the modules that a piece of code uses, directly or indirectly.

        A module uses its package's ``__init__.py``, and a package in ``IMPORT_ALL`` uses all its
        files. ``cqlib/__init__.py`` loads modules on first use, so only those that the code names
        count. A text that is a module's name counts as an import, since processes are started by
        such names.

        Args:
            code: the code.
            without: a package that the code does not use, although modules import it.
        """
        found: set[str] = set()
        waiting = set(self._with_homes(named(code, self._names)))
        while waiting:
            name = waiting.pop()
            if without and f"{name}.".startswith(f"{without}."):
                continue
            found.add(name)
            if name not in PACKAGES:
                waiting |= self._imports(name) - found
        return found

    def digest(self, names: Iterable[str]) -> str:
        """Return the SHA-256 of modules, and of the data files of packages among them.

        It does not depend on comments, docstrings, ``__version__`` and the layout of the code.
        """
        parts = [f"{name} {self._digest(name)}" for name in sorted(names)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _named_by(self, name: str) -> set[str]:
        found = _named(self._text(name), package_of(name, self.files[name]), self._names)
        return set(self._with_homes(found))

    def _with_homes(self, named: Iterable[tuple[str, str]]) -> Iterator[str]:
        """Yield the modules that code names directly, each with its packages."""
        for module, name in named:
            yield from self._with_packages(module)
            if module in PACKAGES:
                for home in self._homes(module, name):
                    yield from self._with_packages(home)

    def _homes(self, package: str, name: str) -> list[str]:
        """Return the module from which a package's ``__init__.py`` imports a name; for "", all."""
        offered = _named(self._text(package), package, self._names)
        return [module for module, taken in offered if name in ("", taken)]

    def _with_packages(self, module: str) -> Iterator[str]:
        parts = module.split(".")
        for package in (".".join(parts[:length]) for length in range(1, len(parts) + 1)):
            yield package
            if package in IMPORT_ALL:
                yield from (name for name in self.files if name.startswith(f"{package}."))

    def _read(self, name: str) -> str:
        return self.files[name].read_text(encoding="utf-8")

    def _module_digest(self, name: str) -> str:
        file = self.files[name]
        parts = [_dumped(self._text(name)).encode()]
        for path in _data(file.parent) if file.name == "__init__.py" else ():
            parts += [path.name.encode(), path.read_bytes()]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()


@functools.cache
def _parsed(text: str) -> ast.Module:
    """Return a module's code without remarks; it must not be changed."""
    return without_remarks(ast.parse(text))


@functools.cache
def _dumped(text: str) -> str:
    return ast.dump(_parsed(text))


@functools.cache
def _named(text: str, package: str, modules: frozenset[str]) -> list[tuple[str, str]]:
    return named(_parsed(text), modules, package)


def named(code: ast.AST, modules: Collection[str], package: str = "") -> list[tuple[str, str]]:
    """Return what `imported` yields, and a pair with "" for every module that a text names."""
    texts = {node.value for node in ast.walk(code) if isinstance(node, ast.Constant)}
    by_text = {name for name in modules if name not in PACKAGES and name in texts}
    by_text |= {name for name in modules if name.removesuffix(".__main__") in by_text}
    return [*imported(code, modules, package), *((name, "") for name in sorted(by_text))]


def without_remarks(code: ast.Module) -> ast.Module:
    """Remove the docstrings and ``__version__`` from code, in place, and return it."""
    code.body = [node for node in code.body if not _is_version(node)]
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(code):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return code


def _is_version(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__"


def _absolute(name: str, package: str) -> str:
    """Return the name of a module without leading dots; "" if it has more than it may have."""
    try:
        return resolve_name(name, package)
    except ImportError:
        return ""


def _loaded(call: ast.Call) -> str:
    """Return the literal that ``import_module`` is called with; "" for all other calls."""
    function = ast.unparse(call.func)
    if function in ("import_module", "importlib.import_module") and call.args:
        name = call.args[0]
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            return name.value
    return ""


def _data(package: Path) -> list[Path]:
    """Return the data files of a package, without those of packages inside it."""
    found = []
    for path in sorted(package.iterdir()):
        if path.is_dir():
            inner = path.name != "__pycache__" and not (path / "__init__.py").exists()
            found += _data(path) if inner else []
        elif path.suffix in DATA and not path.name.startswith("."):
            found.append(path)
    return found
