"""Rounds of training at gaps that follow the drift: the best gap, the drift that is seen, and whole runs.

In the stories a round takes a second and the first is due at 4 s; devices ask four times a second, and what
they ask moves on around a circle of ten classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from worlds import WrittenArrivals, differences, frame, group_of, made_up, product, reference
from worlds import scenario_of as plain_scenario

from sim.engine.replay_buffer import notes
from sim.engine.run import Run
from sim.messages import Learned, TrainingRound, Update
from sim.results.events import events
from sim.results.packing import pack, unpack
from sim.scenario import Scenario
from sim.scenario.rules.checks import findings
from sim.world.adaptive_gaps import Evidence, best_gap_s, next_gap_s
from sim.world.windows import EvenWindows
from sim.world.world import World

LEAST_S, MOST_S = 4.0, 64.0


# The best gap.


@pytest.mark.parametrize("drift", [0.001, 0.1, 3.0])
def test_no_other_gap_costs_less(drift):
    """Against the mean cost of a round and of what drifts away, on a grid of gaps around it."""
    best = best_gap_s(0.7, drift)
    gaps = best * np.linspace(0.2, 5.0, 4801)
    costs = 0.7 / gaps + drift * gaps / 2
    assert gaps[costs.argmin()] == pytest.approx(best, rel=2e-3)


def test_an_even_drift_asks_for_the_root_of_twice_the_cost_over_the_drift():
    assert best_gap_s(2.0, 0.01) == pytest.approx(20.0)
    assert best_gap_s(2.0, 0.0) == np.inf


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0])
def test_the_best_gap_falls_with_the_rate_of_the_drift_as_its_power_says(p):
    """Where losses rise as (v*t)^p the slope over a gap is v^p*gap^(p-1), so the gap that asks for itself
    goes with v^(-p/(p+1))."""
    online = story(every_s=1e6, adaptive={"cost": 1.0, "at_least_s": 1.0, "memory": 0.0}).training.online

    def settled(rate: float) -> float:
        gap_s = 30.0
        for _ in range(60):
            at_s = gap_s * np.linspace(0.01, 1.0, 100)
            gap_s = next_gap_s(online, of_one(at_s, (rate * at_s) ** p, memory=0.0))
        return gap_s

    rates = np.array([1e-4, 1e-3, 1e-2])
    gaps = [settled(rate) for rate in rates]
    slope = np.polyfit(np.log(rates), np.log(gaps), 1)[0]
    assert slope == pytest.approx(-p / (p + 1), rel=1e-6)


# The drift that is seen.


def of_one(at_s: Any, loss: Any, known: Evidence | None = None, memory: float = 0.5) -> Evidence:
    """With what a single version answered at these instants."""
    return (known or Evidence()).then(
        memory, np.zeros(len(at_s), dtype=np.int32), np.array(at_s, dtype=np.float64), loss
    )


def getting_worse(rate: float, at_s: Any) -> Any:
    """Losses of answers at these instants, at random."""
    return (np.random.default_rng(5).uniform(size=len(at_s)) < 0.1 + rate * at_s).astype(np.float64)


def test_the_drift_is_the_slope_less_its_standard_error():
    """Against the covariance that NumPy gives for the same fit."""
    at_s = np.sort(np.random.default_rng(4).uniform(0, 50, 400))
    loss = getting_worse(0.012, at_s)
    (slope, _), covariance = np.polyfit(at_s, loss, 1, cov=True)
    assert of_one(at_s, loss).drift() == pytest.approx(slope - np.sqrt(covariance[0, 0]), rel=1e-9)
    assert of_one(at_s, loss[::-1]).drift() == 0.0


def fitted(version: Any, at_s: Any, loss: Any) -> float:
    """The same drift from the normal equations of a common slope and a level for each version."""
    levels = np.asarray(version)[:, None] == np.unique(version)
    design = np.column_stack([at_s, levels])
    inverse = np.linalg.inv(design.T @ design)
    fit = inverse @ design.T @ loss
    variance = ((loss - design @ fit) ** 2).sum() / (len(at_s) - design.shape[1])
    return max(0.0, float(fit[0] - np.sqrt(variance * inverse[0, 0])))


def test_versions_are_compared_with_themselves():
    """Those of three versions in one round, with levels of their own, the newest the best."""
    at_s = np.sort(np.random.default_rng(4).uniform(0, 50, 400))
    version = np.searchsorted([10.0, 30.0], at_s).astype(np.int32)
    loss = getting_worse(0.012, at_s - np.array([0.0, 10.0, 30.0])[version])
    found = Evidence().then(0.5, version, at_s, loss).drift()
    assert found == pytest.approx(fitted(version, at_s, loss), rel=1e-9)
    assert found > 2 * of_one(at_s, loss).drift()


@pytest.mark.parametrize("at_s", [[], [1.0], [1.0, 2.0], [3.0, 3.0, 3.0, 3.0]])
def test_what_tells_nothing_of_a_slope_is_no_drift(at_s):
    assert of_one(at_s, np.ones(len(at_s))).drift() == 0.0


def test_a_short_gap_without_an_error_does_not_hide_the_drift_and_many_do():
    """Ten times as short, its instants spread a thousandth as much; what was known is halved each time."""
    at_s = np.linspace(0, 50, 400)
    known = before = of_one(at_s, getting_worse(0.012, at_s))
    known = of_one(at_s / 10, np.zeros(400), known)
    assert known.drift() == pytest.approx(before.drift(), rel=0.1)
    assert of_one(at_s / 10, np.zeros(400), before, memory=0.0).drift() == 0.0
    for _ in range(20):
        known = of_one(at_s / 10, np.zeros(400), known)
    assert known.drift() < 0.01 * before.drift()


# Whole runs.


class Circling:
    """Knows the classes that the mix holds as a round begins, and answers all others wrongly."""

    def __init__(self, scenario: Scenario, learned: Learned) -> None:
        self._scenario, self._learned, self.rounds = scenario, learned, list[TrainingRound]()

    def train_round(self, training_round: TrainingRound) -> Update:
        self.rounds.append(training_round)
        label = self._learned.samples.label
        knows = np.array([weights_at(self._scenario, training_round.at_s)[c] > 0 for c in label])
        score = tuple(None if g.score is None else np.ones_like(g.score) for g in self._learned.tables.groups)
        rows: dict[str, list[object]] = {name: [] for name in ("stage", "group", "step", "at_s")}
        return Update(np.where(knows, label, (label + 1) % 10).astype(np.int16), score, rows)

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """What it says follows from the message of the round alone."""


def weights_at(scenario: Scenario, at_s: float) -> tuple[float, ...]:
    """The mix of the devices at an instant."""
    known = [drift.classes for drift in scenario.fleet[0].traffic.drift if drift.at_s <= at_s]
    return (known[-1] if known else None) or (1.0,) * 10


def window_of(at: float) -> tuple[float, ...]:
    """Weights of ten classes on a circle: what a window of three classes covers of each from `at` on."""
    overlap = [max(0.0, min(at % 10 + 3, c + 1) - max(at % 10, c)) for c in range(20)]
    return tuple(overlap[c] + overlap[c + 10] for c in range(10))


def story(
    speed: float = 0.0,
    down: tuple[tuple[float, float], ...] = (),
    horizon_s: float = 200.0,
    service_s: float = 0.01,
    **online: Any,
) -> Scenario:
    """speed: classes a second by which the mix moves on, in steps of a second."""
    outages = ({"when": {"kind": "intervals", "at": down}, "target": {"kind": "server"}},) if down else ()
    times = {"every_s": MOST_S, "steps": 4, "step_s": 0.25, "rejector_steps": 1, "rejector_step_s": 0.25}
    adaptive = {"cost": 1.0, "at_least_s": LEAST_S}
    steps = np.arange(1.0, horizon_s) if speed else ()
    drift = tuple({"at_s": float(at), "classes": window_of(speed * float(at))} for at in steps)
    return plain_scenario(
        horizon_s=horizon_s,
        fleet=(group_of(clients=2, timeout_s=9.0, traffic={"mix": "all", "drift": drift}),),
        server={
            "replicas": 16,
            "service": {"kind": "affine", "base_s": service_s},
            "outages": outages,
            "when_down": "refuse",
        },
        training={"online": times | {"adaptive": adaptive, "source": "deferred"} | online},
    )


def learned_for(scenario: Scenario) -> Learned:
    """Of a server that is right on all samples until it learns."""
    learned = made_up(scenario, samples=400)
    learned.samples.held_out[:] = False
    learned.tables.server_label[:] = learned.samples.label
    return learned


def asking(scenario: Scenario) -> WrittenArrivals:
    """Four requests a second, each sent."""
    return WrittenArrivals(tuple((0.1 + n / 4, n % 2) for n in range(int(4 * scenario.horizon_s))))


class Told:
    """A run to its end: the gaps that rounds chose, the rounds that made a version, and its requests."""

    def __init__(self, scenario: Scenario, learned: Learned | None = None, windows_s: float = 60.0) -> None:
        learned = learned or learned_for(scenario)
        learner = Circling(scenario, learned)
        arrivals, windows = asking(scenario), EvenWindows(windows_s)
        run, tables = Run(World(scenario), learned, arrivals, learner, windows=windows), []
        while not run.is_over:
            tables.append(run.advance().requests)
        run.finish()
        self.schedule, self.gaps_s = run.schedule, run.schedule.gaps_s
        self.held_s = [one.at_s for one in learner.rounds]
        self.requests = frame(pa.concat_tables(tables)).sort_values("request_id", ignore_index=True)
        self._label = learned.samples.label

    def wrong(self, from_s: float, until_s: float) -> float:
        """The share of wrong answers among those that the server gave to what arrived in [from, until)."""
        rows = self.requests
        among = (rows["outcome"] == "remote") & rows["arrived_at_s"].between(from_s, until_s)
        return float((rows["server_label"] != self.label(rows))[among].mean())

    def label(self, rows: Any) -> Any:
        """The label of each request's sample."""
        return self._label[rows["sample_id"].to_numpy() - 1000]


