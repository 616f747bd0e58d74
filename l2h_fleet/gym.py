"""A fleet as an environment of Gymnasium: an agent sets prices, admission and replicas, second by second.
Needs `pip install gymnasium`; the run is the engine's own, window by window, on either clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal, SupportsFloat

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

try:
    import gymnasium
except ImportError as error:
    raise ImportError("l2h_fleet.make_env needs Gymnasium: pip install gymnasium") from error

from commands.learnings import learned_for
from commands.plugins.registering import register
from l2h_fleet.scenario import Scenario
from sim.engine.run import Chunk, Run
from sim.errors import BadInput
from sim.messages import Learned
from sim.policy.outcomes import Request
from sim.registry.prices import PRICES
from sim.scenario import Scenario as Document
from sim.scenario.schema.server import Station
from sim.scenario.schema.values import LONGEST_S
from sim.world.arrivals.source import ScenarioArrivals
from sim.world.windows import EvenWindows
from sim.world.world import World

Floats = NDArray[np.float64]
Unit = Literal["share", "score"]
OF_GROUP = ("asks_hz", "sent_share", "answered_share", "refused_share", "timed_out_share", "latency_s")
OF_SERVER = ("sends_hz", "refused_hz", "waiting", "busy_replicas", "usable_replicas")
LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True)
class _Set:
    """A price that an agent sets: m[0]."""

    at: float = 0.0

    def begin(self) -> tuple[float, ...]:
        return (self.at,)

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:  # noqa: ARG004
        return m[0]  # type: ignore[no-any-return]


PRICE_OF: dict[Unit, str] = {"share": "set_share_by_agent", "score": "set_by_agent"}


class FleetEnv(gymnasium.Env[Floats, Floats]):
    """Virtual time in steps of `control_s`; an episode is a run from t = 0 to the horizon.

    controls: what the agent sets, each by a number from 0 to 1, the least and the most: `price:GROUP` (with
    unit "share" the share of requests to send, which a threshold from the calibration pool holds; with
    "score" a price between `prices`, in the unit of the group's score), `queue_limit` (from 0 requests to the
    scenario's) and `replicas` (what the autoscaler asks for at its next tick, between its bounds).

    An observation has, of the step before and per controlled group, OF_GROUP: requests that arrived per
    second; of those that ended the share that was sent, and of these the shares answered, refused and timed
    out, with the mean latency of answers (s). If the agent controls the server, OF_SERVER follows: first
    sends per second, requests a second whose last word was a refusal, and requests waiting, busy and usable
    replicas, means over the step. `observed` names them. The reward is minus the risk that requests which
    ended in the step paid: c_e per charged attempt, c_1 for a wrong answer of the server, 1 for any other
    wrong or missing one; `info` has it as `risk`, with the virtual time `at_s` and the `requests` that ended.

    The episode's seed is the seed of traffic, outages and delays; models and rejectors are those that the
    scenario's own seed gives, learned once. With that seed an agent that repeats a price leaves the bytes of
    the fixed price. An episode never terminates, it is truncated at the horizon.
    Raises BadInput, in one line, for controls that the scenario has no room for.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  (Gymnasium's own)

    def __init__(
        self,
        scenario: str | PathLike[str] | Mapping[str, Any] | Scenario = "intermittent",
        changes: Mapping[str, Any] | None = None,
        *,
        controls: Sequence[str] | None = None,
        control_s: float = 1.0,
        unit: Unit = "share",
        prices: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        plan = Scenario(scenario).set(changes or {}).document
        asked = controls or [f"price:{group.group}" for group in plan.fleet]
        self._controls = [_control(plan, name, prices if unit == "score" else (0.0, 1.0)) for name in asked]
        self._unit, self._control_s = unit, control_s
        if unit not in PRICE_OF:
            raise BadInput(f"unit: {unit!r} is not allowed: must be share or score")
        if not isinstance(control_s, int | float) or not 0 < control_s < np.inf:
            raise BadInput(f"control_s: {control_s!r} is not allowed: must be greater than 0")
        if len(set(asked)) < len(asked):
            raise BadInput(f"controls: {', '.join(asked)}: each once")
        if plan.horizon_s == 0:
            raise BadInput("horizon_s: 0 is not allowed: an environment needs traffic")
        if plan.learns_in_run:
            where = "federation" if plan.federation else "training.online"
            raise BadInput(f"{where}: an environment plays what was learned before t = 0")
        places = [one.place for one in self._controls if one.place is not None]
        self._plan, self._groups = _set_by_agent(plan, places, unit), places
        self._learned: Learned | None = None
        self._run: Run | None = None
        names = [plan.fleet[place].group for place in places]
        self.observed = tuple(f"{name}.{what}" for name in names for what in OF_GROUP)
        self._sees_server = len(places) < len(self._controls)
        self.observed += OF_SERVER if self._sees_server else ()
        self.action_space = gymnasium.spaces.Box(0.0, 1.0, (len(self._controls),), dtype=np.float64)
        most = np.array([1.0 if name.endswith("_share") else LONGEST_S for name in self.observed])
        self.observation_space = gymnasium.spaces.Box(np.zeros_like(most), most, dtype=np.float64)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Begins an episode under this seed, or under one drawn from the seed before."""
        super().reset(seed=seed, options=options)
        traffic = int(self.np_random.integers(LARGEST_SEED)) if seed is None else seed
        if self._learned is None:
            self._learned = learned_for(self._plan)
        world = World(self._plan.model_copy(update={"seed": traffic}))
        windows = EvenWindows(self._control_s)
        self._run = Run(world, self._learned, ScenarioArrivals(world), windows=windows)
        return np.zeros(len(self.observed)), {"at_s": 0.0, "risk": 0.0, "requests": 0}

    def step(self, action: Floats) -> tuple[Floats, SupportsFloat, bool, bool, dict[str, Any]]:
        """Plays `control_s` seconds under these settings, one per control."""
        chunk = self.advance(action)
        risk = _risk(chunk.requests, self._plan)
        info = {"at_s": chunk.end, "risk": float(risk.sum()), "requests": len(risk)}
        run = self._run
        assert run is not None
        if run.is_over:
            run.finish()
        return self._observation(chunk), -info["risk"], False, run.is_over, info

    def advance(self, action: Floats) -> Chunk:
        """As `step`, with the rows of the requests that ended, as in the table `requests`, and of seconds."""
        if self._run is None or self._run.is_over:
            raise gymnasium.error.ResetNeeded("call reset before step")
        if not self.action_space.contains(np.asarray(action, dtype=np.float64)):
            raise BadInput(
                f"action: {action!r} is not allowed: must be {len(self._controls)} numbers from 0 to 1"
            )
        memory, server = dict[int, float](), dict[str, Any]()
        for one, share in zip(self._controls, np.asarray(action, dtype=np.float64).tolist(), strict=True):
            value = one.low + share * (one.high - one.low)
            if one.place is not None:
                memory[one.place] = 1.0 - value if self._unit == "share" else value
            else:
                server[one.name] = round(value)
        self._run.steer(memory, **server)
        self._begin_s, self._asked = self._run.at_s, self._run.asked_by_group()
        return self._run.advance()

    def _observation(self, chunk: Chunk) -> Floats:
        assert self._run is not None
        requests, seconds = chunk.requests, chunk.end - self._begin_s
        asked = self._run.asked_by_group() - self._asked
        group = requests["group"].combine_chunks().indices.to_numpy(zero_copy_only=False)
        is_outcome = {name: _is(requests, "outcome", name) for name in ("remote", "refused", "timed_out")}
        sent = requests["deferred"].to_numpy(zero_copy_only=False).astype(bool)
        latency = requests["answered_at_s"].to_numpy() - requests["arrived_at_s"].to_numpy()
        found: list[float] = []
        for place in self._groups:
            mine = group == place
            of_sent = mine & sent
            count = max(int(of_sent.sum()), 1)
            answered = of_sent & is_outcome["remote"]
            found += [asked[place] / seconds, of_sent.sum() / max(int(mine.sum()), 1)]
            found += [(of_sent & is_so).sum() / count for is_so in is_outcome.values()]
            found.append(float(latency[answered].mean()) if answered.any() else 0.0)
        if self._sees_server:
            columns = chunk.seconds
            found += [columns["first_sends"].sum() / seconds, is_outcome["refused"].sum() / seconds]
            lasts_s = np.diff(np.append(columns["at_s"], chunk.end))
            found += [
                float(np.average(columns[name], weights=lasts_s))
                for name in ("waiting_mean", "busy_replicas_mean", "usable_replicas_mean")
            ]
        return np.array(found, dtype=np.float64)


@dataclass(frozen=True)
class _Control:
    """A number of the action. place: of the group whose price it is; None: of the server."""

    name: str
    place: int | None
    low: float
    high: float


def _control(plan: Document, name: str, prices: tuple[float, float]) -> _Control:
    kind, _, group = name.partition(":")
    if kind == "price":
        names = [one.group for one in plan.fleet]
        if group not in names:
            raise BadInput(f"controls: {name}: there is no group '{group}' ({', '.join(names)})")
        return _Control(name, names.index(group), *prices)
    if name == "queue_limit":
        if _one_server(plan, name).queue_limit is None:
            raise BadInput("controls: queue_limit: server.queue_limit must be the most that it may be")
        return _Control(name, None, 0.0, float(_one_server(plan, name).queue_limit or 0))
    if name == "replicas":
        scaling = _one_server(plan, name).autoscaling
        if scaling is None:
            raise BadInput(
                "controls: replicas: server.autoscaling must say when they may change, and how far"
            )
        return _Control(name, None, float(scaling.min), float(scaling.max))
    raise BadInput(f"controls: {name}: must be price:GROUP, queue_limit or replicas")


def _one_server(plan: Document, name: str) -> Station:
    if len(plan.stations) > 1:
        raise BadInput(f"controls: {name}: the scenario has several servers")
    return plan.stations[0]


def _set_by_agent(plan: Document, places: Sequence[int], unit: Unit) -> Document:
    """The scenario with prices that an agent sets, of these groups."""
    if PRICE_OF[unit] not in PRICES:
        register("price", PRICE_OF[unit], type("SetPrice", (_Set,), {"unit": unit, "__doc__": _Set.__doc__}))
    whole = plan.model_dump()
    for place in places:
        whole["fleet"][place]["policy"]["price"] = {"kind": PRICE_OF[unit]}
    return Document.model_validate(whole)


def _is(requests: pa.Table, column: str, name: str) -> NDArray[np.bool_]:
    """Which rows have this name in a column of names."""
    found: NDArray[np.bool_] = pc.equal(requests[column], name).to_numpy(zero_copy_only=False).astype(bool)
    return found


def _risk(requests: pa.Table, plan: Document) -> Floats:
    """What each of these requests cost, as `risk.realised` has it."""
    if "quality" in requests.column_names:
        wrong = 1.0 - np.nan_to_num(requests["quality"].to_numpy().astype(np.float64))
    else:
        wrong = 1.0 - requests["correct"].to_numpy(zero_copy_only=False).astype(np.float64)
    weight = np.where(_is(requests, "answered_by", "server"), plan.costs.c_1, 1.0)
    found: Floats = requests["cost"].to_numpy() + weight * wrong
    return found


def make_env(
    scenario: str | PathLike[str] | Mapping[str, Any] | Scenario = "intermittent",
    changes: Mapping[str, Any] | None = None,
    **named: Any,
) -> FleetEnv:
    """An environment of one fleet; see `FleetEnv`."""
    return FleetEnv(scenario, changes, **named)


def make_vec_env(
    scenario: str | PathLike[str] | Mapping[str, Any] | Scenario,
    count: int,
    changes: Mapping[str, Any] | None = None,
    **named: Any,
) -> gymnasium.vector.SyncVectorEnv:
    """Several episodes side by side, which differ in their seeds: `reset(seed=S)` gives them S, S + 1, …"""
    return gymnasium.vector.SyncVectorEnv([lambda: FleetEnv(scenario, changes, **named)] * count)


gymnasium.register(id="L2HFleet-v0", entry_point="l2h_fleet.gym:FleetEnv")
