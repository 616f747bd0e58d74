"""The learners on Ray: the same bytes as in one process, also after a process was killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch
from fingerprints import fingerprint
from ray.exceptions import RayActorError, RayTaskError
from small_fleets import group, model, scenario, spoil, three_kinds
from whole_lives import LEARNS_ON, ROUNDS, whole_life

from agents.backends import actors, cluster
from agents.backends.actors import (
    CHANGES_STATE,
    SETS_UP,
    STAGE_OF,
    Call,
    Member,
    OnRay,
    Shell,
    StateLostError,
)
from agents.backends.client_shard import ClientShard
from agents.fleet import Fleet, open_fleet
from agents.plan import make_plan
from agents.server.model import ServerModel
from agents.server.several import ServerModels
from sim.errors import BadInput, RunFailed
from sim.scenario import Scenario

pytestmark = pytest.mark.ray

SMALL = three_kinds(clients=66)  # two blocks of each group, so that two shards share them unevenly


@pytest.fixture(scope="module", autouse=True)
def one_cluster() -> Iterator[None]:
    """One cluster for all tests here: fleets join it and leave it running."""
    with ExitStack() as at_end:
        cluster.start_private(at_end, cpus=3)
        yield


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


def kill_in(monkeypatch: pytest.MonkeyPatch, member: int, *methods: str) -> list[str]:
    """Has a process killed, as the kernel would, at work on each of these methods when it is first asked for.

    member: 0 is the server, then the shards. Gives the list of the methods in which that happened.
    """
    submit, left, done = Member.submit, list(methods), list[str]()
    name = ["the server", "shard 0", "shard 1"][member]

    def submit_and_kill(self: Member, call: Call) -> Any:
        if self.name != name or call[0] not in left:
            return submit(self, call)
        pid = living(self.actor)
        reference = submit(self, call)
        time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
        left.remove(call[0])
        done.append(call[0])
        return reference

    monkeypatch.setattr(Member, "submit", submit_and_kill)
    return done


@pytest.mark.slow
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
        *(("server", epoch, 2) for epoch in (1, 2)),  # as it goes on, not when all is done
        *(("rejectors", *each) for each in shards),
    ]


@pytest.mark.slow
def test_layers_that_draw_in_training_give_the_same_bytes_on_actors(tmp_path: Path) -> None:
    """A network of torchvision on both sides: dropout, batch norm, buffers of whole numbers."""
    family = "torchvision:mobilenet_v3_small"
    clients = group(model=model(family=family, epochs=1, variants=2))
    asked = scenario(clients, server=family, epochs=1)
    here, there = (learn(asked, tmp_path / str(workers), workers) for workers in (0, 2))
    assert here == there
    assert learn(asked, tmp_path / "0", workers=1) == here  # its clients from the cache


def living(actor: Any) -> int:
    """The process of an actor, which Ray may just be restarting."""
    for _ in range(300):
        try:
            return ray.get(actor.__ray_call__.remote(lambda _: os.getpid()))
        except RayActorError:
            time.sleep(0.1)
    pytest.fail("the actor does not come back")


@pytest.fixture(scope="module")
def undisturbed(cache: Path) -> list[Any]:
    return whole_life(cache, workers=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("member", "methods"),
    [(0, ("pretrain", "labels", "train_round")), (1, ("learn", "score", "train_round"))],
    ids=["server", "shard"],
)
def test_a_process_killed_at_work_is_rebuilt_and_changes_nothing(
    member: int,
    methods: tuple[str, ...],
    cache: Path,
    undisturbed: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In training, in inference, and in a round of the run: each time a newcomer goes on."""
    killed = kill_in(monkeypatch, member, *methods)
    assert whole_life(cache, workers=2) == undisturbed
    assert killed == list(methods)


