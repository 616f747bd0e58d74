"""What the rejectors of a block decide: scores for the run, and an evaluation of every setting.
Made where the block lives, so that scores of a study's many settings never travel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.evaluation.best_option import Asked, judged
from agents.evaluation.cost_model import CostModel
from agents.evaluation.curves import EvaluationSet, Right
from agents.evaluation.policy_evaluation import PolicyEvaluation, evaluate, prices
from agents.evaluation.reliability_bins import ReliabilityBins, reliability_bins
from agents.options import costs_for
from agents.plan import Block, Plan
from agents.rejectors.blocks import RejectorBlock
from agents.rejectors.option_surrogates import surrogate_of
from agents.rejectors.settings import Setting
from agents.rejectors.surrogates import Client, Surrogate
from agents.server.online import own_rows


@dataclass(frozen=True)
class BlockAnswers:
    """score: of the rows that the run itself uses, on the sample axis, float32 (own rows, n), or of several
    options (own rows, options, n); evaluations: on
    each setting that rows of this block serve, a part of the sum over the group's clients; estimates: such a
    part too, by model, of what rows in the scenario's own setting say of its being right on held-out samples.
    """

    score: NDArray[np.float32]
    evaluations: dict[Setting, PolicyEvaluation]
    estimates: dict[str, ReliabilityBins]


def answers_of(plan: Plan, block: Block, rejectors: RejectorBlock, server_right: Right) -> BlockAnswers:
    """What a trained block decides. server_right: whether the server is right on the sample axis, (n,), or of
    several models (models, n)."""
    is_own = own_rows(plan, block)
    held_out, calibration = plan.held_out(block.group), plan.calibration(block.group)
    everything = np.arange(len(plan.samples.sample_id))
    positions = everything if is_own.any() else np.union1d(held_out, calibration)
    scored = Scored.of(plan, block, rejectors, positions, server_right)
    network_of_row, networks, evaluations = plan.network_of_row(block), plan.networks(block), {}
    for number in np.unique(network_of_row):
        for setting in plan.served[block.group][networks[number]]:
            cost_model = costs_for(plan.scenario, block.group, setting.c_e, setting.c_1)
            evaluations[setting] = scored.evaluate(
                network_of_row == number, setting, cost_model, held_out, calibration
            )
    score = scored.score(is_own, plan.scenario.costs.c_1)
    return BlockAnswers(score, evaluations, scored.estimates(network_of_row == 0, held_out))


@dataclass(frozen=True)
class Scored:
    """A block's rows on some positions of the sample axis, n of them, ascending.

    outputs: (rows, n, outputs); client: of each row's model; client_correct: bool (rows, n), or grades;
    server_right: on the whole sample axis, as `answers_of` has it; shares: float64 (rows,).
    """

    plan: Plan
    block: Block
    surrogate: Surrogate
    positions: NDArray[np.integer]
    outputs: Tensor
    client: Client
    client_correct: Right
    server_right: Right
    shares: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        plan: Plan,
        block: Block,
        rejectors: RejectorBlock,
        positions: NDArray[np.integer],
        server_right: Right,
    ) -> Scored:
        """Asks the rejectors and their models."""
        sample_ids = plan.samples.sample_id[positions]
        return cls(
            plan,
            block,
            surrogate_of(plan, block),
            positions,
            rejectors.outputs(sample_ids),
            rejectors.client(sample_ids),
            rejectors.client_right(sample_ids).numpy(),
            server_right,
            plan.shares(block.group, plan.owners_in(block.group))[plan.owners(block)],
        )

    def score(self, rows: NDArray[np.bool_], c_1: float) -> NDArray[np.float32]:
        """The scores of some rows, float32 (those rows, n), or (those rows, options, n)."""
        chosen = torch.from_numpy(rows)
        client = Client(self.client.answer[chosen], self.client.uncertainty[chosen])
        made: NDArray[np.float32] = self.surrogate.score(self.outputs[chosen], client, c_1).numpy()
        return made

    def evaluate(
        self,
        rows: NDArray[np.bool_],
        setting: Setting,
        cost_model: CostModel,
        held_out: NDArray[np.integer],
        calibration: NDArray[np.integer],
    ) -> PolicyEvaluation:
        """The evaluation of a setting that these rows serve, on the held-out positions."""
        score = self.score(rows, setting.c_1)
        (at, held), (known_at, known) = (
            self._met(rows, score, cost_model, positions) for positions in (held_out, calibration)
        )
        price = prices(setting.score, cost_model, known_at, known)
        calibrated = (known_at > price[:, None]).mean(axis=1)
        return evaluate(at, price, held, cost_model, calibrated)

    def estimates(self, rows: NDArray[np.bool_], held_out: NDArray[np.integer]) -> dict[str, ReliabilityBins]:
        """What some rows say of each model's being right on the held-out positions, where they say it."""
        at = np.searchsorted(self.positions, held_out)
        correct, shares = self.client_correct[rows][:, at], self.shares[rows]
        asked = Asked.of(self.plan, self.block.group, self.server_right, held_out)
        right = {"client": correct, "server": np.broadcast_to(asked.right[0], correct.shape)}
        said = self.outputs[torch.from_numpy(rows)][:, at]
        return {
            model: reliability_bins(torch.sigmoid(said[..., place]).numpy(), right[model], shares)
            for model, place in self.surrogate.says.items()
        }

    def _met(
        self,
        rows: NDArray[np.bool_],
        score: NDArray[np.float32],
        cost_model: CostModel,
        positions: NDArray[np.integer],
    ) -> tuple[NDArray[np.float32], EvaluationSet]:
        """Some rows' scores on some positions, (rows, positions), and what their sends come to there."""
        at = np.searchsorted(self.positions, positions)
        return judged(
            self.plan,
            self.block.group,
            self.block.score,
            score[..., at],
            (self.client_correct[rows][:, at], self.shares[rows]),
            Asked.of(self.plan, self.block.group, self.server_right, positions),
            cost_model,
        )


def own_scores(plan: Plan, block: Block, rejectors: RejectorBlock) -> NDArray[np.float32]:
    """The scores of the rows that the run itself uses, on the sample axis, float32 (own rows, n)."""
    sample_ids, rows = plan.samples.sample_id, torch.from_numpy(own_rows(plan, block))
    predicted = rejectors.client(sample_ids)
    client = Client(predicted.answer[rows], predicted.uncertainty[rows])
    read_off, c_1 = surrogate_of(plan, block).score, plan.scenario.costs.c_1
    made: NDArray[np.float32] = read_off(rejectors.outputs(sample_ids)[rows], client, c_1).numpy()
    return made