def test_where_nothing_drifts_gaps_are_the_longest_and_no_answer_is_wrong():
    told = Told(story())
    assert told.gaps_s == (MOST_S,) * 4
    assert told.held_s == [4.0, 68.0, 132.0, 196.0]
    assert told.wrong(0, 200) == 0


def test_the_faster_the_drift_the_shorter_the_gaps():
    means = [float(np.mean(Told(story(speed)).gaps_s[1:])) for speed in (0.0, 0.02, 0.08)]
    assert means[0] == MOST_S
    assert means[0] > 1.2 * means[1]
    assert means[1] > 2 * means[2]


@pytest.mark.parametrize(("delay_s", "service_s"), [(0.0, 0.01), (0.0, 2.0), (30.0, 0.01), (30.0, 2.0)])
def test_each_gap_follows_from_the_answers_that_became_known_by_the_version_that_gave_them(
    delay_s, service_s
):
    """From the rows, without a memory; where service is slow some were begun under the version before."""
    adaptive = {"cost": 1.0, "at_least_s": LEAST_S, "memory": 0.0}
    told = Told(story(0.08, service_s=service_s, label_delay_s=delay_s, adaptive=adaptive))
    rows = told.requests[told.requests["outcome"] == "remote"]
    version, at_s = rows["server_version"].to_numpy(), rows["finished_at_s"].to_numpy()
    wrong = (rows["server_label"] != told.label(rows)).to_numpy(dtype=np.float64)
    superseded_s = np.append(told.schedule.in_force_at_s, np.inf)[version + 1]
    assert service_s < 1 or np.sum(superseded_s < at_s) > 10
    assert len(told.gaps_s) > 4
    for before, now, gap_s in zip([-np.inf, *told.held_s], told.held_s, told.gaps_s, strict=False):
        came = (at_s + delay_s > before) & (at_s + delay_s <= now)
        drift = fitted(version[came], at_s[came], wrong[came]) if came.sum() > 4 else 0.0
        asked_s = np.sqrt(2 / drift) if drift else np.inf
        assert gap_s == pytest.approx(min(max(asked_s, LEAST_S), MOST_S), rel=1e-6)


