"""Which way the learners depend: on the contract of `sim`, and on Ray in one place only."""

from __future__ import annotations

import ast
from pathlib import Path

import agents

ALLOWED = {"sim.scenario", "sim.messages", "sim.streams", "sim.errors", "sim.ports"}
MODULES = sorted(Path(agents.__file__).parent.glob("*.py"))


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def test_learners_use_only_the_contract_of_the_simulator() -> None:
    used = {name for path in MODULES for name in imports_of(path)}
    assert {name for name in used if name.split(".")[0] in ("sim", "analysis", "run_sim")} <= ALLOWED


def test_ray_stands_in_one_file() -> None:
    assert [path.name for path in MODULES if any("ray" in name.split(".") for name in imports_of(path))] == [
        "actors.py"
    ]


def test_the_plan_needs_no_torch() -> None:
    for name in ("choices", "datasets", "pools", "views", "partitions", "plan", "curves"):
        (path,) = (path for path in MODULES if path.stem == name)
        assert "torch" not in {module.split(".")[0] for module in imports_of(path)}, name
