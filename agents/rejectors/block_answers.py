"""What the rejectors of a block decide: scores for the run, and an evaluation of every setting.
Made where the block lives, so that scores of a study's many settings never travel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.data.sample_mix import SampleMix
from agents.evaluation.best_option import Asked, by_best
from agents.evaluation.cost_model import CostModel
from agents.evaluation.curves import EvaluationSet, Right
from agents.evaluation.judged import calibrated_on, judged_on
from agents.evaluation.policy_evaluation import PolicyEvaluation, evaluate, prices
from agents.evaluation.reliability_bins import ReliabilityBins, reliability_bins
from agents.evaluation.thresholds import told_less
from agents.models.training import CHUNK
from agents.options import costs_for, most_surcharge
from agents.plan import Block, Plan
from agents.rejectors.blocks import RejectorBlock
from agents.rejectors.option_surrogates import surrogate_of
from agents.rejectors.settings import Setting
from agents.rejectors.surrogates import Client, Surrogate
from agents.server.online import own_rows
from sim.registry.prices import PriceRule


@dataclass(frozen=True)
class BlockAnswers:
    """score: of the rows that the run itself uses, on the sample axis, float32 (own rows, n), or by option
    (own rows, options, n); evaluations: on each setting that rows of this block serve, a part of the sum over
    the group's clients; estimates: such a part too, by model, of what rows in the scenario's own setting say
    of its being right on held-out samples.
    """

    score: NDArray[np.float32]
    evaluations: dict[Setting, PolicyEvaluation]
    estimates: dict[str, ReliabilityBins]


def answers_of(plan: Plan, block: Block, rejectors: RejectorBlock, server_right: Right) -> BlockAnswers:
    """What a trained block decides. server_right: whether the server is right on the sample axis, (n,), of
    several models (models, n)."""
    is_own, place = own_rows(plan, block), block.group
    owners, price = plan.owners(block), plan.scenario.fleet[place].policy.price
    held_out, calibration = (
        of_owners(plan, place, plan.owners_in(place)) for of_owners in (judged_on, calibrated_on)
    )
    everything = np.arange(len(plan.samples.sample_id))
    positions = everything if is_own.any() else np.union1d(held_out.positions, calibration.positions)
    scored = Scored.of(plan, block, rejectors, positions, server_right)
    network_of_row, networks, evaluations = plan.network_of_row(block), plan.networks(block), {}
    for number in np.unique(network_of_row):
        rows = network_of_row == number
        judged, known = held_out.of(owners[rows]), calibration.of(owners[rows])
        for setting in plan.served[place][networks[number]]:
            cost_model = costs_for(plan.scenario, place, setting.c_e, setting.c_1)
            evaluations[setting] = scored.evaluate(rows, setting, cost_model, judged, known, price)
    score = scored.in_run(plan, block)
    of_own = network_of_row == 0
    return BlockAnswers(score, evaluations, scored.estimates(of_own, held_out.of(owners[of_own])))


@dataclass(frozen=True)
class Scored:
    """A block's rows on some positions of the sample axis, n of them, ascending.

    outputs: (rows, n, outputs); client: of each row's model; client_correct: bool (rows, n), or grades;
    server_right: on the whole sample axis, as `answers_of` has it.
    """

    plan: Plan
    block: Block
    surrogate: Surrogate
    positions: NDArray[np.integer]
    outputs: Tensor
    client: Client
    client_correct: Right
    server_right: Right

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
        )

    def score(self, rows: NDArray[np.bool_], c_1: float) -> NDArray[np.float32]:
        """The scores of some rows, float32 (those rows, n), or (those rows, options, n)."""
        chosen = torch.from_numpy(rows)
        client = Client(self.client.answer[chosen], self.client.uncertainty[chosen])
        made: NDArray[np.float32] = self.surrogate.score(self.outputs[chosen], client, c_1).numpy()
        return made

    def in_run(self, plan: Plan, block: Block) -> NDArray[np.float32]:
        """The scores of the rows that the run itself uses, float32 (own rows, n), less their threshold where
        it is chosen on the calibration pool."""
        rows, costs, place = own_rows(plan, block), plan.scenario.costs, block.group
        score, price = self.score(rows, costs.c_1), plan.scenario.fleet[place].policy.price
        if not price.is_chosen or not rows.any():
            return score
        known = calibrated_on(plan, place, plan.owners_in(place)).of(plan.owners(block)[rows])
        cost_model = costs_for(plan.scenario, place, costs.c_e, costs.c_1)
        chosen = self.prices(rows, costs.c_1, cost_model, known, price)
        return told_less(score, chosen, most_surcharge(plan.scenario, place, cost_model))

    def evaluate(
        self,
        rows: NDArray[np.bool_],
        setting: Setting,
        cost_model: CostModel,
        held_out: SampleMix,
        calibration: SampleMix,
        own_price: PriceRule,
    ) -> PolicyEvaluation:
        """The evaluation of a setting that these rows serve, on what they meet of the held-out samples."""
        (at, judged), (known_at, _) = (
            self._asked(rows, setting.c_1, cost_model, met) for met in (held_out, calibration)
        )
        price = self.prices(rows, setting.c_1, cost_model, calibration, own_price)
        calibrated = calibration.mean(known_at > price[:, None])
        return evaluate(at, price, judged, cost_model, calibrated)

    def prices(
        self,
        rows: NDArray[np.bool_],
        c_1: float,
        cost_model: CostModel,
        calibration: SampleMix,
        own: PriceRule,
    ) -> NDArray[np.float64]:
        """The price that each of some rows decides at, float64 (those rows,)."""
        at, known = self._asked(rows, c_1, cost_model, calibration)
        return prices(self.block.score, cost_model, at, known, own)

    def estimates(self, rows: NDArray[np.bool_], held_out: SampleMix) -> dict[str, ReliabilityBins]:
        """What some rows say of each model's being right on the held-out positions, where they say it."""
        at = np.searchsorted(self.positions, held_out.positions)
        correct = self.client_correct[rows][:, at]
        server = Asked.of(self.plan, self.block.group, self.server_right, held_out).right[0]
        right = {"client": correct, "server": np.broadcast_to(server, correct.shape)}
        said = self.outputs[torch.from_numpy(rows)][:, at]
        return {
            model: reliability_bins(
                torch.sigmoid(said[..., place]).numpy(), right[model], held_out.share, held_out.weight
            )
            for model, place in self.surrogate.says.items()
        }

    def _asked(
        self, rows: NDArray[np.bool_], c_1: float, cost_model: CostModel, met: SampleMix
    ) -> tuple[NDArray[np.float32], EvaluationSet]:
        """Some rows' scores where they meet samples, (those rows, h), and what sends come to there."""
        at, place = np.searchsorted(self.positions, met.positions), self.block.group
        correct = self.client_correct[rows][:, at]
        asked = Asked.of(self.plan, place, self.server_right, met)
        score = self.score(rows, c_1)[..., at]
        return by_best(self.plan, place, self.block.score, score, correct, asked, cost_model)


