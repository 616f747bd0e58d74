"""The Ray cluster that the actors live on: a private one on this machine, or one that is joined.
`agents.backends.actors` opens it, takes its seats there, and closes it; all words about `--ray-address` are
here.
Whole runs side by side, a task each, need no actors and start here."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from agents.backends import cluster_end
from agents.backends.limits import WITH_RAY, require_room
from sim.another_process import python_path
from sim.errors import BadInput, RunFailed
from sim.results.whole_files import locked

QUIET: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
KNOCK_S = 5.0  # wall time for a sign of life from an address
SEATS_S = 30.0  # wall time for CPUs to become free
LOOK_S = 1.0  # wall time between two looks at tasks
AUTH_MODE = "RAY_AUTH_MODE"
STARTS = 2  # of a private cluster, before it is said not to come up
MOST_RETRIES = 2  # of a task whose process died
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # RFC 9113, 3.4
SETTINGS = 4  # the type of frame that an HTTP/2 server, so every gRPC server, answers with


class Cluster:
    """`cpus` CPUs reserved, all or none, on the cluster at `address` or on a private one.

    A cluster that this process is already connected to is used as it is and left running. Raises BadInput
    if nothing answers at `address`, or if the CPUs do not become free in half a minute.
    """

    def __init__(self, cpus: int, address: str | None) -> None:
        self._at_end = ExitStack()
        try:
            if not ray.is_initialized():
                self._connect(cpus, address)
            self.seats = self._reserve(cpus, "--workers" if address is None else f"--ray-address {address}")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Gives the CPUs back; ends a cluster started here with its files, and leaves one that was joined."""
        self._at_end.close()

    def _connect(self, cpus: int, address: str | None) -> None:
        if address is None:
            start_private(self._at_end, cpus)
        else:
            _set_for_ray()
            self._at_end.callback(ray.shutdown)
            _join(address)

    def _reserve(self, cpus: int, place: str) -> PlacementGroup:
        total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        if total.get("CPU", 0.0) < cpus:
            raise BadInput(f"{place}: {cpus} CPUs needed, Ray has {total.get('CPU', 0.0):g}")
        seats: PlacementGroup = placement_group([{"CPU": 1.0}] * cpus)
        self._at_end.callback(remove_placement_group, seats)
        if not seats.wait(SEATS_S):
            free: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
            raise BadInput(f"{place}: {cpus} CPUs needed, {free.get('CPU', 0.0):g} free")
        return seats


def start_private(
    at_end: ExitStack, cpus: int, remedy: str = WITH_RAY.remedy, variables: Mapping[str, str] | None = None
) -> Path:
    """Connects this process to a cluster of its own on the loopback device, which ends with `at_end`, also
    where another thread closes that before the cluster is there. Returns the folder of its files.

    A busy machine may let a start time out, so one that fails is tried again, in another folder, after all
    of the first has ended.

    remedy: what does without it, after "; ", to end a message. variables: set in the environment of its
    workers. Raises BadInput where this process is connected to a cluster already, or the limits on it leave
    no room for Ray, and RunFailed if the cluster does not come up.
    """
    if ray.is_initialized():
        raise BadInput("a private Ray cluster: this process is connected to another")
    require_room(WITH_RAY._replace(remedy=remedy))
    _set_for_ray()
    closed, starts = Event(), 0
    while True:
        starts += 1
        one = at_end.enter_context(ExitStack())
        at_end.callback(closed.set)  # before `one` ends, since what is last in goes first
        folder = one.enter_context(private_folder())
        one.callback(ray.shutdown)
        try:
            _start(cpus, folder, variables or {})
            return folder
        except Exception as error:  # Ray raises no kind of its own here
            one.close()
            if starts == STARTS or closed.is_set():
                why = " ".join(str(error).split()).rstrip(".")
                raise RunFailed("load", f"Ray did not start ({why}){remedy}") from error


