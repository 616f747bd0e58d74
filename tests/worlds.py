"""Small worlds for tests: learners' tables made up by a seed, arrivals written down, both loops side by side.
Nothing here is used by the product."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, nan
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from reference_loop import Reference, Request, Send

from sim.engine.choice import EnginePath
from sim.engine.run import Run
from sim.messages import GroupTables, Learned, Merge, Phase, Samples, Tables, TrainingRound, Update
from sim.ports import OnlineLearner
from sim.registry.scores import SCORES
from sim.results.columns import (
    DEFERRAL,
    LEARNING,
    PARTITIONS,
    RELIABILITY,
    STUDY,
    STUDY_BOUNDED,
    STUDY_CURVES,
    STUDY_LOSSES,
)
from sim.scenario import Group, Scenario
from sim.scenario.options import written
from sim.world.arrivals.source import Arrivals, ArrivalSource, ScenarioArrivals, in_order
from sim.world.population import population
from sim.world.windows import EvenWindows
from sim.world.world import World

STUDIES = (STUDY, STUDY_CURVES, STUDY_BOUNDED, STUDY_LOSSES)
LEARNED_TABLES = (LEARNING, DEFERRAL, PARTITIONS, *STUDIES, RELIABILITY)
SENT = ["sent_at_s", "reached_at_s", "started_at_s", "finished_at_s", "replica", "batch_size", "server_cause"]
ASKED = ["option", "server", "model"]
RECALLED = ["prototype_label", "prototype_age_s"]
BY_HEAD = ["head_label", "head_version", "answer_label"]
COMPARED = [
    "request_id",
    "sample_id",
    "server_version_at_decision",
    "arrived_at_s",
    "decided_at_s",
    "score",
    "threshold",
    "propensity",
    "deferred",
    "attempts",
    *SENT,
    "first_answer_at_s",
    "answered_at_s",
    "cost",
    "outcome",
    "answered_by",
    "server_label",
    "server_version",
    "copy_version",
    "rejector_version",
]


def scenario_of(**changes: object) -> Scenario:
    """A scenario of one client and one M/D/1-like server, with the given top-level parts replaced."""
    base: dict[str, object] = {
        "name": "small",
        "horizon_s": 20.0,
        "fleet": (group_of(),),
        "server": {"service": {"kind": "affine", "base_s": 1.0}},
    }
    return Scenario.model_validate(base | changes)


def group_of(name: str = "devices", **changes: object) -> dict[str, object]:
    """A group of one client that sends everything, with the given parts replaced."""
    base: dict[str, object] = {
        "group": name,
        "clients": 1,
        "arrivals": {"process": {"kind": "poisson", "rate_hz": 1.0}},
        "policy": {"score": "l2h", "price": {"kind": "always_remote"}},
    }
    return base | changes


def made_up(scenario: Scenario, samples: int = 40, seed: int = 0) -> Learned:
    """Tables as learners would give them, drawn from a seed; each group is sent a part of the samples.

    Mix `dirichlet` has class weights for each client; a drift has new ones for all. There is no view but one.
    """
    draw = np.random.default_rng(seed)
    groups = tuple(
        GroupTables(
            client_label=draw.integers(0, 10, (group.model.variants, samples)).astype(np.int16),
            score=None
            if group.policy.score == "random"
            else np.round(draw.normal(size=score_shape(scenario, group, samples)), 1).astype(np.float32),
        )
        for group in scenario.fleet
    )
    index = np.arange(samples, dtype=np.int32)
    axis = Samples(
        sample_id=index + 1000,  # a name of its own, so that a position is never taken for it
        base_id=index,
        view=np.zeros(samples, dtype=np.int32),
        label=draw.integers(0, 10, samples).astype(np.int16),
        pool=np.full(samples, 4, dtype=np.int8),
        held_out=draw.random(samples) < 0.5,
    )
    models = len(scenario.server_models)
    server_label = draw.integers(0, 10, (models, samples) if models > 1 else samples).astype(np.int16)
    hashes = tuple(tuple(f"{g}-{v}" for v in range(x.model.variants)) for g, x in enumerate(scenario.fleet))
    sent = [np.sort(draw.permutation(index)[: samples - 7 * g]) for g, _ in enumerate(scenario.fleet)]
    traffic = tuple(
        phases_made_up(group, axis, positions) for group, positions in zip(scenario.fleet, sent, strict=True)
    )
    nothing = ({name: [] for name in schema.names} for schema in LEARNED_TABLES)
    calibration = tuple(
        first_phase(group, axis, positions[::2])
        for group, positions in zip(scenario.fleet, sent, strict=True)
    )
    return Learned(axis, traffic, Tables(groups, server_label), hashes, *nothing, calibration=calibration)


def brought(learned: Learned, seed: int = 0) -> Learned:
    """The same with graded answers, and with costs and work of each sample's own."""
    draw, samples = np.random.default_rng(seed), len(learned.samples.label)
    axis = replace(
        learned.samples,
        c_e=np.round(draw.random(samples), 2),
        work=np.round(draw.gamma(2.0, 0.5, samples), 1) + 0.1,
    )
    groups = tuple(
        replace(
            group,
            client_label=np.full_like(group.client_label, -1),
            quality=_grades(draw, group.client_label),
        )
        for group in learned.tables.groups
    )
    server = learned.tables.server_label
    tables = Tables(groups, np.full_like(server, -1), _grades(draw, server))
    return replace(learned, samples=axis, tables=tables)


