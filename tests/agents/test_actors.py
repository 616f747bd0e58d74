"""The learners on Ray: the same bytes as in one process, also after a process was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from fingerprints import fingerprint
from small_fleets import group, model, scenario, three_kinds

from agents.actors import OnRay, Shell, StateLostError, _connect
from agents.client_shard import ClientShard
from agents.fleet import Fleet, open_fleet
from agents.plan import make_plan
from sim.errors import BadInput, RunFailed
from sim.scenario import Scenario

pytestmark = pytest.mark.ray

SMALL = three_kinds(clients=66)  # two blocks of each group, so that two shards share them unevenly


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One cluster for all tests here: fleets join it and leave it running."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        "local",
        num_cpus=3,
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        log_to_driver=False,
        logging_level="error",
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def in_process(cache: Path) -> str:
    return learn(SMALL, cache, workers=0)


def learn(asked: Scenario, cache: Path, workers: int) -> str:
    with open_fleet(asked, workers=workers, cache=cache) as fleet:
        return finish(fleet)


def finish(fleet: Fleet) -> str:
    fleet.build()
    fleet.learn()
    learned = fleet.decide()
    assert fleet.client_hashes() == learned.client_hashes
    return fingerprint(learned)


def kill(fleet: Fleet, member: int) -> None:
    """Kills the process of an actor as the kernel would; 0 is the server, then the shards."""
    actor = fleet._hosts._members[member].actor
    pid = ray.get(actor.__ray_call__.remote(lambda _: os.getpid()))
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_gives_the_same_bytes(workers: int, tmp_path: Path, in_process: str) -> None:
    """From a cold cache, so that the frozen clients too are trained by this many shards."""
    told: list[tuple[str, int, int]] = []
    with open_fleet(
        SMALL, workers=workers, cache=tmp_path, progress=lambda *each: told.append(each)
    ) as fleet:
        assert finish(fleet) == in_process
    shards = [(done, workers) for done in range(1, workers + 1)]
    assert told == [
        *(("frozen clients", *each) for each in shards),
        ("server", 1, 1),
        *(("rejectors", *each) for each in shards),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("member", [0, 1])
def test_a_killed_process_is_rebuilt_and_changes_nothing(member: int, cache: Path, in_process: str) -> None:
    with open_fleet(SMALL, workers=2, cache=cache) as fleet:
        fleet.build()
        kill(fleet, member)
        fleet.learn()
        kill(fleet, member)
        learned = fleet.decide()
        assert fleet.client_hashes() == learned.client_hashes
    assert fingerprint(learned) == in_process


def test_a_process_that_dies_again_and_again_fails_the_run(cache: Path) -> None:
    with open_fleet(scenario(), workers=1, cache=cache) as fleet:
        fleet.build()
        ray.kill(fleet._hosts._members[1].actor, no_restart=True)
        with pytest.raises(RunFailed, match="the process of shard 0 died"):
            fleet.client_hashes()


def test_a_learner_error_arrives_as_it_was_raised(cache: Path) -> None:
    steep = scenario(group("meters"), training={"pretrain": {"epochs": 2, "rejector_lr": 1e30}})
    with open_fleet(steep, workers=1, cache=cache) as fleet:
        fleet.build()
        with pytest.raises(RunFailed, match="group meters, rejector of client") as failure:
            fleet.learn()
    assert type(failure.value) is RunFailed
    assert failure.value.stage == "learn"


def test_more_shards_than_work(cache: Path) -> None:
    """One model and one block on two shards: the second has nothing to do and says so."""
    asked = scenario(group(model=model()))
    assert learn(asked, cache, workers=2) == learn(asked, cache, workers=0)


def test_a_cluster_that_is_too_small_is_refused() -> None:
    with pytest.raises(BadInput, match=r"--workers: 3 .* 4 CPUs"):
        OnRay(workers=3, address=None)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_an_address_where_nothing_listens_is_refused(address: str) -> None:
    with pytest.raises(BadInput, match=rf"^--ray-address: no Ray cluster answers at '{address}'"):
        _connect(cpus=2, address=address)


def test_an_empty_shell_refuses_to_go_on() -> None:
    """What a restarted process meets: a call that does not follow what it has seen."""
    shell = Shell(ClientShard)
    with pytest.raises(StateLostError):
        shell.call(1, "hashes")
    shell.call(0, "start", make_plan(scenario()))
    assert shell.call(1, "hashes") == {}
    with pytest.raises(StateLostError):
        shell.call(1, "hashes")
    shell.call(0, "start", make_plan(scenario()))
    assert shell.call(1, "hashes") == {}


@pytest.mark.slow
def test_a_fleet_opens_and_closes_its_own_cluster(cache: Path) -> None:
    """In a process of its own, where no cluster is running; nothing is printed."""
    code = (
        "from pathlib import Path; import ray; from small_fleets import scenario; "
        "from agents.fleet import open_fleet\n"
        f"with open_fleet(scenario(), workers=1, cache=Path({str(cache)!r})) as fleet:\n"
        "    assert ray.is_initialized(); fleet.build(); fleet.learn(); fleet.decide()\n"
        "assert not ray.is_initialized()"
    )
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
