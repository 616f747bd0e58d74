"""The rule of every decision: a request is sent iff its value exceeds the threshold in force.
One function, of plain numbers or of whole columns where nothing can change them any more."""

from __future__ import annotations

from typing import Any

import numpy as np


def decide(value: Any, low: Any, high: Any, threshold: Any, coin: Any, exploration: Any) -> Any:
    """Whether a request is sent, and P(sent) as float32.

    value: the score, or what stands for it; given the score it lies uniformly between low and high (alike:
    it is fixed). threshold: λ, in the units of value; ±inf: never or always. coin: a uniform number in
    (0, 1). exploration: the share of what would be kept that is sent all the same, so that
    P(sent) = p + (1 − p)·exploration, where p is the policy's own.
    """
    is_above = value > threshold
    is_fixed = high == low
    share_above = np.fmin(np.fmax((high - threshold) / (high - low + is_fixed), 0.0), 1.0)
    p = np.float32(is_fixed * is_above + (1.0 - is_fixed) * share_above)
    chance = np.float32(p + (np.float32(1.0) - p) * np.float32(exploration))
    return is_above | (coin < exploration), chance
