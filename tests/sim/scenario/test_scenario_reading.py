"""From a file or a shipped name to a scenario, or one line that says why not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sim.errors import BadInput
from sim.scenario import json_schema, question_of, read, shipped
from sim.scenario.library import locate


def line_about(source: str | Path) -> str:
    with pytest.raises(BadInput) as caught:
        read(source)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_the_example_of_the_design_reads_as_written(example: Path) -> None:
    scenario = read(example)
    assert (scenario.name, scenario.seed, scenario.horizon_s, scenario.clients) == ("outage", 7, 900.0, 120)
    (sensors,) = scenario.fleet
    assert sensors.partition.kind == "missing_classes"
    assert sensors.link.bandwidth_bps == 2e6
    assert sensors.retry.attempts == 3
    assert [outage.target.kind for outage in scenario.server.outages] == ["server", "replicas"]
    assert scenario.training.online is None


def test_a_seed_given_beside_the_file_wins(example: Path) -> None:
    assert read(example, seed=11).seed == 11
    assert read(example, ["seed=3"], seed=11).seed == 11
    with pytest.raises(BadInput, match=r"^--seed: -1 is not allowed: must be greater than or equal to 0$"):
        read(example, seed=-1)


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    assert line_about(tmp_path) == f"{tmp_path}: is a folder: must be a file"
    inside = tmp_path / "scenario.yaml"
    inside.write_text("")
    assert line_about(tmp_path) == f"{tmp_path}: is a folder: must be a file; did you mean {inside}?"
    missing = line_about(tmp_path / "missing.yaml")
    assert missing.startswith(f"{tmp_path}/missing.yaml: there is no such file or shipped scenario")
    assert "there is no such file" in line_about("x" * 5000)
    assert "there is no such file" in line_about("a\nb\x00")
    assert "is a folder" in line_about("")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_named(example: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked.yaml"
    locked.write_bytes(example.read_bytes())
    locked.chmod(0)
    assert line_about(locked) == f"{locked}: cannot be read: permission denied"


@pytest.fixture
def library(tmp_path: Path, example: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of shipped scenarios: outage.yaml and nothing else."""
    monkeypatch.setattr("sim.scenario.library.FOLDER", tmp_path)
    (tmp_path / "outage.yaml").write_bytes(example.read_bytes())
    return tmp_path


def test_shipped_scenarios_are_found_by_name(library: Path) -> None:
    assert read("outage").name == "outage"
    assert locate("outage") == library / "outage.yaml"
    assert line_about("outtage") == "outtage: there is no such file or shipped scenario: did you mean outage?"
    question = "What does a two-minute total outage cost a fleet that learned to lean on its server?"
    assert shipped() == [("outage", library / "outage.yaml", question)]


def test_a_folder_of_the_same_name_does_not_hide_a_shipped_scenario(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(library)
    (library / "outage").mkdir()
    assert locate("outage") == Path("outage.yaml")


@pytest.mark.parametrize(
    ("head", "question"),
    [
        ("# Why?\n# Because.\nname: x\n", "Why?"),
        ("# Does more\n# help? Or less?\n# Theory.\n", "Does more help? Or less?"),
        ("# A statement\n#\n# More.\n", "A statement"),
        ("name: x\n# Why?\n", ""),
        ("", ""),
    ],
)
def test_the_question_is_the_first_comment(head: str, question: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(head)
    assert question_of(path) == question


def test_every_shipped_scenario_asks_a_question_and_reads() -> None:
    for name, path, question in shipped():
        assert question.endswith("?"), name
        assert read(name) == read(path)


def test_the_json_schema_knows_every_part() -> None:
    schema = json_schema()
    assert set(schema["required"]) == {"name", "horizon_s", "fleet"}
    assert {"Group", "Server", "Training", "Poisson", "MissingClasses"} <= set(schema["$defs"])


def test_the_example_of_the_design_is_read_whole() -> None:
    online = read(Path(__file__).parent / "example.yaml").training.online
    assert online is not None
    assert (online.every_s, online.source, online.copy_bytes) == (60.0, "deferred", 400_000)
