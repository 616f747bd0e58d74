"""Contract of every score, and the values of each by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agents.scores import SCORES, SHOWN, Evidence, confidence

# (client, server): both wrong, server right, client right, both right
EVIDENCE = Evidence(
    log_probabilities=np.array([np.log([0.5, 0.5]), np.log([0.75, 0.25]), [0.0, -np.inf], [-np.inf, 0.0]]),
    client_correct=np.array([False, False, True, True]),
    server_correct=np.array([False, True, False, True]),
    c_1=2.0,
)
OF_CLIENTS = [name for name, score in SCORES.items() if score.of_client is not None]


def test_every_curve_of_a_run_is_of_a_known_score() -> None:
    assert set(SHOWN) <= set(SCORES)


@pytest.mark.parametrize("name", OF_CLIENTS)
def test_a_client_score_is_a_float_per_sample(name: str) -> None:
    score = SCORES[name].of_client
    assert score is not None
    values = score(EVIDENCE)
    assert values.shape == (4,)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()


@pytest.mark.parametrize("name", SCORES)
def test_a_score_says_where_it_comes_from(name: str) -> None:
    """From the frozen client, from trained rejectors, or drawn per request: never from two."""
    assert SCORES[name].unit in ("gain", "rank")
    assert SCORES[name].of_client is None or SCORES[name].of_rejectors is None


def test_confidence_sends_the_unsure_first() -> None:
    score = SCORES["confidence"].of_client
    assert score is not None
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
    score = SCORES["oracle"].of_client
    assert score is not None
    assert score(EVIDENCE).tolist() == [-1.0, 1.0, -2.0, 0.0]
    assert SCORES["oracle"].unit == "gain"


def test_l2h_is_the_remote_logit_less_the_local_one() -> None:
    score = SCORES["l2h"].of_rejectors
    assert score is not None
    logits = np.array([[[1.0, 3.0], [2.0, 0.5]]], dtype=np.float32)
    assert score(logits).tolist() == [[2.0, -1.5]]
