"""The pages in a real browser: nothing breaks, nothing is loaded, panels zoom together, phones can read."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from PIL import Image
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import analysis
from analysis.figures import drawings_of
from analysis.reports.cell_table import Made, cell_table
from analysis.reports.many_runs_report import Result, sweep_result, sweep_table, write_result
from analysis.reports.open_metrics import open_metrics
from analysis.reports.paper_table import paper_table
from analysis.reports.policy_study import POLICY, study_result, study_table
from analysis.reports.print_figure import print_figure
from commands.terminal import Terminal
from sim.errors import BadInput

pytestmark = pytest.mark.slow

Finished = tuple[Path, dict[str, Any]]
DESK, PHONE = (1280, 900), (390, 844)


class Opened:
    """A page with everything that it complained about or asked for."""

    def __init__(self, browser: Any, path: Path, size: tuple[int, int], scheme: str = "light") -> None:
        self.context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme
        )
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.resolve().as_uri())

    def views(self) -> list[tuple[float, float]]:
        """What each panel shows, from and to."""
        found = self.page.eval_on_selector_all(
            "#zoom svg", "all => all.map(s => [Number(s.dataset.from), Number(s.dataset.to)])"
        )
        return [tuple(view) for view in found]

    def one_view(self) -> tuple[float, float]:
        views = self.views()
        assert len(views) == 4
        assert len(set(views)) == 1, "panels are linked"
        return views[0]


@pytest.fixture
def opened(browser: Any, finished: Finished) -> Iterator[Opened]:
    report = Opened(browser, finished[0] / "report.html", DESK)
    yield report
    report.context.close()


def test_no_error_and_nothing_asked_of_the_network(opened: Opened, finished: Finished) -> None:
    opened.page.mouse.wheel(0, 20_000)
    assert opened.complaints == []
    elsewhere = [url for url in opened.requests if not url.startswith("data:")]
    assert elsewhere == [(finished[0] / "report.html").resolve().as_uri()]


def test_every_figure_is_drawn(opened: Opened, finished: Finished) -> None:
    sizes = opened.page.eval_on_selector_all(
        "figure img", "all => all.map(i => [i.complete, i.naturalWidth])"
    )
    assert len(sizes) == len(drawings_of(analysis.load_run(finished[0]))) + 1  # and that of the predictions
    assert all(complete and width > 200 for complete, width in sizes)
    paths = opened.page.eval_on_selector_all(
        "#zoom svg", "all => all.map(s => s.querySelectorAll('path').length)"
    )
    assert all(count >= 5 for count in paths)
    assert len(opened.page.query_selector_all("#zoom rect.outage")) == 4


def test_buttons_move_all_panels(opened: Opened) -> None:
    assert opened.one_view() == (0, 300)
    opened.page.get_by_role("button", name="Zoom in").click()
    assert opened.one_view() == (75, 225)
    opened.page.get_by_role("button", name="Later").click()
    assert opened.one_view() == (112.5, 262.5)
    opened.page.get_by_role("button", name="server out").click()
    assert opened.one_view() == (90, 170)
    opened.page.get_by_role("button", name="Whole run").click()
    assert opened.one_view() == (0, 300)
    assert opened.complaints == []


def test_keys_move_all_panels(opened: Opened) -> None:
    opened.page.get_by_role("button", name="Whole run").focus()
    for _ in range(2):  # the button for the one outage, then the panels
        opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.id") == "zoom"
    opened.page.keyboard.press("+")
    assert opened.one_view() == (75, 225)
    opened.page.keyboard.press("ArrowLeft")
    assert opened.one_view() == (37.5, 187.5)
    opened.page.keyboard.press("-")
    assert opened.one_view() == (0, 300), "not beyond the run"
    for _ in range(20):
        opened.page.keyboard.press("+")
    start, end = opened.one_view()
    assert end - start == pytest.approx(5), "not closer than a few seconds"
    opened.page.keyboard.press("0")
    assert opened.one_view() == (0, 300)
    assert "0 to 300 s" in opened.page.inner_text("#zoom-status")


def test_dragging_over_one_panel_zooms_all(opened: Opened) -> None:
    plot = opened.page.locator(".zoom-plot").nth(2)
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    opened.page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 60)
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 60, steps=4)
    assert opened.page.query_selector("#zoom rect.chosen")
    opened.page.mouse.up()
    start, end = opened.one_view()
    assert 70 < start < 100 < end < 160
    opened.page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 60)
    reported = opened.page.inner_text("#zoom-status")
    assert "the fleet" in reported
    assert "retries" in reported
    opened.page.mouse.dblclick(box["x"] + 0.5 * box["width"], box["y"] + 60)
    assert opened.one_view() == (0, 300)
    assert opened.complaints == []


@pytest.fixture(scope="module")
def pages(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A report, a comparison, what is left of a damaged run, and a study."""
    folder = tmp_path_factory.mktemp("pages")
    copy = shutil.copytree(finished[0], folder / "again")
    analysis.write_comparison([finished[0], copy], folder / "comparison")
    runs = [
        Made({POLICY: policy}, seed, shutil.copytree(finished[0], folder / f"{policy}-{seed}"))
        for policy in ("l2h", "client")
        for seed in (1, 2, 3)
    ]
    result = study_result("mine", "Who keeps working?", "run_sim.py study", cell_table(runs), "l2h", "outage")
    write_result(result, folder / "study")
    (copy / "timeline.parquet").unlink()
    with pytest.raises(BadInput):
        analysis.write_report(copy)
    rest = (folder / "comparison/compare.html", copy / "report_partial.html", folder / "study/study.html")
    return [finished[0] / "report.html", *rest]


