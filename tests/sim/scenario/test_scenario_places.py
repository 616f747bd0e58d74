"""Where a scenario may name files: its own folder, the working folder, and where the user keeps data."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.errors import BadInput
from sim.scenario import read
from sim.scenario.schema.policy_study import read_study

OUTSIDE = "must lie in the scenario's folder, the working folder or $L2H_DATA; --set may name any other place"


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a scenario that came from somebody else, beside the user's own things."""
    for name in ("downloads/theirs", "work", "data"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("downloads/theirs/in.csv", "work/here.csv", "data/set.csv", "secret.csv"):
        (tmp_path / name).write_text("0.5\n")
    (tmp_path / "downloads/link.csv").symlink_to(tmp_path / "secret.csv")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("L2H_DATA", str(tmp_path / "data"))
    return tmp_path / "downloads"


def scenario(folder: Path, file: str, data: str = "{set: digits}") -> Path:
    path = folder / "theirs.yaml"
    path.write_text(
        f"name: theirs\nhorizon_s: 10\ndata: {data}\n"
        "server: {service: {kind: affine, base_s: 0.1}}\nfleet:\n"
        "  - group: g\n    clients: 1\n    arrivals: {process: {kind: poisson, rate_hz: 1}}\n"
        f"    device: {{inference_s: 0.1}}\n    link: {{latency: {{kind: empirical, file: {file}}}}}\n"
    )
    return path


@pytest.mark.parametrize(
    "file", ["theirs/in.csv", "./theirs/../theirs/in.csv", "../work/here.csv", "../data/set.csv"]
)
def test_files_inside_are_read(file, downloads):
    assert read(scenario(downloads, file)).fleet[0].link.latency.file.endswith(".csv")


@pytest.mark.parametrize("file", ["../secret.csv", "link.csv", "/etc/hostname", "theirs/../../secret.csv"])
def test_files_outside_are_refused_whatever_they_hold(file, downloads):
    with pytest.raises(BadInput) as refusal:
        read(scenario(downloads, file))
    assert str(refusal.value).startswith(f"{downloads}/theirs.yaml:10: fleet.g.link.latency.file: ")
    assert str(refusal.value).endswith(f" is not allowed: {OUTSIDE}")


def test_what_the_user_says_may_lie_anywhere(downloads):
    said = f"fleet.g.link.latency.file={downloads.parent}/secret.csv"
    assert (
        read(scenario(downloads, "/etc/hostname"), [said]).fleet[0].link.latency.file.endswith("secret.csv")
    )


@pytest.mark.parametrize("root", ["..", "/var/lib", "'~'"])
def test_data_sets_are_neither_looked_for_nor_put_outside(root, downloads):
    data = f"{{set: mnist, root: {root}, download: true}}"
    with pytest.raises(BadInput, match=r"data\.root: .* is not allowed: must lie in the scenario's folder"):
        read(scenario(downloads, "theirs/in.csv", data))


@pytest.mark.parametrize("root", [".", "../data/mnist", "/usr/share/datasets/fashion-mnist"])
def test_data_sets_may_lie_where_data_are_kept(root, downloads):
    data = f"{{set: fashion_mnist, root: {root}}}"
    assert read(scenario(downloads, "theirs/in.csv", data)).data.root == root


def study(folder: Path, at: str, value: str) -> Path:
    """A study beside `scenario` that changes a place of it for one of its policies."""
    scenario(folder, "../data/set.csv")
    path = folder / "study.yaml"
    changes = f"{{{at}: {value}}}"
    path.write_text(
        "scenario: theirs.yaml\nseeds: 3\nbaseline: one\npolicies:\n  - {name: one}\n"
        f"  - {{name: two, set: {changes}}}\n"
    )
    return path


LATENCY = "fleet.g.link.latency"


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (LATENCY, "{kind: empirical, file: theirs/in.csv}"),
        (f"{LATENCY}.file", "theirs/in.csv"),
        (f"{LATENCY}.file", "../work/here.csv"),
    ],
)
def test_files_of_a_study_begin_in_its_folder(at, value, downloads):
    two = read_study(study(downloads, at, value)).policies["two"][0]
    named = value.partition("file: ")[2].rstrip("}") or value
    assert Path(two.fleet[0].link.latency.file) == downloads / named


@pytest.mark.parametrize(
    ("at", "value", "place"),
    [
        (LATENCY, "{kind: empirical, file: ../secret.csv}", f"{LATENCY}.file"),
        (f"{LATENCY}.file", "/etc/hostname", f"{LATENCY}.file"),
        ("data.root", "..", "data.root"),
    ],
)
def test_a_study_may_name_no_more_than_a_scenario(at, value, place, downloads):
    with pytest.raises(BadInput) as refusal:
        read_study(study(downloads, at, value))
    assert str(refusal.value).startswith(f"{downloads}/study.yaml:6: {place}: ")
    assert f" is not allowed: {OUTSIDE}" in str(refusal.value)
