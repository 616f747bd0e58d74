"""Runs that are killed, interrupted or find no room, as a user meets them; they go on to the same bytes."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from here import WORDS, results_of, run_here

ROOT = Path(__file__).resolve().parents[1]
LEFT = "checkpoint/at-"
FINISHED = "--resume: the run in {} is finished; give another folder or --force\n"


class Home:
    """A folder to run in, with a cache that knows the frozen clients after the first run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, out: str, *words: str) -> subprocess.Popen[str]:
        """Starts the run, in a group of processes of its own, as a shell would."""
        return subprocess.Popen(
            [sys.executable, str(ROOT / "run_sim.py"), *WORDS, "--out", out, *words],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, out: str, *words: str) -> tuple[int, str]:
        """The exit code and what was said on stderr, in this process, since nobody kills it."""
        return run_here(self.folder, "--out", out, *words)

    def results(self, out: str) -> dict[str, bytes]:
        return results_of(self.folder / out)

    def forget_what_was_learned(self) -> None:
        shutil.rmtree(self.folder / ".cache" / "learned", ignore_errors=True)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def took_s(home: Home) -> float:
    """Wall seconds of the undisturbed run, in a process of its own."""
    began = time.monotonic()
    process = home.begin("whole", "--local")
    reported = process.communicate(timeout=300)[1]
    assert (process.returncode, reported) == (0, "")
    return time.monotonic() - began


@pytest.fixture(scope="module")
def undisturbed(home: Home, took_s: float) -> dict[str, bytes]:
    results = home.results("whole")
    assert took_s > 0
    assert len([name for name in results if name.startswith("requests/")]) == 5
    assert json.loads(results["summary.json"])["counts"]["requests"] > 3000
    reported = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=home.folder / "whole", capture_output=True, check=True
    )
    summed = [f"{name}: OK" for name in results if name.endswith((".parquet", "scenario.yaml"))]
    assert sorted(reported.stdout.decode().splitlines()) == sorted(summed)
    return results


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Until there is such a file."""
    while not path.exists():
        assert process.poll() is None, "it ended first"
        time.sleep(0.01)


# The driver is killed.


@pytest.mark.slow
def test_a_driver_killed_at_any_moments_goes_on_to_the_same_bytes(home, took_s, undisturbed):
    """Four times at random moments: while it loads, learns, runs or reports."""
    draw = random.Random(1)
    home.forget_what_was_learned()
    for words in ((), *3 * (("--resume",),)):
        process = home.begin("killed", "--local", *words)
        try:
            process.wait(timeout=draw.uniform(0.2, 0.9) * took_s)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
    reported = home.run("killed", "--local", "--resume")
    assert reported in ((0, ""), (2, FINISHED.format("killed"))), reported
    assert home.results("killed") == undisturbed


@pytest.mark.slow
@pytest.mark.ray
def test_a_killed_driver_leaves_no_process_and_no_file(home, undisturbed):
    """Not even Ray's own agents, which look for their cluster for a minute. The run goes on in one process:
    how the work is spread is not part of it."""
    home.forget_what_was_learned()
    process = home.begin("alone", "--workers", "1")
    wait_for(home.folder / "alone" / f"{LEFT}0000002", process)
    family = psutil.Process(process.pid).children(recursive=True)
    assert {"raylet", "ray::DashboardAgent", "ray::RuntimeEnvAgent"} <= {one.name() for one in family}
    (session,) = sessions_of(process.pid)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
    assert not session.parent.exists()
    assert home.run("alone", "--local", "--resume") == (0, "")
    assert home.results("alone") == undisturbed


def sessions_of(pid: int) -> list[Path]:
    return list(Path(f"/tmp/l2h-fleet-{os.getuid()}").glob(f"*/session_*_{pid}"))


# Ctrl-C.


@pytest.mark.parametrize("after_s", [0.0, 0.2, 0.6])
def test_ctrl_c_while_it_loads_is_one_line(after_s, tmp_path):
    process = Home(tmp_path).begin("run", "--local")
    maps = Path(f"/proc/{process.pid}/maps")
    while "pydantic" not in maps.read_text():  # Python's own start, which nobody can guard, is over
        time.sleep(0.005)
    time.sleep(after_s)
    os.killpg(process.pid, signal.SIGINT)
    reported = process.communicate(timeout=60)[1]
    assert process.returncode == 130, reported
    assert reported.splitlines() in (["interrupted"], ["interrupted: nothing had begun"])
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("words", [("--local",), ("--workers", "1")], ids=["local", "actors"])
def test_ctrl_c_in_the_loop_leaves_a_checkpoint_and_no_process(words, home):
    out = f"interrupted-{words[0]}"
    process = home.begin(out, *words)
    wait_for(home.folder / out / f"{LEFT}0000001", process)
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    reported = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert reported.splitlines() == ["interrupted: give the same command with --resume to go on"]
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []
    assert not sessions_of(process.pid)
    assert list((home.folder / out).glob(f"{LEFT}*"))
    assert not list((home.folder / out).rglob(".*"))


STUCK = """
import hashlib, os, signal, threading, time
from commands.interrupts import CtrlC

def press(since):
    while time.process_time() < since + 0.3:  # only what it is stuck in takes that much
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)

with CtrlC().handled(lambda: "last words"):
    threading.Thread(target=press, args=[time.process_time()], daemon=True).start()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""


