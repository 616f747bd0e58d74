from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from played_runs import OF_TWO, played
from run_folders import write_folder

import analysis


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A believable run folder with its results, and its summary; not to be changed."""
    path = write_folder(tmp_path_factory.mktemp("runs") / "outage", outages=(("server", 100, 140),))
    return path, analysis.finish(path)


@pytest.fixture(scope="session")
def of_several(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The same of a run of several servers, with made-up models."""
    return played("several_servers", tmp_path_factory.mktemp("several") / "run")


@pytest.fixture(scope="session")
def of_learners(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The same of clients that learn together, with made-up rejectors of 1,250 numbers."""
    return played("learning_together", tmp_path_factory.mktemp("together") / "run", shared_numbers=(1_250,))


@pytest.fixture(scope="session")
def of_starters(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The same, where half of the clients are broken and the server began with what all together say."""
    broken = "federation.broken={share: 0.5, fault: noise}"
    place = tmp_path_factory.mktemp("starters") / "run"
    return played("learning_together", place, (broken,), shared_numbers=(9,), warm_start=OF_TWO)


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


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium without a window, one for all tests that look at pages."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with playwright.sync_playwright() as started:
        # Without a sandbox, since containers run tests as root; the pages are the project's own.
        opened = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()
