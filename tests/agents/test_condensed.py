"""What a client holds of its answers, and what neighbours handed over: estimates stay unbiased."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_heard import LOSS, told
from test_online import heard, kept, opened, round_of  # noqa: F401  (a fixture)
from test_rejectors_together import everybody, same_update, together

from agents.rejectors.feedback_buffer import Condensing, FeedbackBuffer
from sim.messages import HandedOver, Merge
from sim.streams import Draws, stream

LABEL = np.array([0, 0, 0, 0, 1, 2])  # of the six samples of `LOSS`
MOST = 3  # one of each class


def holding(seed: int, most: int = MOST) -> FeedbackBuffer:
    how = Condensing(most, LABEL, Draws(seed, "held"), np.array([0]))
    return FeedbackBuffer(np.array([0]), 1, how)


def handed(place: np.ndarray, propensity: float, stands_for: float) -> HandedOver:
    n = len(place)
    return HandedOver(
        np.zeros(n, np.int32),
        place.astype(np.int32),
        place % 2 == 0,
        np.full(n, propensity, np.float32),
        np.full(n, stands_for),
    )


def estimate(buffer: FeedbackBuffer) -> float:
    """Of the mean loss, exactly: over all draws of a batch."""
    batch = buffer.batch(400, [stream(1, "test")])
    places = np.unique(batch.place[0])
    assert len(places) == buffer.held[0]
    weights = [batch.weight[0][batch.place[0] == place][0] for place in places]
    return float(np.dot(weights, LOSS[places]) / len(places))


def test_over_the_draws_of_representatives_the_estimate_is_that_of_all() -> None:
    """Four samples of class 0 of which one is kept: over 2,000 seeds within four standard errors of the mean
    of all, 6e-5; each kept one in four."""
    found, places = [], []
    for seed in range(2000):
        buffer = holding(seed)
        buffer.add(told(np.arange(6), np.ones(6), decided=6))
        assert buffer.held.tolist() == [3]
        assert buffer.answers.tolist() == [6]
        found.append(estimate(buffer))
        places.append(buffer.state()["place"][0])
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - LOSS.mean()) < 4 * error
    assert np.abs(np.bincount(places) - 500).max() < 4 * np.sqrt(2000 * 0.25 * 0.75)


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), max_size=3), st.integers(3, 6))
def test_what_is_held_does_not_depend_on_when_it_came(cuts: list[int], most: int) -> None:
    whole, parts = holding(1, most), holding(1, most)
    whole.add(told(np.arange(6), np.ones(6), decided=6))
    bounds = [0, *sorted(cuts), 6]
    for begin, end in pairwise(bounds):
        parts.add(told(np.arange(begin, end), np.ones(end - begin), decided=end - begin))
    for name, value in whole.state().items():
        np.testing.assert_array_equal(value, parts.state()[name])


def test_with_room_for_all_nothing_is_another() -> None:
    plain, roomy = FeedbackBuffer(np.array([0]), 1), holding(1, most=6)
    for buffer in (plain, roomy):
        buffer.add(told(np.arange(6), np.full(6, 0.5), decided=9))
    ours, theirs = (one.batch(50, [stream(1, "test")]) for one in (plain, roomy))
    for name, value in vars(ours).items():
        assert value.tobytes() == getattr(theirs, name).tobytes()


def test_what_was_handed_over_stands_for_its_givers_requests() -> None:
    """Own: samples 0 to 2 of 5 requests decided; of a neighbour 3 to 5, each for two and a half of its
    requests: the mean over all 12.5, with those that were not answered as nothing."""
    buffer = FeedbackBuffer(np.array([0]), 1)
    buffer.add(told(np.arange(3), np.full(3, 0.5), decided=5))
    buffer.hand(handed(np.arange(3, 6), 0.25, 2.5))
    assert buffer.answers.tolist() == [6]
    assert estimate(buffer) == pytest.approx((LOSS[:3].sum() / 0.5 + LOSS[3:].sum() / 0.25) / 12.5)


def test_nothing_handed_over_changes_no_bit() -> None:
    plain, other = (FeedbackBuffer(np.array([0]), 1) for _ in range(2))
    for buffer in (plain, other):
        buffer.add(told(np.arange(6), np.full(6, 0.3), decided=7))
    other.hand(HandedOver.nothing())
    ours, theirs = (one.batch(50, [stream(1, "test")]) for one in (plain, other))
    assert ours.weight.tobytes() == theirs.weight.tobytes()


def given_round(learned: Any, number: int) -> Any:
    """Each client was answered about some samples, and client 1 got six of a neighbour's."""
    places = learned.traffic[0][0].positions
    feedback = heard(6, {c: places[8 * c * number : 8 * c * number + 30] for c in range(6)})
    got = HandedOver(
        np.ones(6, np.int32),
        places[60:66].astype(np.int32),
        np.ones(6, np.bool_),
        np.full(6, 0.5, np.float32),
        np.full(6, 2.0),
    )
    one = round_of(number, trains=everybody(6), feedback=feedback)
    return type(one)(**vars(one) | {"handed": got})


def test_what_is_handed_over_changes_whoever_gets_it_alone(opened) -> None:  # noqa: F811
    fleet, learned = opened(together())
    whole = given_round(learned, 1)
    ours = fleet.train_rejectors(whole)
    other, _ = opened(together())
    theirs = other.train_rejectors(type(whole)(**vars(whole) | {"handed": HandedOver.nothing()}))
    assert ours.score[0] is not None
    assert theirs.score[0] is not None
    assert [row for row in range(6) if (ours.score[0][row] != theirs.score[0][row]).any()] == [1]


@pytest.mark.parametrize("done", [0, 1, 2])
def test_a_fleet_that_holds_so_many_goes_on_to_the_same_bytes(done, opened) -> None:  # noqa: F811
    wanted = together(holds=12)
    one, learned = opened(wanted)
    steps = [
        lambda fleet: fleet.train_rejectors(given_round(learned, 1)),
        lambda fleet: fleet.merge(Merge(1, everybody(6), everybody(6))),
        lambda fleet: fleet.train_rejectors(given_round(learned, 2)),
    ]
    for step in steps[:done]:
        step(one)
    state = kept(one)
    expected = [step(one) for step in steps[done:]]
    other = opened.blank(wanted)
    other.restore(state)
    other.decide()
    other.restore(state)
    for step, update in zip(steps[done:], expected, strict=True):
        same_update(step(other), update)
