"""Surrogates: what a trained score minimises, and how it is read off the rejector's outputs.
A new one is a loss, a score and a line of `SURROGATES`, for a score of `sim.registry.scores`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from agents.models.training import to_tensor
from agents.rejectors.losses import rejector_losses
from sim.registry.registry import Code
from sim.registry.scores import SCORES

TINIEST = 1e-6  # of what a logarithm is taken


@dataclass(frozen=True)
class Batch:
    """What rejectors are told of a batch of n samples, for each of `rows`.

    client_correct, server_correct: 1[m=y] and 1[e=y], float (rows, n); labels: int64 (n,); w_local,
    w_remote: the weights of stage 2, and cost_remote, float (rows, n); c_1: (rows, 1); draws: uniform
    numbers, one a sample and the same for all rows, (n,).
    """

    client_correct: Tensor
    server_correct: Tensor
    labels: Tensor
    w_local: Tensor
    w_remote: Tensor
    cost_remote: Tensor
    c_1: Tensor
    draws: Tensor

    @property
    def costs(self) -> Tensor:
        """Of LOCAL and of a send, (rows, n, 2)."""
        return torch.stack([1.0 - self.client_correct, self.cost_remote], dim=-1)


class Targets:
    """What the rejectors of a block are told of each step's batch."""

    def __init__(
        self,
        client_correct: Tensor,
        server_correct: Tensor,
        labels: Tensor,
        weights: Tensor,
        c_1: Tensor,
        prices: np.random.Generator,
        own: OwnCosts | None = None,
    ) -> None:
        """client_correct: bool (rows, pool); server_correct: bool (steps, rows, batch), or grades in [0, 1]
        both; labels: int64 (pool,); weights: (rows, 4, 3), as `outcome_weights`; c_1: (rows, 1); prices:
        asked step by step."""
        self._client, self._server, self._labels = client_correct, server_correct, labels
        self._weights, self._c_1, self._prices, self._own = weights, c_1, prices, own
        self._every_row = torch.arange(len(weights))[:, None]

    def batch(self, step: int, samples: Tensor) -> Batch:
        """The batch of a step, samples (n,) or (rows, n); steps are asked for in order."""
        server = self._server[step]
        client = self._client.gather(1, samples.expand(server.shape))
        of_outcome = self._of_outcomes(client, server)
        if self._own is not None:
            of_outcome = (
                of_outcome + self._own.less[samples].expand(server.shape)[..., None] * self._own.slope
            )
        w_local, w_remote, cost_remote = of_outcome.unbind(dim=-1)
        return Batch(
            client.float(),
            server.float(),
            self._labels[samples],
            w_local,
            w_remote,
            cost_remote,
            self._c_1,
            to_tensor(self._prices.random(samples.shape[-1], dtype=np.float32)),
        )

    def _of_outcomes(self, client: Tensor, server: Tensor) -> Tensor:
        """What the outcomes weigh, (rows, n, 3): of grades a mean, since weights are linear in them."""
        if client.dtype == torch.bool:
            return self._weights[self._every_row, 2 * client.long() + server.long()]
        m, e = client[..., None], server[..., None]
        of = self._weights[:, :, None].unbind(dim=1)
        return (1 - m) * ((1 - e) * of[0] + e * of[1]) + m * ((1 - e) * of[2] + e * of[3])


@dataclass(frozen=True)
class OwnCosts:
    """Of samples whose sends have costs of their own. less: by how much each is charged less than the
    dearest, float32 (pool,); slope: what that adds to (w_local, w_remote, cost_remote), which the weights
    give for the dearest, (rows, 1, 3).
    """

    less: Tensor
    slope: Tensor


@dataclass(frozen=True)
class Client:
    """What each row's frozen model makes of n samples: answer, the class it gives, int64 (rows, n);
    uncertainty, 1 less its largest probability, calibrated where a score looks at it, float32 (rows, n).
    """

    answer: Tensor
    uncertainty: Tensor


def l2h_loss(outputs: Tensor, batch: Batch) -> Tensor:
    """L_2 of the stage-switching surrogate (arXiv 2501.13810; DESIGN 6), outputs (local, remote)."""
    return rejector_losses(outputs, batch.w_local, batch.w_remote)


def l2h_score(outputs: Tensor, _client: Client, _c_1: Tensor | float) -> Tensor:
    """r_remote - r_local: a rank with Bayes price 0."""
    return outputs[..., 1] - outputs[..., 0]


def plug_in_loss(outputs: Tensor, batch: Batch) -> Tensor:
    """Two logistic regressions on one network, of P(m=y|x) and P(e=y|x); no costs."""
    return _logistic(outputs[..., 0], batch.client_correct) + _logistic(outputs[..., 1], batch.server_correct)


def plug_in_score(outputs: Tensor, _client: Client, c_1: Tensor | float) -> Tensor:
    """(1 - p_m) - c_1*(1 - p_e): a gain, the estimates put into the Bayes rule of arXiv 2501.13810 (plug-in
    estimators for deferral: Narasimhan et al. 2022)."""
    return torch.sigmoid(-outputs[..., 0]) - c_1 * torch.sigmoid(-outputs[..., 1])