def _grades(draw: np.random.Generator, like: NDArray[np.int16]) -> NDArray[np.float32]:
    return np.round(draw.random(like.shape), 1).astype(np.float32)


def uniform(positions: NDArray[np.int32], at_s: float = 0.0) -> Phase:
    """All of the positions alike."""
    return Phase(at_s, positions, np.array([0, len(positions)]), np.ones((1, 1)))


def by_class(axis: Samples, positions: NDArray[np.int32], weights: NDArray[np.float64], at_s: float) -> Phase:
    """Classes by weight, (rows, 10), those without a sample left out."""
    label = axis.label[positions]
    order = np.lexsort((positions, label))
    first = np.searchsorted(label[order], np.arange(11))
    has_samples = np.diff(first) > 0
    weights = np.where(has_samples, weights, 0.0)
    weights[weights.sum(axis=1) == 0] = has_samples  # what has a weight has no sample: all alike
    upto = np.cumsum(weights, axis=1)
    return Phase(at_s, positions[order], first, upto / upto[:, -1:])


def first_phase(group: Group, axis: Samples, positions: NDArray[np.int32]) -> Phase:
    if group.traffic.mix != "dirichlet":
        return uniform(positions)
    weights = np.random.default_rng(group.clients).dirichlet(np.full(10, 0.5), group.clients)
    return by_class(axis, positions, weights, 0.0)


def phases_made_up(group: Group, axis: Samples, positions: NDArray[np.int32]) -> tuple[Phase, ...]:
    found = [first_phase(group, axis, positions)]
    for drift in group.traffic.drift:
        found.append(by_class(axis, positions, np.array([drift.classes]), drift.at_s))
    return tuple(found)


