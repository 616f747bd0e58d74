"""What a scenario asks of a server that is there, and what no such server plays yet.
Asked before anything starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from live.service import Law
from sim.engine.wall_clock import Time
from sim.errors import BadInput
from sim.scenario import Scenario
from sim.scenario.rules.rates import mean_rate_hz
from sim.world.world import World

NOT_PLAYED = "{}: {} is not played on the wall's clock; {}"


def require_playable(plan: Scenario, asks_model: bool = False) -> None:
    """Raises BadInput for what only a simulated server does. asks_model: replicas ask the trained model."""
    if plan.server is None:
        what = "more than one server" if len(plan.stations) > 1 else "a server with a name"
        raise BadInput(NOT_PLAYED.format("servers", what, "write one as server"))
    server = plan.one_server
    wrong = [
        (server.serverless is not None, "server.serverless", "serverless instances", "take it out"),
        (server.autoscaling is not None, "server.autoscaling", "an autoscaler", "take it out"),
        (plan.training.online is not None, "training.online", "training during the run", "set it to null"),
        (plan.federation is not None, "federation", "training during the run", "set it to null"),
        (server.stages > 1, "server.stages", "a pipeline", "use 1"),
        (server.discipline != "fifo", "server.discipline", f"'{server.discipline}'", "use fifo"),
        (
            server.in_flight not in ("lose", "finish"),
            "server.in_flight",
            f"'{server.in_flight}'",
            "use lose or finish",
        ),
        (
            server.admission.kind == "deadline_feasible",
            "server.admission",
            "'deadline_feasible'",
            "use none or token_bucket",
        ),
        (any(one.session for one in plan.fleet), "session", "a block of several items", "set it to null"),
        (plan.horizon_s <= 0, "horizon_s", "a run of no time", "give it some"),
    ]
    for is_so, place, what, way in wrong:
        if is_so:
            raise BadInput(NOT_PLAYED.format(place, what, way))
    if asks_model:
        _require_model(plan)


def _require_model(plan: Scenario) -> None:
    """Raises BadInput unless the run itself trains the server's model."""
    own = plan.one_server.model
    told = [plan.data.set == "table", own.file, own.answers, own.of_group, plan.training.specialise]
    if any(told):
        raise BadInput("--service model: needs a server.model that the run trains; use --service slept")


def most_asked_hz(plan: Scenario) -> float:
    """First attempts per second of the run if every request is sent, on average."""
    return sum(group.clients * mean_rate_hz(plan, place) for place, group in enumerate(plan.fleet))


@dataclass(frozen=True)
class Terms:
    """What a real server must know: the scenario's words, but for times, which are wall seconds."""

    replicas: int
    max_batch: int
    batch_wait_s: float
    queue_limit: int | None
    when_down: str
    finishes: bool
    queue_survives: bool
    drop_expired: bool

    @classmethod
    def of(cls, plan: Scenario, speed: float) -> Terms:
        server = plan.one_server
        return cls(
            replicas=server.replicas,
            max_batch=server.max_batch,
            batch_wait_s=server.batch_wait_s / speed,
            queue_limit=server.queue_limit,
            when_down=server.when_down,
            finishes=server.in_flight == "finish",
            queue_survives=server.queue_survives,
            drop_expired=server.drop_expired,
        )


def law_of(world: World, clock: Time) -> Law:
    """How long batches take, by the scenario's service and slowdowns."""
    slow: list[Any] = [
        (begin, end, hits, factor)
        for when, hits, factor in world.stations[0].slowness.spans
        for begin, end in zip(when.from_s, when.until_s, strict=True)
    ]
    return Law(
        world.stations[0].service.scale, slow, world.scenario.one_server.replicas, clock.origin, clock.speed
    )
