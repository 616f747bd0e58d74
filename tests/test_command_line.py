"""The command line as a user meets it: processes, exit codes, one line on stderr, nothing left behind."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from here import called

from commands.search import slos_of
from sim.errors import BadInput

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True, scope="module")
def learned_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What these commands learn they learn once, outside the folders that they are given in."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("L2H_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def call(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a folder of its own."""
    return subprocess.run(
        [sys.executable, str(ROOT / "run_sim.py"), *words],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def refused(reported: subprocess.CompletedProcess[str], folder: Path) -> str:
    """The one line of a refusal; checks the exit code and that nothing was left behind."""
    assert reported.returncode == 2, reported.stderr
    assert reported.stdout == ""
    assert len(reported.stderr.strip().splitlines()) == 1, reported.stderr
    assert not any(folder.iterdir()), list(folder.rglob("*"))
    return reported.stderr.strip()


def test_the_shipped_scenarios_are_listed_with_their_questions(tmp_path):
    reported = call("scenarios", cwd=tmp_path, COLUMNS="200")
    assert reported.returncode == 0
    assert "What does a two-minute total outage cost" in reported.stdout
    assert "smoke" in reported.stdout


def test_scenario_and_study_name_each_others_command(tmp_path):
    study, scenario = ROOT / "scenarios/studies/smoke_policies.yaml", ROOT / "scenarios/smoke.yaml"
    for words in (("run", "smoke_policies"), ("sweep", "smoke_policies"), ("run", str(study))):
        line = refused(called(tmp_path, *words), tmp_path)
        assert line.endswith("is a study of policies: give it to the command study")
    for words in (("study", "smoke"), ("study", str(scenario))):
        assert refused(called(tmp_path, *words), tmp_path).endswith("give it to the command run")


def test_two_scenarios_are_told_apart_in_words(tmp_path):
    reported = called(tmp_path, "diff", "outage", "smoke")
    assert (reported.returncode, reported.stderr) == (0, "")
    lines = reported.stdout.splitlines()
    assert "server: batches of up to 8 → batches of up to 4" in lines
    assert "server.when_down: queue → refuse" in lines
    assert called(tmp_path, "diff", "smoke", "smoke").stdout == "nothing\n"
    assert refused(called(tmp_path, "diff", "smoke", "smok"), tmp_path).endswith("did you mean smoke?")


def test_without_its_packages_it_says_where_they_are(tmp_path):
    """As under a Python that is not the one of the virtual environment."""
    reported = subprocess.run(
        [sys.executable, "-S", "-c", "from commands.entry import enter; enter()"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert reported.returncode == 2
    assert reported.stderr.startswith("cannot start: No module named ")
    assert "make demo" in reported.stderr
    assert reported.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["outage", "smoke"])
def test_every_shipped_scenario_passes_its_check(name, tmp_path):
    reported = call("check", name, cwd=tmp_path)
    assert (reported.returncode, reported.stderr) == (0, "")
    assert reported.stdout.startswith(f"{name}: fine (")


def test_the_schema_is_json_and_knows_the_keys(tmp_path):
    schema = json.loads(called(tmp_path, "schema").stdout)
    assert {"fleet", "server", "training", "horizon_s"} <= set(schema["properties"])


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        (["run", "outge"], "did you mean outage?"),
        (["run", "smoke", "--set", "server.replicas=0"], "server.replicas: 0 is not allowed"),
        (["run", "smoke", "--set", "server.replica=1"], "did you mean replicas?"),
        (["run", "smoke", "--set", "fleet.*.arrivals.process.rate_hz=-1"], "must be greater than 0"),
        (["run", "smoke", "--set", "fleet.narow.clients=1"], "narrow"),
        (["run", "smoke", "--set", "horizon_s=.nan"], "horizon_s"),
        (["run", "smoke", "--set", "fleet=[]"], "fleet"),
        (["run", "smoke", "--set", "seed"], "seed"),
        (["run", "smoke", "--set", "fleet.0.clients=100000000"], "memory"),
        (["run", "smoke", "--set", "server.outages.0.when.at=[[100, 130]]"], "horizon"),
        (["run", "smoke", "--set", "fleet.narrow.partition.classes=[12]"], "12"),
        (["run", "smoke", "--set", "fleet.0.model.family=liner"], "did you mean linear?"),
        (["run", "smoke", "--set", "server.service.cv=1e200"], "must be less than or equal to 10"),
        (["run", "smoke", "--set", "costs.c_e=1e300"], "costs.c_e"),
        (["run", "smoke", "--set", "horizon_s=1e9"], "memory"),
        (["run", "smoke", "--set", "fleet.0.model.variants=7"], "at most clients, 6"),
        (["run", "smoke", "--local", "--workers", "2"], "--local"),
        (["run", "smoke", "--workers", "0"], "--workers"),
        (["run"], "SCENARIO"),
        (["rnu", "smoke"], "rnu"),
        (["report", "nowhere"], "nowhere"),
        (["compare", "nowhere"], "1 run given"),
        (["compare", "nowhere", "elsewhere"], "nowhere: no such run folder"),
        (["check", "smoke", "--seed", "x"], "--seed"),
        (["check", f"{'x' * 300}.yaml"], "there is no such file or shipped scenario"),
        (["sweep", "smoke", "--vary", "server.replicas=1,0"], "--vary server.replicas: 0 is not allowed"),
        (["study", "outge_policies"], "did you mean outage_policies?"),
        (["capacity", "smoke", "--meet", "latency.p95<1", "--replicas", "1:2"], "must be METRIC<=NUMBER"),
        (
            ["capacity", "smoke", "--meet", "latency<=1", "--replicas", "1:2"],
            "latency: is latency_mean, latency_p50",
        ),
        (
            ["compare", "a", "b", "--show", "acuracy"],
            "acuracy: is no number of a summary: did you mean accuracy?",
        ),
        (["study", "smoke_policies", "--show", "queue"], "queue: is queue_mean or queue_max: say which"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(words, reported, tmp_path):
    assert reported in refused(called(tmp_path, *words), tmp_path)


def test_what_many_runs_left_is_told_from_a_run(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/study.json").write_text("{}")
    for words in (["report", "mine"], ["compare", "mine", "other"], ["metrics", "mine"]):
        reported = called(tmp_path, *words)
        assert reported.returncode == 2
        assert reported.stderr == "mine: not a run folder, but what the command study left\n"


def test_bad_input_ends_a_process_as_it_ends_the_command(tmp_path):
    """The tests above give their commands in this process."""
    words = ["run", "smoke", "--set", "server.replicas=0"]
    by_itself, here = call(*words, cwd=tmp_path), called(tmp_path, *words)
    assert refused(by_itself, tmp_path) == refused(here, tmp_path)


def test_a_file_that_is_not_yaml_is_named_with_its_line(tmp_path):
    sheet = tmp_path / "sheet.yaml"
    sheet.write_text("name: x\nfleet: [\n")
    reported = called(tmp_path, "run", str(sheet))
    assert reported.returncode == 2
    assert "sheet.yaml:" in reported.stderr
    assert list(tmp_path.iterdir()) == [sheet]


@pytest.mark.slow
@pytest.mark.usefixtures("plain_pictures")
def test_a_finished_run_is_not_overwritten_without_force(tmp_path):
    words = ["run", "smoke", "--local", "--quiet", "--out", "kept", "--set", "horizon_s=80"]
    first = called(tmp_path, *words)
    assert first.returncode == 0, first.stderr
    assert "report: kept/report.html" in first.stdout
    made = {path: path.read_bytes() for path in sorted((tmp_path / "kept/requests").iterdir())}

    again = called(tmp_path, *words)
    assert again.returncode == 2
    assert "--force" in again.stderr
    forced = called(tmp_path, *words, "--force")
    assert (forced.returncode, forced.stderr) == (0, "")
    assert {path: path.read_bytes() for path in made} == made, "the same seed gives the same bytes"

    summary = (tmp_path / "kept/summary.json").read_bytes()
    (tmp_path / "kept/summary.json").unlink()
    assert called(tmp_path, "report", "kept").returncode == 0
    assert (tmp_path / "kept/summary.json").read_bytes() == summary

    repeated = called(tmp_path, "run", "kept/scenario.yaml", *words[2:], "--force")
    assert (repeated.returncode, repeated.stderr) == (0, ""), "a run's own scenario can replace the run"
    assert {path: path.read_bytes() for path in made} == made
    assert (tmp_path / "kept/scenario.yaml").read_text().startswith("# Does every stage of a run work")


@pytest.mark.usefixtures("plain_pictures")
def test_a_run_may_live_in_the_working_directory(tmp_path, monkeypatch):
    words = ["run", "smoke", "--local", "--quiet", "--out", ".", "--set", "horizon_s=80"]
    monkeypatch.setenv("L2H_CACHE", ".cache")
    assert called(tmp_path, *words).returncode == 0
    assert (tmp_path / ".cache").is_dir()
    again = called(tmp_path, *words, "--force")
    assert (again.returncode, again.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.ray
def test_an_address_where_nobody_answers_costs_no_results(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for name, text in (("versions.json", '{"l2h-fleet": "0.1.0"}'), ("summary.json", "{}")):
        (run / name).write_text(text)
    reported = call("run", "smoke", "--out", "run", "--force", "--ray-address", "127.0.0.1:1", cwd=tmp_path)
    assert reported.returncode == 2
    assert "--ray-address" in reported.stderr
    assert (run / "summary.json").exists()


@pytest.mark.parametrize("beside", [(), ("scenario.yaml",), ("scenario.yaml", "versions.json")])
def test_other_peoples_files_are_never_replaced(beside, tmp_path):
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter.tex").write_text("years of work")
    for name in beside:
        (thesis / name).write_text('{"l2h-fleet": "0.1.0"}')
    reported = called(tmp_path, "run", "smoke", "--local", "--out", "thesis", "--force")
    assert reported.returncode == 2
    assert "not a run folder" in reported.stderr or "chapter.tex" in reported.stderr
    assert (thesis / "chapter.tex").read_text() == "years of work"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    reported = called(tmp_path, "run", "smoke", "--local", "--out", "file/run")
    assert reported.returncode == 2
    assert "--out file/run: cannot be written" in reported.stderr


@pytest.mark.slow
def test_progress_is_told_in_plain_lines_where_there_is_no_terminal(tmp_path):
    reported = call("run", "smoke", "--local", "--out", "run", "--set", "horizon_s=80", cwd=tmp_path)
    assert reported.returncode == 0
    assert re.search(r"^(server: 100%|learn: 100%  kept)", reported.stderr, re.MULTILINE)
    assert "run: 100%  80 of 80 s" in reported.stderr
    assert "going on" not in reported.stderr
    assert "\x1b" not in reported.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_ends_a_run_from_outside_says_how_to_go_on(number, tmp_path):
    words = ["run", "smoke", "--local", "--out", "run", "--set", "training.pretrain.epochs=100000"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run_sim.py"), *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if line.startswith("server:"):
            break
    process.send_signal(number)
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert rest.strip().splitlines()[-1] == "interrupted: give the same command with --resume to go on"


@pytest.mark.slow
def test_a_disk_that_takes_nothing_is_one_line(tmp_path):
    words = ["run", "smoke", "--local", "--quiet", "--out", "run"]
    reported = subprocess.run(
        [sys.executable, str(ROOT / "run_sim.py"), *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
    )
    assert reported.returncode == 1, reported.stderr
    assert "File too large" in reported.stderr.strip().splitlines()[-1]
    assert "Traceback" not in reported.stderr


def test_the_limit_of_an_slo_may_be_said_as_people_say_it():
    said = slos_of(["p95<=200ms", "latency.mean >= 1min", "accuracy >= 80 %", "risk<=.3"], 0.95)
    assert [slo.limit for slo in said] == [0.2, 60.0, 0.8, 0.3]
    assert [slo.metric for slo in said] == ["latency_p95", "latency.mean", "accuracy", "risk"]
    for wrong in ("latency.p95<=80%", "accuracy>=200ms", "risk<=30%"):
        with pytest.raises(BadInput, match=f"^--meet {re.escape(wrong)}: must be METRIC"):
            slos_of([wrong], 0.95)


def test_every_mistake_has_a_line_of_its_own_on_the_terminal(tmp_path):
    reported = called(tmp_path, "check", "smoke", "--set", "seed=-1", "--set", "nope=1")
    assert reported.returncode == 2
    first, second = reported.stderr.splitlines()
    assert first == "--set seed: -1 is not allowed: must be greater than or equal to 0"
    assert second.startswith("--set nope: unknown key: ")


def test_each_mistake_of_a_cell_says_of_which(tmp_path):
    asked = (ROOT / "scenarios/smoke.yaml").read_text()
    (tmp_path / "bad.yaml").write_text(re.sub(r"(?m)^horizon_s:.*$", "horizon_s: -1", asked) + "nope: 1\n")
    reported = called(tmp_path, "sweep", "bad.yaml", "--vary", "costs.c_e=0.1,0.2")
    assert reported.returncode == 2
    lines = reported.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.endswith(" (where costs.c_e=0.1)") for line in lines)
