"""Contract of every score, and the values of each by hand."""

from __future__ import annotations

import numpy as np
import pytest

from agents.scores import SCORES, SHOWN, Evidence

# (client, server): both wrong, server right, client right, both right
EVIDENCE = Evidence(
    probabilities=np.array([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0], [0.0, 1.0]], dtype=np.float32),
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
    assert score(EVIDENCE).tolist() == [0.5, 0.25, 0.0, 0.0]


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
