"""How many requests a group's clients make, from what the scenario says alone: on average and at the busiest.
Asked for estimates of memory and for weighing groups by their traffic; each process knows its own."""

from __future__ import annotations

from sim.scenario.schema.document import Scenario


def mean_rate_hz(scenario: Scenario, place: int) -> float:
    """Requests per second that a client of the group at `place` makes, on average over the horizon.

    Exact for every open process, given its shape. A closed loop is counted as if its server answered at
    once, so its clients ask at most this often. Raises BadFile if a trace cannot be read.
    """
    return scenario.fleet[place].arrivals.process.mean_rate_hz(scenario, place)


def busiest_rate_hz(scenario: Scenario, place: int) -> float:
    """The largest rate of a client in any minute: of a trace that can be read, the mean over its clients."""
    return scenario.fleet[place].arrivals.process.busiest_rate_hz(scenario, place)


def requests_before(scenario: Scenario, place: int, at_s: float) -> float:
    """The requests that the group at `place` is expected to make before an instant: of a trace as many as are
    in it, to the minute; of a closed loop at most these. Raises BadFile if a trace cannot be read.
    """
    return scenario.fleet[place].arrivals.process.requests_before(scenario, place, at_s)


def expected_requests(scenario: Scenario, open_only: bool = False) -> float:
    """How many requests there will be in all, about; open_only: without those of closed loops. Raises BadFile
    if a trace cannot be read."""
    return scenario.horizon_s * sum(
        group.clients * mean_rate_hz(scenario, place)
        for place, group in enumerate(scenario.fleet)
        if group.arrivals.process.is_open or not open_only
    )
