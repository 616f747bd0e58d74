"""The learners on Ray: thin actor shells around the plain classes, one process each.
Beside `agents.backends.cluster` the only module that imports Ray; the same interface as
`agents.backends.in_process.InProcess`."""

from __future__ import annotations

import gc
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import ray
import torch
from ray.exceptions import ActorDiedError, ObjectLostError, RayActorError, RayTaskError
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from agents.backends.client_shard import ClientShard
from agents.backends.cluster import Cluster
from agents.backends.in_process import Arguments
from agents.models.training import Tick
from agents.plan import Plan
from agents.server.given import GivenServer
from agents.server.model import ServerModel
from agents.server.several import ServerModels, server_kind
from sim.errors import RunFailed, Stage

log = logging.getLogger(__name__)
MOST_RESTARTS = 3
PAUSE_S = 0.5  # wall time between two tries to reach an actor that Ray is restarting
TRIES = 120  # a minute: a fresh process imports torch first
START_S = 300.0  # wall time for the processes to import the learners, on whatever disk a cluster has them
LOOK_S = 0.2  # wall time between two looks for Ctrl-C, which Ray itself would not see for a second
STAGE_OF: dict[str, Stage] = {  # of a run, by the method whose process was lost
    "start": "build",
    "train_clients": "build",
    "adopt": "build",
    "wrong": "learn",
    "chances": "learn",
    "specialise": "learn",
    "says": "learn",
    "imitate": "learn",
    "pretrain": "learn",
    "learn": "learn",
    "labels": "decide",
    "confidence": "decide",
    "last_layer": "decide",
    "answer": "decide",
    "score": "decide",
    "own_scores": "decide",
    "train_round": "learn",
    "as_it_is": "learn",
    "uploads": "learn",
    "take_merged": "learn",
    "state": "run",
    "restore": "learn",
    "hashes": "run",
    "to_run": "run",
}
SETS_UP = {"start", "adopt"}  # what a newcomer is always told
CHANGES_STATE = {
    "specialise",
    "imitate",
    "pretrain",
    "learn",
    "train_round",
    "take_merged",
    "restore",
}  # until the next state; all else changes nothing

Call = tuple[str, Arguments]
Learner = type[ServerModel] | type[GivenServer] | type[ServerModels] | type[ClientShard]


class StateLostError(Exception):
    """A restarted actor was asked to go on from a state that it does not have."""


class Shell:
    """One plain learner in its own process.

    Calls are numbered: Ray restarts a dead actor without its state, and the newcomer must not answer as if
    nothing had happened. Number 0 makes the learner, over again if need be.
    """

    def __init__(self, kind: Learner, prepare: Callable[[], None] | None = None) -> None:
        if prepare is not None:
            prepare()
        torch.set_num_threads(1)
        gc.freeze()  # garbage is not looked for again among all that was imported, for a fifth of a second
        self._kind = kind
        self._calls = 0

    def call(self, number: int, method: str, *arguments: Any) -> Any:
        """The learner's result of `method`, if `number` calls came before; else raises StateLostError."""
        if number == 0:
            self._learner = self._kind(*arguments)
            self._calls = 1
            return None
        if number != self._calls:
            raise StateLostError(f"call {number} ({method}) does not follow {self._calls} calls")
        result = getattr(self._learner, method)(*arguments)
        self._calls += 1
        return result


