from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from here import called
from played_runs import OF_HEADS, OF_TWO, played, played_agreeing
from run_folders import write_folder

import analysis

Finished = tuple[Path, dict[str, Any]]  # a run folder and its summary


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Finished]) -> Finished:
    """What `make` makes of the folder that it is given, once for all workers; not to be changed."""
    own = factory.getbasetemp()
    shared = own.parent / "made_once" if os.environ.get("PYTEST_XDIST_WORKER") else own / "made_once"
    shared.mkdir(exist_ok=True)
    told = shared / f"{name}.pickle"
    with FileLock(f"{told}.lock"):
        if not told.exists():
            told.write_bytes(pickle.dumps(make(shared / name)))
        found: Finished = pickle.loads(told.read_bytes())
        return found


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A believable run folder with its results, and its summary."""

    def make(path: Path) -> Finished:
        write_folder(path, outages=(("server", 100, 140),))
        return path, analysis.finish(path)

    return made_once(tmp_path_factory, "outage", make)


@pytest.fixture(scope="session")
def of_several(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same of a run of several servers, with made-up models."""
    return made_once(tmp_path_factory, "several", lambda path: played("several_servers", path))


@pytest.fixture(scope="session")
def of_batching(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same of devices that send several requests together."""
    return made_once(tmp_path_factory, "batching", lambda path: played("batching", path))


@pytest.fixture(scope="session")
def of_sessions(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same of clients that work through sessions, and agree with the server on four samples of five."""
    return made_once(tmp_path_factory, "sessions", lambda path: played_agreeing("sessions", path))


@pytest.fixture(scope="session")
def of_learners(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same of clients that learn together, with made-up rejectors of 1,250 numbers."""
    return made_once(
        tmp_path_factory,
        "together",
        lambda path: played("learning_together", path, shared_numbers=(1_250,)),
    )


@pytest.fixture(scope="session")
def of_starters(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same, where half of the clients are broken and the server began with what all together say."""
    broken = ("federation.broken={share: 0.5, fault: noise}",)
    return made_once(
        tmp_path_factory,
        "starters",
        lambda path: played("learning_together", path, broken, shared_numbers=(9,), warm_start=OF_TWO),
    )


@pytest.fixture(scope="session")
def of_neighbours(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same of clients of which two share an uplink and hand over half of what they are told."""
    hands = "hand_over: {share: 0.5, at_most: 10, sample_bytes: 100}"
    near = (
        f"federation.neighbours={{size: 2, link: {{latency: 0.5}}, {hands}}}",
        "federation.unequal={step: 0.04}",
    )
    return made_once(
        tmp_path_factory,
        "neighbours",
        lambda path: played("learning_together", path, near, shared_numbers=(1_250,)),
    )


@pytest.fixture(scope="session")
def of_adaptive(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same of a server that learns at gaps that follow the drift, with made-up versions of it."""
    times = "every_s: 40, steps: 1, step_s: 1, rejector_steps: 1, rejector_step_s: 1, source: deferred"
    online = f"training.online={{{times}, adaptive: {{cost: 1, at_least_s: 10}}}}"
    return made_once(
        tmp_path_factory,
        "adaptive",
        lambda path: played("learning_together", path, ("federation=null", online)),
    )


@pytest.fixture(scope="session")
def of_rounds(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same of two servers whose models learn during the run, with made-up versions of them."""
    return made_once(tmp_path_factory, "rounds", lambda path: played("rounds_of_servers", path))


@pytest.fixture(scope="session")
def of_sharers(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same of clients that share made-up prototypes of 650 numbers, and answer by them."""
    shared = ("federation.learns=prototypes", "fleet.*.fallback=prototype")
    return made_once(
        tmp_path_factory,
        "sharers",
        lambda path: played("learning_together", path, shared, shared_numbers=(650,)),
    )


@pytest.fixture(scope="session")
def of_heads(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same of clients that answer from features by made-up heads, personal from 80 s on."""
    return made_once(
        tmp_path_factory,
        "heads",
        lambda path: played("learning_together", path, OF_HEADS, shared_numbers=(650,)),
    )


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the shipped scenario `smoke`, as the command line makes it; not to be changed."""

    def make(path: Path) -> Finished:
        done = called(path.parent, "run", "smoke", "--local", "--quiet", "--out", path.name)
        assert done.returncode == 0, done.stderr
        return path, json.loads((path / "summary.json").read_bytes())

    return made_once(tmp_path_factory, "smoke", make)[0]


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
