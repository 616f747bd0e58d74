"""Every surrogate leads to the Bayes decision where it promises one, and its loss is that of its paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.evaluation.cost_model import CostModel
from agents.rejectors.client_predictions import temperature
from agents.rejectors.losses import outcome_weights
from agents.rejectors.scores import bayes_price
from agents.rejectors.surrogates import SURROGATES, Batch, Client
from sim.registry.scores import SCORES

CLASSES = 3
POINTS = 40
PRICED = pytest.param("l2h_priced", marks=pytest.mark.slow)  # ten times as long as the others


def world(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """At each of `POINTS` inputs, the client answers class 0: P(y) over the classes, and P(e = y | y)."""
    draws = np.random.Generator(np.random.Philox(key=seed))
    return draws.dirichlet(np.ones(CLASSES), POINTS), draws.beta(0.7, 0.7, (POINTS, CLASSES))


def everything(eta: np.ndarray, right: np.ndarray, cost_model: CostModel, form: str, prices: int) -> tuple:
    """All outcomes of all inputs with their probabilities: the loss in expectation, without any sampling."""
    label, server, draw = np.meshgrid(
        np.arange(CLASSES), [0, 1], (np.arange(prices) + 0.5) / prices, indexing="ij"
    )
    chance = eta[:, label.ravel()] * np.where(
        server.ravel() == 1, right[:, label.ravel()], 1 - right[:, label.ravel()]
    )
    client, served = torch.tensor(label.ravel() == 0).long(), torch.tensor(server.ravel())
    weights = outcome_weights(cost_model, form)[2 * client + served].expand(POINTS, -1, -1)
    batch = Batch(
        client.float().expand(POINTS, -1),
        served.float().expand(POINTS, -1),
        torch.tensor(label.ravel()),
        *weights.unbind(dim=-1),
        torch.tensor([[cost_model.c_1]]),
        torch.tensor(draw.ravel(), dtype=torch.float32),
    )
    return batch, torch.tensor(chance / prices)


def minimised(
    name: str, eta: np.ndarray, right: np.ndarray, cost_model: CostModel, form: str
) -> torch.Tensor:
    """The outputs that minimise the expected loss at each input on its own, (POINTS, outputs)."""
    batch, chance = everything(eta, right, cost_model, form, prices=64 if name == "l2h_priced" else 1)
    outputs = torch.zeros(POINTS, SURROGATES[name].outputs(CLASSES), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [outputs], max_iter=2000, tolerance_grad=1e-9, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        per_outcome = outputs[:, None].expand(-1, chance.shape[1], -1)
        total = (SURROGATES[name].loss(per_outcome, batch) * chance).sum()
        total.backward()
        return total

    optimiser.step(loss)
    return outputs.detach()


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("c_e", "c_1"), [(0.1, 1.0), (0.3, 0.5), (0.2, 2.0), (0.1, 0.0), (0.1, 4.0)])
@pytest.mark.parametrize("name", ["l2h", "plug_in", PRICED, "mozannar_sontag"])
def test_the_minimiser_decides_as_bayes_does(name: str, c_e: float, c_1: float, seed: int) -> None:
    """Wherever the margin of the Bayes rule exceeds 0.05."""
    eta, right = world(seed)
    gain = (1 - eta[:, 0]) - c_1 * (1 - (eta * right).sum(axis=1))
    cost_model = CostModel(c_e, c_1)
    form = "nonnegative" if "form" in SCORES[name].depends_on else ""
    score = SURROGATES[name].score(minimised(name, eta, right, cost_model, form), answers(), c_1).numpy()
    clear = np.abs(gain - c_e) > 0.05
    assert clear.sum() > POINTS / 2
    assert np.array_equal((score > bayes_price(name, cost_model.bayes_price))[clear], (gain > c_e)[clear])


def answers() -> Client:
    return Client(torch.zeros(POINTS, dtype=torch.int64), torch.zeros(POINTS))


@pytest.mark.parametrize("c_1", [0.0, 0.25, 1.5, 4.0])
@pytest.mark.parametrize("name", ["plug_in", PRICED])
def test_a_trained_gain_is_in_units_of_cost(name: str, c_1: float) -> None:
    eta, right = world(3)
    gain = (1 - eta[:, 0]) - c_1 * (1 - (eta * right).sum(axis=1))
    score = SURROGATES[name].score(minimised(name, eta, right, CostModel(0.1, c_1), ""), answers(), c_1)
    np.testing.assert_allclose(score, gain, atol=1e-3)


@pytest.mark.parametrize("name", ["compare_confidence", "one_vs_all"])
def test_deferral_outputs_estimate_whether_the_server_is_right(name: str) -> None:
    eta, right = world(4)
    outputs = minimised(name, eta, right, CostModel(0.1, 1.0), "")
    np.testing.assert_allclose(torch.sigmoid(outputs[:, -1]), (eta * right).sum(axis=1), atol=1e-3)


def test_compare_confidence_believes_the_client() -> None:
    outputs = torch.zeros(1, 2, 1)
    client = Client(torch.zeros(1, 2, dtype=torch.int64), torch.tensor([[0.3, 0.9]]))
    score = SURROGATES["compare_confidence"].score(outputs, client, 0.5)
    torch.testing.assert_close(score, torch.tensor([[0.05, 0.65]]))


def test_a_temperature_makes_an_overconfident_client_say_what_it_knows() -> None:
    """Logits three times too large: divided by 3 they are the true ones again, and no answer moves."""
    draws = torch.Generator().manual_seed(2)
    true = torch.randn(20_000, 4, generator=draws)
    labels = torch.multinomial(torch.softmax(true, dim=1), 1, generator=draws)[:, 0]
    found = temperature(3 * true, labels)
    assert found == pytest.approx(3.0, rel=0.05)
    confidence = torch.softmax(3 * true / found, dim=1).max(dim=1)
    right = (confidence.indices == labels).double().mean()
    assert float(confidence.values.mean()) == pytest.approx(float(right), abs=0.01)


def a_batch(server_correct: list[float], labels: list[int]) -> Batch:
    """Costs of 0 and 1, as the papers on learning to defer have them."""
    n = len(labels)
    unknown, right = torch.full((1, n), torch.nan), torch.tensor([server_correct])
    return Batch(
        unknown, right, torch.tensor(labels), unknown, unknown, 1.0 - right, torch.tensor([[1.0]]), unknown
    )


def test_mozannar_and_sontag_is_their_loss_at_costs_of_zero_and_one() -> None:
    outputs = torch.randn(1, 4, CLASSES + 1, generator=torch.Generator().manual_seed(1))
    labels, right = [0, 2, 1, 2], [1.0, 0.0, 0.0, 1.0]
    share = torch.log_softmax(outputs[0], dim=1)
    theirs = [-share[i, y] - right[i] * share[i, -1] for i, y in enumerate(labels)]
    ours = SURROGATES["mozannar_sontag"].loss(outputs, a_batch(right, labels))
    torch.testing.assert_close(ours[0], torch.stack(theirs))


def test_one_vs_all_is_its_papers_loss() -> None:
    outputs = torch.randn(1, 3, CLASSES + 1, generator=torch.Generator().manual_seed(2))
    labels, right = [0, 2, 1], [1.0, 0.0, 1.0]

    def phi(value: torch.Tensor) -> torch.Tensor:
        return torch.log1p(torch.exp(-value))

    theirs = []
    for i, y in enumerate(labels):
        g = outputs[0, i]
        others = sum(phi(-g[k]) for k in range(CLASSES) if k != y)
        theirs.append(phi(g[y]) + others + phi(-g[-1]) + right[i] * (phi(g[-1]) - phi(-g[-1])))
    ours = SURROGATES["one_vs_all"].loss(outputs, a_batch(right, labels))
    torch.testing.assert_close(ours[0], torch.stack(theirs))


def test_a_priced_rejector_flips_exactly_once() -> None:
    """Its logit falls in the price wherever its outputs stand."""
    outputs = torch.randn(50, 1, 2, generator=torch.Generator().manual_seed(3))
    draws = torch.linspace(0.001, 0.999, 101)
    batch = Batch(
        *[torch.ones(50, 101)] * 2, torch.zeros(101), *[torch.zeros(50, 101)] * 3, torch.ones(50, 1), draws
    )
    both_right, none_right = (
        2 * SURROGATES["l2h_priced"].loss(outputs.expand(50, 101, 2).double(), replaced(batch, right))
        for right in ((1.0, 1.0), (0.0, 0.0))
    )
    # With c_1 = 1 they are 2*l + (2 - p)*r and l + (1 - p)*r, of -log of either share.
    price = 2 * draws.double() - 1
    of_remote = (2 * none_right - both_right) / -price
    of_local = none_right - (1 - price) * of_remote
    flips_at = SURROGATES["l2h_priced"].score(outputs, answers(), 1.0)
    apart = ((flips_at - price).abs() > 0.01) & (price.abs() > 0.01)
    sends = of_remote < of_local
    assert torch.equal(sends[apart], (flips_at > price)[apart])
    along = sends[:, price.abs() > 0.01].int().diff(dim=1)  # from low prices to high ones
    assert (along <= 0).all(), "what a price keeps local is sent at no higher one"
    assert (along == -1).sum(dim=1).max() == 1


def replaced(batch: Batch, right: tuple[float, float]) -> Batch:
    """The batch with 1[m=y] and 1[e=y] the same for all."""
    ones = torch.ones_like(batch.client_correct)
    return Batch(ones * right[0], ones * right[1], *list(vars(batch).values())[2:])