@pytest.mark.slow
@pytest.mark.parametrize("member", [0, 1])
def test_a_newcomer_starts_from_the_last_state_and_not_from_the_beginning(
    member: int, cache: Path, undisturbed: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with open_fleet(LEARNS_ON, workers=1, cache=cache) as fleet:
        fleet.build()
        fleet.learn()
        fleet.decide()
        fleet.train_round(ROUNDS[0])
        fleet.state()
        fleet.train_round(ROUNDS[1])
        end(fleet, member, no_restart=False)
        assert fingerprint(fleet.train_round(ROUNDS[2])) == undisturbed[3]
    of_whom = ["the server", "shard 0"][member]
    calls = [3, 4][member]  # start, adopt (a shard), restore, and one round
    assert caplog.messages == [f"{of_whom} lost its process; it is rebuilt by repeating {calls} calls"]


@pytest.mark.slow
def test_a_process_that_dies_again_and_again_fails_the_run(cache: Path) -> None:
    with open_fleet(scenario(), workers=1, cache=cache) as fleet:
        fleet.build()
        end(fleet, 1)
        with pytest.raises(
            RunFailed, match=r"^failed in stage 'run': the process of shard 0 died .*: .+"
        ) as failure:
            fleet.client_hashes()
    assert isinstance(failure.value.__cause__, RayActorError)


def end(fleet: Fleet, member: int, no_restart: bool = True) -> None:
    """Ends an actor, for good or so that Ray starts it anew, and waits until it is gone."""
    actor = fleet._backend._members[member].actor
    ray.kill(actor, no_restart=no_restart)
    if not no_restart:
        return
    for _ in range(300):
        try:
            ray.get(actor.__ray_call__.remote(lambda _: None))
        except RayActorError:
            return
        time.sleep(0.1)
    pytest.fail("the actor lives on")


def test_actors_that_are_never_ready_are_not_waited_for_without_end(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the import of the learners hangs, on a joined cluster's disk."""

    class Asleep(Shell):
        def __init__(self, _: object) -> None:
            time.sleep(600)

    monkeypatch.setattr(actors, "Shell", Asleep)
    monkeypatch.setattr(actors, "START_S", 0.5)
    with (
        open_fleet(scenario(), workers=1, cache=cache) as fleet,
        pytest.raises(RunFailed, match=r"in stage 'build': the server, shard 0: not ready after 0\.5 s$"),
    ):
        fleet.build()


@pytest.mark.slow
def test_a_death_is_told_in_the_stage_it_breaks(cache: Path) -> None:
    with open_fleet(scenario(), workers=1, cache=cache) as fleet:
        fleet.build()
        end(fleet, 0)
        with pytest.raises(RunFailed, match=r"^failed in stage 'learn': the process of the server died"):
            fleet.learn()


def test_every_method_has_its_stage() -> None:
    methods = {
        name for kind in (ServerModel, ServerModels, ClientShard) for name in vars(kind) if name[0] != "_"
    }
    assert set(STAGE_OF) == methods | {"start"}
    assert methods | {"start"} > SETS_UP | CHANGES_STATE


@pytest.mark.slow
def test_an_actor_that_cannot_start_says_why(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a joined cluster cannot import the learners."""

    class Broken(Shell):
        def __init__(self, _: object) -> None:
            raise ModuleNotFoundError("No module named 'agents'")

    monkeypatch.setattr(actors, "Shell", Broken)
    with (
        open_fleet(scenario(), workers=1, cache=cache) as fleet,
        pytest.raises(RunFailed, match=r"ModuleNotFoundError: No module named 'agents'$") as failure,
    ):
        fleet.build()
    assert failure.value.stage == "build"
    assert isinstance(failure.value.__cause__, RayActorError)


@pytest.mark.slow
def test_a_learner_error_arrives_as_it_was_raised(cache: Path) -> None:
    with open_fleet(scenario(group("meters")), workers=1, cache=cache) as fleet:
        spoil(fleet._plan, fleet._plan.pools.rejector, np.nan)
        fleet.build()
        with pytest.raises(RunFailed, match="group meters, rejector of client") as failure:
            fleet.learn()
    assert type(failure.value) is RunFailed
    assert failure.value.stage == "learn"
    assert isinstance(failure.value.__cause__, RayTaskError)
    assert "_require_finite" in str(failure.value.__cause__)  # where it happened, over there


def test_more_shards_than_work(cache: Path) -> None:
    """One model and one block on two shards: the second has nothing to do and says so."""
    asked = scenario(group(model=model()))
    assert learn(asked, cache, workers=2) == learn(asked, cache, workers=0)


def test_a_cluster_that_is_too_small_is_refused() -> None:
    with pytest.raises(BadInput, match=r"^--workers: 4 CPUs needed, Ray has 3$"):
        OnRay(workers=3, address=None)


@ray.remote(num_cpus=2)
class Hog:
    """Another user of the cluster."""

    def sit(self) -> None:
        """Answers once it has its CPUs."""


def test_a_cluster_that_is_busy_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "SEATS_S", 1.0)
    wait_for_cpus(3)
    hog = Hog.remote()
    ray.get(hog.sit.remote())
    with pytest.raises(BadInput, match=r"^--ray-address 10\.0\.0\.1:6379: 2 CPUs needed, 1 free$"):
        OnRay(workers=1, address="10.0.0.1:6379")
    ray.kill(hog)
    wait_for_cpus(3)


def wait_for_cpus(count: int) -> None:
    """Returns when so many CPUs are free; fails after a while, since then somebody still holds them."""
    for _ in range(300):
        if ray.available_resources().get("CPU", 0) == count:
            return
        time.sleep(0.1)
    pytest.fail(f"{ray.available_resources()} are free, not {count} CPUs")


@pytest.mark.slow
def test_everything_is_given_back_even_if_actors_cannot_be_killed(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("not today")

    torch.set_num_threads(2)
    with monkeypatch.context() as patch:
        patch.setattr(ray, "kill", broken)
        with (
            pytest.raises(RuntimeError, match="not today"),
            open_fleet(scenario(), workers=1, cache=cache) as fleet,
        ):
            fleet.build()
    assert torch.get_num_threads() == 2
    wait_for_cpus(3)


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
