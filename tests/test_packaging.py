"""What is installed is whole: built, put elsewhere and called from there, it does what the tree does."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from sim import __version__
from sim.results import packages
from sim.results.packages import provenance, versions

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("agents", "analysis", "commands", "l2h_fleet", "live", "scenarios", "sim")
BESIDE = ("pyproject.toml", "setup.py", "requirements.txt", "README.md", "LICENSE", "run_sim.py")
AS_HERE = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
LIBRARIES = Path(pytest.__file__).parents[1]
QUICK = ("--set", "fleet.*.clients=2", "--set", "horizon_s=80", "--set", "training.pretrain.epochs=1")

commit = sys.modules["sim.results.commit"]


def told_by(*words: object, cwd: Path, **environment: str) -> str:
    """What a command says on stdout; fails with what it says on stderr."""
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*map(str, words)],
        cwd=cwd,
        env=outside | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def committed(folder: Path) -> str:
    """Makes a folder a repository with all that is in it, and gives the commit."""
    somebody = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    told_by("git", "init", "--quiet", cwd=folder)
    told_by("git", "add", ".", cwd=folder)
    told_by("git", *somebody, "commit", "--quiet", "--no-verify", "--message", "All of it", cwd=folder)
    return told_by("git", "rev-parse", "HEAD", cwd=folder)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The tree as it is now, as somebody's clone, and its commit."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("clone")
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*BESIDE, ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    return folder, committed(folder)


@pytest.fixture(scope="module")
def installed(copy: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `pip install` put a wheel of the tree."""
    folder, elsewhere = copy[0], tmp_path_factory.mktemp("installed")
    (folder / "build/lib/sim").mkdir(parents=True)
    (folder / "build/lib/sim/gone.py").write_text("")  # of some earlier build
    told_by(sys.executable, "-m", "pip", "wheel", *AS_HERE, "--wheel-dir", elsewhere, folder, cwd=elsewhere)
    (wheel,) = elsewhere.glob("*.whl")
    told_by(sys.executable, "-m", "pip", "install", *AS_HERE, "--target", elsewhere, wheel, cwd=elsewhere)
    return elsewhere


@pytest.mark.slow
def test_an_installed_wheel_does_what_the_tree_does(installed, copy, tmp_path):
    def call(*words: str) -> str:
        return told_by(
            installed / "bin/l2h-fleet", *words, cwd=tmp_path, PYTHONPATH=str(installed), COLUMNS="300"
        )

    assert call("--version") == f"l2h-fleet {__version__} ({copy[1]})"
    assert call("check", "smoke").startswith("smoke: fine (")
    here = told_by(sys.executable, ROOT / "run_sim.py", "scenarios", cwd=tmp_path, COLUMNS="300")
    assert call("scenarios") == here
    assert "outage_policies" in here
    call("run", "smoke", "--local", "--quiet", *QUICK)
    assert json.loads((tmp_path / "runs/smoke/versions.json").read_text()) == versions() | {"commit": copy[1]}
    assert "l2h-fleet run runs/smoke/scenario.yaml" in (tmp_path / "runs/smoke/report.html").read_text()


@pytest.mark.slow
def test_an_installed_wheel_is_whole(installed):
    """Every module, scenario and page of the tree, and nothing else of its."""
    ours = {path for name in SOURCES for path in (ROOT / name).rglob("*") if path.is_file()}
    expected = {str(path.relative_to(ROOT)) for path in ours if "__pycache__" not in path.parts}
    found = {path for name in SOURCES for path in (installed / name).rglob("*") if path.is_file()}
    there = {str(path.relative_to(installed)) for path in found if "__pycache__" not in path.parts}
    assert there - {"sim/results/commit.txt"} == expected


@pytest.mark.slow
def test_the_package_is_imported_anywhere_in_no_time(installed, tmp_path):
    code = (
        "import sys, l2h_fleet; print(l2h_fleet.__version__, l2h_fleet.__file__)\n"
        "print(sorted({'torch', 'pandas', 'numpy', 'ray', 'numba'} & set(sys.modules)))"
    )
    told = told_by(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(installed))
    assert told == f"{__version__} {installed / 'l2h_fleet/__init__.py'}\n[]"


@pytest.mark.slow
def test_an_editable_installation_is_the_tree(copy, tmp_path):
    folder, of = copy
    venv.create(tmp_path / "venv", symlinks=True)
    python, script = (tmp_path / "venv/bin" / name for name in ("python", "l2h-fleet"))
    (own,) = (tmp_path / "venv").glob("lib/python3*/site-packages")
    (own / "others.pth").write_text(f"{LIBRARIES}\n")
    told_by(
        *(sys.executable, "-m", "pip", "--python", python, "install", *AS_HERE, "--editable", folder),
        cwd=tmp_path,
    )
    assert told_by(script, "--version", cwd=tmp_path) == f"l2h-fleet {__version__} ({of})"
    assert told_by(script, "check", "smoke", cwd=tmp_path).startswith("smoke: fine (")
    told = told_by(python, "-c", "import l2h_fleet; print(l2h_fleet.__file__)", cwd=tmp_path)
    assert Path(told).samefile(folder / "l2h_fleet/__init__.py")


def test_the_version_stands_once():
    """And nowhere else, or it will be forgotten there."""
    told = (ROOT / "pyproject.toml").read_text() + (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version\W.*\d", told, flags=re.MULTILINE) == []
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_what_setup_tells_needs_nothing_installed():
    """It is run before anything is."""
    tree = ast.parse((ROOT / "sim/results/commit.py").read_text())
    named = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    named += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert {name.split(".")[0] for name in named if name} <= sys.stdlib_module_names


# The commit.


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    """A tree somewhere, whose commit is asked for."""
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "file").write_text("one\n")
    monkeypatch.setattr(commit, "ROOT", folder)
    monkeypatch.setattr(commit, "RECORDED", folder / "commit.txt")
    return folder


def asked() -> str | None:
    return commit.commit.__wrapped__()


def test_the_commit_is_gits_and_changes_show(tree):
    of = committed(tree)
    assert asked() == of
    (tree / "new").write_text("not of the project yet")
    assert asked() == of
    (tree / "file").write_text("two\n")
    assert asked() == f"{of}-dirty"


def test_what_the_build_wrote_down_comes_first(tree):
    committed(tree)
    for text, found in (("abc\n", "abc"), ("\n", None)):
        (tree / "commit.txt").write_text(text)
        assert asked() == found


def test_another_projects_commit_is_not_ours(tree):
    """As where a virtual environment lies in somebody's repository."""
    assert asked() is None
    committed(tree.parent)
    assert asked() is None


def test_without_git_nobody_knows(tree, monkeypatch):
    committed(tree)
    monkeypatch.setenv("PATH", "")
    assert asked() is None


def test_a_run_can_go_on_with_another_commit(monkeypatch):
    """What is compared there are the versions alone."""
    monkeypatch.setattr(packages, "commit", lambda: None)
    assert provenance() == versions() | {"commit": None}
    assert json.loads(json.dumps(provenance()))["commit"] is None
