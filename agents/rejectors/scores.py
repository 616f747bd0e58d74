"""Scores: a number per client and sample, larger means "send".
Here the code of those that are made from a frozen model; how trained ones are read:
`agents.rejectors.surrogates`. What is known of each stands in `sim.registry.scores`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from sim.registry.registry import Code
from sim.registry.scores import SCORES, Score


@dataclass(frozen=True)
class Evidence:
    """What is known of a frozen client's n samples. What a device knows comes first, up to `temperature`.

    log_probabilities: float64 (n, classes); log_partition: log sum_y exp z_y of its logits z, float64 (n,);
    temperature: by what the calibration pool asks logits to be divided; client_correct, server_correct: bool
    (n,), or grades in [0, 1], float32; c_1: weight of a wrong server answer; beyond_c_e: by how much the
    price of each sample's own send lies above the common one, float64 (n,); given: a score from the table of
    answers, float32 (n,).
    """

    log_probabilities: NDArray[np.float64]
    log_partition: NDArray[np.float64]
    temperature: float
    client_correct: NDArray[Any]
    server_correct: NDArray[Any]
    c_1: float
    beyond_c_e: NDArray[np.float64] | None = None
    given: NDArray[np.float32] | None = None


OF_CLIENTS: Code[Callable[[Evidence], NDArray[np.float32]]] = Code(SCORES)


@OF_CLIENTS.of("confidence")
def confidence(evidence: Evidence) -> NDArray[np.float32]:
    """1 - max_y p(y|x): a rank. Needs the client's softmax only (Chow 1970; Hendrycks and Gimpel 2017).

    Summed over the other classes: the difference itself is 0 in float32 wherever p is above 1 - 3e-8, and
    all those samples would tie.
    """
    return _beside_the_largest(evidence.log_probabilities)


@OF_CLIENTS.of("confidence_calibrated")
def confidence_calibrated(evidence: Evidence) -> NDArray[np.float32]:
    """1 - max_y q(y|x), q the softmax at the temperature that the calibration pool asks for: a rank. Needs
    the client's softmax and labels of the calibration pool (Guo et al. 2017)."""
    scaled = evidence.log_probabilities / evidence.temperature
    return _beside_the_largest(scaled - special.logsumexp(scaled, axis=1, keepdims=True))


def _beside_the_largest(log_probabilities: NDArray[np.float64]) -> NDArray[np.float32]:
    others = np.sort(log_probabilities, axis=1)[:, :-1]
    unsure: NDArray[np.float32] = np.exp(others).sum(axis=1).astype(np.float32)
    return unsure


@OF_CLIENTS.of("energy")
def energy(evidence: Evidence) -> NDArray[np.float32]:
    """-log sum_y exp z_y, z the client's logits: a rank, the free energy at temperature 1. Needs logits:
    of probabilities it is 0 (Liu et al. 2020)."""
    free: NDArray[np.float32] = (-evidence.log_partition).astype(np.float32)
    return free


@OF_CLIENTS.of("entropy")
def entropy(evidence: Evidence) -> NDArray[np.float32]:
    """-sum_y p(y|x) log p(y|x), in nats: a rank. Needs the client's softmax only (Shannon 1948; as a rule of
    when to stop on the device, Teerapittayanon et al. 2016)."""
    p = np.exp(evidence.log_probabilities)
    terms = np.where(p > 0.0, p * np.where(p > 0.0, evidence.log_probabilities, 0.0), 0.0)
    nats: NDArray[np.float32] = (-terms.sum(axis=1)).astype(np.float32)
    return nats


@OF_CLIENTS.of("margin")
def margin(evidence: Evidence) -> NDArray[np.float32]:
    """1 - (p_(1) - p_(2)), p_(i) the i-th largest probability: a rank. Needs the client's softmax only
    (Scheffer et al. 2001).

    Summed as (1 - p_(1)) + p_(2), for the same reason as `confidence`.
    """
    others = np.exp(np.sort(evidence.log_probabilities, axis=1)[:, :-1])
    close: NDArray[np.float32] = (others.sum(axis=1) + others[:, -1]).astype(np.float32)
    return close


@OF_CLIENTS.of("oracle")
def oracle(evidence: Evidence) -> NDArray[np.float32]:
    """1[m!=y] - c_1*1[e!=y]: a gain, and a bound. Needs both answers and the label, so no device can have
    it; no policy of the same deferral rate does better (the generalised 0-1 loss, arXiv 2501.13810). Where
    samples have costs of their own, less what this one's send costs beyond c_e."""
    wrong_client, wrong_server = _wrong(evidence.client_correct), _wrong(evidence.server_correct)
    gain = wrong_client - np.float32(evidence.c_1) * wrong_server
    return (gain if evidence.beyond_c_e is None else gain - evidence.beyond_c_e).astype(np.float32)


@OF_CLIENTS.of("given")
def given(evidence: Evidence) -> NDArray[np.float32]:
    """What a table of answers says itself: a rank. Needs such a table."""
    assert evidence.given is not None
    return evidence.given


def _wrong(right: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(1 - right.astype(np.float32))


def in_order() -> list[Score]:
    """All scores, the trained ones first: the order of tables."""
    return sorted(SCORES.values(), key=lambda score: not score.needs_rejector)


def bayes_price(name: str, price_of_a_gain: float) -> float:
    """The price at which a score decides best, NaN if none is known."""
    score = SCORES[name]
    if not score.has_bayes_price:
        return float("nan")
    return price_of_a_gain if score.unit == "gain" else 0.0


def is_trained(name: str) -> bool:
    """Whether a score is read off a trained rejector."""
    return SCORES[name].needs_rejector
