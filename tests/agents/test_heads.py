"""What heads learn, and its laws: label shift on features that say all, clients that are alike, merges."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.federation.heads import said, stepped, with_one
from agents.federation.merging import Uploads, merged
from agents.models.families import new_model
from agents.models.last_layer import last_layer, width_of

CLASSES = 3
MEANS = np.array([[1.5, 0.0], [-0.75, 1.3], [-0.75, -1.3]])


def drawn(draw: np.random.Generator, many: int, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples of a mixture of round classes, and what the Bayes rule under equal shares makes of them: its
    logits, float32 (n, 3)."""
    label = draw.choice(CLASSES, size=many, p=shares)
    x = MEANS[label] + draw.standard_normal((many, 2))
    return label, (x @ MEANS.T - 0.5 * np.square(MEANS).sum(axis=1)).astype(np.float32)


def begin(clients: int = 1) -> np.ndarray:
    """The server's last layer, whose features are its logits."""
    return np.repeat(np.eye(CLASSES, CLASSES + 1, dtype=np.float64)[None], clients, axis=0)


def learned(
    draw: np.random.Generator, label: np.ndarray, logits: np.ndarray, steps: int, rate: float
) -> np.ndarray:
    """A head after so many steps of 64 samples."""
    heads, inputs = begin(), with_one(logits)
    for _ in range(steps):
        batch = draw.integers(len(label), size=(1, 64))
        heads, _ = stepped(heads, inputs[batch], label[batch], rate)
    return heads


def right(heads: np.ndarray, label: np.ndarray, logits: np.ndarray) -> float:
    return float((said(heads.astype(np.float32), with_one(logits))[0] == label).mean())


def best_of(shares: np.ndarray) -> np.ndarray:
    """logits + log(shares / equal ones), as a head."""
    heads = begin()
    heads[0, :, -1] = np.log(shares * CLASSES)
    return heads


def test_a_step_is_the_gradient_of_the_cross_entropy():
    draw = np.random.default_rng(1)
    heads = draw.standard_normal((2, 3, 5))
    inputs, labels = draw.standard_normal((2, 4, 5)), draw.integers(3, size=(2, 4))

    def loss(heads: np.ndarray, one: int) -> float:
        logits = inputs[one] @ heads[one].T
        return float(
            np.mean([np.log(np.exp(row).sum()) - row[y] for row, y in zip(logits, labels[one], strict=True)])
        )

    after, told = stepped(heads, inputs, labels, 1.0)
    for one in range(2):
        assert told[one] == pytest.approx(loss(heads, one))
        for place in ((0, 0), (1, 3), (2, 4)):
            nudged = heads.copy()
            nudged[one][place] += 1e-6
            slope = (loss(nudged, one) - loss(heads, one)) / 1e-6
            assert heads[one][place] - after[one][place] == pytest.approx(slope, abs=1e-5)


def test_a_head_depends_on_its_own_batch_to_the_last_bit():
    draw = np.random.default_rng(2)
    heads, labels = draw.standard_normal((70, 3, 5)), draw.integers(3, size=(70, 4))
    inputs = draw.standard_normal((70, 4, 5)).astype(np.float32)
    together, losses = stepped(heads, inputs, labels, 0.1)
    answers = said(together.astype(np.float32), inputs[0])
    for one in (0, 63, 64, 69):
        alone, loss = stepped(heads[one : one + 1], inputs[one : one + 1], labels[one : one + 1], 0.1)
        assert alone[0].tobytes() == together[one].tobytes()
        assert loss[0] == losses[one]
        assert (said(alone.astype(np.float32), inputs[0])[0] == answers[one]).all()


def test_under_label_shift_the_best_head_adds_the_log_ratio():
    """Law 1. Features are the Bayes rule's logits under equal shares: the rule that adds log(shares/equal) is
    right as often as Bayes under the new shares has it, computed sample by sample; a head that learns comes
    within half a percent of that, and its logits' differences near the predicted ones."""
    shares, draw = np.array([0.8, 0.15, 0.05]), np.random.default_rng(3)
    label, logits = drawn(draw, 200_000, shares)
    posterior = shares * np.exp(logits - logits.max(axis=1, keepdims=True))
    bayes = float((posterior.max(axis=1) / posterior.sum(axis=1)).mean())
    best, before = right(best_of(shares), label, logits), right(begin(), label, logits)
    assert best == pytest.approx(bayes, abs=4 * 0.5 / np.sqrt(len(label)))
    assert best - before > 0.04
    own = drawn(draw, 20_000, shares)
    head = learned(draw, *own, steps=1500, rate=0.1)
    assert right(head, label, logits) == pytest.approx(best, abs=0.005)
    odds, predicted = (with_one(logits) @ one[0].T for one in (head, best_of(shares)))
    apart = (odds - odds[:, :1]) - (predicted - predicted[:, :1])
    assert np.abs(np.median(apart, axis=0)).max() < 0.35


def test_where_clients_are_alike_learning_alone_gains_nothing():
    """Law 2. No rule beats Bayes: on its features what clients of one mix learn of thirty samples each loses,
    on average, beyond what chance allows; none gains beyond it."""
    shares, draw = np.full(CLASSES, 1 / CLASSES), np.random.default_rng(4)
    label, logits = drawn(draw, 50_000, shares)
    shared = right(begin(), label, logits)
    gains = []
    for _ in range(20):
        own = drawn(draw, 30, shares)
        gains.append(right(learned(draw, *own, steps=100, rate=0.2), label, logits) - shared)
    allowed = 4 * np.sqrt(0.25 / len(label))
    assert max(gains) < allowed
    assert np.mean(gains) < -0.001


@pytest.mark.parametrize("p", [0.0, 0.5, 0.8])
def test_the_variance_of_a_merge_is_that_of_one_over_who_came(p: float):
    """Law 5. Of n heads with independent errors each comes with probability 1 - p: the variance of their mean
    is E[1/K] times one's, K of Binomial(n, 1 - p) at least 1, which is 1/(n(1 - p)) within 1/(n(1 - p))."""
    draw, n = np.random.default_rng(5), 200
    nothing = np.empty((0, 0), dtype=np.float32)
    made = []
    for _ in range(300):
        came = max(1, draw.binomial(n, 1 - p))
        heads = draw.standard_normal((came, 8)).astype(np.float32)
        made.append(merged("average", Uploads(heads, np.full(came, 7), nothing)))
    seen = float(np.square(np.array(made)).mean()) * n * (1 - p)
    assert seen == pytest.approx(1.0, abs=4 * np.sqrt(2 / (300 * 8)) + 1 / (n * (1 - p)))


@pytest.mark.parametrize("family", ["linear", "mlp", "small_cnn", "lenet5"])
def test_the_first_head_says_what_the_server_does(family: str):
    """Its last layer makes its logits of its features, of which there are as many as is said beforehand."""
    model = new_model(family, (1, 12, 12), 7, seed=3).eval()
    logits, features = model(
        torch.tensor(np.random.default_rng(6).random((5, 1, 12, 12)), dtype=torch.float32)
    )
    weight, bias = last_layer(model)
    assert torch.allclose(features @ weight.T + bias, logits, atol=1e-5)
    assert features.shape[1] == weight.shape[1] == width_of(family, (1, 12, 12), 7)
