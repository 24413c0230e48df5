"""The environment: three files that must agree, and an installer with clear errors."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
import venv
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
CORE = {"numpy", "scipy", "torch", "numba"}
PIN = re.compile(r"([a-z0-9-]+)==(\S+)")


def constraint_lines():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def pins():
    return dict(PIN.fullmatch(line).groups() for line in constraint_lines())


def requirements(*extras):
    """Return the requirements of the core and these extras, with the extras that they include."""
    found = list(map(Requirement, PROJECT["dependencies"]))
    for extra in extras:
        for requirement in map(Requirement, EXTRAS[extra]):
            inner = requirement.name == PROJECT["name"]
            found += requirements(*requirement.extras) if inner else [requirement]
    return list({requirement.name: requirement for requirement in found}.values())


# The files agree


def test_constraints_are_exact_sorted_and_untagged():
    lines = constraint_lines()
    assert [line for line in lines if not PIN.fullmatch(line)] == []
    names = [line.split("==")[0] for line in lines]
    assert names == sorted(set(names)) == [canonicalize_name(name) for name in names]
    # a local build tag, as in torch's CPU wheels, cannot be resolved on another index
    assert [line for line in lines if Version(line.split("==")[1]).local] == []


@pytest.mark.parametrize(
    "requirement", requirements(*EXTRAS), ids=lambda requirement: requirement.name
)
def test_every_requirement_has_a_pin_in_its_range(requirement):
    pin = pins()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(pin, prereleases=True)


def test_the_two_pins_everything_rests_on():
    assert pins()["torch"] == "2.13.0"
    assert pins()["jupyter-book"] == "1.0.4.post1"  # the last that reads _config.yml


def test_extras_are_the_documented_ones():
    assert set(EXTRAS) == {"data", "book", "test", "batch", "gpu", "fuzz", "bench"}


def test_the_library_needs_four_packages():
    assert {requirement.name for requirement in requirements()} == CORE


homes_of_modules = cache(metadata.packages_distributions)


def third_party(*patterns):
    """Return the distributions imported by these files, by the name of the module."""
    files = [file for pattern in patterns for file in ROOT.glob(pattern)]
    assert files
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text("utf-8")))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    modules = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    homes = homes_of_modules()
    ours = {"cqlib", "cqbook", "benchmarks", "tests", "tools"}
    return {canonicalize_name(homes.get(name, [name])[0]) for name in modules - ours}


@pytest.mark.parametrize(
    ("extras", "patterns"),
    [
        (("data", "gpu"), ["cqlib/**/*.py"]),
        (("book",), ["cqbook/*.py", "cqbook/[!s]*/**/*.py", "cqbook/sweeps/[!d]*.py"]),
        (("batch",), ["cqbook/**/*.py", "book/_ext/*.py"]),
        (("bench", "gpu"), ["benchmarks/**/*.py"]),
        (("test",), ["tests/**/*.py"]),
        (("fuzz",), ["tools/*.py", "tests/fuzzing.py", "tests/cases.py"]),
    ],
    ids=lambda value: ",".join(value),
)
@pytest.mark.slow
def test_an_extra_brings_what_its_files_import(extras, patterns):
    brought = {canonicalize_name(requirement.name) for requirement in requirements(*extras)}
    through = {"docutils": "jupyter-book", "sphinx": "jupyter-book", "llvmlite": "numba"}
    through["snakemake-interface-executor-plugins"] = "snakemake"
    needed = {through.get(name, name) for name in third_party(*patterns)}
    assert needed <= brought


def test_conda_only_adds_python_and_pip():
    *conda, pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    names = [re.split("[=<>]", package)[0] for package in conda]
    assert sorted(names) == ["pip", "python"]
    python = next(package for package in conda if package.startswith("python")).split("=")[1]
    assert SpecifierSet(PROJECT["requires-python"]).contains(python)
    constraints, project = pip["pip"]
    assert constraints == "-c constraints.txt"
    chosen = re.fullmatch(r"-e \.\[([\w,]+)\]", project)[1].split(",")
    assert set(chosen) <= set(EXTRAS)


def test_installed_versions_are_the_pinned_ones():
    wrong = []
    for name, pin in pins().items():
        try:
            installed = Version(metadata.version(name))
        except metadata.PackageNotFoundError:
            continue
        if installed.public != pin:
            wrong.append(f"{name} {installed}, pinned {pin}")
    assert wrong == [], "install with: pip install -c constraints.txt -e .[book,test]"


def test_minimum_python_is_stated_once_for_all():
    stated = re.search(r"^PYTHON_MIN = ([\d.]+)", (ROOT / "Makefile").read_text(), re.M)[1]
    assert PROJECT["requires-python"] == f">={stated}"


def test_what_make_creates_is_ignored():
    ignored = (ROOT / ".gitignore").read_text().split()
    assert {".venv/", "build/"} <= set(ignored)


# The library alone, as a user installs it


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    """Return the bin folder of a new environment with only the library."""
    folder = tmp_path_factory.mktemp("core")
    for package in ("cqlib", "cqbook"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / "source" / package, ignore=ignored)
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, folder / "source")
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / "bin"
    install = [programs / "python", "-m", "pip", "install", "--quiet", "--no-compile"]
    in_the_core(programs, *install, "-c", ROOT / "constraints.txt", folder / "source")
    return programs


def in_the_core(programs, *command, code=0, **env):
    """Run a command of the new environment, isolated from this checkout."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=programs.parent, env=kept | env, capture_output=True, text=True
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_core_runs_the_readme(core):
    """Run each code block, on compressors and the hook, in its own process."""
    readme = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", readme, flags=re.M | re.S)
    assert len(blocks) == 2 and "DDPHook" in blocks[1]
    alone = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    for block in blocks:
        in_the_core(core, core / "python", "-c", block, **alone)
    listed = in_the_core(core, core / "python", "-m", "pip", "list", "--format", "freeze")
    names = {canonicalize_name(line.partition("==")[0]) for line in listed.split()}
    assert {"cqlib", *CORE} <= names
    assert not names & {"click", "matplotlib", "nbformat", "pandas", "pyyaml", "scikit-learn"}