def test_what_ends_it_from_outside_does_so_where_nothing_can_be_said():
    """As where the terminal has gone."""
    words = [sys.executable, "-c", STUCK]
    with open("/dev/full", "w") as full:
        done = subprocess.run(words, cwd=ROOT, stdout=full, stderr=full, timeout=60, check=False)
    assert done.returncode == 130


def test_ctrl_c_ends_a_library_that_does_not_come_back():
    """As the compiler of the event loop, which may work for half a minute before Python hears of anything."""
    words = [sys.executable, "-c", STUCK]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "last words\n")


# A folder that takes no more.

FULL = """
set -e
mkdir small && mount -t tmpfs -o size={size} tmpfs small
code=0; {command} 2> reported || code=$?
echo $code > code
cp -r small/run kept
"""


@pytest.mark.slow
@pytest.mark.skipif(
    subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode != 0,
    reason="nobody may mount a file system here",
)
def test_a_full_disk_is_one_line_and_with_more_room_the_run_goes_on(home, undisturbed):
    """On a file system of 900 KiB, which the checkpoint before t = 0 fits on, and two or three chunks."""
    command = f"{sys.executable} {ROOT / 'run_sim.py'} {' '.join(map(quoted, WORDS))} --local --out small/run"
    script = FULL.format(size="900k", command=command)
    done = subprocess.run(
        ["unshare", "-rm", "bash", "-c", script],
        cwd=home.folder,
        check=False,
        capture_output=True,
        timeout=300,
    )
    reported = (home.folder / "reported").read_text()
    assert done.returncode == 0, (done.stderr, reported)
    assert (home.folder / "code").read_text() == "1\n"
    (line,) = reported.splitlines()
    assert "cannot be written (No space left on device)" in line
    assert line.endswith("once that is mended, give the same command with --resume to go on")
    assert not list((home.folder / "kept").rglob(".*"))
    assert home.run("kept", "--local", "--resume") == (0, "")
    assert home.results("kept") == undisturbed


def quoted(word: str) -> str:
    return f"'{word}'"


@pytest.mark.slow
def test_a_part_that_cannot_be_written_is_one_line_and_the_run_goes_on(home, undisturbed):
    """Somebody puts a file where the parts go."""
    process = home.begin("blocked", "--local")
    requests = home.folder / "blocked/requests"
    wait_for(home.folder / "blocked" / f"{LEFT}0000001", process)
    requests.rename(home.folder / "parts")
    requests.write_text("in the way")
    reported = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    (line,) = reported.splitlines()
    assert "cannot be written" in line
    assert "--resume" in line
    requests.unlink()
    (home.folder / "parts").rename(requests)
    assert home.run("blocked", "--local", "--resume") == (0, "")
    assert home.results("blocked") == undisturbed


# What is refused.


@pytest.fixture(scope="module")
def busy(home: Home) -> list[tuple[int, str]]:
    """What others are told who want the folder of the run `broken`, which stands still after its first chunk
    and is killed afterwards."""
    process = home.begin("broken", "--local")
    wait_for(home.folder / "broken" / f"{LEFT}0000001", process)
    process.send_signal(signal.SIGSTOP)
    reported = [home.run("broken", "--local", word) for word in ("--resume", "--force")]
    process.kill()
    process.communicate()
    return reported


@pytest.fixture(scope="module")
def broken_off(busy: list[tuple[int, str]]) -> str:
    """The name of a run that was killed after its first chunk."""
    assert len(busy) == 2
    return "broken"


@pytest.mark.slow
def test_another_scenario_is_refused_and_the_difference_shown(home, broken_off):
    changed = ("--seed", "5", "--set", "fleet.narrow.clients=7", "--set", "server.outages=[]")
    code, reported = home.run(broken_off, "--local", "--resume", *changed)
    assert code == 2
    assert reported == (
        "--resume: the run in broken began otherwise: seed: 1 → 5; fleet.1.clients: 6 → 7; "
        'server.outages.0.when.kind: "intervals" → nothing; server.outages.0.when.at.0.0: 50.0 → nothing; '
        "server.outages.0.when.at.0.1: 70.0 → nothing; and 3 more; "
        "give what it began with, or --force to start over\n"
    )


@pytest.mark.slow
def test_a_foreign_checkpoint_is_told_and_not_used(home, broken_off, undisturbed, caplog):
    """Then the learners learn again, and the run starts again, in the folder as it is."""
    shutil.copytree(home.folder / broken_off, home.folder / "foreign")
    for manifest in (home.folder / "foreign/checkpoint").glob("*/manifest.json"):
        known = json.loads(manifest.read_text())
        manifest.write_text(json.dumps(known | {"run": "0" * 64}))
    assert home.run("foreign", "--local", "--resume") == (0, "")
    assert len(caplog.messages) >= 1
    assert all(line.endswith("belongs to another run; it is not used") for line in caplog.messages)
    assert home.results("foreign") == undisturbed


@pytest.mark.slow
def test_a_finished_run_is_not_resumed_and_a_busy_one_not_touched(home, busy, undisturbed):
    assert home.run("whole", "--local", "--resume") == (2, FINISHED.format("whole"))
    assert home.results("whole") == undisturbed
    assert busy == 2 * [(2, "--out broken: another run is at work in it\n")]


@pytest.mark.slow
def test_to_go_on_and_to_start_over_exclude_each_other(home, broken_off):
    assert home.run(broken_off, "--local", "--resume", "--force")[0] == 2