@dataclass
class Member:
    """An actor, and how a restarted one gets to the same state: by the calls that made it or, once it has
    been asked for its state, by being given that, and the calls since.

    calls: those that the actor has answered in this life.
    """

    name: str
    actor: Any
    history: list[Call] = field(default_factory=list)
    calls: int = 0

    def submit(self, call: Call) -> Any:
        """Starts a call; returns the reference to its result."""
        method, arguments = call
        return self.actor.call.remote(self.calls, method, *arguments)

    def collect(self, reference: Any, call: Call) -> Any:
        """The result of a submitted call, from a rebuilt actor if this one died.

        Raises what the learner raised, as it was, and RunFailed if the actor dies again and again.
        """
        try:
            result = ray.get(reference)
        except RayTaskError as error:
            if not isinstance(error.cause, StateLostError):
                raise error.cause from error
            result = self._replay(call, error)
        except (RayActorError, ObjectLostError) as error:  # the process, or a result that its node held
            result = self._replay(call, error)
        self.calls += 1
        self._remember(call, result)
        return result

    def _remember(self, call: Call, result: Any) -> None:
        method, arguments = call
        if method in SETS_UP | CHANGES_STATE:
            self.history.append(call)
        elif method == "state":
            self.history = [known for known in self.history if known[0] in SETS_UP]
            self.history.append(("restore", (*arguments, result)))

    def _replay(self, call: Call, lost: Exception) -> Any:
        """Repeats the history and then `call`: learners are deterministic, so nothing changes."""
        if self.history:  # else it never started, and there is nothing to rebuild
            log.warning(
                "%s lost its process; it is rebuilt by repeating %d calls", self.name, len(self.history)
            )
        for _ in range(TRIES):
            try:
                for number, (method, arguments) in enumerate([*self.history, call]):
                    result = _got(self.actor.call.remote(number, method, *arguments))
                self.calls = len(self.history)
                return result
            except (RayActorError, ObjectLostError) as error:
                lost = error
                if isinstance(error, ActorDiedError):
                    break
                time.sleep(PAUSE_S)
            except RayTaskError as error:
                if not isinstance(error.cause, StateLostError):
                    raise error.cause from error
        why = next((line.strip() for line in reversed(str(lost).splitlines()) if line.strip()), "")
        raise RunFailed(
            STAGE_OF[call[0]], f"the process of {self.name} died and could not be replaced: {why}"
        ) from lost


def _got(reference: Any) -> Any:
    """What a call gave, waiting in short spells, between which Ctrl-C is heard."""
    while not ray.wait([reference], timeout=LOOK_S)[0]:
        pass
    return ray.get(reference)


class OnRay:
    """Learners on the cluster at `address`, or on one of their own that ends with them; see `Cluster`."""

    def __init__(self, workers: int, address: str | None, prepare: Callable[[], None] | None = None) -> None:
        self.shards, self._prepare = workers, prepare
        self._members: list[Member] = []
        self._cluster = Cluster(workers + 1, address)

    def start(self, plan: Plan) -> None:
        """Creates the actors, gives each the plan, and waits until all are ready."""
        seat = PlacementGroupSchedulingStrategy(self._cluster.seats)
        shell = ray.remote(
            num_cpus=1, max_restarts=MOST_RESTARTS, max_task_retries=0, scheduling_strategy=seat
        )(Shell)
        kinds: list[tuple[str, Learner]] = [("the server", server_kind(plan))]
        kinds += [(f"shard {number}", ClientShard) for number in range(self.shards)]
        first = () if self._prepare is None else (self._prepare,)
        self._members = [Member(name, shell.remote(kind, *first)) for name, kind in kinds]
        shared = self.share(plan)
        self._ask(self._members, "start", [(shared,)] * len(kinds), tick=None, within_s=START_S)

    def share(self, value: Any) -> Any:
        """A reference to the value in the object store; arrays come out of it read-only."""
        return ray.put(value)

    def ask_server(self, method: str, *arguments: Any) -> Any:
        """The server model's result of `method`."""
        return self._ask(self._members[:1], method, [arguments], tick=None)[0]

    def ask_shards(self, method: str, calls: Sequence[Arguments], tick: Tick | None = None) -> list[Any]:
        """Each shard's result of `method`, in shard order."""
        return self._ask(self._members[1:], method, calls, tick)

    def close(self) -> None:
        """Ends the actors, and the cluster if it was started or joined here, whatever fails on the way."""
        with ExitStack() as ends:
            ends.callback(self._cluster.close)
            for member in self._members:
                ends.callback(ray.kill, member.actor)

    def _ask(
        self,
        members: Sequence[Member],
        method: str,
        calls: Sequence[Arguments],
        tick: Tick | None,
        within_s: float = math.inf,
    ) -> list[Any]:
        asked = [(member, (method, arguments)) for member, arguments in zip(members, calls, strict=True)]
        references = [member.submit(call) for member, call in asked]
        pending, until = list(references), time.monotonic() + within_s
        while pending:
            done, pending = ray.wait(pending, num_returns=1, timeout=LOOK_S)
            if done and tick is not None:
                tick(len(references) - len(pending), len(references))
            if time.monotonic() > until:
                late = [
                    member.name for (member, _), one in zip(asked, references, strict=True) if one in pending
                ]
                raise RunFailed(STAGE_OF[method], f"{', '.join(late)}: not ready after {within_s:g} s")
        return [
            member.collect(reference, call)
            for (member, call), reference in zip(asked, references, strict=True)
        ]