@pytest.mark.slow
def test_without_its_extra_the_command_says_so(core):
    for words in ([], ["--help"], ["run", "quickstart"], ["sweep", "sweeps/clients.yml"]):
        said = in_the_core(core, core / "cqlib", *words, code=2)
        assert said == "cqlib: this command needs more packages: pip install 'cqlib[book]'\n"


# The installer, by make; PATH has only the tools that it may use and the Pythons of the test

TOOLS = "make sh cat cksum cp date dirname grep mkdir rm tail touch tr".split()

# A fake Python: its venv is a copy of itself, its pip is the shell code of $FAKE_PIP.
FAKE_PYTHON = """#!/bin/sh
echo "$*" >>"$CALLS"
case "$*" in
*"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python && cp "$0" .venv/bin/cqlib ;;
*"-m pip"*) eval "${FAKE_PIP:-}" ;;
*ensurepip*) exit "${FAKE_VENV:-0}" ;;
esac
"""

PYTHON = shlex.quote(sys.executable)
OLD_PYTHON = f"""#!/bin/sh
exec {PYTHON} -c 'import sys; sys.version_info = (3, 9, 2); exec(sys.argv[1])' "$2"
"""

BROKEN_SHIM = """#!/bin/sh
echo "python3: command not found" >&2
exit 127
"""

REAL_PYTHON = f"""#!/bin/sh
exec {PYTHON} "$@"
"""


