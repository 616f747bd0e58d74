"""Where are clients that move between cells? The stationary distribution of the chain of their moves.
One of the laws of this package; from the run it reads in which cell each request came."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from analysis.run_folder.traffic import Traffic
from analysis.theory.prediction import Law, Prediction, around
from analysis.theory.streams import mean_s

LEAST_STAYS = 10.0  # mean stays that a run must last
LEAST_CLIENTS = 20  # that an interval is drawn from
LEAST_VISITS = 100.0  # to a cell, and to all others together: of fewer an interval misses too often


def predict(traffic: Traffic) -> list[Prediction] | None:
    """The share of a group's requests that come in each cell."""
    return [
        one
        for name, group in traffic.run.groups.items()
        if (group.get("moves") or {}).get("stays") is not None and group["moves"]["begin"] is None
        for one in _of_group(traffic, name, group)
    ] or None


def stationary(moves: dict[str, Any]) -> NDArray[np.float64] | None:
    """The share of time in each cell, (cells,), of a chain that has one law in the long run; else None."""
    cells = moves["cells"]
    rows = [
        (moves["next"] or {}).get(cell) or {other: 1.0 for other in cells if other != cell} for cell in cells
    ]
    steps = np.array([[float(row.get(cell, 0.0)) for cell in cells] for row in rows])
    steps /= steps.sum(axis=1, keepdims=True)
    values, vectors = np.linalg.eig(steps.T)
    ones = np.flatnonzero(np.abs(values - 1.0) < 1e-9)
    if len(ones) != 1:
        return None
    vector = np.real(vectors[:, ones[0]])
    found: NDArray[np.float64] = vector / vector.sum()
    return found


def _of_group(traffic: Traffic, name: str, group: dict[str, Any]) -> list[Prediction]:
    run, moves = traffic.run, group["moves"]
    stay_s, shares = mean_s(moves["stays"]), stationary(moves)
    waits = group["arrivals"]["process"]["kind"] == "closed_loop" or group.get("presence")
    short = run.observed_s < LEAST_STAYS * stay_s or int(group["clients"]) < LEAST_CLIENTS
    if waits or short or shares is None or np.isnan(stay_s):
        return []
    rows = traffic.is_of_group(name) & (traffic.arrived_at_s >= run.warm_up_s)
    client, cell = traffic.column("client_id")[rows], np.asarray(traffic.requests["cell"])[rows]
    visits = int(group["clients"]) * run.observed_s / stay_s
    return [
        Prediction("requests there", f"{name}, {one}", "share", float(share), _share(client, cell == one))
        for one, share in zip(moves["cells"], shares, strict=True)
        if len(client) and visits * min(share, 1 - share) >= LEAST_VISITS
    ]


def _share(client: NDArray[Any], hit: NDArray[np.bool_]) -> Any:
    """The share of requests that hit, and its interval over clients, who move each for itself."""
    _, place = np.unique(client, return_inverse=True)
    asked, found = np.bincount(place), np.bincount(place, weights=hit)
    share, n = float(hit.mean()), len(asked)
    variance = n / max(1, n - 1) * float(((found - share * asked) ** 2).sum()) / len(client) ** 2
    wider = special.stdtrit(max(1, n - 1), 0.975) / special.ndtri(0.975)  # as of Student's law
    return around(share, variance * float(wider) ** 2)


LAW = Law(
    title="Clients that move between cells",
    formula="π·P = π gives the share π of each cell in time, and in requests",
    assumes="stays of one law in all cells, moves by the chain P; requests do not depend on the cell; ten "
    "mean stays, twenty clients, and a hundred visits to a cell at least",
    source="semi-Markov processes (Cinlar 1975, Introduction to Stochastic Processes, ch. 10)",
    fails="where requests wait for answers that take longer in one cell than in another",
    predict=predict,
    knows=frozenset(
        {"moves", "calls", "servers", "options", "choices", "stages", "switches", "links", "batches"}
    ),
)
