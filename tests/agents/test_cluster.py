"""The cluster that actors live on: a private one stays indoors, one that is joined is asked first."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import ray

from agents.backends import cluster
from agents.backends.before_ray import before_ray
from agents.backends.cluster import _join, _knock
from sim.errors import BadInput, RunFailed

pytestmark = pytest.mark.ray
HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]

# Started in a folder from which nothing of the project can be imported.
OPEN_AND_CLOSE = f"""
import os, sys
from pathlib import Path
sys.path[:0] = [{str(ROOT)!r}, {str(HERE)!r}]
from listeners import exposed_ports
from small_fleets import scenario
from agents.fleet import open_fleet
ROOT = Path(f"/tmp/l2h-fleet-{{os.getuid()}}")
with open_fleet(scenario(), workers=1, cache=Path(sys.argv[1])) as fleet:
    import ray
    assert ray.is_initialized(); fleet.build(); fleet.learn(); fleet.decide()
    assert [node["NodeManagerAddress"] for node in ray.nodes()] == ["127.0.0.1"], ray.nodes()
    assert exposed_ports(os.getpid()) == [], exposed_ports(os.getpid())
    assert not ray._private.worker._global_node.address_info["webui_url"], "no dashboard"
    folders = [path.parent for path in ROOT.glob(f"*/session_*_{{os.getpid()}}")]
    assert len(folders) == 1
assert not ray.is_initialized()
assert not folders[0].exists()
"""


def test_a_start_that_times_out_is_ended_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first server of the cluster's state comes up all the same, and must go."""
    start, folders = cluster._start, list[Path]()

    def not_seen(*_words: object, **_how: object) -> int:
        raise RuntimeError("Timed out waiting for file")

    def first_times_out(cpus: int, folder: Path, variables: dict[str, str]) -> None:
        folders.append(folder)
        with pytest.MonkeyPatch.context() as patch:
            if len(folders) == 1:
                patch.setattr(ray._private.node, "wait_for_persisted_port", not_seen)
            start(cpus, folder, variables)

    monkeypatch.setattr(cluster, "_start", first_times_out)
    with ExitStack() as at_end:
        folder = cluster.start_private(at_end, 2)
        assert folders[1:] == [folder]
        assert not folders[0].exists()
        assert not [one for one in Path("/proc").glob("[0-9]*/cmdline") if str(folders[0]) in words_of(one)]
        assert ray.cluster_resources()["CPU"] == 2
        with pytest.raises(BadInput, match="connected to another"):
            cluster.start_private(at_end, 2)
        assert ray.is_initialized()
    assert not ray.is_initialized()
    assert not folder.exists()


def words_of(command_line: Path) -> str:
    try:
        return os.fsdecode(command_line.read_bytes())
    except OSError:  # it has ended meanwhile
        return ""


def test_a_start_that_nobody_waits_for_any_more_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where `live` gives Ray Serve up: another thread closes what the start belongs to."""
    at_end, folders = ExitStack(), list[Path]()

    def closed_meanwhile(_cpus: int, folder: Path, _variables: object) -> None:
        folders.append(folder)
        other = Thread(target=at_end.close)
        other.start()
        other.join()
        assert not folder.exists()
        raise RuntimeError("its folder is gone")

    monkeypatch.setattr(cluster, "_start", closed_meanwhile)
    with pytest.raises(RunFailed, match="its folder is gone"):
        cluster.start_private(at_end, 2)
    assert len(folders) == 1


@pytest.mark.slow
def test_a_private_cluster_stays_indoors_and_leaves_nothing(cache: Path, tmp_path: Path) -> None:
    """In a process of its own, where no cluster is running; nothing is printed."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if "OSX_CLUSTER" not in name and name != "PYTHONPATH"
    }
    done = subprocess.run(
        [sys.executable, "-c", OPEN_AND_CLOSE, str(cache)],
        cwd=tmp_path,
        env=inherited,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "[::1]:1", "127.0.0.1:99999"])
def test_an_address_where_nothing_listens_is_refused(address: str) -> None:
    with pytest.raises(BadInput) as refusal:
        _join(address)
    assert str(refusal.value).startswith(f"--ray-address: no Ray cluster answers at '{address}' (")


