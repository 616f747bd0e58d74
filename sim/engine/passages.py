"""What shared links let pass in a window, and what is on them, as columns.
Filled by `sim.engine.shared_links`; read by the table of links and its audit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Passages:
    """Payloads on shared links: which link, when they came, when they had passed (inf: not yet), and bits."""

    link: NDArray[np.int64]
    joined: Floats
    left: Floats
    bits: Floats

    def of(self, link: int) -> Passages:
        """Those on one link."""
        mine = np.flatnonzero(self.link == link)
        return Passages(self.link[mine], self.joined[mine], self.left[mine], self.bits[mine])

    def beside(self, link: int, joined: float, left: float, bits: float) -> Passages:
        """And another one."""
        return Passages(
            np.append(self.link, link),
            np.append(self.joined, joined),
            np.append(self.left, left),
            np.append(self.bits, bits),
        )

    @staticmethod
    def none() -> Passages:
        """Nobody has come to any."""
        return Passages(np.zeros(0, dtype=np.int64), *(np.zeros(0) for _ in range(3)))
