"""What queueing theory knows, in units of the mean service time; `load` is per server unless said otherwise.
Textbook numbers: L. Kleinrock, Queueing Systems (1975); D. Gross and C. Harris, Queueing Theory (2008)."""

from __future__ import annotations

from heapq import heapify, heapreplace
from itertools import pairwise
from math import exp, factorial, floor

import numpy as np
from scipy import optimize


def erlang_b(servers: int, erlangs: float) -> float:
    """P(all busy) where nobody waits, whatever the distribution of the service time (Erlang 1917)."""
    terms = [erlangs**n / factorial(n) for n in range(servers + 1)]
    return terms[-1] / sum(terms)


def erlang_c(servers: int, erlangs: float) -> float:
    """P(wait) in M/M/c."""
    loss = erlang_b(servers, erlangs)
    return loss / (1 - erlangs / servers * (1 - loss))


def mmc_wait_beyond(servers: int, load: float, t: float) -> float:
    """P(wait > t) in M/M/c: Erlang C times an exponential tail."""
    return erlang_c(servers, load * servers) * exp(-(1 - load) * servers * t)


def mmck(servers: int, places: int, load: float) -> tuple[float, float]:
    """M/M/c/K with `places` = K - c to wait in: P(loss), and the mean wait of those who are let in."""
    up = np.array([load * servers / min(n, servers) for n in range(1, servers + places + 1)])
    p = np.cumprod(np.append(1.0, up))
    p /= p.sum()
    queue = float((np.arange(places + 1) * p[servers:]).sum())
    return float(p[-1]), queue / (load * servers * (1 - p[-1]))


def pollaczek_khinchine(load: float, cv: float) -> float:
    """Mean wait in M/G/1."""
    return load * (1 + cv * cv) / (2 * (1 - load))


def md1_wait_beyond(load: float, t: float) -> float:
    """P(wait > t) in M/D/1 (Erlang 1909)."""
    terms = [(-load * (t - k)) ** k / factorial(k) * exp(load * (t - k)) for k in range(floor(t) + 1)]
    return 1 - (1 - load) * sum(terms)


def stationary(rates: np.ndarray) -> np.ndarray:
    """The stationary law of a finite Markov chain: `rates[i, j]` is the rate from state i to state j."""
    generator = rates - np.diag(rates.sum(axis=1))
    system = np.vstack([generator.T[:-1], np.ones(len(rates))])
    return np.linalg.solve(system, np.append(np.zeros(len(rates) - 1), 1.0))


def machine_repair(clients: int, servers: int, think: float) -> dict[str, float]:
    """M/M/c//N, in mean service times: `clients` who think for `think` on average between their requests.

    Requests per service time and their mean wait by Little's law from the chain of the number at the
    server; P(wait): who arrives sees the law of a system without himself (Sevcik and Mitrani 1981).
    """

    def at_server(n: int) -> np.ndarray:
        rates = np.zeros((n + 1, n + 1))
        for k in range(n):
            rates[k, k + 1], rates[k + 1, k] = (n - k) / think, min(k + 1, servers)
        return stationary(rates)

    p, k = at_server(clients), np.arange(clients + 1)
    throughput = float((p * np.minimum(k, servers)).sum())
    return {
        "throughput": throughput,
        "mean wait": float((p * np.maximum(k - servers, 0)).sum()) / throughput,
        "P(wait)": float(at_server(clients - 1)[servers:].sum()),
    }


def mean_wait_with_breakdowns(load: float, fails: float, repairs: float, most: int = 300) -> float:
    """M/M/1 whose server fails at rate `fails` while up and is repaired at rate `repairs`.

    Who waits stays; who is in service at a failure is lost. Mean wait of all until their service begins, by
    Little's law from the Markov chain of (number in the system, up or down), cut off at `most`.
    """
    n = np.arange(most)
    up, down = 2 * n, 2 * n + 1
    rates = np.zeros((2 * most, 2 * most))
    rates[up[:-1], up[1:]] = rates[down[:-1], down[1:]] = load
    rates[up[1:], up[:-1]] = 1.0
    rates[up, down[np.maximum(n - 1, 0)]] = fails
    rates[down, up] = repairs
    p = stationary(rates)
    assert p[-2:].sum() < 1e-12, "cut off too early"
    return float((p[up] * np.maximum(n - 1, 0)).sum() + (p[down] * n).sum()) / load


def mean_wait_in_batches(rate: float, largest: int, most: int = 400) -> float:
    """One server that takes all who wait, up to `largest`, for an exponential time of mean 1 per batch.

    rate: arrivals per batch time. Mean wait by Little's law from the Markov chain of the number waiting
    behind a batch in service (state 0: idle), cut off at `most` (Bailey 1954 for the general model).
    """
    busy = np.arange(most) + 1  # state 1 + n: n wait
    rates = np.zeros((most + 1, most + 1))
    rates[0, 1] = rates[busy[:-1], busy[1:]] = rate
    rates[1, 0] = 1.0
    waiting = np.arange(1, most)
    rates[busy[1:], 1 + np.maximum(waiting - largest, 0)] = 1.0
    p = stationary(rates)
    assert p[-1] < 1e-12, "cut off too early"
    return float((np.arange(most) * p[1:]).sum()) / rate


def kiefer_wolfowitz(
    arrivals: np.ndarray, services: np.ndarray, servers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends of G/G/c, first come, first served (Kiefer and Wolfowitz 1955; c = 1: Lindley 1952).

    Written with the instants at which servers become free in place of the work they still hold, so that
    the same sums are rounded as on a clock: start = max(arrival, first free), end = start + service.
    """
    free_at, starts, ends = [-np.inf] * servers, [], []
    heapify(free_at)
    for arrival, service in zip(arrivals.tolist(), services.tolist(), strict=True):
        starts.append(max(arrival, free_at[0]))
        ends.append(starts[-1] + service)
        heapreplace(free_at, ends[-1])
    return np.array(starts), np.array(ends)


def waits_of_kiefer_wolfowitz(arrivals: np.ndarray, services: np.ndarray, servers: int) -> np.ndarray:
    """The waits by the recursion as printed: w becomes the sorted positive part of w + service·e_1 - gap."""
    work, waits = np.zeros(servers), []
    for service, gap in zip(services.tolist(), np.append(np.diff(arrivals), 0.0).tolist(), strict=True):
        waits.append(work[0])
        work[0] += service
        work = np.sort(np.maximum(work - gap, 0.0))
    return np.array(waits)


def kingman(load: float, arrival_cv: float, service_cv: float) -> float:
    """An upper bound of the mean wait in GI/G/1 (Kingman 1962)."""
    return load * (arrival_cv**2 / load**2 + service_cv**2) / (2 * (1 - load))


def mean_wait_of_erlang_arrivals(load: float, stages: int) -> float:
    """E_k/M/1: sigma / (1 - sigma), sigma the root in (0, 1) of sigma = E[exp(-(1 - sigma) gap)]."""
    rate = stages * load

    def missing(sigma: float) -> float:
        return (rate / (rate + 1 - sigma)) ** stages - sigma

    sigma = optimize.brentq(missing, 0.0, 1 - 1e-6)
    return float(sigma / (1 - sigma))


def cobham(servers: int, loads: list[float]) -> list[float]:
    """M/M/c with priorities that stop nobody (Cobham 1954): the mean wait of each class, in service times;
    loads: of each class per server, the first going first."""
    first = erlang_c(servers, servers * sum(loads)) / servers
    before = np.append(0.0, np.cumsum(loads))
    return [float(first / (1 - a) / (1 - b)) for a, b in pairwise(before.tolist())]
