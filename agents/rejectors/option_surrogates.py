"""Surrogates for several options: the losses of `agents.rejectors.surrogates` with an output for each.
There is one of each trained score that is per option (`sim.registry.scores`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from agents.evaluation.cost_model import cost_model_of
from agents.options import options_of
from agents.plan import Block, Plan
from agents.rejectors.option_losses import OptionBatch, option_losses
from agents.rejectors.own_losses import with_own
from agents.rejectors.surrogates import SURROGATES, TINIEST, Client, Surrogate
from agents.rejectors.told import mean_prices
from sim.registry.scores import SCORES


def l2h_loss(outputs: Tensor, batch: OptionBatch) -> Tensor:
    """L_2, outputs (LOCAL, options)."""
    return option_losses(outputs, batch.weights)


def l2h_score(outputs: Tensor, _client: Client, _c_1: Tensor | float) -> Tensor:
    """r_j - r_0: a rank of each option, with Bayes price 0."""
    return outputs[..., 1:] - outputs[..., :1]


def plug_in_loss(outputs: Tensor, batch: OptionBatch) -> Tensor:
    """Logistic regressions of P(m=y|x) and each P(e_j=y|x) on one network; no costs."""
    return _logistic(outputs[..., 0], batch.client_correct) + compare_confidence_loss(outputs[..., 1:], batch)


def plug_in_score(outputs: Tensor, _client: Client, c_1: Tensor | float) -> Tensor:
    """(1 - p_m) - c_1*(1 - p_j): a gain of each option, before its price."""
    return torch.sigmoid(-outputs[..., :1]) - _each(c_1) * torch.sigmoid(-outputs[..., 1:])


def l2h_priced_loss(outputs: Tensor, batch: OptionBatch) -> Tensor:
    """L_2 of form `nonnegative` for a price of each option drawn per sample; outputs as of `plug_in`.

    The shares of the minimiser, (K - E[cost_j | x, price_j]) of their sum, are made of the estimates, so that
    the loss is least where these are right. Prices and K = 1 + c_1 as with one option.
    """
    c_1 = batch.c_1[..., None]
    price = c_1 * (batch.draws - 1.0) + batch.draws
    weights = torch.cat(
        [c_1 + batch.client_correct[..., None], 1.0 - price + c_1 * batch.server_correct], dim=-1
    )
    right = torch.sigmoid(outputs)
    shares = torch.cat([c_1 + right[..., :1], 1.0 - price + c_1 * right[..., 1:]], dim=-1)
    shares = shares.clamp(min=TINIEST)
    both = torch.log(shares.sum(dim=-1, keepdim=True))
    return (weights * (both - torch.log(shares))).sum(dim=-1) / (1.0 + batch.c_1)


def compare_confidence_loss(outputs: Tensor, batch: OptionBatch) -> Tensor:
    """A logistic regression of each P(e_j=y|x); no costs."""
    return _logistic(outputs, batch.server_correct).sum(dim=-1)


def compare_confidence_score(outputs: Tensor, client: Client, c_1: Tensor | float) -> Tensor:
    """(1 - max_y p_m(y|x)) - c_1*(1 - p_j): a gain of each option, before its price."""
    return client.uncertainty[..., None] - _each(c_1) * torch.sigmoid(-outputs)


def mozannar_sontag_loss(outputs: Tensor, batch: OptionBatch) -> Tensor:
    """The cost-sensitive softmax over K classes and J options: -sum_i (max_j c_j - c_i) log softmax_i (Verma
    et al. 2023, arXiv 2210.16955, who have costs of 0 and 1)."""
    log_share = functional.log_softmax(outputs, dim=-1)
    options = batch.costs.shape[-1] - 1
    largest = batch.costs[..., 1:].amax(dim=-1).clamp(min=1.0)
    of_classes = log_share[..., :-options]
    of_label = of_classes.gather(-1, batch.labels.expand(of_classes.shape[:-1]).unsqueeze(-1)).squeeze(-1)
    losses = largest * of_label + (largest - 1.0) * (of_classes.sum(dim=-1) - of_label)
    of_options = (largest[..., None] - batch.costs[..., 1:]) * log_share[..., -options:]
    return -(losses + of_options.sum(dim=-1))


def mozannar_sontag_score(options: int) -> Callable[[Tensor, Client, Tensor | float], Tensor]:
    """The output of each option less that of the class which the client answers: a rank, Bayes price 0."""

    def score(outputs: Tensor, client: Client, _c_1: Tensor | float) -> Tensor:
        return outputs[..., -options:] - outputs.gather(-1, client.answer.unsqueeze(-1))

    return score


def option_surrogate(name: str, options: int) -> Surrogate:
    """The surrogate of a score for so many options; its scores are (rows, options, n)."""
    outputs, loss, score = {
        "l2h": (lambda _: 1 + options, l2h_loss, l2h_score),
        "plug_in": (lambda _: 1 + options, plug_in_loss, plug_in_score),
        "l2h_priced": (lambda _: 1 + options, l2h_priced_loss, plug_in_score),
        "compare_confidence": (lambda _: options, compare_confidence_loss, compare_confidence_score),
        "mozannar_sontag": (
            lambda classes: classes + options,
            mozannar_sontag_loss,
            mozannar_sontag_score(options),
        ),
    }[name]
    one = SURROGATES[name]
    says = {model: place for model, place in one.says.items() if model == "client"}
    return Surrogate(outputs, loss, _by_option(score), says, one.believes_client)


def surrogate_of(plan: Plan, block: Block) -> Surrogate:
    """What the rejectors of a block minimise, and how they are read. Where samples have costs of their own a
    gain is less by what a send to its option costs on average beyond c_e."""
    options = len(options_of(plan.scenario, block.group))
    made = SURROGATES[block.score] if options == 1 else option_surrogate(block.score, options)
    networks = plan.networks(block)
    forms = [networks[network].form for network in plan.network_of_row(block)]
    several, means = replace(made, loss=with_own(made.loss, forms)), mean_prices(plan, block.group)
    if options == 1:
        return several
    if means is None or SCORES[block.score].unit != "gain":
        return several
    costs, read_off = plan.scenario.costs, several.score
    beyond = cost_model_of(plan.scenario, costs.c_e, costs.c_1).beyond(means)
    less = torch.from_numpy(beyond.astype(np.float32))[:, None]
    return replace(several, score=lambda outputs, client, c_1: read_off(outputs, client, c_1) - less)


def _by_option(
    score: Callable[[Tensor, Client, Tensor | float], Tensor],
) -> Callable[[Tensor, Client, Tensor | float], Tensor]:
    return lambda outputs, client, c_1: score(outputs, client, c_1).movedim(-1, -2)


def _each(c_1: Tensor | float) -> Tensor | float:
    return c_1[..., None] if isinstance(c_1, Tensor) else c_1


def _logistic(logit: Tensor, correct: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logit, correct, reduction="none")
