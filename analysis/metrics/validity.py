"""Whether the numbers of a run may be believed: each rule gives a reason in plain words, or none.
A section of the summary; a run that breaks a rule still has all its numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analysis.metrics.each_server import each_server
from analysis.metrics.growth import LEAST_TREND_S
from analysis.metrics.run_length import LEAST_RELAXATIONS, span_of
from analysis.metrics.service import load
from analysis.run_folder.parts import rows_of_groups
from analysis.run_folder.traffic import Traffic
from analysis.time_in_words import rough, span

LEAST_REQUESTS = 200
LEAST_SAMPLES = 30
LEAST_CLIENTS = 5
LEAST_SENDS = 10  # unanswered ones of a group that are no accident
MOST_IN_FLIGHT = 0.05


def reasons_against(traffic: Traffic) -> list[str]:
    """Why the run does not show what it was made to show; empty for a sound run."""
    rules = RULES if traffic.run.horizon_s > 0 else (too_few_to_judge_learning,)
    return [reason for rule in rules if (reason := rule(traffic)) is not None]


def too_few_to_judge_learning(traffic: Traffic) -> str | None:
    """Of a run without traffic: all its numbers are means over the held-out samples."""
    samples = traffic.run.columns_of("samples")
    count = np.unique(samples["base_id"][samples["held_out"]]).size
    if count >= LEAST_SAMPLES:
        return None
    return f"too few samples: {count} are held out, {LEAST_SAMPLES} needed"


def queue_still_growing(traffic: Traffic) -> str | None:
    """In the last stretch without outage the queue rises steadily, by over one round of full batches."""
    for one in each_server(traffic):
        if one.growth is None:
            return (
                f"the queue could not be judged: after the warm-up there are no {LEAST_TREND_S} s on end "
                "without an outage"
            )
        if one.is_growing:
            name = f" of {one.name}" if len(traffic.run.servers) > 1 else ""
            return (
                f"the queue{name} is still growing: by {one.growth.rise:.0f} requests over the last "
                f"{one.growth.seconds} s without outage"
            )
    return None


def more_than_it_can_serve(traffic: Traffic) -> str | None:
    """A server that is offered over 1 is saturated even if a bound on the queue hides that it would grow."""
    offered, name = load(traffic)["offered"], ""
    if len(traffic.run.servers) > 1:
        most = max(each_server(traffic), key=lambda one: one.load or 0.0)
        offered, name = most.load, f" of {most.name}"
    if offered is None or offered <= 1:
        return None
    return f"offered load{name} {offered:.2f}: more is sent than full batches can serve"


def nothing_is_answered(traffic: Traffic) -> str | None:
    """A group whose sends all come to nothing, outages aside, has a link, a service or a deadline that no
    answer can keep: often a slip of units."""
    sent = np.asarray(traffic.column("attempts") > 0) & traffic.known
    sent &= ~traffic.in_outages
    answered = traffic.is_answered_by("server")
    for name, rows in rows_of_groups(traffic).items():
        mine = rows[sent[rows]]
        count = mine.size
        if count >= LEAST_SENDS and not answered[mine].any():
            return (
                f"nothing is answered: {name} sent {count} requests outside outages, and got no answer to any"
            )
    return None


def a_crowd_that_never_comes(traffic: Traffic) -> str | None:
    """What the scenario asks about and the run does not reach."""
    for name, group in traffic.run.groups.items():
        shape = group["arrivals"].get("shape") or {}
        if shape.get("kind") == "flash_crowd" and float(shape["at_s"]) >= traffic.run.horizon_s:
            begins = span(float(shape["at_s"]))
            return f"the flash crowd of {name} never comes: it begins at {begins}, after the horizon"
    return None


def too_little_traffic(traffic: Traffic) -> str | None:
    return too_few(traffic.count)


def too_few(count: int) -> str | None:
    """The same of a number of requests."""
    if count >= LEAST_REQUESTS:
        return None
    return f"too little traffic: {count} requests after the warm-up, {LEAST_REQUESTS} needed"


def too_few_samples(traffic: Traffic) -> str | None:
    count = traffic.distinct("base_id")
    if count >= LEAST_SAMPLES:
        return None
    return f"too few samples: {count} distinct held-out ones were asked, {LEAST_SAMPLES} needed"


def too_few_clients(traffic: Traffic) -> str | None:
    """Few clients differ too little among themselves to show how far others would lie from them."""
    count = traffic.distinct("client_id")
    if count >= LEAST_CLIENTS:
        return None
    return (
        f"too few clients: {count} asked about held-out samples, and under {LEAST_CLIENTS} intervals may be "
        "too narrow"
    )


def too_many_in_flight(traffic: Traffic) -> str | None:
    return in_flight_of(float(traffic.is_outcome("in_flight").mean()) if traffic.count else 0.0)


def in_flight_of(share: float) -> str | None:
    """The same of the share that has no outcome."""
    if share <= MOST_IN_FLIGHT:
        return None
    return f"too many requests without an outcome: {share:.1%} are in flight at the horizon"


def too_short(traffic: Traffic) -> str | None:
    """A run that lasts few relaxation times tells of its start, not of a system that goes on."""
    length = span_of(traffic)
    if length.relaxations >= LEAST_RELAXATIONS or not np.isfinite(length.relaxation_s):
        return None
    counted, needed = rough(traffic.run.observed_s), rough(LEAST_RELAXATIONS * length.relaxation_s)
    return f"too short: {counted} counted, {needed} needed at this load to forget how it began"


OF_THE_SERVER: tuple[Callable[[Traffic], str | None], ...] = (  # rules that read no requests
    queue_still_growing,
    more_than_it_can_serve,
    a_crowd_that_never_comes,
    too_short,
)
RULES: tuple[Callable[[Traffic], str | None], ...] = (
    too_little_traffic,
    too_few_samples,
    too_few_clients,
    too_many_in_flight,
    queue_still_growing,
    more_than_it_can_serve,
    nothing_is_answered,
    a_crowd_that_never_comes,
    too_short,
)