def test_the_work_that_counts_is_that_of_the_attempt_that_was_done_first():
    """Of three attempts of a request the second is done first, the third is never taken up."""
    rows = {name: np.zeros(1) for name in ("client", "propensity", "outcome", "completed_at", "decided")}
    rows |= {"request_id": np.array([4]), "sample": np.array([0]), "server_version": np.array([0])}
    sends = {
        "row": np.zeros(3, dtype=np.int64),
        "attempt": np.array([1, 2, 3]),
        "started": np.array([1.0, 2.0, np.nan]),
        "finished": np.array([9.0, 5.0, np.nan]),
    }
    found = notes(rows, sends, np.array([False]))
    assert (found["finished"].tolist(), found["began"].tolist()) == ([5.0], [2.0])


@pytest.mark.parametrize("delay_s", [0.0, 30.0])
def test_gaps_follow_the_drift_however_late_labels_come(delay_s):
    """Also where no gap is as long as the label takes, so that those that came are all of versions before."""
    gaps_s = Told(story(0.08, label_delay_s=delay_s)).gaps_s[2:]
    assert np.mean(gaps_s) < MOST_S / 3
    assert len(gaps_s) > 5


def test_an_outage_delays_the_round_and_lifts_the_loss():
    """Due in it, held as soon as the server is back; until it is over the model is that much older."""
    speed, story_of = 0.05, dict[str, Any](every_s=24.0)
    without = Told(story(speed, **story_of))
    due = next(at for at in without.held_s if at > 40.0)
    cut = Told(story(speed, down=((due - 0.5, due + 40.0),), **story_of))
    assert [at for at in cut.held_s if at < due] == [at for at in without.held_s if at < due]
    assert cut.held_s[len([at for at in without.held_s if at < due])] == due + 40.0
    skipped = [one for one in cut.schedule.rounds if one.fate == "skipped"]
    assert [one.due_at_s for one in skipped] == [due]
    just_after = due + 40.0, due + 41.0
    assert cut.wrong(*just_after) > without.wrong(*just_after) + 0.5


