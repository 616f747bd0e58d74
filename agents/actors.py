"""The learners on Ray: thin actor shells around the plain classes, one process each.
The only module that imports Ray; the same interface as `agents.hosts.InProcess`."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
import torch
from ray.exceptions import RayActorError, RayTaskError

from agents.client_shard import ClientShard
from agents.hosts import Arguments
from agents.plan import Plan
from agents.server_model import ServerModel
from agents.training import Tick
from sim.errors import BadInput, RunFailed

log = logging.getLogger(__name__)
MOST_RESTARTS = 3
PAUSE_S = 0.5  # wall time between two tries to reach an actor that Ray is restarting
TRIES = 120  # a minute: a fresh process imports torch first

Call = tuple[str, Arguments]
Learner = type[ServerModel] | type[ClientShard]


class StateLostError(Exception):
    """A restarted actor was asked to go on from a state that it does not have."""


class Shell:
    """One plain learner in its own process.

    Calls are numbered: Ray restarts a dead actor without its state, and the newcomer must not answer as if
    nothing had happened. Number 0 makes the learner, over again if need be.
    """

    def __init__(self, kind: Learner) -> None:
        torch.set_num_threads(1)
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
    """An actor, and the calls it has answered: what a restarted one is told again to reach the same state."""

    name: str
    actor: Any
    answered: list[Call] = field(default_factory=list)

    def submit(self, call: Call) -> Any:
        """Starts a call; returns the reference to its result."""
        method, arguments = call
        return self.actor.call.remote(len(self.answered), method, *arguments)

    def collect(self, reference: Any, call: Call) -> Any:
        """The result of a submitted call, from a rebuilt actor if this one died.

        Raises what the learner raised, as it was, and RunFailed if the actor dies again and again.
        """
        try:
            result = ray.get(reference)
        except RayTaskError as error:
            if not isinstance(error.cause, StateLostError):
                raise error.cause from None
            result = self._replay(call)
        except RayActorError:
            result = self._replay(call)
        self.answered.append(call)
        return result

    def _replay(self, call: Call) -> Any:
        """Repeats all answered calls and then `call`: learners are deterministic, so nothing changes."""
        log.warning("%s lost its process; it is rebuilt by repeating %d calls", self.name, len(self.answered))
        for _ in range(TRIES):
            try:
                for number, (method, arguments) in enumerate([*self.answered, call]):
                    result = ray.get(self.actor.call.remote(number, method, *arguments))
                return result
            except RayActorError as error:
                if isinstance(error, ray.exceptions.ActorDiedError):
                    break
                time.sleep(PAUSE_S)
            except RayTaskError as error:
                if not isinstance(error.cause, StateLostError):
                    raise error.cause from None
        raise RunFailed("learn", f"the process of {self.name} died and could not be replaced")


class OnRay:
    """Hosts on the cluster at `address`, or on one of their own that ends with them.

    A cluster that this process is already connected to is used as it is and left running.
    """

    def __init__(self, workers: int, address: str | None) -> None:
        self.shards = workers
        self._connected_here = not ray.is_initialized()
        self._members: list[Member] = []
        if self._connected_here:
            _connect(workers + 1, address)
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        capacity = resources.get("CPU", 0.0)
        if capacity < workers + 1:
            self.close()
            raise BadInput(
                f"--workers: {workers} and the server need {workers + 1} CPUs, Ray has {capacity:g}"
            )

    def start(self, plan: Plan) -> None:
        """Creates the actors, gives each the plan with its images, and waits until all are ready."""
        size = plan.images.nbytes  # made here, once, so that they go to the object store with the plan
        log.debug("the images take %d bytes in the object store", size)
        shell = ray.remote(num_cpus=1, max_restarts=MOST_RESTARTS, max_task_retries=0)(Shell)
        kinds: list[tuple[str, Learner]] = [("the server", ServerModel)]
        kinds += [(f"shard {number}", ClientShard) for number in range(self.shards)]
        self._members = [Member(name, shell.remote(kind)) for name, kind in kinds]
        shared = self.share(plan)
        self._ask(self._members, "start", [(shared,)] * len(kinds), tick=None)

    def share(self, value: Any) -> Any:
        """A reference to the value in the object store; arrays come out of it read-only."""
        return ray.put(value)

    def ask_server(self, method: str, tick: Tick | None = None) -> Any:
        """The server model's result of `method`."""
        return self._ask(self._members[:1], method, [()], tick)[0]

    def ask_shards(self, method: str, calls: Sequence[Arguments], tick: Tick | None = None) -> list[Any]:
        """Each shard's result of `method`, in shard order."""
        return self._ask(self._members[1:], method, calls, tick)

    def close(self) -> None:
        """Ends the actors, and the cluster if it was started or joined here."""
        for member in self._members:
            ray.kill(member.actor)
        if self._connected_here:
            ray.shutdown()

    def _ask(
        self, members: Sequence[Member], method: str, calls: Sequence[Arguments], tick: Tick | None
    ) -> list[Any]:
        asked = [(member, (method, arguments)) for member, arguments in zip(members, calls, strict=True)]
        references = [member.submit(call) for member, call in asked]
        pending = list(references)
        while pending and tick is not None:
            _, pending = ray.wait(pending, num_returns=1)
            tick(len(references) - len(pending), len(references))
        return [
            member.collect(reference, call)
            for (member, call), reference in zip(asked, references, strict=True)
        ]


def _connect(cpus: int, address: str | None) -> None:
    """Joins the cluster at `address`, or starts a local one of `cpus` logical CPUs on the loopback device.

    Raises BadInput if nothing answers at `address`.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        ray.init("local", num_cpus=cpus, include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)
        return
    try:
        _knock(address)
        ray.init(address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise BadInput(f"--ray-address: no Ray cluster answers at '{address}' ({error})") from None


def _knock(address: str) -> None:
    """Raises OSError if nothing listens at host:port, which Ray itself would find out after minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=5).close()
