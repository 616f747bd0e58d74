"""From operational time back to virtual time: how a shape bends a process without thinning it.
A process runs at its constant law in operational time; `sim.world.arrivals.processes` maps its instants
through here."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi

import numpy as np
from numpy.typing import NDArray

from sim.scenario.schema.arrivals import Constant, Diurnal, FlashCrowd, Shape

Instants = NDArray[np.float64]
Inverse = Callable[[Instants], Instants]

MOST_STEPS = 100  # bisection alone would be done after 64
ROUNDING = 4e-16  # of a period: what its sum of two terms may be wrong by


def inverse(shape: Shape) -> Inverse:
    """The inverse of `sim.scenario.rules.rates.operational_s`, for arrays of any length.

    Each element is worked out for itself, so the result does not depend on what is asked beside it.
    """
    match shape:
        case Constant():
            return lambda x: x
        case FlashCrowd():
            return _flash_crowd(shape)
        case Diurnal():
            return _diurnal(shape)
    raise TypeError(f"not a shape: {shape!r}")


def _flash_crowd(shape: FlashCrowd) -> Inverse:
    begins, lasts = shape.at_s, shape.factor * shape.for_s

    def to_virtual(x: Instants) -> Instants:
        into = np.clip(x - begins, 0.0, lasts)
        return np.where(x < begins, x, begins + into / shape.factor + np.maximum(x - begins - lasts, 0.0))

    return to_virtual


def _diurnal(shape: Diurnal) -> Inverse:
    """Kepler's equation: with τ = t − phase, x = t + a·(cos(ω·phase) − cos(ωτ)), a = amplitude/ω.

    Newton's steps from the middle of a bracket, replaced by bisection where they leave it: safe even with
    amplitude 1, where the rate touches zero once a period. Whole periods are taken off first.
    """
    turn = 2 * pi / shape.period_s
    swing = shape.amplitude / turn
    origin = shape.phase_s + swing * cos(turn * shape.phase_s)

    def to_virtual(x: Instants) -> Instants:
        into = x - origin
        periods = np.floor(into / shape.period_s)
        into = into - periods * shape.period_s
        return np.maximum(shape.phase_s + periods * shape.period_s + _solve(into, turn, swing), 0.0)

    return to_virtual


def _solve(into: Instants, turn: float, swing: float) -> Instants:
    """τ with τ − swing·cos(turn·τ) = into, as exactly as that sum can be worked out."""
    found = into.copy()
    low, high = into - swing, into + swing
    enough = ROUNDING * 2 * pi / turn
    open_ = np.arange(len(into))
    for _ in range(MOST_STEPS):
        at = found[open_]
        excess = at - swing * np.cos(turn * at) - into[open_]
        far = np.abs(excess) > enough
        open_, at, excess = open_[far], at[far], excess[far]
        if not len(open_):
            break
        left = low[open_] = np.where(excess < 0, at, low[open_])
        right = high[open_] = np.where(excess > 0, at, high[open_])
        with np.errstate(divide="ignore", invalid="ignore"):
            step = at - excess / (1.0 + turn * swing * np.sin(turn * at))
        inside = (step > left) & (step < right)  # false for what is no number
        found[open_] = np.where(inside, step, left + (right - left) / 2)
    return found