class MadeUpLearner:
    """Tables drawn from what all training rounds said, so that another one gives another run; keeps them."""

    def __init__(self, scenario: Scenario, learned: Learned) -> None:
        self._scenario, self._learned = scenario, learned
        self.training_rounds: list[TrainingRound] = []
        self.merges: list[Merge] = []
        self._feedback_buffer, self._label = 0, learned.tables.server_label

    def state(self) -> dict[str, Any]:
        return {"feedback_buffer": self._feedback_buffer, "label": self._label}

    def restore(self, state: dict[str, Any]) -> None:
        self._feedback_buffer, self._label = state["feedback_buffer"], state["label"]

    def train_rejectors(self, training_round: TrainingRound) -> Update:
        update = self.train_round(training_round)
        rows = update.learning | {"stage": ["rejector"], "group": [self._scenario.fleet[0].group]}
        if self._scenario.shares_heads:
            draw = np.random.default_rng([training_round.version, self._feedback_buffer, 1])
            return replace(
                update,
                server_label=None,
                learning=rows,
                heads=self._heads(draw),
                head_rows=_taught(training_round),
            )
        return replace(update, server_label=None, learning=rows)

    def merge(self, merge: Merge) -> Update:
        self.merges.append(merge)
        self._feedback_buffer = crc32(
            merge.uploads.tobytes() + merge.receives.tobytes() + merge.broken.tobytes(), self._feedback_buffer
        )
        self._feedback_buffer = crc32(merge.clusters.tobytes(), self._feedback_buffer)
        draw = np.random.default_rng([merge.number, self._feedback_buffer])
        nothing: dict[str, list[object]] = {name: [] for name in ("stage", "group", "step", "at_s")}
        if self._scenario.shares_heads:
            said = self._heads(draw)
            return Update(None, (None,) * len(self._scenario.fleet), nothing, heads=said)
        if self._scenario.shares_prototypes:
            return Update(None, (None,) * len(self._scenario.fleet), nothing, *self._prototypes(merge, draw))
        return Update(None, self._drawn(draw), nothing)

    def _heads(self, draw: np.random.Generator) -> tuple[NDArray[np.int16] | None, ...]:
        samples = len(self._learned.samples.label)
        return tuple(
            draw.integers(0, 10, (group.clients, samples)).astype(np.int16)
            if group.reply == "features"
            else None
            for group in self._scenario.fleet
        )

    def _prototypes(self, merge: Merge, draw: np.random.Generator) -> Any:
        """Labels of the nearest, -1 of a few samples, and a class of each model with four samples of one."""
        shapes = [
            table.client_label.shape if group.fallback == "prototype" else None
            for table, group in zip(self._learned.tables.groups, self._scenario.fleet, strict=True)
        ]
        nearest = [shape and draw.integers(-1, 10, shape).astype(np.int16) for shape in shapes]
        sets = [
            (group.group, variant)
            for group, shape in zip(self._scenario.fleet, shapes, strict=True)
            for variant in range(shape[0] if shape else 0)
        ]
        rows: dict[str, list[object]] = {"round": [merge.number] * len(sets)}
        rows |= {"group": [name for name, _ in sets], "variant": [variant for _, variant in sets]}
        told = {"class": 3, "clients": 1, "samples": 4, "fewest": 4, "recall": 0.5}
        return tuple(nearest), rows | {name: [value] * len(sets) for name, value in told.items()}

    def train_round(self, training_round: TrainingRound) -> Update:
        self.training_rounds.append(training_round)
        columns = [
            training_round.trains,
            *vars(training_round.deferred).values(),
            *vars(training_round.feedback).values(),
            training_round.steps,
            *(vars(training_round.handed).values() if len(training_round.handed.client) else ()),
        ]
        said = b"|".join(column.tobytes() for column in columns if column is not None)
        instants = np.array([training_round.at_s, training_round.in_force_at_s]).tobytes()
        instants += np.array(training_round.makes).tobytes()
        self._feedback_buffer = crc32(said + instants, self._feedback_buffer)
        draw = np.random.default_rng([training_round.version, self._feedback_buffer])
        label = draw.integers(0, 10, self._label.shape).astype(np.int16)
        names = list(self._scenario.server_models)
        makes = training_round.makes or ((0, training_round.version),)
        if training_round.makes:  # the others answer as they did
            others = [model for model in range(len(names)) if model not in dict(makes)]
            label[others] = self._label[others]
        self._label = label
        return Update(
            server_label=label,
            score=self._drawn(draw),
            learning={
                "stage": ["server"] * len(makes),
                "group": [names[model] if training_round.makes else "" for model, _ in makes],
                "step": [version for _, version in makes],
                "at_s": [training_round.in_force_at_s] * len(makes),
            },
        )

    def _drawn(self, draw: np.random.Generator) -> tuple[NDArray[np.float32] | None, ...]:
        return tuple(
            None
            if group.score is None
            else np.round(draw.normal(size=group.score.shape), 1).astype(np.float32)
            for group in self._learned.tables.groups
        )


