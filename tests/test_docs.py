"""The pages say what is true: their commands are run, their scenarios are fine, and the site can be built.

What takes minutes is made small: a `run` has five clients and one model a group, one epoch of everything,
no training during the run, one process and one figure; `report` and `compare` read copies of such a run.
Commands that run many have such runs too, of twenty seconds and without outages. Paper studies have few
samples and settings, where Fashion-MNIST can be read. What wants a cluster at an address is checked alone.
Modules (`python -m`) must be there; the one that reads a run is run.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from agents.checks import validate
from analysis.figures import FIGURES
from analysis.reports import run_page
from commands import main
from sim.registry.fits import FITS
from sim.registry.trace_formats import TRACE_FORMATS
from sim.scenario import read

pytestmark = pytest.mark.usefixtures("plain_pictures")

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BROUGHT = ("own_answers.md", "own_data.md", "own_models.md")  # played whole by tests/test_own_pages.py
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
SMALL = (
    "fleet.*.clients=5",
    "fleet.*.model.variants=1",
    "fleet.*.model.epochs=1",
    "training.pretrain.epochs=1",
    "training.online=null",
)
ONE_PROCESS = ["--local", "--quiet", "--force"]
OF_SEVERAL_SERVERS = {"multiplexing", "edge_cloud_drift", "edge_cloud_policies", "roaming_policies"}
SOON = "{every_s: 8, steps: 1, step_s: 0, rejector_steps: 1, rejector_step_s: 0}"
MORE = {"edge_cloud_drift": ("fleet.*.traffic.drift=[]", f"training.online={SOON}")}  # of some studies
MANY_RUNS = {"sweep", "study", "capacity"}
SMALL_PAPER = (
    "data.samples=400",
    "fleet.*.model.epochs=1",
    "fleet.*.model.train_samples=20",
    "server.model.image_size=null",
    "training.pretrain.epochs=1",
    "study.c_e=[0.25]",
    "study.sync_every=[1, epoch]",
)
RUN_AS_THEY_STAND = {"check", "diff", "scenarios", "schema", "report", "figure", "table", "compare"}


class Found(NamedTuple):
    """A command or a block of a page."""

    page: str
    text: str


def blocks(*languages: str) -> list[Found]:
    return [
        Found(page.name, text)
        for page in PAGES
        if page.name not in BROUGHT
        for language, text in BLOCK.findall(page.read_text())
        if language in languages
    ]


COMMANDS = [
    Found(page, line.split(" #")[0].strip())
    for page, text in blocks("", "sh")
    for line in text.splitlines()
    if line.startswith(("python ", "make "))
]
FILES = {  # "Here is `name.csv`", and then its content
    name: content
    for page in PAGES
    for name, content in re.findall(
        r"Here is `([\w.]+)`[^`]*\n```text\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE
    )
}
SCENARIOS = [results for results in blocks("yaml") if re.search(r"(?ms)^name:.*^fleet:", results.text)]


def words_of(results: list[Found], program: str) -> list[Any]:
    """The words of each command behind `python run_sim.py` and the like, once."""
    reported = {text: page for page, text in results if text.startswith(program + " ")}
    return [
        pytest.param(
            shlex.split(text.removeprefix(program)),
            id=f"{page}: {text}",
            marks=[pytest.mark.slow] if MANY_RUNS & set(text.split()) or "run paper" in text else [],
        )
        for text, page in reported.items()
    ]


def run_folders(words: list[str]) -> list[str]:
    """The run folders that a command reads."""
    return [
        word
        for word, before in zip(words, ["", *words], strict=False)
        if word.startswith("runs/") and before != "--out"
    ]


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the README's scenario."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        at_home(patch, folder)
        assert call(patch, small(["run", "fifty.yaml"])) == 0
    return folder / "runs/fifty"


def at_home(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Makes `folder` the working one, with the scenarios of the pages in it."""
    patch.chdir(folder)
    for results in SCENARIOS:
        (name,) = re.findall(r"^name: (\w+)$", results.text, flags=re.MULTILINE)
        Path(f"{name}.yaml").write_text(results.text)
    for name, content in FILES.items():
        Path(name).write_text(content)


