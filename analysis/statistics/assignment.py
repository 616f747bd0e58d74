"""Homes for clients under uncertainty: a two-stage stochastic program, what it is worth, and cheaper ways.
Pure; whoever asks makes the instance. After arXiv 2403.11259; the values of information and of the program by
Birge and Louveaux, Introduction to Stochastic Programming, 4."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp, minimize

from sim.errors import RunFailed

Floats = NDArray[np.float64]
Homes = NDArray[np.int64]


@dataclass(frozen=True)
class Instance:
    """n clients, s servers, k cases that are equally likely.

    cost: of a home, float64 (n, s). demand: of a client, (n,), in the units of capacity: what a plan may ask
    of a server, (s,), and room: what the server can do in a case, (k, s). latency: of a client at a server
    in a case, (k, n, s). move: cost of being served elsewhere than at home, (n,). unserved: of not being
    served, (n,).
    """

    cost: Floats
    demand: Floats
    capacity: Floats
    room: Floats
    latency: Floats
    move: Floats
    unserved: Floats

    @property
    def clients(self) -> int:
        return len(self.demand)

    @property
    def servers(self) -> int:
        return int(self.cost.shape[1])

    @property
    def cases(self) -> int:
        return len(self.room)

    def of(self, cases: list[int]) -> Instance:
        """Some of the cases alone."""
        return replace(self, room=self.room[cases], latency=self.latency[cases])

    @property
    def average(self) -> Instance:
        """The one case that is the mean of all."""
        return replace(self, room=self.room.mean(axis=0)[None], latency=self.latency.mean(axis=0)[None])


class Worth(NamedTuple):
    """Expected costs. known: of whoever knows the case before (WS); program: of the homes that are best on
    average (RP); average: of those that are best in the average case (EEV)."""

    known: float
    program: float
    average: float

    @property
    def of_information(self) -> float:
        """What it would be worth to know the case (EVPI)."""
        return self.program - self.known

    @property
    def of_program(self) -> float:
        """What it is worth to reckon with all cases (VSS)."""
        return self.average - self.program


def program(instance: Instance, homes: Homes | None = None, gap: float = 0.0) -> tuple[Homes, float]:
    """The best homes and their expected cost; with `homes` what those cost, at the best recourse.

    min Σ cost·x + mean over cases of Q, each client with one home and Σ demand·x within the
    capacities, x binary; Q = min Σ latency·y + move·Σ|y − x|/2 + unserved·(1 − Σ y) with
    Σ demand·y within the room of the case, y continuous. gap: how far from the best it may
    be. Raises RunFailed if the solver finds nothing.
    """
    n, s, k = instance.clients, instance.servers, instance.cases
    pairs = n * s
    # x (pairs), then of each case y (pairs), |y - x| (pairs), unserved (n)
    of_case = 2 * pairs + n
    weights = [
        np.concatenate([latency.ravel(), np.repeat(instance.move / 2, s), instance.unserved]) / k
        for latency in instance.latency
    ]
    objective = np.concatenate([instance.cost.ravel(), *weights])
    one, nothing = sparse.identity(pairs), sparse.csr_matrix((pairs, n))
    by_client = sparse.kron(sparse.identity(n), np.ones((1, s)))
    by_server = sparse.kron(instance.demand[None], sparse.identity(s))
    first = sparse.vstack([by_client, by_server])
    blocks: list[list[Any]] = [[first, *(None for _ in range(k))]]
    low, high = [np.concatenate([np.ones(n), np.zeros(s)])], [np.concatenate([np.ones(n), instance.capacity])]
    for case in range(k):
        y = sparse.vstack(
            [
                sparse.hstack([by_client, sparse.csr_matrix((n, pairs)), sparse.identity(n)]),
                sparse.hstack([by_server, sparse.csr_matrix((s, pairs + n))]),
                sparse.hstack([one, one, nothing]),  # |y - x| >= x - y
                sparse.hstack([-one, one, nothing]),  # |y - x| >= y - x
            ]
        )
        x = sparse.vstack([sparse.csr_matrix((n + s, pairs)), -one, one])
        blocks.append([x, *(y if other == case else None for other in range(k))])
        low.append(np.concatenate([np.ones(n), np.zeros(s), np.zeros(2 * pairs)]))
        high.append(np.concatenate([np.ones(n), instance.room[case], np.full(2 * pairs, np.inf)]))
    given = np.zeros(pairs)
    if homes is not None:
        given[np.arange(n) * s + homes] = 1.0
        low[0][n:], high[0][n:] = 0.0, np.inf  # they cost what they cost, whether a plan could have them
    begin = np.concatenate([given, np.zeros(k * of_case)])
    end = np.concatenate([np.ones(pairs) if homes is None else given, np.full(k * of_case, np.inf)])
    found = milp(
        objective,
        constraints=LinearConstraint(sparse.bmat(blocks).tocsc(), np.concatenate(low), np.concatenate(high)),
        bounds=Bounds(begin, end),
        integrality=np.concatenate([np.ones(pairs), np.zeros(k * of_case)]) if homes is None else None,
        options={"mip_rel_gap": gap},
    )
    if found.x is None:
        raise RunFailed("run", f"no plan of homes was found: {found.message}")
    best: Homes = np.asarray(found.x)[:pairs].reshape(n, s).argmax(axis=1)
    return best, float(found.fun)


def worth(instance: Instance, gap: float = 0.0) -> Worth:
    """What knowing the case, and reckoning with all of them, are worth: known <= program <= average."""
    known = [program(instance.of([case]), gap=gap)[1] for case in range(instance.cases)]
    of_average, _ = program(instance.average, gap=gap)
    return Worth(float(np.mean(known)), program(instance, gap=gap)[1], program(instance, of_average)[1])


def nearest(instance: Instance) -> Homes:
    """Each client's server of the least expected latency and cost, and the next where there is no room."""
    return repaired(instance, -(instance.cost + instance.latency.mean(axis=0)))


