"""Gradient descent by the functions of `torch.optim`, without its classes: the first of these that a process
makes imports torch's compiler, over a second of a core that no learner here has any use for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd


class Optimiser:
    """Parameters, and in `state` what is remembered of each, by name, from its first step on.

    Law: steps and states have the bits of torch's own class.
    """

    def __init__(self, parameters: Iterable[Tensor], rate: float, weight_decay: float, fused: bool) -> None:
        """fused: a parameter is touched once a step, which may round its last few numbers otherwise."""
        self.parameters, self.rate = list(parameters), rate
        self._weight_decay, self._fused = weight_decay, fused
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Goes a step along the gradients of those parameters that have one."""
        moved = [parameter for parameter in self.parameters if parameter.grad is not None]
        self._step(moved, [parameter.grad for parameter in moved if parameter.grad is not None])

    def _step(self, parameters: list[Tensor], gradients: list[Tensor]) -> None:
        raise NotImplementedError


class Adam(Optimiser):
    """Adam (Kingma and Ba 2015, arXiv 1412.6980), betas .9 and .999, eps 1e-8; a weight decay is decoupled
    from the loss: AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101)."""

    def __init__(
        self, parameters: Iterable[Tensor], rate: float, weight_decay: float = 0.0, fused: bool = False
    ) -> None:
        super().__init__(parameters, rate, weight_decay, fused)

    def _step(self, parameters: list[Tensor], gradients: list[Tensor]) -> None:
        states = [self.state[parameter] for parameter in parameters]
        for parameter, state in zip(parameters, states, strict=True):
            if not state:
                state["step"] = torch.zeros(())
                state["exp_avg"], state["exp_avg_sq"] = (torch.zeros_like(parameter) for _ in range(2))
        adam(
            parameters,
            gradients,
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            foreach=False,
            fused=self._fused,
            decoupled_weight_decay=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.rate,
            weight_decay=self._weight_decay,
            eps=1e-8,
            maximize=False,
        )


class Sgd(Optimiser):
    """Stochastic gradient descent, with momentum (not Nesterov's) where it is above 0."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        rate: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        fused: bool = False,
    ) -> None:
        super().__init__(parameters, rate, weight_decay, fused)
        self._momentum = momentum

    def _step(self, parameters: list[Tensor], gradients: list[Tensor]) -> None:
        remembers = self._momentum != 0
        kept = [self.state[one].get("momentum_buffer") for one in parameters] if remembers else []
        sgd(
            parameters,
            gradients,
            kept,
            foreach=False,
            fused=self._fused,
            weight_decay=self._weight_decay,
            momentum=self._momentum,
            lr=self.rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
        for parameter, buffer in zip(parameters if remembers else [], kept, strict=True):
            self.state[parameter]["momentum_buffer"] = buffer