def l2h_priced_loss(outputs: Tensor, batch: Batch) -> Tensor:
    """L_2 of form `nonnegative` for a price drawn per sample, so that one rejector serves every price.

    At price p the minimiser of L_2 sends with the odds (K - p - c_1*P(e!=y)) / (K - P(m!=y)). Prices are
    uniform over [-c_1, 1], beyond which nobody's decision changes, so K = 1 + c_1. The outputs are the logits
    of P(m=y|x) and P(e=y|x), and the price enters by these odds: one rejector is right at every price, and
    since the odds fall with the price each sample flips once, at the gain.
    """
    price = batch.c_1 * (batch.draws - 1.0) + batch.draws
    w_local, w_remote = batch.c_1 + batch.client_correct, 1.0 - price + batch.c_1 * batch.server_correct
    local = (batch.c_1 + torch.sigmoid(outputs[..., 0])).clamp(min=TINIEST)
    remote = (1.0 - price + batch.c_1 * torch.sigmoid(outputs[..., 1])).clamp(min=TINIEST)
    both = torch.log(local + remote)
    loss = w_local * (both - torch.log(local)) + w_remote * (both - torch.log(remote))
    return loss / (1.0 + batch.c_1)  # of the same size whatever a wrong server costs


def l2h_priced_score(outputs: Tensor, client: Client, c_1: Tensor | float) -> Tensor:
    """The price at which the rejector flips: a gain."""
    return plug_in_score(outputs, client, c_1)


def compare_confidence_loss(outputs: Tensor, batch: Batch) -> Tensor:
    """A logistic regression of P(e=y|x); no costs (Raghu et al. 2019, arXiv 1903.12220)."""
    return _logistic(outputs[..., 0], batch.server_correct)


def compare_confidence_score(outputs: Tensor, client: Client, c_1: Tensor | float) -> Tensor:
    """(1 - max_y p_m(y|x)) - c_1*(1 - p_e): a gain, as far as temperature makes the client's softmax one."""
    return client.uncertainty - c_1 * torch.sigmoid(-outputs[..., 0])


def mozannar_sontag_loss(outputs: Tensor, batch: Batch) -> Tensor:
    """The cost-sensitive softmax over K classes and deferral (Mozannar and Sontag 2020, arXiv 2006.01862):
    -sum_i (max_j c_j - c_i) log softmax_i, c_i = 1[i!=y] for a class and cost_remote for deferral.

    With costs of 0 and 1 it is their L_CE, -log p_y - 1[e=y] log p_defer. The surrogate also trains a
    classifier; the client's is frozen, so nobody asks that one for an answer.
    """
    log_share = functional.log_softmax(outputs, dim=-1)
    largest = batch.cost_remote.clamp(min=1.0)
    of_label = _at_labels(log_share, batch.labels)
    others = log_share[..., :-1].sum(dim=-1) - of_label
    losses = largest * of_label + (largest - 1.0) * others
    return -(losses + (largest - batch.cost_remote) * log_share[..., -1])


def one_vs_all_loss(outputs: Tensor, batch: Batch) -> Tensor:
    """K + 1 logistic regressions, "is it class i" and "is the server right" (Verma and Nalisnick 2022, arXiv
    2202.03673); no costs. The classifier that it trains is not asked for an answer either.
    """
    classes = functional.softplus(outputs[..., :-1]).sum(dim=-1) - _at_labels(outputs, batch.labels)
    return classes + _logistic(outputs[..., -1], batch.server_correct)


def deferral_output(outputs: Tensor, client: Client, _c_1: Tensor | float) -> Tensor:
    """The deferral output less that of the class which the client answers: a rank.

    In both papers the classifier answers with its best class, and deferral is compared with that output. Here
    a frozen model answers, so its class takes that place: for `mozannar_sontag` the sign is then the Bayes
    rule of this system (price 0), since both outputs rise with the cost they save; `one_vs_all` knows no
    costs, so its price must be found.
    """
    return outputs[..., -1] - outputs.gather(-1, client.answer.unsqueeze(-1)).squeeze(-1)


def _logistic(logit: Tensor, correct: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logit, correct, reduction="none")


def _at_labels(values: Tensor, labels: Tensor) -> Tensor:
    """The value of each sample's own class, (rows, n) of (rows, n, classes)."""
    return values.gather(-1, labels.expand(values.shape[:-1]).unsqueeze(-1)).squeeze(-1)


@dataclass(frozen=True)
class Surrogate:
    """outputs: how many, given the number of classes. loss: of outputs (rows, n, outputs) and a `Batch`, of
    several options an `OptionBatch`, each sample's own, (rows, n). score: of outputs, the clients' own
    answers, and c_1, a number or (rows, 1), float32 (rows, n), or (rows, options, n). says: which output is
    the logit of P(m=y|x), under "client", or of P(e=y|x), under "server". believes_client: whether the score
    takes the client's own uncertainty for a probability.
    """

    outputs: Callable[[int], int]
    loss: Callable[[Tensor, Any], Tensor]
    score: Callable[[Tensor, Client, Tensor | float], Tensor]
    says: Mapping[str, int] = field(default_factory=dict)
    believes_client: bool = False


BOTH = {"client": 0, "server": 1}

SURROGATES: Code[Surrogate] = Code(SCORES)
SURROGATES.attach("l2h", Surrogate(lambda _: 2, l2h_loss, l2h_score))
SURROGATES.attach("plug_in", Surrogate(lambda _: 2, plug_in_loss, plug_in_score, BOTH))
SURROGATES.attach("l2h_priced", Surrogate(lambda _: 2, l2h_priced_loss, l2h_priced_score, BOTH))
SURROGATES.attach(
    "compare_confidence",
    Surrogate(lambda _: 1, compare_confidence_loss, compare_confidence_score, {"server": 0}, True),
)
SURROGATES.attach(
    "mozannar_sontag", Surrogate(lambda classes: classes + 1, mozannar_sontag_loss, deferral_output)
)
SURROGATES.attach(
    "one_vs_all", Surrogate(lambda classes: classes + 1, one_vs_all_loss, deferral_output, {"server": -1})
)
