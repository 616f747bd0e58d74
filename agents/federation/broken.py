"""What broken clients upload in place of what they learned: faults of known forms.
Pure functions of what was to be uploaded; `agents.rounds` asks them before it merges."""

from __future__ import annotations

import numpy as np

from agents.federation.merging import Numbers
from sim.scenario.schema.federation import Broken
from sim.streams import stream


def wrong(how: Broken, numbers: Numbers, seed: int, merge: int, client: int) -> Numbers:
    """A client's numbers (n,) as it uploads them for a merge, float32 (n,).

    `noise`: normal numbers of mean 0 in their place, whose standard deviation is `scale` times the root mean
    square of its own (Blanchard et al. 2017, arXiv 1703.02757: Gaussian); `sign_flip`: its own times -`scale`
    (Li et al. 2019, arXiv 1811.03761). Law: a draw depends on seed, merge and client alone.
    """
    own = numbers.astype(np.float64)
    if how.fault == "sign_flip":
        return np.asarray(-how.scale * own, dtype=np.float32)
    draw = stream(seed, "broken upload", merge, client).standard_normal(len(own))
    return np.asarray(how.scale * np.sqrt(np.mean(own**2)) * draw, dtype=np.float32)
