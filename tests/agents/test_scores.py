"""Contract of every score, and the values of each by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agents.rejectors.scores import OF_CLIENTS, Evidence, bayes_price, confidence, in_order
from agents.rejectors.surrogates import SURROGATES
from sim.registry.scores import SCORES

# (client, server): both wrong, server right, client right, both right
EVIDENCE = Evidence(
    log_probabilities=np.array([np.log([0.5, 0.5]), np.log([0.75, 0.25]), [0.0, -np.inf], [-np.inf, 0.0]]),
    log_partition=np.array([0.0, 2.0, -1.0, 3.0]),
    temperature=2.0,
    client_correct=np.array([False, False, True, True]),
    server_correct=np.array([False, True, False, True]),
    c_1=2.0,
    given=np.array([0.1, 0.2, 0.3, 0.4], dtype=np.float32),
)


def test_every_score_has_its_code_and_nothing_else_has() -> None:
    """From the frozen client, from trained rejectors, or drawn per request: exactly one of them."""
    made_from = {"client": set(OF_CLIENTS), "rejector": set(SURROGATES)}
    for origin in ("client", "rejector", "draw"):
        declared = {name for name, score in SCORES.items() if score.made_from == origin}
        assert declared == made_from.get(origin, {"random"})  # `random` is drawn by `sim.engine.decisions`


def test_tables_begin_with_what_is_trained() -> None:
    names = [score.name for score in in_order()]
    assert sorted(names) == sorted(SCORES)
    assert names[: len(SURROGATES)] == list(SURROGATES)


@pytest.mark.parametrize("name", OF_CLIENTS)
def test_a_client_score_is_a_float_per_sample(name: str) -> None:
    values = OF_CLIENTS[name](EVIDENCE)
    assert values.shape == (4,)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()


@pytest.mark.parametrize("name", SCORES)
def test_a_rank_names_a_gain_that_may_take_its_place(name: str) -> None:
    assert SCORES[SCORES[name].gain_like].unit == "gain"
    assert SCORES[name].needs_rejector or not SCORES[name].depends_on


def test_a_gain_is_worth_its_price_and_a_rank_only_its_sign() -> None:
    assert bayes_price("plug_in", 0.3) == 0.3
    assert bayes_price("l2h", 0.3) == 0.0
    assert np.isnan(bayes_price("confidence", 0.3))


def test_confidence_sends_the_unsure_first() -> None:
    score = OF_CLIENTS["confidence"]
    np.testing.assert_allclose(score(EVIDENCE), [0.5, 0.25, 0.0, 0.0], rtol=1e-7)


def confidence_of(logits: np.ndarray) -> np.ndarray:
    log_probabilities = torch.log_softmax(torch.from_numpy(logits).double(), dim=1).numpy()
    return confidence(replace(EVIDENCE, log_probabilities=log_probabilities))


def test_confidence_tells_sure_from_surer() -> None:
    """1 - max p itself is 0 in float32 from a lead of 17 on; the score goes on falling to the last float."""
    lead = np.arange(0.0, 88.0, 0.25, dtype=np.float32)
    scores = confidence_of(np.stack([lead, np.zeros_like(lead), np.zeros_like(lead)], axis=1))
    assert (np.diff(scores) < 0).all()
    assert scores[-1] > 0.0


@given(arrays(np.float32, (4, 10), elements=st.floats(-1e4, 1e4, width=32)))
def test_confidence_is_one_less_the_largest_probability(logits: np.ndarray) -> None:
    exact = 1.0 - torch.softmax(torch.from_numpy(logits).double(), dim=1).numpy().max(axis=1)
    scores = confidence_of(logits)
    np.testing.assert_allclose(scores, exact, rtol=0, atol=1e-7)
    assert ((scores >= 0.0) & (scores <= 1.0)).all()


def test_oracle_is_what_sending_saves_before_its_price() -> None:
    score = OF_CLIENTS["oracle"]
    assert score(EVIDENCE).tolist() == [-1.0, 1.0, -2.0, 0.0]
    assert SCORES["oracle"].unit == "gain"


def test_entropy_and_margin_by_hand() -> None:
    values = {name: OF_CLIENTS[name](EVIDENCE) for name in ("entropy", "margin")}
    np.testing.assert_allclose(values["entropy"], [np.log(2), 0.5623351, 0.0, 0.0], atol=1e-7)
    np.testing.assert_allclose(values["margin"], [1.0, 0.5, 0.0, 0.0], atol=1e-7)


def test_calibrated_confidence_and_energy_by_hand() -> None:
    """At temperature 2 of probabilities 3/4 and 1/4: as √3 to 1."""
    unsure = OF_CLIENTS["confidence_calibrated"](EVIDENCE)
    np.testing.assert_allclose(unsure, [0.5, 1 / (1 + 3**0.5), 0.0, 0.0], rtol=1e-6)
    assert OF_CLIENTS["energy"](EVIDENCE).tolist() == [0.0, -2.0, 1.0, -3.0]


@pytest.mark.parametrize("name", ["confidence", "confidence_calibrated", "entropy", "margin"])
def test_two_classes_are_ranked_alike_by_all_that_look_at_the_softmax(name: str) -> None:
    chance = np.linspace(0.501, 0.999, 40)
    known = replace(EVIDENCE, log_probabilities=np.log(np.stack([chance, 1 - chance], axis=1)))
    assert (np.diff(OF_CLIENTS[name](known)) < 0).all()