def is_light(picture: Any) -> bool:
    """Whether the paper of a figure is light on the screen: in its corner, where nothing is drawn."""
    with Image.open(io.BytesIO(picture.screenshot())) as dots:
        return bool(np.median(np.asarray(dots.convert("L"))[11:15, 11:15]) > 128)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE])
def test_pages_fit_their_width_in_light_and_dark(
    browser: Any, pages: list[Path], size: tuple[int, int], scheme: str
) -> None:
    for path in pages:
        shown = Opened(browser, path, size, scheme)
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= size[0], path.name
        paper = shown.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light"), path.name
        hidden = "all => all.filter(e => e.scrollWidth > e.clientWidth).length"
        assert shown.page.eval_on_selector_all(".facts .scroll", hidden) == 0, path.name
        assert shown.page.eval_on_selector_all("main .scroll", hidden) == 0, path
        assert is_light(shown.page.locator("figure img:visible").first) == (scheme == "light"), path.name
        narrow = "all => all.filter(i => i.currentSrc !== i.src).length"
        assert (shown.page.eval_on_selector_all("figure img", narrow) > 0) == (size == PHONE), path.name
        assert shown.complaints == [], path.name
        shown.context.close()


def test_the_page_of_a_study_shows_every_figure_and_asks_for_nothing(browser: Any, pages: list[Path]) -> None:
    shown = Opened(browser, pages[-1], DESK)
    assert shown.complaints == []
    assert [url for url in shown.requests if not url.startswith("data:")] == [pages[-1].resolve().as_uri()]
    drawn = shown.page.eval_on_selector_all("figure img", "all => all.map(i => i.naturalWidth)")
    assert len(drawn) == 3, "and no differences, since there are none"
    assert min(drawn) > 200
    words = "document.querySelector('#findings').innerText"
    assert "accuracy, held-out (points) against l2h: no policy" in shown.page.evaluate(words)
    assert "against l2h" not in shown.page.evaluate("document.querySelector('#tables').innerText")
    shown.context.close()


HOSTILE = '"><img src=x onerror="document.title=1"><script>document.title=2</script>{{7*7}} $x_1$ [red]'


