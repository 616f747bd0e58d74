"""A block: up to 64 rejectors of one group, trained on the rejector pool against the server's trace.
The unit of work that shards share out; what a block computes does not depend on where it lies."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.families import Classifier
from agents.losses import rejector_loss
from agents.plan import Block, Plan, Variant
from agents.rejectors import INPUTS, StackedRejectors
from agents.training import batch_order, read, require_finite, to_tensor
from sim.streams import key, stream

SCORED_AT_ONCE = 512  # samples; bounds the memory of scoring, 64 rows at a time


def trace_row(step: int, interval: int) -> int:
    """Which row of the server's trace the client side sees in `step` if its copy is refreshed every
    `interval` batches. Row 0 is the untrained server, row t the one after t steps; 1 is synchronous.
    """
    return (step + 1) // interval * interval


class RejectorBlock:
    """The rejectors of one block, and the frozen models that its rows use.

    Inputs are standardised by their mean and spread over the rejector pool, as this group's requests show it.
    """

    def __init__(self, plan: Plan, block: Block, models: Mapping[Variant, Classifier]) -> None:
        self._plan, self._block = plan, block
        self._group = plan.scenario.fleet[block.group]
        self._rows = np.arange(block.first, block.first + block.rows)
        variants = plan.variants_of(block)
        used = sorted(set(variants))
        self._models = [models[variant] for variant in used]
        self._model_of_row = np.array([used.index(variant) for variant in variants])
        self._pool = plan.in_view(plan.pools.rejector, plan.meets_view(block.group))
        inputs, _ = self._look_at(self._pool)
        self._mean = inputs.mean(dim=1, keepdim=True)
        spread = inputs.std(dim=1, keepdim=True, correction=0)
        self._scale = torch.where(spread > 1e-6, spread, torch.ones_like(spread))
        seed = plan.scenario.seed
        seeds = [key(seed, "rejector", block.group, int(row)) for row in self._rows]
        self._rejectors = StackedRejectors(self._group.rejector.family, inputs.shape[2], seeds)

    def learn(self, trace: NDArray[np.bool_], weights: Tensor) -> NDArray[np.float64]:
        """Trains stage 2 through the whole trace; returns the mean loss per epoch and row, (epochs, rows).

        trace: 1[e_t(x)=y] after t steps of the server, over the rejector pool in that view, bool
        (steps + 1, n). weights: (4, 2), (w_local, w_remote) by 2*1[m=y] + 1[e=y]. Step t of the rejectors
        uses e after its step t. Since stage 1 never looks at rejectors, replaying the recorded trace *is*
        the synchronous algorithm, not an approximation of it.

        Raises RunFailed, naming group and client, if a loss is no longer a number.
        """
        pretrain = self._plan.scenario.training.pretrain
        per_epoch = self._plan.steps_per_epoch
        optimiser = torch.optim.Adam(self._rejectors.parameters, lr=pretrain.rejector_lr)
        order = batch_order(self._order_generators(), len(self._pool), pretrain.batch)
        inputs, client_correct = self._pool_as_seen()
        flat_inputs, flat_correct = inputs.flatten(0, 1), client_correct.flatten()
        first = torch.from_numpy(self._model_of_row * len(self._pool))[:, None]
        losses = np.zeros((pretrain.epochs, per_epoch, self._block.rows))
        for step in range(len(trace) - 1):
            chosen = torch.from_numpy(next(order))
            at = chosen + first
            server_correct = to_tensor(trace[trace_row(step, interval=1)]).long()
            weight = weights[2 * flat_correct[at] + server_correct[chosen]]
            loss = rejector_loss(self._rejectors.logits(flat_inputs[at]), weight[..., 0], weight[..., 1])
            optimiser.zero_grad()
            loss.sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            losses[divmod(step, per_epoch)] = loss.detach().numpy()
        self._require_finite(losses.reshape(-1, self._block.rows))
        means: NDArray[np.float64] = losses.mean(axis=1)
        return means

    @torch.no_grad()
    def logits(self, sample_ids: NDArray[np.int32]) -> NDArray[np.float32]:
        """The rejectors' logits of samples, float32 (rows, n, 2), ordered (local, remote).

        Raises RunFailed, naming group and client, if one is not a finite number.
        """
        parts = []
        for start in range(0, len(sample_ids), SCORED_AT_ONCE):
            inputs, _ = self._look_at(sample_ids[start : start + SCORED_AT_ONCE])
            of_rows = self._standardised(inputs)[torch.from_numpy(self._model_of_row)]
            parts.append(self._rejectors.logits(of_rows).numpy())
        logits = np.concatenate(parts, axis=1)
        for row, of_row in zip(self._rows, logits, strict=True):
            require_finite(of_row, "decide", self._name(int(row)), "a score is not a finite number")
        return logits

    def _pool_as_seen(self) -> tuple[Tensor, Tensor]:
        """Over the rejector pool: inputs (models, n, width), and 1[m=y], int64 (models, n)."""
        inputs, answers = self._look_at(self._pool)
        correct = answers == to_tensor(self._plan.labels(self._pool))
        return self._standardised(inputs), correct.long()

    def _standardised(self, inputs: Tensor) -> Tensor:
        return (inputs - self._mean) / self._scale

    def _look_at(self, sample_ids: NDArray[np.int32]) -> tuple[Tensor, Tensor]:
        """What the rejectors are told about samples, not standardised, (models, n, width), and what the
        models answer, int64 (models, n)."""
        images = self._plan.images[sample_ids]
        pixels, inputs = to_tensor(images), INPUTS[self._group.rejector.input]
        readings = [read(model, images) for model in self._models]
        told = torch.stack([inputs(pixels, reading) for reading in readings])
        return told, torch.stack([reading.logits.argmax(dim=1) for reading in readings])

    def _order_generators(self) -> list[np.random.Generator]:
        seed, place = self._plan.scenario.seed, self._block.group
        return [stream(seed, "rejector order", place, int(row)) for row in self._rows]

    def _require_finite(self, losses: NDArray[np.float64]) -> None:
        bad = np.argwhere(~np.isfinite(losses))
        if len(bad):
            step, row = (int(number) for number in bad[0])
            require_finite(
                losses[step, row],
                "learn",
                self._name(self._rows[row]),
                f"the loss is {losses[step, row]} at step {step}",
            )

    def _name(self, row: int) -> str:
        return f"group {self._group.group}, rejector of {self._group.rejector.per} {row}"