def own_scores(
    plan: Plan, block: Block, rejectors: RejectorBlock, server_right: Right
) -> NDArray[np.float32]:
    """The scores of the rows that the run itself uses, on the sample axis, float32 (own rows, n), or by
    option (own rows, options, n); NaN of pieces of it that the group's clients never meet. server_right: on
    the sample axis, (n,)."""
    positions = pieces_met(plan, block.group)
    score = Scored.of(plan, block, rejectors, positions, server_right).in_run(plan, block)
    everywhere = np.full((*score.shape[:-1], len(plan.samples.sample_id)), np.nan, dtype=np.float32)
    everywhere[..., positions] = score
    return everywhere


def pieces_met(plan: Plan, place: int) -> NDArray[np.int64]:
    """The positions of those pieces of the sample axis in which a group's requests lie or its calibration
    pool; all where its thresholds are chosen, since one beyond all scores follows from all. Models and
    rejectors are asked piece by piece, so that a whole piece gets the same bits whichever others are asked.
    """
    positions = np.arange(len(plan.samples.sample_id))
    if plan.scenario.fleet[place].policy.price.is_chosen:
        return positions
    met = np.concatenate([plan.calibration(place), *(phase.positions for phase in plan.phases[place])])
    return positions[np.isin(positions // CHUNK, met // CHUNK)]
