"""The summary as a whole: complete, defined, safe for JSON, the same bytes from the same folder."""

from __future__ import annotations

import copy
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from run_folders import write_tiny

import analysis
from analysis.metrics.definitions import DEFINITIONS, definition_of, leaves
from analysis.metrics.page import page
from analysis.metrics.summary import SECTIONS, WHERE_THERE_ARE_ANY, to_json
from analysis.metrics.without_interval import WITHOUT, why_without
from analysis.reports.formatting import data_size, percent, rate, seconds, with_interval
from analysis.reports.sentences import sentences
from analysis.reports.tables import facts, windows

Finished = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="module")
def summaries(
    finished: Finished,
    of_several: Finished,
    of_learners: Finished,
    of_starters: Finished,
    of_adaptive: Finished,
    of_rounds: Finished,
    of_sharers: Finished,
    of_neighbours: Finished,
    of_batching: Finished,
    of_sessions: Finished,
    of_heads: Finished,
) -> list[dict[str, Any]]:
    """Which together have every number that there is."""
    runs = (finished, of_several, of_learners, of_starters, of_adaptive, of_rounds, of_sharers, of_batching)
    return [summary for _, summary in (*runs, of_neighbours, of_sessions, of_heads)]


def test_every_number_has_a_definition_and_every_definition_a_number(summaries: list[dict[str, Any]]) -> None:
    paths = [path for summary in summaries for path in leaves(summary)]
    assert [path for path in paths if definition_of(path) is None] == []
    met = {definition_of(path) for path in paths}
    assert [name for name, meaning in DEFINITIONS.items() if meaning not in met] == []


def has_interval(summary: dict[str, Any], path: str) -> bool:
    """Beside the number, in `intervals` under its path, or as part of a list of such."""
    part, timed = summary, summary["intervals"]
    for step in path.split("."):
        part = part[int(step)] if isinstance(part, list) else part[step]
        timed = timed.get(step) if isinstance(timed, dict) else None
    beside = isinstance(part, dict) and {"low", "high"} <= set(part)
    spread = isinstance(timed, dict) and {"mean", "p50", "p95", "p99"} <= set(timed)
    in_time = isinstance(timed, dict) and set(timed) == {"value", "low", "high", "why"}
    return beside or spread or in_time or path in ("predictions", "reliability")


def test_every_number_has_an_interval_or_a_reason_why_not(summaries: list[dict[str, Any]]) -> None:
    met = set()
    for summary in summaries:
        paths = [path for path in leaves(summary) if not path.startswith("intervals.")]
        wrong = {path for path in paths if has_interval(summary, path) == (why_without(path) is not None)}
        assert not wrong, "one of both"
        met |= {pattern for pattern in WITHOUT for path in paths if fits(pattern, path)}
    assert set(WITHOUT) == met, "nothing is excused that is not there"


def fits(pattern: str, path: str) -> bool:
    parts, steps = pattern.split("."), path.split(".")
    return len(parts) == len(steps) and all(
        part in ("*", step) for part, step in zip(parts, steps, strict=True)
    )


def test_what_stands_in_intervals_is_the_number_itself(finished: Finished) -> None:
    """Or it has none, and says why."""
    summary = finished[1]
    for path in (path for path in leaves(summary["intervals"]) if path != "queue.in_system"):
        number, interval = summary, summary["intervals"]
        for step in path.split("."):
            number, interval = number[step], interval[step]
        number = number["value"] if isinstance(number, dict) else number
        assert interval["value"] == (None if number is None else pytest.approx(number)), path
        assert (interval["low"] is None or interval["high"] is None) == (interval["why"] is not None), path


def test_definitions_end_with_a_unit() -> None:
    assert [name for name, meaning in DEFINITIONS.items() if not meaning.endswith((").", "]."))] == []


def test_the_page_of_the_numbers_is_made_of_the_definitions() -> None:
    written = Path(__file__).resolve().parents[2] / "docs/metrics.md"
    assert written.read_text() == page(), "python -m analysis.metrics.page > docs/metrics.md"


def test_file_holds_what_is_returned_and_strict_json(finished: Finished) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = (finished[0] / "summary.json").read_text()
    assert json.loads(text, parse_constant=refuse) == finished[1]
    assert list(finished[1]) == [
        "valid",
        "invalid_because",
        *(name for name in SECTIONS if name not in WHERE_THERE_ARE_ANY),
    ]


@pytest.mark.slow
def test_same_folder_gives_the_same_bytes(finished: Finished, tmp_path: Path) -> None:
    """Wherever the folder lies, but for the command that names it, and however long the first report took."""
    folder = shutil.copytree(finished[0], tmp_path / finished[0].name)
    results = [*(folder / "figures").iterdir(), *(folder / f"{n}" for n in ("summary.json", "report.html"))]
    for path in results:
        path.unlink()
    timing = json.loads((folder / "timing.json").read_text())
    timing["stages_s"]["report"] = 1.5
    (folder / "timing.json").write_text(json.dumps(timing))
    analysis.finish(folder)
    names = [path.relative_to(folder) for path in results]
    assert {Path("report.html"), Path("summary.json"), Path("figures/timeline.svg")} <= set(names)
    made = {
        place: [(place / n).read_bytes().replace(str(place).encode(), b"") for n in names]
        for place in (folder, finished[0])
    }
    assert [n for n, one, other in zip(names, *made.values(), strict=True) if one != other] == []