@pytest.fixture(scope="module")
def foreign(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose run and first group have a name that no scenario may have."""
    folder = shutil.copytree(finished[0], tmp_path_factory.mktemp("foreign") / "run")
    text = (folder / "scenario.yaml").read_text()
    for name in ("sensors", "synthetic"):
        text = re.sub(rf"\b{name}\b", lambda _: json.dumps(HOSTILE), text)
    (folder / "scenario.yaml").write_text(text)
    for file in folder.rglob("*.parquet"):
        table = pq.read_table(file)
        for index, field in enumerate(table.schema):
            column = table[field.name]
            kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            if pa.types.is_string(kind):
                words = pc.if_else(
                    pc.equal(column.cast(pa.string()), "sensors"), HOSTILE, column.cast(pa.string())
                )
                table = table.set_column(index, field.with_type(pa.string()), words)
        pq.write_table(table, file)
    analysis.write_report(folder)
    return folder


def test_names_of_foreign_folders_are_text_on_every_page(browser: Any, foreign: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(foreign, tmp_path / "again")
    analysis.write_comparison([foreign, copy], tmp_path / "comparison")
    for page in (foreign / "report.html", tmp_path / "comparison/compare.html"):
        shown = Opened(browser, page, DESK)
        assert shown.complaints == [], page.name
        assert shown.page.title() not in ("1", "2"), "nothing of a name ran"
        assert shown.page.locator("img[src=x]").count() == 0
        if page.name == "report.html":  # a comparison shortens names
            assert HOSTILE in shown.page.inner_text("body")
        shown.context.close()


def renamed(value: Any) -> Any:
    """A part of a summary that an editor has put the name into: of groups, outages, reasons and the run."""
    if isinstance(value, dict):
        return {HOSTILE if key == "sensors" else key: renamed(part) for key, part in value.items()}
    if isinstance(value, list):
        return [renamed(part) for part in value]
    return HOSTILE if isinstance(value, str) else value


@pytest.fixture(scope="module")
def foreign_many(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """A sweep and a study of runs whose summaries say the name wherever text may stand."""
    folder = tmp_path_factory.mktemp("many")
    runs = []
    for policy in (HOSTILE, "client"):
        for seed in (1, 2, 3):
            copy = shutil.copytree(finished[0], folder / f"{policy[-3:-1]}-{seed}")
            summary = renamed(json.loads((copy / "summary.json").read_text()))
            summary |= {"valid": False, "invalid_because": [HOSTILE]}
            (copy / "summary.json").write_text(json.dumps(summary))
            runs.append(Made({POLICY: policy}, seed, copy))
    table = cell_table(runs)
    shown = [next(name for name in table if HOSTILE in name and name.endswith("accuracy.value")), "accuracy"]
    return {
        "sweep": sweep_result(HOSTILE, HOSTILE, HOSTILE, table, [POLICY], shown),
        "study": study_result(HOSTILE, HOSTILE, HOSTILE, table, HOSTILE, HOSTILE),
    }


@pytest.mark.parametrize("name", ["sweep", "study"])
def test_names_of_foreign_summaries_are_text_on_pages_of_many_runs(
    browser: Any, foreign_many: dict[str, Result], tmp_path: Path, name: str
) -> None:
    write_result(foreign_many[name], tmp_path / name)
    shown = Opened(browser, tmp_path / name / f"{name}.html", DESK)
    assert shown.complaints == []
    assert shown.page.title() not in ("1", "2"), "nothing of a name ran"
    assert shown.page.locator("img[src=x]").count() == 0
    assert HOSTILE in shown.page.inner_text("body")
    shown.context.close()


def test_names_of_foreign_summaries_are_text_in_tables_of_many_runs(
    foreign_many: dict[str, Result], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Terminal().print(sweep_table(foreign_many["sweep"], ["accuracy"]), width=600, crop=False)
    Terminal().print(study_table(foreign_many["study"]), width=600, crop=False)
    printed = "".join(capsys.readouterr().out.split())  # long names are folded
    assert printed.count("".join(HOSTILE.split())) >= 4
    write_result(foreign_many["sweep"], tmp_path / "sweep")
    (row, _) = csv.DictReader(io.StringIO(paper_table(tmp_path / "sweep", "settings", "csv")))
    assert row[POLICY] == HOSTILE
    latex = paper_table(tmp_path / "sweep", "settings", "latex")
    assert r"\{\{7*7\}\} \$x\_1\$" in latex


def test_names_of_foreign_folders_are_text_in_files_for_other_programs(foreign: Path) -> None:
    with gzip.open(foreign / "trace.json.gz", "rt") as file:
        events = json.load(file)["traceEvents"]
    assert any(HOSTILE in json.dumps(event, ensure_ascii=False).replace("\\", "") for event in events)
    lines = open_metrics(analysis.load_run(foreign), every_s=300.0)
    counters = "\n".join(line for line in lines if "latency" not in line) + "\n"
    families = {one.name: one for one in text_string_to_metric_families(counters)}
    assert HOSTILE in {sample.labels["group"] for sample in families["l2h_correct"].samples}


def test_a_figure_for_print_shows_names_as_they_are(foreign: Path) -> None:
    """Dollars are no mathematics there, and marks of XML no XML."""
    svg = ElementTree.fromstring(print_figure(foreign, "fairness", "12in", "svg"))
    assert any(HOSTILE[:20] in "".join(one.itertext()) for one in svg.iter() if one.tag.endswith("text"))


def test_names_of_foreign_folders_are_text_on_a_terminal(
    foreign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = json.loads((foreign / "summary.json").read_text())
    summary["run"]["name"] = HOSTILE + " \x1b[31mred \u202ebackwards :smile:"
    Terminal().print(analysis.summary_table(summary), width=400)
    printed = " ".join(capsys.readouterr().out.split())
    assert HOSTILE + " \\x1b[31mred \\u202ebackwards :smile:" in printed
    assert "\x1b" not in printed
