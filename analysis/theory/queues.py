"""What queueing theory knows about a server of several replicas: waits, refusals, how busy it is.
Pure formulas, rates per second in and seconds out; used by `analysis.theory.waiting`."""

from __future__ import annotations

from math import exp, gamma, lgamma, log, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Service(NamedTuple):
    """A batch of n takes base_s + per_item_s·n on average, with the coefficient of variation `cv`."""

    base_s: float
    per_item_s: float
    cv: float

    def mean_s(self, batch: int) -> float:
        return self.base_s + self.per_item_s * batch

    def of_full_batches_s(self, largest: int) -> float:
        """Replica time per request where all batches are full: what bounds the rate that can be served."""
        return self.mean_s(largest) / largest


def service_of(service: dict[str, Any]) -> Service | None:
    """The mean and variation of a scenario's service; None for times from a file."""
    if service["kind"] == "affine":
        return Service(float(service["base_s"]), float(service["per_item_s"]), float(service["cv"]))
    time = service["time"]
    if not isinstance(time, dict):
        return Service(float(time), 0.0, 0.0)
    if "mean_s" not in time:
        return None
    return Service(float(time["mean_s"]), 0.0, _variation(time))


def _variation(time: dict[str, Any]) -> float:
    if time["kind"] == "exponential":
        return 1.0
    if time["kind"] == "weibull":
        first, second = (gamma(1 + n / float(time["shape"])) for n in (1, 2))
        return sqrt(second / first**2 - 1)
    return float(time["cv"])


class Queue(NamedTuple):
    """wait_s: mean time from reaching the server to the start of service, of those let in. busy: share of the
    replicas at work. refused: share of what reaches the server. error: relative, of the wait."""

    wait_s: float
    busy: float
    refused: float
    error: float


def erlang_b(servers: int, erlangs: float) -> float:
    """P(all busy) where nobody waits, whatever the law of the service time (Erlang 1917); by recursion."""
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = erlangs * blocked / (n + erlangs * blocked)
    return blocked


def erlang_c(servers: int, erlangs: float) -> float:
    """P(wait) in M/M/c."""
    blocked = erlang_b(servers, erlangs)
    return blocked / (1 - erlangs / servers * (1 - blocked))


def endless_queue(rate_hz: float, servers: int, mean_s: float, cv: float) -> Queue | None:
    """M/G/c with any discipline that does not look at service times; None if it never settles.

    One server: Pollaczek and Khinchine. M/M/c: Erlang C. Else between M/M/c and M/D/c by cv² (Kimura 1986),
    M/D/c after Cosmetatos (1976), within some 3% in the loads of practice.
    """
    load = rate_hz * mean_s / servers
    if load >= 1:
        return None
    exponential = erlang_c(servers, rate_hz * mean_s) * mean_s / (servers * (1 - load))
    constant = 0.5 * exponential
    if servers > 1:
        constant *= 1 + (1 - load) * (servers - 1) * (sqrt(4 + 5 * servers) - 2) / (16 * load * servers)
    wait = cv**2 * exponential + (1 - cv**2) * constant
    is_exact = servers == 1 or cv == 1
    return Queue(wait, load, 0.0, 0.0 if is_exact else 0.05)


def bounded_queue(rate_hz: float, servers: int, mean_s: float, places: int) -> Queue:
    """M/M/c with `places` to wait in (birth and death); without places the law of service does not matter."""
    erlangs = rate_hz * mean_s
    logs = [n * log(erlangs) - lgamma(n + 1) for n in range(servers + 1)]
    logs += [logs[-1] + k * log(erlangs / servers) for k in range(1, places + 1)]
    weights = np.exp(np.array(logs) - max(logs))
    p = weights / weights.sum()
    let_in = rate_hz * float(1 - p[-1])
    waiting = float((np.arange(places + 1) * p[servers:]).sum())
    return Queue(waiting / let_in, let_in * mean_s / servers, float(p[-1]), 0.0)


def batch_queue(rate_hz: float, service: Service, largest: int, most: int = 600) -> Queue | None:
    """One replica that takes all who wait, up to `largest`, as soon as it is idle; None if it never settles.

    Exact: the number left behind at the ends of batches is a Markov chain (Bailey 1954), cut off at `most`;
    time averages by renewal-reward, the wait by Little's law.
    """
    if rate_hz * service.of_full_batches_s(largest) >= 0.98:
        return None
    sizes = np.arange(1, largest + 1)
    means = np.array([service.mean_s(int(n)) for n in sizes])
    came = [arrivals_in(rate_hz, mean, service.cv, most) for mean in means]
    rows = np.zeros((most, most))
    left = np.arange(most)
    batch = np.clip(left, 1, largest)  # an empty server waits for one to come and starts with it alone
    behind = np.maximum(left - batch, 0)
    for state in range(most):
        rows[state, behind[state] :] = came[batch[state] - 1][: most - behind[state]]
        rows[state, -1] += max(0.0, 1.0 - rows[state].sum())
    p = _stationary(rows)
    takes = means[batch - 1]
    squares = takes**2 * (1 + service.cv**2)
    cycle_s = float(p @ takes) + float(p[0]) / rate_hz
    waiting = float(p @ (behind * takes + rate_hz * squares / 2)) / cycle_s
    return Queue(waiting / rate_hz, float(p @ takes) / cycle_s, 0.0, 0.0)


def arrivals_in(rate_hz: float, mean_s: float, cv: float, most: int) -> Floats:
    """P(n Poisson arrivals), n < `most`, in a Gamma time of this mean and variation; constant if cv is 0."""
    mean = rate_hz * mean_s
    p = np.zeros(most)
    if cv == 0:
        p[0] = exp(-mean)
        for n in range(1, most):
            p[n] = p[n - 1] * mean / n
        return p
    shape = 1 / cv**2  # a Gamma mixture of Poisson laws is negative binomial
    stays = shape / (shape + mean)
    p[0] = stays**shape
    for n in range(1, most):
        p[n] = p[n - 1] * (shape + n - 1) / n * (1 - stays)
    return p


def _stationary(rows: Floats) -> Floats:
    """The stationary law of a Markov chain with these transition probabilities (n, n)."""
    system = np.vstack([(rows.T - np.eye(len(rows)))[:-1], np.ones(len(rows))])
    p: Floats = np.linalg.solve(system, np.append(np.zeros(len(rows) - 1), 1.0))
    return p


def max_min(demands: Floats, capacity: float) -> Floats:
    """Max-min shares of `capacity` among demands (n,): nobody gets more unless nobody with less wants it.

    Water filling (Bertsekas and Gallager, Data Networks, 6.5.2): x = min(demand, level), the x sum to it.
    """
    order = np.argsort(demands, kind="stable")
    given, left = np.zeros(demands.size), capacity
    for place, index in enumerate(order):
        given[index] = min(demands[index], left / (demands.size - place))
        left -= given[index]
    return given
