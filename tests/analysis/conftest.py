from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from run_folders import write_folder

import analysis


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A believable run folder with its results, and its summary; not to be changed."""
    path = write_folder(tmp_path_factory.mktemp("runs") / "outage", outages=(("server", 100, 140),))
    return path, analysis.finish(path)


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the shipped scenario `smoke`, as the command line makes it; not to be changed."""
    root = Path(__file__).resolve().parents[2]
    place = tmp_path_factory.mktemp("simulated")
    words = ["run", "smoke", "--local", "--quiet", "--out", "smoke"]
    subprocess.run(
        [sys.executable, str(root / "run_sim.py"), *words],
        cwd=place,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        timeout=300,
    )
    return place / "smoke"