def repaired(instance: Instance, liking: Floats) -> Homes:
    """Each client's most liked server (n, s) that has room for it; those are served first who would lose
    most by their second choice. Who finds no room anywhere gets the most liked."""
    order = np.sort(liking, axis=1)
    second = order[:, -2] if liking.shape[1] > 1 else order[:, -1]
    left = instance.capacity.copy()
    homes: Homes = np.argmax(liking, axis=1)
    for client in np.argsort(-(order[:, -1] - second), kind="stable"):
        for server in np.argsort(-liking[client], kind="stable"):
            if instance.demand[client] <= left[server] + 1e-12:
                homes[client] = server
                left[server] -= instance.demand[client]
                break
    return homes


class Assigner(NamedTuple):
    """A multinomial regression from what is known of a client and a server to the client's home.

    weights: one for each feature, (features,); the chance of a server is softmax(features @ weights).
    """

    weights: Floats

    def homes(self, instance: Instance) -> Homes:
        """The likeliest homes for which there is room."""
        return repaired(instance, np.asarray(features(instance) @ self.weights))


def features(instance: Instance) -> Floats:
    """Of each client and server, (n, s, features): cost, mean latency and rank of it, mean and least room by
    what all ask, the client's demand times these, and which server it is."""
    n, s = instance.clients, instance.servers
    latency = instance.latency.mean(axis=0)
    scale = max(float(latency.max() - latency.min()), 1e-12)
    rooms = np.stack([instance.room.mean(axis=0), instance.room.min(axis=0)]) / instance.demand.sum()
    rank = np.argsort(np.argsort(latency, axis=1), axis=1) / max(1, s - 1)
    demand = instance.demand[:, None] / instance.demand.max()
    columns = [
        instance.cost / scale,
        latency / scale,
        rank,
        *(np.broadcast_to(room, (n, s)) for room in rooms),
        *(demand * room for room in rooms),
        *np.broadcast_to(np.eye(s)[:, None, :], (s, n, s)),
    ]
    return np.stack(columns, axis=-1)


def learned(solved: list[tuple[Instance, Homes]], ridge: float = 1e-3) -> Assigner:
    """An assigner from instances with the homes that the program gave them: multinomial regression."""
    given = [(features(instance), homes) for instance, homes in solved]

    def loss(weights: Floats) -> tuple[float, Floats]:
        total, slope = ridge * float(weights @ weights), 2 * ridge * weights
        for of_pairs, homes in given:
            scores = of_pairs @ weights
            scores = scores - scores.max(axis=1, keepdims=True)
            chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
            right = np.zeros_like(chances)
            right[np.arange(len(homes)), homes] = 1.0
            total -= float(np.log(np.maximum((chances * right).sum(axis=1), 1e-300)).mean()) / len(given)
            slope = slope + np.einsum("ns,nsf->f", chances - right, of_pairs) / len(homes) / len(given)
        return total, slope

    begin = np.zeros(given[0][0].shape[-1])
    return Assigner(np.asarray(minimize(loss, begin, jac=True, method="L-BFGS-B").x))
