"""The direction of dependencies: sim below, agents above it, analysis beside, the command line on top."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"sim", "live", "agents", "analysis", "commands", "l2h_fleet"}

# What a package may take from the others; a module's own submodules are included.
MAY_IMPORT = {
    "sim": set(),
    "live": {"sim", "agents.backends.cluster", "agents.backends.before_ray", "agents.server.runnable"},
    "agents": {
        "sim.another_process",
        "sim.scenario",
        "sim.registry",
        "sim.messages",
        "sim.ports",
        "sim.streams",
        "sim.errors",
        "sim.results.cache_folder",
        "sim.results.whole_files",
    },
    "analysis": {
        "sim.another_process",
        "sim.sorting",
        "sim.results.columns",
        "sim.results.columns_by_run",
        "sim.results.columns_learned",
        "sim.errors",
        "sim.results.just_written",
        "sim.results.whole_files",
    },
    "commands": {"sim", "live", "agents", "analysis"},
    "l2h_fleet": {"sim", "live", "agents", "analysis", "commands"},
}
LIBRARIES_NOT_FOR = {
    "sim": {"torch", "torchvision", "ray", "matplotlib"},
    "analysis": {"torch", "torchvision", "ray", "simpy"},
    "commands": {"torch", "torchvision", "ray", "simpy"},
    "l2h_fleet": {"torch", "torchvision", "ray", "simpy"},
}
MAY_USE_RAY = {"agents/backends/actors.py", "agents/backends/cluster.py", "live/serve.py"}


@cache
def imports(path: Path) -> set[str]:
    """Every module that a file names in an import, at any depth."""
    results: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            results.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction"
            results.add(node.module or "")
            results.update(f"{node.module}.{alias.name}" for alias in node.names)
    return results


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_package_takes_from_the_others_only_what_it_may(package):
    wrong = []
    for path in modules(package):
        for name in imports(path):
            top = name.split(".")[0]
            allowed = any(name == ok or name.startswith(ok + ".") for ok in MAY_IMPORT[package])
            prefix_of_allowed = any(ok.startswith(name + ".") or ok == name for ok in MAY_IMPORT[package])
            if top in PACKAGES - {package} and not allowed and not prefix_of_allowed:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
            if top in LIBRARIES_NOT_FOR.get(package, set()) | {"run_sim", "tests"}:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert wrong == []


def test_ray_stands_in_few_files():
    users = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in modules(package)
        if any(name.split(".")[0] == "ray" for name in imports(path))
    }
    assert users == MAY_USE_RAY


def test_only_one_module_knows_both_sides():
    both = [
        str(path.relative_to(ROOT))
        for path in [*ROOT.glob("*.py"), *(p for package in PACKAGES for p in modules(package))]
        if {"sim.simulation", "agents.fleet"} <= imports(path)
    ]
    assert both == ["commands/one_run.py"]


def test_the_simulation_runs_without_torch_or_ray():
    code = "import sys, sim.simulation; print(sorted({'torch', 'ray'} & set(sys.modules)))"
    reported = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert reported.stdout.strip() == "[]"


def test_a_fleet_is_planned_without_torch():
    """A scenario that does not fit its data set is refused without the seconds that torch takes to load."""
    code = "import sys, agents.plan, agents.evaluation.curves; print('torch' in sys.modules)"
    reported = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert reported.stdout.strip() == "False"


def test_modules_stay_short_and_say_what_they_are():
    for path in [*ROOT.glob("*.py"), *(p for package in PACKAGES for p in modules(package))]:
        text = path.read_text()
        assert len(text.splitlines()) <= 300, f"{path.relative_to(ROOT)} is longer than 300 lines: split it"
        assert ast.get_docstring(ast.parse(text)), f"{path.relative_to(ROOT)} does not say what it is"


# In docstrings, comments and pages: names by their module, members by their class, and paths.
TOP = "(?:sim|agents|analysis|commands|benchmarks|l2h_fleet)"
DOTTED = re.compile(rf"(?<![\w./-]){TOP}(?:\.[a-zA-Z_]\w*)+(?![\w/])")
MEMBER = re.compile(r"`([A-Z]\w+)\.(\w+)`")
PATH = re.compile(rf"`({TOP}/[\w/*.-]+)")


def prose(path: Path) -> Iterator[str]:
    """What a file says to people: a page whole, docstrings and comments of a module."""
    if path.suffix == ".md":
        yield path.read_text()
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)
    with path.open("rb") as file:
        tokens = list(tokenize.tokenize(file.readline))
    yield from (token.string for token in tokens if token.type == tokenize.COMMENT)


@cache
def defined_in(module: Path) -> dict[str, set[str]]:
    """What a module defines, and of classes their members."""
    found: dict[str, set[str]] = {}
    for node in ast.parse(module.read_text()).body:
        for name in names_of(node):
            inner = node.body if isinstance(node, ast.ClassDef) else []
            found[name] = {member for one in inner for member in names_of(one)}
            if isinstance(node, ast.ClassDef):
                found[name] |= {
                    one.attr
                    for one in ast.walk(node)
                    if isinstance(one, ast.Attribute) and getattr(one.value, "id", "") == "self"
                }
    return found


def names_of(node: ast.stmt) -> list[str]:
    """The names that a statement binds."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", ast.Pass())]
    inner = [one for target in targets for one in ast.walk(target)]
    return [one.id for one in inner if isinstance(one, ast.Name)]


def is_there(dotted: str) -> bool:
    """Whether a dotted name is a package, a module, what it defines, or a member of that."""
    place, names = ROOT, dotted.split(".")
    while names and (place / names[0]).is_dir():
        place /= names.pop(0)
    if names and (place / f"{names[0]}.py").is_file():
        place = place / f"{names.pop(0)}.py"
    if not names:
        return True
    module = place if place.suffix else place / "__init__.py"
    name, *members = names
    found = defined_in(module)
    if "__getattr__" in found and not members:  # what stands there is loaded when it is asked for
        return name in import_module(".".join(place.relative_to(ROOT).parts)).__all__
    return name in found and (not members or not found[name] or members[0] in found[name])


@pytest.mark.slow
def test_whatever_is_named_in_words_is_there():
    packages = [ROOT / name for name in [*PACKAGES, "benchmarks", "tests"]]
    sources = [path for package in packages for path in sorted(package.rglob("*.py"))]
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    classes: dict[str, set[str]] = {}
    for path in sources:
        for name, members in defined_in(path).items():
            classes.setdefault(name, set()).update(members)
    wrong = []
    for path in [*sources, *pages]:
        for text in prose(path):
            wrong += [f"{path.name}: {name}" for name in DOTTED.findall(text) if not is_there(name)]
            wrong += [f"{path.name}: {name}" for name in PATH.findall(text) if not list(ROOT.glob(name))]
            wrong += [
                f"{path.name}: {name}.{member}"
                for name, member in MEMBER.findall(text)
                if classes.get(name) and member not in classes[name]
            ]
    assert wrong == []


def test_no_two_test_modules_have_one_name() -> None:
    """Pytest imports them by their names alone, and would collect only one of the two."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_the_tests_of_a_file_stay_in_one_process(request: pytest.FixtureRequest) -> None:
    """They share what they need; pytest-xdist groups by names of tests, which not every pytest can change."""
    if not hasattr(request.config, "workerinput"):
        pytest.skip("one process has them all")
    assert request.node.nodeid.endswith(f"@{__file__}")