def test_an_outage_lifts_the_loss_by_the_drift_times_how_long_it_delays_the_round():
    """The mix leaves behind a third of the speed in classes a second. Of 40 answers each, 0.08 is a standard
    error of their share."""
    speed, lasts_s = 0.02, 60.0
    how = {"steps": 4, "step_s": 2.5, "adaptive": {"cost": 4.0, "at_least_s": 12.0}}
    without = Told(story(speed, horizon_s=300.0, **how))
    due = next(at for at in without.held_s if at > 40.0)
    cut = Told(story(speed, down=((due - 0.5, due + lasts_s),), horizon_s=300.0, **how))
    assert due + lasts_s in cut.held_s
    lift = cut.wrong(due + lasts_s, due + lasts_s + 10) - without.wrong(due, due + 10)
    assert lift == pytest.approx(speed / 3 * lasts_s, abs=0.16)


def test_a_round_that_an_outage_cuts_short_is_held_again_when_the_server_is_back():
    """At 4 s, until the server stops at 4.5 s and is back at 4.75 s, before the round would have ended."""
    told = Told(story(down=((4.5, 4.75),), horizon_s=80.0))
    assert [(one.due_at_s, one.ends_at_s, one.fate) for one in told.schedule.rounds] == [
        (4.0, 4.5, "lost"),
        (4.75, 5.75, "made"),
        (4.75 + MOST_S, 5.75 + MOST_S, "made"),
    ]


