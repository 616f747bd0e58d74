"""Reading a run folder: what comes back, and the one line for a folder that cannot be used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from run_folders import SCENARIO, write_folder, write_tiny

import analysis
from analysis.reports.run_page import stages
from analysis.run_folder.files import read_json
from sim.errors import BadInput, RunFailed
from sim.results.run_folder import write_sums
from sim.results.whole_files import digest

Finished = tuple[Path, dict[str, Any]]


def test_requests_of_all_parts_come_in_order_with_their_base_sample(finished: Finished) -> None:
    run = analysis.load_run(finished[0])
    assert len(list((finished[0] / "requests").iterdir())) > 1
    assert run.requests["request_id"].is_monotonic_increasing
    assert run.requests["request_id"].is_unique
    assert (run.requests["base_id"] == run.requests["sample_id"]).all()


def test_tables_are_read_once(finished: Finished) -> None:
    run = analysis.load_run(finished[0])
    assert run.requests is run.requests


def test_question_is_the_comment_that_opens_the_scenario(finished: Finished) -> None:
    lines = analysis.load_run(finished[0]).question.splitlines()
    assert lines == [line.lstrip("# ") for line in SCENARIO.splitlines()[:2]]


@pytest.mark.parametrize(
    "name",
    [
        "scenario.yaml",
        "requests",
        "attempts/part-0000001.parquet",
        "timeline.parquet",
        "events.parquet",
        "samples.parquet",
        "clients.parquet",
        "deferral.parquet",
        "learning.parquet",
    ],
)
def test_incomplete_folder_is_named_in_one_line(finished: Finished, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()
    (folder / "summary.json").unlink()
    with pytest.raises(BadInput) as refused:
        analysis.finish(folder)
    assert "\n" not in str(refused.value)
    assert name.partition("/")[0] in str(refused.value)
    assert not (folder / "summary.json").exists(), "nothing is written for a folder that is refused"


@pytest.mark.parametrize("name", ["timeline.parquet", "requests/part-0000002.parquet", "timing.json"])
@pytest.mark.usefixtures("plain_pictures")
def test_damaged_file_is_named_in_one_line(finished: Finished, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match="damaged") as refused:
        analysis.finish(folder)
    assert name in str(refused.value)
    assert "\n" not in str(refused.value)


def test_sample_that_is_there_twice_is_named(tmp_path: Path) -> None:
    """As where bytes of the table were changed and it can still be read."""
    folder = write_tiny(tmp_path / "run", [{}])
    table = pq.read_table(folder / "samples.parquet")
    pq.write_table(pa.concat_tables([table, table.slice(2, 1)]), folder / "samples.parquet")
    with pytest.raises(BadInput, match=r"samples\.parquet: damaged: sample_id 2 is there twice"):
        _ = analysis.load_run(folder).samples
    with pytest.raises(BadInput, match="what can still be read is in"):
        analysis.write_report(folder)


@pytest.mark.parametrize("name", ["clients.parquet", "requests/part-0000002.parquet"])
@pytest.mark.parametrize("place", [0.3, 0.97], ids=["in its rows", "in its head"])
def test_one_turned_bit_is_named_in_one_line(
    finished: Finished, tmp_path: Path, name: str, place: float
) -> None:
    """By the checksums that the run left; Parquet itself reads many such files as if nothing were."""
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    write_sums(folder, {path: digest(path) for path in folder.glob("*/part-*.parquet")})
    assert len(analysis.load_run(folder).requests) > 0
    content = bytearray((folder / name).read_bytes())
    content[int(place * len(content))] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BadInput) as refused:
        analysis.load_run(folder).table(name.partition("/")[0].removesuffix(".parquet"))
    assert str(refused.value) == f"{folder / name}: damaged: its checksum is not the one in SHA256SUMS"
    with pytest.raises(BadInput, match=name):
        analysis.finish(folder)


@pytest.mark.parametrize("name", ["outages.parquet", "study_losses.parquet", "attempts/part-0000001.parquet"])
def test_a_table_that_the_run_wrote_and_that_is_gone_is_named(
    finished: Finished, tmp_path: Path, name: str
) -> None:
    """Also one that other runs do not have; that it was there the checksums tell."""
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    write_sums(folder, {path: digest(path) for path in folder.glob("*/part-*.parquet")})
    (folder / name).unlink()
    with pytest.raises(BadInput, match=f"{Path(name).name} is missing"):
        analysis.finish(folder)
    (state,) = [one for one in analysis.integrity_of(folder) if not one.is_fine]
    assert state.table == name.partition("/")[0].removesuffix(".parquet")
    assert state.readable == state.files - 1


def test_what_the_checksums_tell_is_noticed_by_whoever_reads_a_table(tmp_path: Path) -> None:
    """Without a look at the whole folder."""
    folder = write_folder(tmp_path / "run")
    write_sums(folder, {path: digest(path) for path in folder.glob("*/part-*.parquet")})
    run = analysis.load_run(folder)
    assert min(len(run.attempts), len(run.periods)) > 0
    shutil.copy(folder / "attempts" / "part-0000001.parquet", folder / "attempts" / "part-0000099.parquet")
    with pytest.raises(BadInput, match=r"attempts/part-0000099\.parquet is not one of the run's"):
        _ = analysis.load_run(folder).attempts
    (folder / "attempts" / "part-0000099.parquet").unlink()
    (folder / "attempts" / "part-0000001.parquet").unlink()
    with pytest.raises(BadInput, match=r"attempts/part-0000001\.parquet is missing"):
        _ = analysis.load_run(folder).attempts
    shutil.copy(folder / "clients.parquet", folder / "events.parquet")
    with pytest.raises(BadInput, match=r"events\.parquet: damaged: its checksum"):
        _ = analysis.load_run(folder).events
    (folder / "outages.parquet").unlink()
    with pytest.raises(BadInput, match=r"outages\.parquet is missing"):
        _ = analysis.load_run(folder).periods


@pytest.mark.slow
def test_a_table_of_a_kind_that_only_some_runs_have_is_missed(finished: Finished, tmp_path: Path) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    shutil.copy(folder / "clients.parquet", folder / "servers.parquet")
    write_sums(folder, {path: digest(path) for path in folder.glob("*/part-*.parquet")})
    (folder / "servers.parquet").unlink()
    with pytest.raises(BadInput, match=r"servers\.parquet is missing; what can still be read is in"):
        analysis.write_report(folder)


@pytest.mark.parametrize(
    "told",
    [
        {"stages_s": {"run": "long"}},
        {"stages_s": {"run": None}},
        {"stages_s": 7},
        {"stages_s": {"run": 1.0}, "requests_per_s": "many"},
        {"stages_s": {"run": 1.0}, "path": 7},
        {"stages_s": {"run": 1.0}, "path": {}},
    ],
    ids=str,
)
def test_times_that_are_none_are_named(finished: Finished, tmp_path: Path, told: dict[str, Any]) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    (folder / "SHA256SUMS").unlink(missing_ok=True)
    (folder / "timing.json").write_text(json.dumps(told))
    with pytest.raises(BadInput, match=r"timing\.json: damaged: "):
        stages(analysis.load_run(folder))


def test_text_that_is_none_is_named_without_checksums(finished: Finished, tmp_path: Path) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    (folder / "SHA256SUMS").unlink(missing_ok=True)
    file = folder / "outages.parquet"
    table = pq.read_table(file)
    broken = pa.array([b"\xff\xfe"] * len(table), pa.binary()).view(pa.string())
    pq.write_table(table.set_column(table.schema.names.index("target"), "target", broken), file)
    with pytest.raises(BadInput, match=r"outages\.parquet: damaged: "):
        analysis.finish(folder)


@pytest.mark.parametrize("name", ["timing.json", "versions.json", "scenario.yaml"])
def test_what_is_nested_a_thousand_deep_is_refused_in_one_line(
    finished: Finished, tmp_path: Path, name: str
) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    (folder / "SHA256SUMS").unlink(missing_ok=True)
    (folder / name).write_text("[" * 100_000 + "]" * 100_000)
    if name == "versions.json":
        assert any("nested too deep" in warning for warning in analysis.load_run(folder).warnings)
        return
    with pytest.raises(BadInput, match=f"{name}: .*nested too deep"):
        analysis.finish(folder)


def test_a_name_that_is_absent_is_none(finished: Finished, tmp_path: Path) -> None:
    """No run leaves one; a folder that others made may."""
    folder = shutil.copytree(finished[0], tmp_path / "run")
    (folder / "SHA256SUMS").unlink(missing_ok=True)
    events = pq.read_table(folder / "events.parquet")
    targets = [None, *events["target"].cast(pa.string()).to_pylist()[1:]]
    column = pa.array(targets).dictionary_encode().cast(events.schema.field("target").type)
    place = events.column_names.index("target")
    pq.write_table(events.set_column(place, "target", column), folder / "events.parquet")
    assert analysis.load_run(folder).columns_of("events")["target"].tolist() == targets
    analysis.finish(folder, pictures=False)


@pytest.mark.parametrize("escape", [r"\ud800", r"\uDFFF"])
def test_half_a_character_in_a_name_is_named_and_a_whole_one_is_text(tmp_path: Path, escape: str) -> None:
    """Else a page breaks as it is written."""
    file = tmp_path / "summary.json"
    file.write_text(f'{{"name": "{escape}"}}')
    with pytest.raises(BadInput, match=r"summary\.json: damaged: .*surrogates not allowed"):
        read_json(file)
    file.write_text(r'{"name": "\ud83d\ude00"}')
    assert read_json(file) == {"name": "\N{GRINNING FACE}"}


@pytest.mark.slow
def test_parts_that_are_swapped_or_missing_are_noticed_or_change_nothing(
    finished: Finished, tmp_path: Path
) -> None:
    """Of attempts, whose rows say themselves what they belong to; with checksums each is known, too."""
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    (folder / "SHA256SUMS").unlink(missing_ok=True)
    one, other, *_, last = sorted((folder / "attempts").iterdir())
    sums = {path: digest(path) for path in folder.glob("*/part-*.parquet")}
    one.rename(folder / "aside")
    other.rename(one)
    (folder / "aside").rename(other)
    analysis.finish(folder)
    assert (folder / "summary.json").read_bytes() == (finished[0] / "summary.json").read_bytes()
    write_sums(folder, sums)
    with pytest.raises(BadInput, match=f"attempts/{one.name}: damaged: its checksum is not the one"):
        analysis.finish(folder)
    (folder / "SHA256SUMS").unlink()
    last.unlink()
    with pytest.raises(BadInput, match=r"attempts: \d+ rows for \d+ attempts; parts are missing"):
        analysis.finish(folder)


def test_a_folder_in_the_place_of_a_file_is_named(finished: Finished, tmp_path: Path) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    (folder / "timing.json").unlink(missing_ok=True)
    (folder / "timing.json").mkdir()
    with pytest.raises(BadInput, match=r"timing\.json: cannot be read: is a directory"):
        analysis.finish(folder)


def test_too_little_memory_is_no_damage(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self, _: Path) -> None:
            raise OSError("ZSTD_DCtx create failed")

    monkeypatch.setattr(pq, "ParquetFile", Full)
    with pytest.raises(RunFailed, match=r"clients\.parquet: cannot be read: not enough memory"):
        _ = analysis.load_run(finished[0]).clients


def test_scenario_that_is_not_resolved_is_refused(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "run", [{}], warm_up=("warm_up_s: 0\n", ""))
    with pytest.raises(BadInput, match="warm_up_s is missing"):
        analysis.load_run(folder)


def test_unknown_outcome_is_refused(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "run", [{"outcome": "gone_fishing"}])
    with pytest.raises(BadInput, match="outcome holds a value other than local, remote"):
        analysis.finish(folder)


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such run folder"):
        analysis.load_run(tmp_path / "nowhere")


@pytest.mark.parametrize("number", range(5))
def test_missing_part_of_the_requests_is_noticed(finished: Finished, tmp_path: Path, number: int) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    (folder / f"requests/part-{number:07d}.parquet").unlink()
    with pytest.raises(BadInput, match=r"requests: .* rows for 14400 arrivals") as refused:
        analysis.finish(folder)
    assert "\n" not in str(refused.value)


def test_missing_request_is_named(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path, [{"client_id": n % 2} for n in range(8)])
    part = folder / "requests/part-0000000.parquet"
    pq.write_table(pq.read_table(part).slice(0, 6).filter([True, True, True, False, True, True]), part)
    with pytest.raises(BadInput, match="request 1 of client 1 is missing; 5 rows for 8 arrivals"):
        analysis.finish(folder)


def test_part_that_is_there_twice_is_refused(finished: Finished, tmp_path: Path) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    shutil.copy(folder / "requests/part-0000000.parquet", folder / "requests/part-0000009.parquet")
    with pytest.raises(BadInput, match="request 0 of client 0 is there twice"):
        analysis.finish(folder)


def test_a_scenario_that_is_opened_again_shares_nothing_with_the_first(finished: Finished) -> None:
    first = analysis.load_run(finished[0])
    first.scenario["fleet"][0]["group"] = "other"
    assert analysis.load_run(finished[0]).scenario["fleet"][0]["group"] != "other"
