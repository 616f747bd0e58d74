"""How long the clients of a closed loop think before each request.
Keyed by the request, so a client thinks as long whatever the policy and the server made of the one before."""

from __future__ import annotations

from sim.registry.arrivals import ClosedLoop
from sim.registry.durations import Duration, length_biased, quantile
from sim.scenario import Group
from sim.streams import Draws
from sim.world.arrivals.renewals import Instants, Numbers
from sim.world.population import CLIENT_SHIFT


class ThinkTimes:
    """Seconds between a client's last word on request k − 1 and the arrival of its request k; of requests
    that are made together, `at_once`, before the first of them.

    Before request 0 comes what is left of a thought that t = 0 falls into, a uniform share of a
    length-biased one: with a constant think time the clients would else all arrive at once for ever.
    """

    def __init__(self, seed: int, think: Duration, at_once: int = 1) -> None:
        self.at_once = at_once
        self._draws = Draws(seed, "think")
        self._quantile, self._met = quantile(think), length_biased(think)

    def first(self, clients: Numbers) -> Instants:
        """The arrivals of request 0, shape (n,)."""
        request_ids = clients << CLIENT_SHIFT
        return self._met(self._draws.many(request_ids)) * self._draws.many(request_ids, trial=1)

    def before(self, request_ids: Numbers) -> Instants:
        """Seconds before requests that are not their clients' first, shape (n,)."""
        return self._quantile(self._draws.many(request_ids))


def think_times(seed: int, group: Group) -> ThinkTimes | None:
    """Those of a group whose arrivals are a closed loop, else None."""
    process = group.arrivals.process
    if not isinstance(process, ClosedLoop):
        return None
    return ThinkTimes(seed, process.think, process.at_once)
