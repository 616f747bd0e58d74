"""Laws that predict what a run comes to; each says nothing where its assumptions do not hold.
Applied to every finished run, whoever wrote its scenario; a new law is one module and one line in LAWS."""

from __future__ import annotations

from typing import Any

from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Traffic
from analysis.theory import (
    asking,
    backlog,
    batteries,
    calls,
    cut_off,
    deciding,
    pipelines,
    presence,
    shared_links,
    sharing,
    staleness,
    switching,
    together,
    waiting,
)
from analysis.theory.prediction import Law, Prediction, reported

LAWS: dict[str, Law] = {
    "waiting": waiting.LAW,
    "backlog": backlog.LAW,
    "sharing": sharing.LAW,
    "cut_off": cut_off.LAW,
    "deciding": deciding.LAW,
    "staleness": staleness.LAW,
    "together": together.LAW,
    "shared_links": shared_links.LAW,
    "batteries": batteries.LAW,
    "calls": calls.LAW,
    "presence": presence.LAW,
    "pipelines": pipelines.LAW,
    "asking": asking.LAW,
    "switching": switching.LAW,
}

OURS = frozenset(LAWS)
KNOWN = {"arrivals", "duration", "service", "shape", "outage"}  # families of which our laws know every kind

KNOW_MORE = frozenset({"calls", "presence"})  # of several servers, cold starts, clients that come and go
KNOW_OPTIONS = frozenset({"asking", "switching"})
OF_ONE_STAGE = {"waiting", "backlog", "sharing", "cut_off", "deciding", *KNOW_OPTIONS}  # at the server
KNOW_THE_WAY = {
    "shared_links",
    "presence",
    "staleness",
    "together",
    "asking",
}  # the last are of what takes own links


def predicted(traffic: Traffic) -> dict[str, list[Prediction]]:
    """The predictions of each law that applies to a run with traffic, in the order of LAWS.

    Ours are silent on a run with arrivals, service or outages that somebody brought; all but those that know
    of it where there are several servers or options, serverless servers, pipelines, or where clients come
    and go or share links.
    """
    run = traffic.run
    if not len(traffic.requests):
        return {}
    ours = _that_know(run)
    laws = {name: law for name, law in LAWS.items() if name not in OURS or name in ours}
    if traffic.run.scenario.get("network"):
        laws = {name: law for name, law in laws.items() if name not in OURS - KNOW_THE_WAY}
    by_law = {name: law.predict(traffic) for name, law in laws.items()}
    return {name: predictions for name, predictions in by_law.items() if predictions}


def predictions(traffic: Traffic) -> list[dict[str, Any]]:
    """A section of the summary: per law that applies its words, and its numbers beside the simulated ones."""
    return [reported(name, LAWS[name], of_law) for name, of_law in predicted(traffic).items()]


def _that_know(run: Run) -> frozenset[str]:
    """Our laws that know of all that there is in a run, but for its links."""
    has_presence = any(group.get("presence") for group in run.groups.values())
    if run.brought & KNOWN:
        return frozenset()
    if run.has_calls or has_presence:
        return KNOW_MORE
    if run.has_options:
        return KNOW_MORE | KNOW_OPTIONS
    if len(run.servers) > 1:
        return KNOW_MORE | KNOW_OPTIONS | {"pipelines"}
    return OURS - OF_ONE_STAGE if run.server.get("stages", 1) > 1 else OURS