def test_accuracy_before_during_and_after_tells_the_story(finished: Finished) -> None:
    outages = finished[1]["outages"]
    (outage,) = outages["each"]
    assert outages["before"]["accuracy"]["low"] > outage["during"]["accuracy"]["high"]
    assert outage["during"]["answered_by_server_share"] == 0.0
    assert outage["during"]["accuracy"]["value"] == outage["during"]["client_accuracy"]["value"]
    assert 0 < outage["recovery_s"] < 60
    assert outage["during"]["amplification"] == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize(
    "requests",
    [
        [],
        [{"answered_by": "none", "outcome": "in_flight"}],
        [{"arrived_at_s": 1.0}],
    ],
    ids=["nothing", "all in flight", "all in the warm-up"],
)
@pytest.mark.usefixtures("plain_pictures")
def test_runs_without_answers_have_results_too(tmp_path: Path, requests: list[dict[str, Any]]) -> None:
    summary = analysis.finish(
        write_tiny(tmp_path, requests, warm_up_s=0 if requests[:1] != [{"arrived_at_s": 1.0}] else 50)
    )
    assert summary["valid"] is False
    assert summary["latency_s"]["final"]["p95"] is None
    assert printed(summary)


def test_run_that_only_learned_has_the_figures_that_need_no_traffic(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path, [], horizon_s=0)
    shutil.rmtree(folder / "requests")
    summary = analysis.finish(folder)
    assert summary["counts"]["requests"] == 0
    assert {p.stem for p in (folder / "figures").iterdir()} == {"deferral", "risk", "learning"}
    assert sentences(summary) == ["No request arrived after the warm-up, so there is nothing to sum up."]


def printed(summary: dict[str, Any], width: int = 80) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(analysis.summary_table(summary))
    return console.export_text().splitlines()


def test_table_fits_a_terminal(finished: Finished) -> None:
    lines = printed(finished[1])
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 80
    accuracy = finished[1]["accuracy"]["held_out"]["all"]
    assert any(with_interval(accuracy) in line for line in lines)
    assert any("server out 100–140 s" in line for line in lines)


def test_a_narrow_terminal_folds_names_and_cuts_no_number(finished: Finished) -> None:
    summary = copy.deepcopy(finished[1])
    (outage,) = summary["outages"]["each"]
    outage["label"] = "one replica of the coast's server"
    for number, window in enumerate((summary["outages"]["whole_run"], outage["during"], outage["after"])):
        window |= {"requests": 1_021_783, "p95_latency_s": 10.125 + number, "timed_out_share": 1.0}
    lines = printed(summary)
    assert max(map(len, lines)) <= 80
    told = "\n".join(lines)
    assert all(text in told for text in ("10.125\n", "11.125\n", "12.125\n", "1,021,783", "the coast's"))


@pytest.mark.usefixtures("plain_pictures")
def test_many_outages_are_summed_up_in_the_table(tmp_path: Path) -> None:
    outages = tuple(("server", start, start + 5) for start in range(5, 95, 10))
    summary = analysis.finish(
        write_tiny(tmp_path, [{"arrived_at_s": float(n)} for n in range(99)], outages=outages)
    )
    rows = windows(summary)
    assert len(rows) == 2 + 2 * 5 + 2
    assert rows[-2][0] == "in all 9 outages"
    assert len(printed(summary)) <= 52  # a heading and long names take two lines
    assert "4 more outages" in sentences(summary)[-1]


def test_facts_have_a_value_each(finished: Finished) -> None:
    values = [value for rows in facts(finished[1]).values() for _, value in rows]
    assert all(values)
    assert "None" not in " ".join(values)


def test_numbers_as_people_read_them() -> None:
    assert (percent(0.8341), percent(None)) == ("83.4%", "–")
    assert (seconds(0.0201), seconds(1.5), seconds(42.0), seconds(0.0)) == (
        "20.1 ms",
        "1.50 s",
        "42.0 s",
        "0.00 s",
    )
    assert (data_size(512), data_size(3072), data_size(4.2e9)) == ("512 B", "3.1 kB", "4.2 GB")


def test_the_report_says_that_training_stopped_in_the_outage(finished: Finished) -> None:
    (reported,) = [part for part in sentences(finished[1]) if "rounds of training" in part]
    assert reported.startswith(
        "Of 9 rounds of training during the run 8 made a new version of the server; 1 were"
    )
    assert "because no replica was usable" in reported
    assert "so no version was made in that time. Rejectors were" in reported
    idle = finished[1] | {"rounds": {"made": 0, "lost": 0, "skipped": 0}}
    assert not [part for part in sentences(idle) if "training" in part]


def test_the_report_tells_of_gaps_that_follow_the_drift(of_adaptive: Finished, finished: Finished) -> None:
    """Between the shortest and the longest that its scenario allows; of fixed gaps nothing is said."""
    rounds = of_adaptive[1]["rounds"]
    assert 10 <= rounds["gap_min_s"] <= rounds["gap_mean_s"] <= rounds["gap_max_s"] <= 40
    assert any("by how fast the server's answers had got worse" in part for part in sentences(of_adaptive[1]))
    assert "versions made" not in str(of_adaptive[1]["predictions"]), "a law of fixed instants"
    assert "gap_mean_s" not in finished[1]["rounds"]
    assert not any("had got worse" in part for part in sentences(finished[1]))


@pytest.mark.parametrize(
    ("value", "text"), [(17.32, "17.3"), (0.2131, "0.213"), (1234.56, "1,234.6"), (0.0, "0.00"), (None, "–")]
)
def test_a_rate_keeps_three_digits(value: float | None, text: str) -> None:
    assert rate(value) == text


def test_the_text_of_a_summary_is_that_of_json() -> None:
    told = {"a": [1, 2.5, -1e-07, None, 'é\n"'], "b": {}, "c": [], "d": [{"e": {"f": [[]]}}], "": 1e99}
    assert to_json(told).decode() == json.dumps(told, indent=2, ensure_ascii=False) + "\n"
    with pytest.raises(ValueError, match="JSON"):
        to_json({"a": [float("nan")]})
