"""What queueing theory knows about a server of several replicas: waits, refusals, how busy it is.
Pure formulas, rates per second in and seconds out; used by `analysis.theory.waiting`."""

from __future__ import annotations

from math import cos, exp, inf, lgamma, log, pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.theory.service_laws import LOGNORMAL, MEASURED, Service, service_of

__all__ = ["Service", "service_of"]
Floats = NDArray[np.float64]
MOST_PLACES = 10_000  # whose states are summed up one by one
LEAST_WAITING = 0.01  # P(wait) below which no approximation says how long


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


def endless_queue(
    rate_hz: float, servers: int, mean_s: float, cv: float, law: Service | None = None
) -> Queue | None:
    """M/G/c with any discipline that does not look at service times; None if it never settles.

    One server: Pollaczek and Khinchine. Exponential service: Erlang C. Else, where it is known to be good:
    between M/M/c and M/D/c by cv² (Kimura 1986), M/D/c after Cosmetatos (1976), for cv up to 1; and between
    the limits of light and of heavy traffic (Burman and Smith 1983; Tijms, van Hoorn and Federgruen 1981) for
    more. No formula of two moments is good for all laws (Gupta et al. 2010): elsewhere `error` is inf, and
    the wait only an order of magnitude. law: of the service, Gamma where none is given.
    """
    service = law or Service(mean_s, 0.0, cv)
    load = rate_hz * mean_s / servers
    if load >= 1:
        return None
    waits = erlang_c(servers, rate_hz * mean_s)
    exponential = waits * mean_s / (servers * (1 - load))
    heavy = (1 + cv**2) / 2
    if servers == 1 or service.is_exponential:
        return Queue(heavy * exponential if servers == 1 else exponential, load, 0.0, 0.0)
    if waits < LEAST_WAITING or service.law == MEASURED:
        return Queue(heavy * exponential, load, 0.0, inf)
    if cv <= (0.5 if service.law == LOGNORMAL else 1.0):
        constant = 0.5 * exponential
        constant *= 1 + (1 - load) * (servers - 1) * (sqrt(4 + 5 * servers) - 2) / (16 * load * servers)
        return Queue(cv**2 * exponential + (1 - cv**2) * constant, load, 0.0, 0.05)
    most_cv, most_servers = (4.0, 16) if service.is_gamma else (2.0, 4)
    error = 0.1 if cv <= most_cv and servers <= most_servers else inf
    light = servers * light_traffic(service, servers)
    return Queue(((1 - load) * light + load * heavy) * exponential, load, 0.0, error)


def light_traffic(service: Service, servers: int) -> float:
    """∫ P(what is left of a service > t)^c dt, in units of its mean: how long it takes until the first of c
    busy servers is free, met at a random instant; 1/c if service is exponential."""
    t = np.append(0.0, np.geomspace(1e-6, 1e6, 20_001))
    return float(np.trapezoid(np.clip(service.excess(t), 0.0, 1.0) ** servers, t))


def sampling_error_of_wait(
    rate_hz: float, servers: int, mean_s: float, service: Service, span_s: float
) -> float:
    """The relative standard error of the mean wait that a run of this span shows.

    Of a queue near its capacity (Whitt 1989, Planning queueing simulations), here per waiting request, and
    of the second moment of the service times among those that are served.
    """
    load = rate_hz * mean_s / servers
    if load >= 1:
        return inf
    waits = erlang_c(servers, rate_hz * mean_s)
    queue = 2 * (1 + service.cv**2) * mean_s / (servers * waits * (1 - load) ** 2 * span_s)
    return sqrt(queue + (service.fourth_moment() - 1) / (rate_hz * span_s))


def bounded_queue(rate_hz: float, servers: int, mean_s: float, places: int) -> Queue:
    """M/M/c with `places` to wait in (birth and death); without places the law of service does not matter."""
    erlangs = rate_hz * mean_s
    if places > MOST_PLACES:
        return _many_places(rate_hz, servers, mean_s, places)
    logs = [n * log(erlangs) - lgamma(n + 1) for n in range(servers + 1)]
    logs += [logs[-1] + k * log(erlangs / servers) for k in range(1, places + 1)]
    weights = np.exp(np.array(logs) - max(logs))
    p = weights / weights.sum()
    let_in = rate_hz * float(1 - p[-1])
    waiting = float((np.arange(places + 1) * p[servers:]).sum())
    return Queue(waiting / let_in, let_in * mean_s / servers, float(p[-1]), 0.0)


def _many_places(rate_hz: float, servers: int, mean_s: float, places: int) -> Queue:
    """The same by the sums of geometric series, in time that does not grow with `places`.

    Weights are relative to the fuller end of the queue, so that all powers are of a ratio below 1.
    """
    erlangs = rate_hz * mean_s
    load = erlangs / servers
    ratio = min(load, 1 / load)
    gap, power = 1 - ratio, ratio**places
    total, moment = places + 1.0, places * (places + 1.0) / 2  # Σ ratio^k and Σ k·ratio^k, k <= places
    if gap * places > 1e-4:
        total = (1 - ratio * power) / gap
        moment = ratio * (1 - (places + 1) * power + places * ratio * power) / gap**2
    full, waiting = (power, moment) if load < 1 else (1.0, places * total - moment)
    logs = [(n - servers) * log(erlangs) - lgamma(n + 1) + lgamma(servers + 1) for n in range(servers)]
    top = 0.0 if load < 1 else places * log(load)
    whole = total + sum(exp(one - top) if one - top < 700 else inf for one in logs)
    let_in = rate_hz * (1 - full / whole)
    return Queue(waiting / whole / let_in, let_in * mean_s / servers, full / whole, 0.0)


def forgets_in_s(load: float, servers: int, mean_s: float, places: int) -> float:
    """The relaxation time of M/M/c with so many places to wait in: refusals further apart are independent.

    From the gap of its spectrum (Takács 1962), as if all servers always worked; at least a service.
    """
    gap = 1 + load - 2 * sqrt(load) * cos(pi / (places + servers + 1))
    return max(mean_s, mean_s / (servers * gap))


def batch_queue(rate_hz: float, service: Service, largest: int, most: int = 600) -> Queue | None:
    """One replica that takes all who wait, up to `largest`, as soon as it is idle; None if it never settles.

    Exact: the number left behind at the ends of batches is a Markov chain (Bailey 1954), cut off at `most`;
    time averages by renewal-reward, the wait by Little's law.
    """
    if rate_hz * service.of_full_batches_s(largest) >= 0.98:
        return None
    sizes = np.arange(1, min(largest, most) + 1)  # no fuller batch is met in this chain
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