def test_windows_and_what_is_restored_change_no_row():
    scenario = story(0.05)
    learned = learned_for(scenario)
    whole = Told(scenario, learned)
    assert len(whole.gaps_s) > 4
    short = Told(scenario, learned, windows_s=7.0)
    assert short.gaps_s == whole.gaps_s
    assert differences(short.requests, whole.requests) == []

    def fresh() -> Run:
        learner = Circling(scenario, learned)
        return Run(World(scenario), learned, asking(scenario), learner, windows=EvenWindows(30.0))

    run, tables = fresh(), []
    while not run.is_over:
        tables.append(run.advance().requests)
        kept = unpack(pack(run.kept()))
        run = fresh()
        run.restore(kept)
    run.finish()
    assert run.schedule.gaps_s == whole.gaps_s
    restored = frame(pa.concat_tables(tables)).sort_values("request_id", ignore_index=True)
    assert differences(restored, whole.requests) == []


@pytest.mark.parametrize(("delay_s", "service_s"), [(0.0, 0.01), (30.0, 2.0)])
def test_the_reference_tells_the_same_story(delay_s, service_s):
    scenario = story(0.05, ((50.0, 70.0),), 120.0, service_s, label_delay_s=delay_s)
    learned, arrivals = learned_for(scenario), asking(scenario)
    ours, sends = product(scenario, learned, arrivals, 60.0, Circling(scenario, learned))
    told, told_sends = reference(scenario, learned, arrivals, 60.0, Circling(scenario, learned))
    assert differences(ours, told) == []
    assert differences(sends, told_sends) == []


def test_the_reference_tells_the_same_of_two_ways_to_the_one_server():
    document = story(0.05, ((50.0, 70.0),), 120.0).model_dump()
    ways = [{"option": name, "server": "server", "c_e": c_e} for name, c_e in (("near", 0.1), ("far", 0.3))]
    fleet = tuple(group | {"options": tuple(ways)} for group in document["fleet"])
    scenario = Scenario.model_validate(document | {"fleet": fleet})
    learned, arrivals = learned_for(scenario), asking(scenario)
    ours, sends = product(scenario, learned, arrivals, 60.0, Circling(scenario, learned))
    told, told_sends = reference(scenario, learned, arrivals, 60.0, Circling(scenario, learned))
    assert set(ours["option"]) == {0, 1}
    assert differences(ours, told) == []
    assert differences(sends, told_sends) == []


def test_events_tell_the_gaps():
    told = Told(scenario := story())
    rows = events(World(scenario), [[]], told.schedule)
    gaps = [
        (at, value)
        for at, kind, value in zip(rows["at_s"], rows["kind"], rows["value"], strict=True)
        if kind == "round_gap"
    ]
    assert gaps == [(at, MOST_S) for at in told.held_s]


@pytest.mark.parametrize(
    ("changed", "key", "what"),
    [
        ({"every_s": 3.0}, "adaptive.at_least_s", "must not exceed every_s, 3"),
        ({"step_s": 1.5}, "adaptive.at_least_s", "must end before the next is due"),
        ({"rejector_step_s": 5.0}, "adaptive.at_least_s", "a rejector learns for"),
        ({"capacity_share": 0.5}, "capacity_share", "not yet with adaptive: must be 0"),
        (
            {"horizon_s": 2_525.0},
            "adaptive.at_least_s",
            "more than 631 rounds before horizon_s, too many for 2",
        ),
        ({"horizon_s": 3.0}, "adaptive.at_least_s", "or no round is ever held"),
    ],
)
def test_gaps_that_cannot_be_kept_are_refused(changed, key, what):
    (finding,) = findings(story(**changed))
    assert finding.path == ("training", "online", *key.split("."))
    assert what in finding.sentence
