"""Who is admitted, and how: a plan of the largest gain per cost, by Dinkelbach's method on a linear program.
Plain arrays in and out; the command `plan` fills them from a scenario.

Clients of a kind are alike, so a plan is a number of clients for each way of asking (a group and one of its
options). The linear program lets these numbers be broken; rounding makes them whole, and never beats it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

Floats = NDArray[np.float64]
ROUNDS = 100  # of Dinkelbach's method, which converges superlinearly
SLACK = 1e-9  # relative, of limits and of an optimum


@dataclass(frozen=True)
class Ways:
    """The ways of asking, n of them.

    gain, cost: per second of a client that asks so, (n,); kind: of each the kind of client that may, (n,);
    clients: how many there are of each kind, (kinds,); uses: what a client takes of each resource,
    (resources, n), and limits: what there is, (resources,). standing: cost per second of what is there
    whoever asks, more than 0, or the best plan would be the one dearest client's.
    """

    gain: Floats
    cost: Floats
    kind: NDArray[np.int64]
    clients: Floats
    uses: Floats
    limits: Floats
    standing: float

    def effectiveness(self, plan: Floats) -> float:
        """Gain per cost of so many clients for each way, (n,)."""
        return float(self.gain @ plan / (self.standing + self.cost @ plan))

    def room(self, plan: Floats) -> NDArray[np.bool_]:
        """Which ways have room for one more client, (n,)."""
        left = self.clients - np.bincount(self.kind, weights=plan, minlength=len(self.clients))
        free = self.limits - self.uses @ plan
        fits = np.all(self.uses <= (free + SLACK * self.limits)[:, None], axis=0)
        found: NDArray[np.bool_] = fits & (left[self.kind] >= 1)
        return found


@dataclass(frozen=True)
class Bound:
    """The best plan where clients may be broken: numbers (n,); and the effectiveness after each round, which
    never falls and ends at the largest that there is."""

    plan: Floats
    rounds: tuple[float, ...]

    @property
    def effectiveness(self) -> float:
        return self.rounds[-1]


def bound(ways: Ways) -> Bound:
    """The largest effectiveness of the linear program (Dinkelbach 1967): from e on the plan that maximises
    gain - e·cost, until that comes to nothing.

    Raises ValueError where nothing stands there, so that the ratio has no bound worth the name.
    """
    if ways.standing <= 0:
        raise ValueError("standing must be more than 0")
    plan, rounds = np.zeros(len(ways.gain)), [0.0]
    members = (ways.kind == np.arange(len(ways.clients))[:, None]).astype(np.float64)
    while len(ways.gain) and len(rounds) < ROUNDS:
        net = ways.gain - rounds[-1] * ways.cost
        found = linprog(
            -net,
            A_ub=np.vstack([members, ways.uses]),
            b_ub=np.concatenate([ways.clients, ways.limits]),
            method="highs",
        )
        best: Floats = np.maximum(np.asarray(found.x, dtype=np.float64), 0.0)
        if net @ best - rounds[-1] * ways.standing <= SLACK * ways.standing * max(rounds[-1], SLACK):
            break
        plan = best
        rounds.append(ways.effectiveness(plan))
    return Bound(plan, tuple(rounds))


def rounded(ways: Ways, plan: Floats) -> Floats:
    """A plan with whole clients, (n,): what is whole of one that may break them, and then one client after
    the other, the most net gain first, while that makes it more effective."""
    whole = np.floor(plan + SLACK)
    while True:
        net = ways.gain - ways.effectiveness(whole) * ways.cost
        net[~ways.room(whole)] = -np.inf
        if not len(net) or net.max() <= 0:
            return whole
        whole[np.argmax(net)] += 1.0