@pytest.fixture(params=[b"", b"220 mail.example ESMTP\r\n"])
def stranger(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server that says nothing, or something else than Ray would."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        if request.param:
            Thread(target=lambda: server.accept()[0].sendall(request.param), daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_stranger_is_soon_refused(stranger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "KNOCK_S", 0.2)
    with pytest.raises(BadInput, match=rf"^--ray-address: no Ray cluster answers at '{stranger}' \(.+\)$"):
        _join(stranger)


@pytest.mark.parametrize("error", [SystemExit(1), RuntimeError("two\nlines"), ConnectionError("gone")])
def test_whatever_ray_makes_of_an_address_is_one_line(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray leaves the process if the server at an address does not know its protocol."""

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(cluster, "_knock", lambda _: None)
    monkeypatch.setattr(cluster.ray, "init", refuse)
    with pytest.raises(BadInput) as refusal:
        _join("127.0.0.1:6379")
    assert "\n" not in str(refusal.value)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a user whose cluster asks for a token, and its `ADDRESS`."""
    token = tmp_path / "token"
    token.write_text("c0ffee" * 6)
    environment = {name: value for name, value in os.environ.items() if name != cluster.AUTH_MODE}
    environment |= {"RAY_AUTH_TOKEN_PATH": str(token), "PYTHONPATH": str(ROOT)}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with cluster.private_folder() as folder:
        words = ("--head", "--block", f"--port={port}", "--num-cpus=2", "--node-ip-address=127.0.0.1")
        quiet = ("--include-dashboard=false", "--disable-usage-stats", f"--temp-dir={folder}")
        head = subprocess.Popen(
            [Path(sys.executable).with_name("ray"), "start", *words, *quiet],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until_it_listens(port, head)
            yield environment | {"ADDRESS": f"127.0.0.1:{port}"}
        finally:
            head.terminate()
            head.wait(timeout=60)


def wait_until_it_listens(port: int, head: subprocess.Popen[bytes]) -> None:
    while head.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise AssertionError("it ended first")


@pytest.mark.slow
def test_a_token_is_shown_where_the_user_says_so(guarded: dict[str, str], tmp_path: Path) -> None:
    """To a cluster as `ray start` makes one for a user who has a token."""
    words = ["run", "smoke", "--quiet", "--workers", "1", "--set", "horizon_s=80", "--ray-address"]

    def run(**more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / "run_sim.py"), *words, guarded["ADDRESS"]],
            cwd=tmp_path,
            env=guarded | more,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    refused = run()
    assert refused.returncode == 2
    line = refused.stderr.splitlines()[-1]  # Ray complains before it
    assert line.startswith("--ray-address: no Ray cluster answers at")
    assert f"set {cluster.AUTH_MODE}=token" in line
    allowed = run(RAY_AUTH_MODE="token")
    assert (allowed.returncode, allowed.stderr) == (0, "")


def test_an_address_of_version_six_loses_its_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def refuse(address: tuple[str, int], timeout: float) -> None:
        asked.append(address)
        raise ConnectionRefusedError(timeout)

    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(ConnectionRefusedError):
        _knock("[::1]:6379")
    assert asked == [("::1", 6379)]


@pytest.mark.slow
def test_tasks_come_back_with_their_numbers_and_a_lost_one_as_an_error(tmp_path: Path) -> None:
    """One is right, one raises, one dies whenever it is tried, one dies once: nobody stops another."""

    def task(name: str, folder: str) -> str:
        tries = len(list(Path(folder).glob(f"{name}-*")))
        (Path(folder) / f"{name}-{tries}").touch()
        if name == "dies" or (name == "stumbles" and tries == 0):
            os._exit(1)
        if name == "raises":
            raise ValueError("no such luck")
        return name.upper()

    calls = [(name, str(tmp_path)) for name in ("right", "raises", "dies", "stumbles")]
    before_ray(None)
    result = dict(cluster.run_tasks(task, calls, 2, None))
    assert (result[0], result[3]) == ("RIGHT", "STUMBLES")
    assert "no such luck" in str(result[1])
    assert isinstance(result[2], Exception)
    assert len(list(tmp_path.glob("dies-*"))) == 1 + cluster.MOST_RETRIES
    assert len(list(tmp_path.glob("stumbles-*"))) == 2
