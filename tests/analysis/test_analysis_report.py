"""The report: one file with everything in it, readable by machines that help people read."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from run_folders import write_outages, write_table, write_tiny

import analysis
from analysis.figures import drawings_of
from analysis.reports import predictions as predicted
from analysis.reports.formatting import headline, load_of, outage_name
from analysis.reports.run_page import command
from analysis.reports.sentences import sentences
from analysis.reports.tables import notes
from analysis.reports.zoom_data import as_script, zoom_data
from analysis.run_folder.traffic import traffic_of
from sim.results import columns
from sim.results.columns import VERSION
from sim.results.whole_files import write_whole

Finished = tuple[Path, dict[str, Any]]


class Page(HTMLParser):
    """The start tags of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def html(finished: Finished) -> str:
    return (finished[0] / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_every_figure_is_there_with_words_for_who_cannot_see_it(finished: Finished, page: Page) -> None:
    alts = [attributes["alt"] or "" for tag, attributes in page.tags if tag == "img"]
    traffic = traffic_of(analysis.load_run(finished[0]))
    drawn = drawings_of(traffic.run)
    figures = {name: drawing.alt(traffic, finished[1]) for name, drawing in drawn.items()}
    first, last = figures.pop("timeline"), predicted.alt(finished[1]["predictions"])
    assert alts == [first, *figures.values(), last], "it opens with the time line; laws come last"
    for alt in alts:
        assert re.search(r"\d", alt), "the numbers are in it"
        assert re.findall(r"[.!?](?= |$)", alt) == ["."], "one sentence"
    for drawing in drawn.values():
        assert drawing.caption in page.text


def test_it_opens_with_what_ran_and_who_made_it(html: str, page: Page) -> None:
    opening = html[: html.index('id="timeline"')]
    told = ("sensors", "l2h above a threshold of 0", "2 replicas, batches of up to 8", f"l2h-fleet {VERSION}")
    for words in told:
        assert words in opening, words
    assert "recovery after outages" not in page.text, "told once, in a sentence"
    assert html.index('id="findings"') < html.index('id="tables"') < html.index('id="predictions"')


def test_a_quick_outage_is_explained_where_it_falls() -> None:
    """Who is refused at once answers at once: 95% of the answers are there sooner than before."""
    window = {"p95_latency_s": 0.4, "answered_by_server_share": 0.5}
    during = {"p95_latency_s": 0.1, "answered_by_server_share": 0.0}
    outage = {"label": "server", "from_s": 10.0, "to_s": 20.0, "during": during}
    (note,) = notes({"run": {"horizon_s": 60.0}, "outages": {"before": window, "each": [outage]}})
    assert note.startswith("server out 10–20 s: 95% are answered sooner than before the outage because")
    slower = outage | {"during": during | {"p95_latency_s": 0.5}}
    assert notes({"outages": {"before": window, "each": [slower]}}) == []


def test_nothing_is_loaded_from_elsewhere(html: str, page: Page) -> None:
    assert not re.search(r"https?://", html)
    sources = [a[name] for _, a in page.tags for name in ("src", "href", "srcset") if name in a]
    assert all(source and source.startswith(("data:image/svg+xml;base64,", "#")) for source in sources)
    assert not [tag for tag, _ in page.tags if tag in ("link", "iframe")]
    assert [a for tag, a in page.tags if tag == "script" and "src" in a] == []


def test_links_lead_somewhere(page: Page) -> None:
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"] for tag, a in page.tags if tag == "a"} <= {f"#{name}" for name in ids}


def test_what_scrolls_can_be_reached_by_keyboard(page: Page) -> None:
    scrolling = [a for _, a in page.tags if a.get("class") == "scroll"]
    assert scrolling
    assert all(a["tabindex"] == "0" and ("aria-label" in a or "aria-labelledby" in a) for a in scrolling)


def test_names_of_the_windows_stay_in_sight_beside_what_scrolls(html: str, page: Page) -> None:
    assert [a for tag, a in page.tags if tag == "table" and a.get("class") == "windows"]
    assert re.search(r"\.windows tbody th \{[^}]*position: sticky; left: 0", html)


def test_headings_descend_one_level_at_a_time(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_it_holds_question_numbers_command_and_scenario(finished: Finished, page: Page) -> None:
    run = analysis.load_run(finished[0])
    assert run.question in page.text
    for sentence in sentences(finished[1]):
        assert sentence in page.text
    assert run.scenario_text.strip() in page.text
    stages = re.sub(r"\s*\n\s*", "", page.text)
    words = "frozen client models (build)2.10 sserver and rejectors trained (learn)8.40 s"
    words += "policies evaluated (decide)0.10 sevent loop (run)3.30 srequests simulated"
    assert words in stages


def test_command_names_the_run_from_where_it_is_typed(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished[0]

    def words() -> list[str]:
        return shlex.split(command(analysis.load_run(folder)))

    assert words()[:3] == ["python", "run_sim.py", "run"]
    assert words()[3:] == [str(folder / "scenario.yaml"), "--out", f"{folder}-again"]
    monkeypatch.chdir(folder.parent)
    assert words()[3:] == ["outage/scenario.yaml", "--out", "outage-again"]
    monkeypatch.chdir(folder)
    assert Path(words()[3]).samefile(folder / "scenario.yaml")
    assert Path(words()[5]).absolute() == folder.parent / "outage-again"
    monkeypatch.chdir(tmp_path)
    assert Path(words()[3]).samefile(folder / "scenario.yaml")
    monkeypatch.setattr(sys, "argv", ["/usr/bin/l2h-fleet", "report"])
    assert words()[:2] == ["l2h-fleet", "run"]


@pytest.mark.usefixtures("plain_pictures")
def test_text_of_a_scenario_is_never_markup(finished: Finished, tmp_path: Path) -> None:
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    text = (folder / "scenario.yaml").read_text()
    (folder / "scenario.yaml").write_text("# <script>alert(1)</script>\n" + text)
    events = pq.read_table(folder / "events.parquet").to_pandas().astype({"target": "str"})
    events["target"] = events["target"].str.replace("server", "</script><b>")
    write_table(folder / "events.parquet", dict(events), columns.EVENTS)
    write_outages(folder, (("</script><b>", 100, 140),))
    html = analysis.write_report(folder).read_text()
    assert html.count("<script") == 2, "the data and the code of the time line"
    assert "<script>alert(1)</script>" in Page(html).text
    assert "</script><b>" not in html
    assert (
        "</script><b>"
        in json.loads(re.findall(r'id="zoom-data">(.*?)</script>', html)[0])["outages"][0]["label"]
    )


def test_time_line_to_zoom_is_bounded_however_long_the_run(finished: Finished, tmp_path: Path) -> None:
    data = zoom_data(traffic_of(analysis.load_run(finished[0])))
    assert [panel["name"] for panel in data["panels"]] == ["accuracy", "sends", "waiting", "replicas"]
    sends = data["panels"][1]["series"]
    timeline = analysis.load_run(finished[0]).timeline
    assert sends[0]["y"] == timeline["first_sends"].tolist()
    assert sends[1]["y"] == (timeline["first_sends"] + timeline["retries"]).tolist()
    long = write_tiny(
        tmp_path, [{}], horizon_s=20_000, outages=tuple(("server", n, n + 5) for n in range(0, 19_990, 10))
    )
    text = as_script(zoom_data(traffic_of(analysis.load_run(long))))
    assert len(text) < 300_000
    data = json.loads(text)
    assert max(len(s["x"]) for p in data["panels"] for s in p["series"]) <= 2000
    assert len(data["outages"]) <= 200
    assert (data["outages"][0]["from"], data["outages"][-1]["to"]) == (0, 19_985)
    usable = next(s for s in data["panels"][3]["series"] if s["name"] == "usable")
    assert usable["x"][-1] > 19_980


def test_no_unfinished_file_is_left(finished: Finished) -> None:
    assert [p.name for p in finished[0].rglob(".*")] == []


def test_file_that_cannot_be_completed_leaves_the_old_one(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.txt", b"old")
    with pytest.raises(TypeError):
        write_whole(tmp_path / "a.txt", "text, not bytes")  # type: ignore[arg-type]
    assert (tmp_path / "a.txt").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_small_load_keeps_its_digits_and_one_of_several_servers_is_no_number(finished: Finished) -> None:
    assert [load_of(value) for value in (0.58, 1.275, 0.0043, 0.0, None)] == [
        "0.58",
        "1.27",
        "0.0043",
        "0.00",
        "–",
    ]
    summary = finished[1] | {"load": finished[1]["load"] | {"offered": None}}
    assert headline(finished[1])[-1]["label"] == "offered load"
    assert headline(summary)[-1]["label"] == "work wasted"
    assert "–" not in {row["value"] for row in headline(summary)}


def test_batching_is_named_only_where_it_keeps_replicas_busy(finished: Finished) -> None:
    def told(offered: float | None, utilisation: float) -> str:
        load = finished[1]["load"] | {"offered": offered, "utilisation": utilisation}
        return " ".join(sentences(finished[1] | {"load": load}))

    assert "busy 93.0% of the time they were up; batching" in told(0.58, 0.93)
    assert "batching" not in told(0.0027, 0.003)
    assert "batching" not in told(None, 0.6)


def test_outages_of_a_long_run_are_told_in_hours_from_its_first_one_on() -> None:
    assert (
        outage_name({"label": "server", "from_s": 3_600.0, "to_s": 5_400.0}, 7_200.0)
        == "server out 3,600–5,400 s"
    )
    day = outage_name({"label": "server", "from_s": 3_600.0, "to_s": 5_400.0}, 86_400.0)
    assert day == "server out 1 h–1 h 30 min"


def test_a_page_of_learning_alone_opens_with_what_each_group_learned() -> None:
    risks = {"risk": 0.2, "risk_all_local": 0.3, "risk_all_remote": 0.25}
    row = {"group": "narrow", "score": "l2h", "deferral_rate": 0.4, "accuracy": 0.9} | risks
    summary = {"run": {"horizon_s": 0.0}, "study": [row | {"is_policy": True}, row | {"is_policy": False}]}
    assert headline(summary) == [
        {"label": "narrow: accuracy", "value": "90.0%", "note": "40.0% sent"},
        {"label": "narrow: risk", "value": "0.200", "note": "none sent 0.300, all sent 0.250"},
    ]