class Clone:
    """A copy of the installer's files, in a folder with a space in its name."""

    def __init__(self, folder: Path) -> None:
        self.root, self.bin = folder / "a clone", folder / "bin"
        (self.root / "tools").mkdir(parents=True)
        self.bin.mkdir()
        for name in ["Makefile", "tools/install.sh", "pyproject.toml", "constraints.txt"]:
            shutil.copy(ROOT / name, self.root / name)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.calls_file = folder / "calls"
        prefixes = ("MAKE", "MFLAGS", "PIP_", "PYTHON", "TORCH_INDEX", "VIRTUAL_ENV")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(prefixes)}
        self.env |= {"PATH": str(self.bin), "CALLS": str(self.calls_file)}

    def python(self, code: str, name: str = "python3") -> None:
        (self.bin / name).write_text(code)
        (self.bin / name).chmod(0o755)

    def make(self, *arguments: str, **env: str) -> subprocess.CompletedProcess:
        self.calls_file.write_text("")
        return subprocess.run(
            [self.bin / "make", *arguments],
            cwd=self.root,
            env=self.env | env,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def calls(self, word: str) -> list[str]:
        """Return the fake Python's commands in the last `make` that contain this word."""
        return [line for line in self.calls_file.read_text().splitlines() if word in line]

    def stamps(self) -> list[str]:
        return sorted(path.name for path in (self.root / ".venv").glob("*.stamp"))


@pytest.fixture
def clone(tmp_path):
    return Clone(tmp_path)


def the_sentence(run):
    """Return the single line of output of a failed run, before make's own."""
    assert run.returncode != 0
    said = [line for line in run.stderr.splitlines() if not line.startswith("make")]
    assert len(said) == 1
    assert said[0].startswith("cqlib: ")
    return said[0]


@pytest.mark.parametrize("target", ["book", "test"])
def test_an_old_python_is_named(clone, target):
    clone.python(OLD_PYTHON)
    clone.python(BROKEN_SHIM, "python3.12")
    sentence = the_sentence(clone.make(target))
    assert "Python 3.11 or newer is needed" in sentence
    assert "python3 is 3.9.2" in sentence
    assert not (clone.root / ".venv").exists()


def test_no_python_at_all_is_said(clone):
    sentence = the_sentence(clone.make("book"))
    assert "Python 3.11 or newer is needed (none of these runs: python3 " in sentence


def test_a_chosen_python_is_the_only_one_tried(clone):
    clone.python(FAKE_PYTHON)
    clone.python(OLD_PYTHON, "mine")
    assert "mine is 3.9.2" in the_sentence(clone.make("book", "PYTHON=mine"))


def test_a_missing_venv_module_is_named(clone):
    clone.python(FAKE_PYTHON)
    assert "python3-venv" in the_sentence(clone.make("book", FAKE_VENV="1"))


@pytest.mark.slow
def test_an_unreachable_index_is_soon_said(clone):
    clone.python(BROKEN_SHIM)  # it is skipped
    clone.python(REAL_PYTHON, "python3.12")
    (clone.root / "README.md").touch()
    start = time.monotonic()
    run = clone.make("book", PIP_CONFIG_FILE=os.devnull, PIP_INDEX_URL="http://127.0.0.1:9/simple")
    assert time.monotonic() - start < 20
    sentence = the_sentence(run)
    assert "package index cannot be reached" in sentence
    assert ".venv/pip.log" in sentence
    assert "127.0.0.1" in (clone.root / ".venv/pip.log").read_text()
    assert clone.stamps() == []


def test_an_install_is_done_once(clone):
    clone.python(FAKE_PYTHON)
    assert clone.make("book").returncode == 0
    assert len(clone.calls("-m pip")) == 1
    assert "-c constraints.txt -e .[book]" in clone.calls("-m pip")[0]
    assert clone.calls("book --profile") == ["book --profile standard"]
    assert clone.make("book", "PROFILE=paper").returncode == 0
    assert clone.calls("-m pip") == []
    assert clone.calls("book --profile") == ["book --profile paper"]


def test_new_pins_are_installed_into_the_same_venv(clone):
    clone.python(FAKE_PYTHON)
    clone.make("book")
    with (clone.root / "constraints.txt").open("a") as file:
        file.write("zzz==1\n")
    clone.make("book")
    assert len(clone.calls("-m pip")) == 1
    assert clone.calls("-m venv") == []


def test_a_failed_install_leaves_no_stamp(clone):
    clone.python(FAKE_PYTHON)
    sentence = the_sentence(clone.make("book", FAKE_PIP="echo ERROR: no space; exit 1"))
    assert "no space" in sentence
    assert ".venv/pip.log" in sentence
    assert clone.stamps() == []


def test_an_interrupted_install_starts_over(clone):
    clone.python(FAKE_PYTHON)
    assert clone.make("book", FAKE_PIP="kill -KILL $PPID").returncode != 0
    assert clone.stamps() == []
    assert clone.make("book").returncode == 0
    assert len(clone.calls("-m venv")) == 1
    assert clone.stamps() == ["book.stamp"]


def test_a_lost_index_keeps_the_venv(clone):
    clone.python(FAKE_PYTHON)
    clone.make("book")
    (clone.root / "constraints.txt").write_text("zzz==1\n")
    the_sentence(clone.make("book", FAKE_PIP="echo connection broken; exit 1"))
    assert clone.make("book").returncode == 0
    assert clone.calls("-m venv") == []


def test_another_torch_build_gets_a_new_venv(clone):
    clone.python(FAKE_PYTHON)
    clone.make("book")
    clone.make("book", "TORCH_INDEX=http://127.0.0.1:9/cpu")
    assert len(clone.calls("-m venv")) == 1
    torch, rest = clone.calls("-m pip")
    assert torch.endswith("--no-deps --index-url http://127.0.0.1:9/cpu torch==2.13.0")
    assert "-e .[book]" in rest
