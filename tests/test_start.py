"""What a command loads before it does anything, counted in libraries, since seconds are the machine's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ["torch", "torchvision", "sklearn", "matplotlib", "pandas", "scipy", "ray", "numba", "simpy"]
HEAVY += ["numpy", "pyarrow", "duckdb", "pydantic", "jinja2"]
HEAVY += ["torch._dynamo", "sympy", "scipy.stats"]  # a second of a core, nearly another, and half of one
READS = {"numpy", "pyarrow", "pydantic"}  # what it takes to read a scenario


def loaded_by(code: str) -> set[str]:
    """Which of HEAVY a process has loaded after this code."""
    tell = f"import sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    reported = subprocess.run(
        [sys.executable, "-c", f"{code}\n{tell}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(reported.stdout.splitlines()[-1].split())


def loaded(*words: str) -> set[str]:
    """Which of HEAVY a command has loaded by its end."""
    return loaded_by(
        f"import sys; sys.argv = ['run_sim.py', *{words}]; from commands.main import main; assert main() == 0"
    )


def test_linear_algebra_has_one_thread_before_it_is_loaded():
    """Else the last bits of calibration follow from the number of cores."""
    code = """
import os, sys
import commands.entry
class Main:
    @staticmethod
    def main():
        print("numpy" in sys.modules, os.environ["OPENBLAS_NUM_THREADS"])
        return 0
sys.modules["commands.main"] = Main
commands.entry.enter()
"""
    known = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    for told in ({}, {"OPENBLAS_NUM_THREADS": "3"}):
        reported = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            env=known | told,
        )
        assert reported.stdout.split() == ["False", told.get("OPENBLAS_NUM_THREADS", "1")]


COMMANDS = ["", "run", "check", "report", "figure", "table", "compare", "sweep", "study", "capacity"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_next_to_nothing(command):
    assert loaded(*command.split(), "--help") <= {"pydantic"}  # with which Typer reads options


def test_the_list_of_scenarios_and_the_version_load_no_more():
    assert loaded("scenarios") <= {"pydantic"}
    assert loaded_by("import l2h_fleet; l2h_fleet.__version__") == set()


def test_the_schema_loads_what_reads_scenarios():
    assert loaded("schema") <= READS


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["smoke", "outage", "smoke_policies"])
def test_a_scenario_is_checked_without_learners_pictures_or_clocks(scenario):
    assert loaded("check", scenario) - {"scipy"} <= READS  # which turns and blurs pictures
    assert "torch" in loaded_by("import agents.fleet")  # the list is able to tell


def test_the_door_loads_what_is_asked_for():
    assert loaded_by("import l2h_fleet; l2h_fleet.Scenario('smoke').document") <= READS
    assert loaded_by("import l2h_fleet; l2h_fleet.load_run") <= READS | {"pandas"}


@pytest.mark.slow
def test_learners_do_without_torchs_compiler_and_what_it_loads(tmp_path):
    """From frozen clients to a round of training, by each optimiser."""
    asked = ["training.pretrain.epochs=1", "fleet.*.clients=4", "fleet.*.model.epochs=1"]
    code = f"""
from commands.one_run import execute
from commands.progress import Quiet
from pathlib import Path
from sim.scenario import read
for optimiser in ("adam", "sgd"):
    (Path({str(tmp_path)!r}) / optimiser).mkdir()
    plan = read("outage", [*{asked!r}, f"training.pretrain.optimiser={{optimiser}}"])
    execute(plan, "?", Path({str(tmp_path)!r}) / optimiser, False, 0, None, Quiet(), pictures=False)
"""
    found = loaded_by(code)
    assert {"torch", "scipy"} <= found
    assert found & {"torch._dynamo", "sympy", "scipy.stats"} == set()
