"""Nothing of a run folder or a cache can run anything when it is read: no file of theirs is a pickle."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("sim", "live", "agents", "analysis", "commands")
SOURCES = [
    *ROOT.glob("*.py"),
    *(path for name in ROOMS for path in (ROOT / name).rglob("*.py")),
]
RUN_WHAT_THEY_READ = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
READS_CIFAR = (
    "agents/data/files.py"  # the set is published as pickles; its reader refuses all but plain arrays
)


@cache
def nodes() -> list[tuple[Path, ast.AST]]:
    """Every import and every call, beside the file where it stands."""
    trees = [(path, ast.parse(path.read_text())) for path in SOURCES]
    wanted = (ast.Import, ast.ImportFrom, ast.Call)
    return [(path, node) for path, tree in trees for node in ast.walk(tree) if isinstance(node, wanted)]


def test_no_module_can_unpickle_but_the_one_that_reads_cifar():
    results = set()
    for path, node in nodes():
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if RUN_WHAT_THEY_READ & {name.partition(".")[0] for name in names}:
            results.add(str(path.relative_to(ROOT)))
    assert results == {READS_CIFAR}


@pytest.mark.parametrize(
    ("module", "function", "option", "safe"),
    [
        ("torch", "load", "weights_only", True),
        ("np", "load", "allow_pickle", False),
        ("np", "save", "allow_pickle", False),
        ("pd", "read_pickle", None, None),
        ("yaml", "load", None, None),
    ],
)
def test_readers_that_could_are_called_safely_or_not_at_all(module, function, option, safe):
    for path, node in nodes():
        if isinstance(node, ast.Call) and ast.unparse(node.func) == f"{module}.{function}":
            said = {word.arg: ast.unparse(word.value) for word in node.keywords}
            assert option is not None, f"{path}: {ast.unparse(node)}"
            assert said.get(option) == str(safe), f"{path}: {ast.unparse(node)}"