@contextmanager
def private_folder() -> Iterator[Path]:
    """Within it a folder for the logs and sockets of a cluster; both end with it, or with this process.

    A process of its own sees to that. The folder is locked, and a lock ends with its process: so if both
    were killed, what they left is found, and removed by the next one. The path is short, since a socket's
    may have 107 bytes.
    """
    root = Path("/tmp") / f"l2h-fleet-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    if root.is_symlink() or root.stat().st_uid != os.getuid():
        raise BadInput(f"{root}: is somebody else's, so a Ray cluster cannot keep its files there")
    for left in root.iterdir():
        with locked(left) as is_ours:
            if is_ours:
                shutil.rmtree(left, ignore_errors=True)
    with _locked_folder(root) as own:
        words = [sys.executable, "-I", "-S", cluster_end.__file__, str(own)]
        watch = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # not ours: who waits for the end of that need not wait for it
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        with watch:
            yield own


@contextmanager
def _locked_folder(root: Path) -> Iterator[Path]:
    """Within it a new folder in `root`, locked from before anybody else can take it for one left behind."""
    while True:
        own = Path(tempfile.mkdtemp(dir=root, prefix=""))
        with locked(own) as is_ours:
            if is_ours and own.exists():
                yield own
                return


def run_tasks(
    function: Callable[..., Any],
    calls: Sequence[tuple[Any, ...]],
    jobs: int,
    address: str | None,
    waiting: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, Any]]:
    """`(number, function(*calls[number]))` as they end, each a task with a CPU of its own, `jobs` at a time.

    function: of a module, such that to repeat a call does no harm, since a task whose process dies is
    repeated. Where it dies again and again, or the function raises, the result is the error. Raises BadInput
    as `Cluster` does; whoever stops early ends the tasks under way. waiting: called every second in which
    none ends.
    """
    cluster = Cluster(jobs, address)
    try:
        seat = PlacementGroupSchedulingStrategy(cluster.seats)
        task = ray.remote(num_cpus=1, max_retries=MOST_RETRIES, scheduling_strategy=seat)(function)
        pending = {task.remote(*call): number for number, call in enumerate(calls)}
        while pending:
            ended, _ = ray.wait(list(pending), num_returns=1, timeout=LOOK_S)
            if not ended:
                waiting()
                continue
            (reference,) = ended
            number = pending.pop(reference)
            try:
                result = ray.get(reference)
            except RayError as error:
                result = error
            yield number, result
    finally:
        cluster.close()


def _set_for_ray() -> None:
    """What Ray reads from the environment, unless the user has set it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's own is 15: all else would come first
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


def _start(cpus: int, folder: Path, variables: Mapping[str, str]) -> None:
    """Starts a private cluster with its files in `folder`; too few threads or addresses for its processes, or
    a machine that is too busy, and it raises."""
    ray.init(
        "local",
        num_cpus=cpus,
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        _temp_dir=str(folder),
        runtime_env={"env_vars": {"PYTHONPATH": python_path(), **variables}},  # wherever its processes are
        **QUIET,
    )


def _join(address: str) -> None:
    """Joins the cluster at `address`. Raises BadInput if nothing answers there, or a stranger does."""
    advice = ""
    try:
        _knock(address)
        advice = _token_advice()
        ray.init(address, **QUIET)
    except (OSError, RuntimeError, ValueError, OverflowError, SystemExit) as error:  # Ray exits on a stranger
        why = " ".join(str(error).split()) + advice
        raise BadInput(f"--ray-address: no Ray cluster answers at '{address}' ({why})") from None


def _token_advice() -> str:
    """Ray shows its token to no address that a user names unless told to; without one it is not let in."""
    if AUTH_MODE in os.environ:
        return ""
    return f"; if it asks for a token, as one of `ray start` does where there is any, set {AUTH_MODE}=token"


def _knock(address: str) -> None:
    """Raises OSError if no gRPC server answers at host:port; Ray itself would find that out after minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return
    with socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S) as line:
        if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
            return  # a plain hello would not be answered
        line.sendall(HELLO)
        if line.recv(9)[3:4] != bytes((SETTINGS,)):
            raise OSError("what listens there is not Ray")
