"""Whom the server lets in, a place given: everybody, whoever can be served in time, or who finds a token.
Asked by `sim.engine.at_server` for a send that has found a place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sim.engine.board import Board
from sim.scenario.schema.server import DeadlineFeasible
from sim.world.budgets import admission_bucket, views

Admits = Callable[[float, float, bool], bool]


def admission(board: Board, queue: Any) -> Admits | None:
    """`admits(now, deadline, is_idle)`, is_idle: whether a replica is; None where everybody is let in."""
    rules, state = board.rules, board.state
    if isinstance(rules.admission, DeadlineFeasible):
        mean, most = rules.service.mean, rules.max_batch

        def is_feasible(now: float, deadline: float, is_idle: bool) -> bool:
            """Whether it would be finished by then, were the batches before it full and all of mean length.

            While nothing works nobody knows, and everybody may wait.
            """
            if not state.usable:
                return True
            batches = len(queue) // most + (0 if is_idle else 1)
            finish: float = now + batches * mean[most] / state.usable + mean[len(queue) % most + 1]
            return finish <= deadline

        return is_feasible
    buckets = admission_bucket(rules.admission)
    if not buckets:
        return None
    (bucket,) = buckets
    account = views(state.admission)
    return lambda now, _deadline, _is_idle: bucket.take(account, 0, now)
