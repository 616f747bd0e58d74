"""The direction of dependencies: sim below, agents above it, analysis beside, the command line on top."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"sim", "agents", "analysis", "commands", "l2h_fleet"}

# What a package may take from the others; a module's own submodules are included.
MAY_IMPORT = {
    "sim": set(),
    "agents": {
        "sim.scenario",
        "sim.registry",
        "sim.messages",
        "sim.ports",
        "sim.streams",
        "sim.errors",
        "sim.results.cache_folder",
        "sim.results.whole_files",
    },
    "analysis": {"sim.results.columns", "sim.errors", "sim.results.whole_files"},
    "commands": {"sim", "agents", "analysis"},
    "l2h_fleet": {"sim", "agents", "analysis", "commands"},
}
LIBRARIES_NOT_FOR = {
    "sim": {"torch", "torchvision", "ray", "matplotlib"},
    "analysis": {"torch", "torchvision", "ray", "simpy"},
    "commands": {"torch", "torchvision", "ray", "simpy"},
    "l2h_fleet": {"torch", "torchvision", "ray", "simpy"},
}
MAY_USE_RAY = {"agents/backends/actors.py", "agents/backends/cluster.py"}


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
        if {"sim.engine.run", "agents.fleet"} <= imports(path)
    ]
    assert both == ["commands/one_run.py"]


def test_the_simulation_runs_without_torch_or_ray():
    code = "import sys, sim.engine.run; print(sorted({'torch', 'ray'} & set(sys.modules)))"
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
