"""What the rejectors of a block decide: scores for the run, and an evaluation of every setting.
Made where the block lives, so that scores of a study's many settings never travel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.evaluation.cost_model import CostModel, cost_model_of
from agents.evaluation.curves import EvaluationSet, Right
from agents.evaluation.policy_evaluation import PolicyEvaluation, evaluate, prices
from agents.evaluation.reliability_bins import ReliabilityBins, reliability_bins
from agents.plan import Block, Plan
from agents.rejectors.blocks import RejectorBlock
from agents.rejectors.settings import Setting
from agents.rejectors.surrogates import SURROGATES, Client
from agents.server.online import own_rows


@dataclass(frozen=True)
class BlockAnswers:
    """score: of the rows that the run itself uses, on the sample axis, float32 (own rows, n); evaluations: on
    each setting that rows of this block serve, a part of the sum over the group's clients; estimates: such a
    part too, by model, of what rows in the scenario's own setting say of its being right on held-out samples.
    """

    score: NDArray[np.float32]
    evaluations: dict[Setting, PolicyEvaluation]
    estimates: dict[str, ReliabilityBins]


def answers_of(plan: Plan, block: Block, rejectors: RejectorBlock, server_right: Right) -> BlockAnswers:
    """What a trained block decides. server_right: (n,), whether the server is right on the sample axis."""
    is_own = own_rows(plan, block)
    held_out, calibration = plan.held_out(block.group), plan.calibration(block.group)
    everything = np.arange(len(plan.samples.sample_id))
    positions = everything if is_own.any() else np.union1d(held_out, calibration)
    scored = Scored.of(plan, block, rejectors, positions, server_right)
    network_of_row, networks, evaluations = plan.network_of_row(block), plan.networks(block), {}
    for number in np.unique(network_of_row):
        for setting in plan.served[block.group][networks[number]]:
            cost_model = cost_model_of(plan.scenario, setting.c_e, setting.c_1)
            evaluations[setting] = scored.evaluate(
                network_of_row == number, setting, cost_model, held_out, calibration
            )
    score = scored.score(is_own, plan.scenario.costs.c_1)
    return BlockAnswers(score, evaluations, scored.estimates(network_of_row == 0, held_out))


@dataclass(frozen=True)
class Scored:
    """A block's rows on some positions of the sample axis, n of them, ascending.

    outputs: (rows, n, outputs); client: of each row's model; client_correct, server_correct: bool (rows, n)
    and (n,), or grades; shares: float64 (rows,); c_e: of each sample, float64 (n,), None where all are alike.
    """

    name: str
    positions: NDArray[np.integer]
    outputs: Tensor
    client: Client
    client_correct: Right
    server_correct: Right
    shares: NDArray[np.float64]
    c_e: NDArray[np.float64] | None

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
        sample_ids, own = plan.samples.sample_id[positions], plan.samples.c_e
        return cls(
            block.score,
            positions,
            rejectors.outputs(sample_ids),
            rejectors.client(sample_ids),
            rejectors.client_right(sample_ids).numpy(),
            server_right[positions],
            plan.shares(block.group, plan.owners_in(block.group))[plan.owners(block)],
            None if own is None else own[positions],
        )

    def score(self, rows: NDArray[np.bool_], c_1: float) -> NDArray[np.float32]:
        """The scores of some rows, float32 (those rows, n)."""
        chosen = torch.from_numpy(rows)
        client = Client(self.client.answer[chosen], self.client.uncertainty[chosen])
        made: NDArray[np.float32] = SURROGATES[self.name].score(self.outputs[chosen], client, c_1).numpy()
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
        evaluation_set, known = (
            self._evaluation_set(rows, positions) for positions in (held_out, calibration)
        )
        at, known_at = (np.searchsorted(self.positions, each) for each in (held_out, calibration))
        price = prices(setting.score, cost_model, score[:, known_at], known)
        calibrated = (score[:, known_at] > price[:, None]).mean(axis=1)
        return evaluate(score[:, at], price, evaluation_set, cost_model, calibrated)

    def estimates(self, rows: NDArray[np.bool_], held_out: NDArray[np.integer]) -> dict[str, ReliabilityBins]:
        """What some rows say of each model's being right on the held-out positions, where they say it."""
        evaluation_set, at = self._evaluation_set(rows, held_out), np.searchsorted(self.positions, held_out)
        server = np.broadcast_to(evaluation_set.server_correct, evaluation_set.client_correct.shape)
        right = {"client": evaluation_set.client_correct, "server": server}
        said = self.outputs[torch.from_numpy(rows)][:, at]
        return {
            model: reliability_bins(
                torch.sigmoid(said[..., place]).numpy(), right[model], evaluation_set.share
            )
            for model, place in SURROGATES[self.name].says.items()
        }

    def _evaluation_set(self, rows: NDArray[np.bool_], positions: NDArray[np.integer]) -> EvaluationSet:
        at = np.searchsorted(self.positions, positions)
        correct = self.client_correct[rows][:, at]
        c_e = None if self.c_e is None else self.c_e[at]
        return EvaluationSet(
            correct, self.server_correct[at], np.arange(len(correct)), self.shares[rows], c_e
        )


def own_scores(plan: Plan, block: Block, rejectors: RejectorBlock) -> NDArray[np.float32]:
    """The scores of the rows that the run itself uses, on the sample axis, float32 (own rows, n)."""
    sample_ids, rows = plan.samples.sample_id, torch.from_numpy(own_rows(plan, block))
    predicted = rejectors.client(sample_ids)
    client = Client(predicted.answer[rows], predicted.uncertainty[rows])
    read_off, c_1 = SURROGATES[block.score].score, plan.scenario.costs.c_1
    made: NDArray[np.float32] = read_off(rejectors.outputs(sample_ids)[rows], client, c_1).numpy()
    return made
