"""The scenarios of the paper's studies: each passes its check and runs, on small files of its set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from data_files import write_cifar, write_mnist, write_svhn

import analysis
from agents.checks import validate
from analysis.figures import FIGURES
from analysis.run_folder.study_rows import rows_of
from commands import one_run
from commands.progress import Quiet
from sim.scenario import Scenario, read, shipped

SETS: dict[str, Callable[[Path], object]] = {
    "cifar10": lambda root: write_cifar(root, 10),
    "cifar100": lambda root: write_cifar(root, 100),
    "fashion_mnist": lambda root: write_mnist(root, compressed=True, train=80, test=40),
    "svhn": lambda root: write_svhn(root, count=60),
}
SMALL = (
    "training.pretrain.epochs=1",
    "training.pretrain.batch=16",
    "fleet.*.model.epochs=1",
    "study.c_e=[0.0, 0.5]",
    "study.sync_every=[1, epoch]",
)


@pytest.fixture(scope="module", params=SETS)
def scenario(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    """The shipped scenario of a set, on a hundred or so samples, otherwise as it is."""
    root = tmp_path_factory.mktemp(request.param)
    SETS[request.param](root)
    return read(f"paper_{request.param}", [f"data.root={root}", "data.samples=null"])


def test_it_passes_its_check(scenario: Scenario) -> None:
    validate(scenario)


def test_it_says_what_the_paper_did(scenario: Scenario) -> None:
    assert scenario.horizon_s == 0
    assert scenario.server.model.family == "alexnet"
    assert {group.model.family for group in scenario.fleet} == {"lenet5"}
    assert {(group.rejector.family, group.rejector.input) for group in scenario.fleet} == {("lenet5", "raw")}
    assert scenario.study is not None
    assert scenario.study.sync_every == (1, 100, 1000, "epoch")
    assert scenario.study.c_1 == (1.0, 1.25)
    assert scenario.study.c_e is not None
    assert (min(scenario.study.c_e), max(scenario.study.c_e)) == (0.0, 0.5)


@pytest.mark.slow
def test_a_small_one_runs_end_to_end(
    scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("L2H_CACHE", str(tmp_path / "cache"))
    data = [f"data.root={scenario.data.root}", "data.samples=null"]
    small = read(scenario.name, [*data, *SMALL])
    folder = tmp_path / "run"
    folder.mkdir()
    one_run.execute(small, "?", folder, False, 0, None, Quiet())
    run = analysis.load_run(folder)
    for group in ("complete", "narrow"):
        assert len(rows_of(run, run.study, group, "c_e", "c_1", "form", "sync_every")) == 17  # 16 and its own
    drawn = {path.stem for path in (folder / "figures").glob("*.svg")}
    assert {name for name in FIGURES if name.startswith("study_")} <= drawn
    counts = pd.read_parquet(folder / "partitions.parquet").query("group == 'narrow'")
    assert (counts["samples"] == 0).any()


def test_fashion_mnist_grown_to_the_papers_size_is_still_fine() -> None:
    """What the file says to type."""
    (path,) = (each.path for each in shipped() if each.name == "paper_fashion_mnist")
    text = path.read_text()
    words = [line.lstrip("# ").split() for line in text.splitlines() if line.startswith("#   --set")]
    changes = [word for line in words for word in line if word != "--set"]
    assert len(changes) == 7
    grown = read("paper_fashion_mnist", changes).training.pretrain
    assert (grown.batch, grown.epochs, grown.optimiser, grown.momentum) == (16, 15, "sgd", 0.9)
    assert (grown.server_lr, grown.rejector_lr) == (1e-3, 1e-4)