def small(words: list[str], changes: tuple[str, ...] = SMALL) -> list[str]:
    """A run's command with the settings of this module."""
    of_machines = [at for at, word in enumerate(words) if word in {"--workers", "--ray-address"}]
    kept = [word for at, word in enumerate(words) if not {at, at - 1} & set(of_machines)]
    given = [word for word in kept if word != "--local"]
    alone = [word for word in ONE_PROCESS if word != "--force" or "--resume" not in words]
    return [*given, *alone, *(f"--set={one}" for one in changes)]


def one_figure(_run: Any) -> dict[str, Any]:
    return {"timeline": FIGURES["timeline"]}


def call(patch: pytest.MonkeyPatch, words: list[str]) -> int:
    patch.setattr(sys, "argv", ["run_sim.py", *words])
    return main.main()


def parsed(words: list[str]) -> dict[str, Any]:
    """The values of a command's parameters; raises typer.TyperException for a word that it does not know."""
    group: Any = typer.main.get_command(main.app)
    above = group.make_context("run_sim.py", list(words))
    name, command, rest = group.resolve_command(above, list(words))
    return dict(command.make_context(name, rest, parent=above).params)


def test_pages_hold_commands_and_scenarios() -> None:
    assert len(COMMANDS) >= 25
    assert {page for page, _ in SCENARIOS} >= {"README.md", "writing_scenarios.md"}