def score_shape(scenario: Scenario, group: Group, samples: int) -> tuple[int, ...]:
    """A row of scores, of each option if it has its own."""
    options = len(written(scenario, group))
    own = (options,) if options > 1 and SCORES[group.policy.score].is_per_option else ()
    return (score_rows(group), *own, samples)


def score_rows(group: Group) -> int:
    """Rows of a group's table of scores: one per client, or per variant."""
    return group.clients if group.rejector.per == "client" else group.model.variants


@dataclass(frozen=True)
class WrittenArrivals:
    """Arrivals as a list of (instant, client)."""

    pairs: tuple[tuple[float, int], ...]

    def draw(self, _index: int, start_s: float, end_s: float) -> Arrivals:
        chosen = [(at, client) for at, client in self.pairs if start_s <= at < end_s]
        at = np.array([at for at, _ in chosen], dtype=np.float64)
        return in_order(at, np.array([client for _, client in chosen], dtype=np.int32), end_s)

    def state(self) -> dict[str, np.ndarray]:
        return {}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """They are all there from the start."""


def poisson(scenario: Scenario, _chunk_s: float) -> ScenarioArrivals:
    """The scenario's own arrivals, the same for chunks of any length."""
    return ScenarioArrivals(World(scenario))


def product(
    scenario: Scenario,
    learned: Learned,
    source: ArrivalSource,
    chunk_s: float,
    learner: OnlineLearner | None = None,
    path: EnginePath | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Requests and attempts of the product's loop, sorted by request; without a learner one is made up."""
    return product_with_energy(scenario, learned, source, chunk_s, learner, path)[:2]


def product_with_energy(
    scenario: Scenario,
    learned: Learned,
    source: ArrivalSource,
    chunk_s: float,
    learner: OnlineLearner | None = None,
    path: EnginePath | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Beside those the accounts of energy, of whom something is said."""
    learner = learner or MadeUpLearner(scenario, learned)
    run = Run(World(scenario), learned, source, learner, path, EvenWindows(chunk_s))
    parts = []
    while not run.is_over:
        parts.append(run.advance())
    run.finish()
    requests = frame(pa.concat_tables([chunk.requests for chunk in parts]))
    attempts = frame(pa.concat_tables([chunk.attempts for chunk in parts]))
    return (
        requests.sort_values("request_id", ignore_index=True),
        attempts.sort_values(["request_id", "attempt"], ignore_index=True),
        pd.DataFrame(run.energy() or {}),
    )


def reference(
    scenario: Scenario,
    learned: Learned,
    source: ArrivalSource,
    chunk_s: float,
    learner: OnlineLearner | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The same from the reference loop."""
    return reference_with_energy(scenario, learned, source, chunk_s, learner)[:2]


def reference_with_energy(
    scenario: Scenario,
    learned: Learned,
    source: ArrivalSource,
    chunk_s: float,
    learner: OnlineLearner | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The same from the reference loop, with the accounts of energy."""
    loop = Reference(scenario, learned, source, chunk_s, learner or MadeUpLearner(scenario, learned))
    told = loop.run()
    horizon, group = scenario.horizon_s, population(scenario).group
    switches = any(server.switch for server in loop.servers)
    whom = ASKED if switches or max(map(len, loop.options)) > 1 else []
    cold = ["cold_start"] if any(one.serverless for one in scenario.stations) else []
    loads = ["loads"] if any(one.load_s is not None for one in scenario.stations) else []
    drawn = ["energy_j"] if World(scenario).power.is_metered.any() else []
    computed = ["computed_at_s"] if any(one.device_s for of in loop.options for one in of) else []
    moves = ["cell"] if any(one.moves for one in scenario.fleet) else []
    recall = RECALLED if any(one.fallback == "prototype" for one in scenario.fleet) else []
    together = ["transmission", "held_s"] if any(one.device.batch for one in scenario.fleet) else []
    blocks = ["first_item", "drafts"] if any(one.session for one in scenario.fleet) else []
    heads = BY_HEAD if any(one.reply == "features" for one in scenario.fleet) else []
    requests = pd.DataFrame(
        [
            _row(one, scenario, scenario.fleet[group[one.client]], learned)
            | _versions(loop, one)
            | (_recalled(loop, one) if recall else {})
            | (_by_head(loop, one, learned) if heads else {})
            | ({"cell": loop.cell(one.client, one.arrived) or ""} if moves else {})
            | ({"first_item": one.first_item, "drafts": one.drafts} if blocks else {})
            | _asked(loop, one.client, told_of(one))
            for one in told
        ],
        columns=COMPARED
        + whom
        + drawn
        + cold
        + loads
        + computed
        + recall
        + moves
        + together
        + blocks
        + heads,
    )
    requests["sample_id"] = learned.samples.sample_id[requests["sample_id"].to_numpy(dtype=np.int64)]
    attempts = pd.DataFrame(
        [
            {"request_id": request.request_id, "attempt": send.attempt}
            | _sent(send, horizon)
            | {"charged": _is_charged(send, scenario)}
            | _asked(loop, request.client, send)
            for request in told
            for send in request.sends
            if len(request.sends) > 1
        ],
        columns=["request_id", "attempt", *SENT, "charged", *whom, *cold, *loads, *computed],
    )
    metered = np.flatnonzero(World(scenario).power.is_metered[group]) if drawn else ()
    energy = [{"client_id": client} | loop.devices[client].account(horizon) for client in metered]
    return requests, attempts, pd.DataFrame(energy)


def differences(ours: pd.DataFrame, theirs: pd.DataFrame) -> list[str]:
    """Where two tables differ by a byte: nothing, or a line per column and request."""
    if len(ours) != len(theirs):
        return [f"{len(ours)} rows against {len(theirs)}"]
    found = []
    for name in theirs.columns:
        a, b = (frame[name].astype(ours[name].dtype).to_numpy() for frame in (ours, theirs))
        differ = ~((a == b) | (pd.isna(a) & pd.isna(b)))
        for row in np.flatnonzero(differ)[:3]:
            found.append(f"{ours.columns[0]} {ours.iloc[row, 0]}: {name} is {a[row]!r}, should be {b[row]!r}")
    return found


def frame(table: pa.Table) -> pd.DataFrame:
    """A table as a data frame, words in place of dictionary codes."""
    found = table.to_pandas()
    for name in found.columns[found.dtypes == "category"]:
        found[name] = found[name].astype(object)
    return found


def c_e_of(learned: Learned, send: Send) -> float:
    """What a send costs that is charged."""
    own = learned.samples.c_e
    return send.option.c_e if own is None else float(own[send.request.sample])


def _asked(loop: Reference, client: int, send: Send | None) -> dict[str, object]:
    """Whom an attempt asked; of no attempt the first option's server and model."""
    options = loop.options[loop.clients.group[client]]
    one = send.option if send else options[0]
    scenario = loop.scenario
    return {
        "option": options.index(one) if send else -1,
        "cold_start": bool(send and send.is_cold),
        "loads": send.loads if send else 0,
        "server": scenario.station_names[one.server],
        "model": [*scenario.server_models][send.model if send else one.model],
    }


def _row(request: Request, scenario: Scenario, group: Group, learned: Learned) -> dict[str, object]:
    by = {"local": "client", "remote": "server", "in_flight": "none", "no_power": "none"}.get(
        request.outcome, group.fallback
    )
    answered = nan if by == "none" else request.resolved
    shown = inf if group.provisional_after_s is None else request.decided + group.provisional_after_s
    shown = nan if request.outcome == "no_power" else shown
    first = min((at for at in (shown, answered) if at < scenario.horizon_s), default=nan)
    has_left = bool(request.sends and request.together)
    charged = [c_e_of(learned, send) for send in request.sends if _is_charged(send, scenario)]
    return {
        "request_id": request.request_id,
        "sample_id": request.sample,
        "arrived_at_s": request.arrived,
        "decided_at_s": request.decided,
        "score": request.score,
        "threshold": request.threshold,
        "propensity": request.propensity,
        "deferred": request.deferred,
        "attempts": len(request.sends),
        "first_answer_at_s": first,
        "answered_at_s": answered,
        "cost": np.float32(charged[0] * len(charged) if len(set(charged)) == 1 else sum(charged)),
        "outcome": request.outcome,
        "energy_j": request.drawn / 1e9,
        "answered_by": by,
        "transmission": request.together[0].request_id if has_left else -1,
        "held_s": request.sends[0].sent - request.decided if has_left else nan,
    } | _sent(told_of(request), scenario.horizon_s)


def _recalled(loop: Reference, request: Request) -> dict[str, object]:
    """What a client's nearest prototype said, where it answered in place of a server."""
    falls = loop.group(request.client).fallback == "prototype"
    label, age = -1, nan
    if falls and request.outcome not in {"local", "remote", "in_flight", "no_power"}:
        label, age = loop.school.prototype(request)
        by = "prototype" if label >= 0 else "client"
        return {"answered_by": by, **dict(zip(RECALLED, (label, age), strict=True))}
    return dict(zip(RECALLED, (label, age), strict=True))


def _by_head(loop: Reference, request: Request, learned: Learned) -> dict[str, object]:
    """What a client's head said of what the server sent back, and what was answered in all."""
    group = loop.group(request.client)
    if request.outcome == "remote" and group.reply == "features":
        label, version = loop.school.head(request)
        return dict(zip(BY_HEAD, (label, version, label), strict=True))
    answer = -1
    if request.outcome == "remote":
        answer = int(learned.tables.server_label[request.sample])
    elif request.outcome == "local" or (
        group.fallback == "client" and request.outcome not in {"in_flight", "no_power"}
    ):
        clients = loop.clients
        table = learned.tables.groups[int(clients.group[request.client])].client_label
        answer = int(table[int(clients.variant[request.client]), request.sample])
    return dict(zip(BY_HEAD, (-1, -1, answer), strict=True))


def _taught(training_round: TrainingRound) -> dict[str, list[object]]:
    """A row of `heads` for each client that took part: as many labels as its number, and a step."""
    many = len(training_round.trains)
    return {
        "round": [training_round.version] * many,
        "client_id": training_round.trains.tolist(),
        "group": ["devices"] * many,
        "phase": ["shared"] * many,
        "labels": training_round.trains.tolist(),
        "steps": [1] * many,
        "loss": [0.5] * many,
    }


def _is_charged(send: Send, scenario: Scenario) -> bool:
    is_answer = send.request.outcome == "remote" and send is send.request.heard
    return {"send": True, "accept": send.accepted, "answer": is_answer}[scenario.costs.charge_on]


def _versions(loop: Reference, request: Request) -> dict[str, object]:
    version = loop.school.server_version(request)
    return {
        "server_version_at_decision": request.server_version_at_decision,
        "server_label": np.atleast_2d(loop.school.server_label[version])[
            _model(loop, request), request.sample
        ]
        if version >= 0
        else -1,
        "server_version": loop.school.own_version(version, _model(loop, request)),
        "copy_version": request.copy_version,
        "rejector_version": request.rejector_version,
    }


def _model(loop: Reference, request: Request) -> int:
    options = loop.options[loop.clients.group[request.client]]
    send = told_of(request)
    return send.model if send else options[0].model


def told_of(request: Request) -> Send | None:
    """The attempt that the row tells of: the one that was answered, else the last."""
    if request.outcome == "remote":
        return request.heard
    return request.sends[-1] if request.sends else None


def _sent(send: Send | None, horizon: float) -> dict[str, object]:
    if send is None:
        return dict(zip(SENT, (nan, nan, nan, nan, -1, 0, "none"), strict=True)) | {"computed_at_s": nan}
    computed = send.computed if send.computed < horizon else nan
    reached = send.reached if send.reached < horizon else nan
    times = (send.sent, reached, send.started, send.finished)
    told = dict(zip(SENT, (*times, send.replica, send.batch_size, send.cause), strict=True))
    return told | {"computed_at_s": computed}