@pytest.mark.slow
@pytest.mark.parametrize("words", words_of(COMMANDS, "python run_sim.py"))
def test_every_command_can_be_given(
    words: list[str],
    small_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    at_home(monkeypatch, tmp_path)
    reported = parsed(words)
    if words[0] in RUN_AS_THEY_STAND:
        for folder in run_folders(words):
            shutil.copytree(small_run, folder)
        if words[1:2] == ["runs/comparison"]:
            shutil.move("runs/comparison", "runs/other")
            assert call(monkeypatch, ["compare", str(small_run), "runs/other"]) == 0
        assert call(monkeypatch, words) == 0, capsys.readouterr().err
    elif words[0] in MANY_RUNS:
        less = [f"--set={one}" for one in (*SMALL, "horizon_s=20", "warm_up_s=0")]
        whose = "servers.*" if words[1] in OF_SEVERAL_SERVERS else "server"
        less += [f"--set={one}" for one in (f"{whose}.outages=[]", *MORE.get(words[1], ()))]
        seeds = ["--seeds", "4"] if words[0] == "capacity" and "--seeds" not in words else []
        assert call(monkeypatch, [*words, *seeds, "--quiet", *less]) == 0, capsys.readouterr().err
    elif "scenario" in reported:
        scenario = read(reported["scenario"], reported.get("changes") or [], reported.get("seed"))
        if scenario.data.set != "digits" and not Path("/usr/share/datasets/fashion-mnist").is_dir():
            pytest.skip("Fashion-MNIST is not here: apt-get install dataset-fashion-mnist")
        validate(scenario)
        if words[0] != "run" or "--ray-address" in words:
            return
        monkeypatch.setattr(run_page, "drawings_of", one_figure)
        changes = SMALL if scenario.data.set == "digits" else SMALL_PAPER
        assert call(monkeypatch, small(words, changes)) == 0, capsys.readouterr().err


@pytest.mark.parametrize("words", words_of(COMMANDS, "make"))
def test_every_target_of_make_is_there(words: list[str]) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert set(words) <= set(targets)


@pytest.mark.parametrize("words", words_of(COMMANDS, "python -m"))
def test_every_module_is_there(words: list[str], small_run: Path) -> None:
    assert importlib.util.find_spec(words[0])
    if words[0] == "analysis.reports.contrast_table":
        line = [sys.executable, "-m", words[0], str(small_run)]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.startswith("| group | form |")
    if words[0] == "pytest":
        assert all((ROOT / word).exists() for word in words[1:] if word.startswith("tests"))


@pytest.mark.parametrize("results", SCENARIOS, ids=lambda results: results.page)
def test_every_scenario_of_the_pages_is_fine(results: Found, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(results.text)
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    validate(read(tmp_path / "one.yaml"))


def test_a_complaint_is_as_the_first_page_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (reported,) = re.findall(
        r"^mine\.yaml:.*$", (ROOT / "docs/first_ten_minutes.md").read_text(), flags=re.MULTILINE
    )
    monkeypatch.chdir(tmp_path)
    smoke = (ROOT / "scenarios/smoke.yaml").read_text()
    Path("mine.yaml").write_text(smoke.replace("clients: 6", "clients: 0", 1))
    with pytest.raises(Exception, match=f"^{re.escape(reported)}$"):
        read("mine.yaml")


def test_python_of_the_readme_runs(small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of docs/reading_results.md, and its SQL, run in tests/analysis/test_analysis_door.py."""
    (code,) = [text for page, text in blocks("") if page == "README.md" and text.startswith("import ")]
    shutil.copytree(small_run, tmp_path / "runs/outage")
    monkeypatch.chdir(tmp_path)
    exec(code, {})


def test_the_page_on_own_traces_says_what_is_said_and_joins_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs/own_trace.md").read_text()
    at_home(monkeypatch, tmp_path)
    assert call(monkeypatch, ["check", "doors.yaml"]) == 0
    said = capsys.readouterr().out
    (told,) = re.findall(r"^readers: .*$", page, flags=re.MULTILINE)
    assert told in said.splitlines()
    monkeypatch.setattr(run_page, "drawings_of", one_figure)
    changes = tuple(one for one in SMALL if "clients" not in one)
    assert call(monkeypatch, small(["run", "doors.yaml"], changes)) == 0, capsys.readouterr().err
    (code,) = [text for name, text in blocks("python") if name == "own_trace.md"]
    found: dict[str, Any] = {}
    exec(code, found)
    both = found["both"]
    assert sorted(both["trace_row"]) == [0, 1, 2, 3, 4]
    assert (both["work"] == both["tokens"]).all()
    assert ((both["when"] - 1_700_000_000_000) / 1000 == both["arrived_at_s"]).all()
    assert both.groupby("reader")["client_id"].nunique().eq(1).all()


def test_the_page_on_own_traces_has_every_format_and_fit() -> None:
    page = (ROOT / "docs/own_trace.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|$", page, flags=re.MULTILINE))
    assert set(rows) - {"format", "to"} == {*TRACE_FORMATS, *FITS}
    for name, kind in TRACE_FORMATS.items():
        told = [one for one in (*kind.roles.single().values(), *kind.roles.work) if one]
        assert [one for one in told if f"`{one}`" not in rows[name]] == []
    for name, (up, down) in FITS.items():
        assert rows[name] == f"{up.shape:.2f}, {up.scale_h:.2f} | {down.shape:.2f}, {down.scale_h:.2f}"


def test_every_place_that_an_extension_touches_is_there() -> None:
    """`path: NAME` is a module and what it defines; a bare path is a file or a pattern of files."""
    page = (ROOT / "docs/extending.md").read_text()
    named = re.findall(r"`([\w/*.]+\.(?:py|md))(?:: (\w+))?`", page)
    assert len([name for _, name in named if name]) >= 35
    missing = [path for path, _ in named if not list(ROOT.glob(path))]
    missing += [f"{path}: {name}" for path, name in named if name and name not in defined_in(ROOT / path)]
    assert missing == []


def defined_in(module: Path) -> set[str]:
    """The classes, functions and tables of a module."""
    results: set[str] = set()
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            results.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            results.update(target.id for target in targets if isinstance(target, ast.Name))
    return results


@pytest.mark.slow
def test_the_site_can_be_built_and_names_every_page(tmp_path: Path) -> None:
    """Links between pages and to headings lead somewhere, pictures are there; see docs/conf.py."""
    build = pytest.importorskip("sphinx.cmd.build").build_main
    options = ["--quiet", "--fail-on-warning", "--keep-going", "-d", str(tmp_path / "read")]
    assert build([*options, str(ROOT / "docs"), str(tmp_path / "site")]) == 0
    index = (tmp_path / "site/index.html").read_text()
    pages = {page.stem for page in PAGES[1:]} - {"index"}
    assert {name for name in pages if f'href="{name}.html"' not in index} == set()
