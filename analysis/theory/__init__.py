"""Laws that predict what a run comes to; each says nothing where its assumptions do not hold.
Applied to every finished run, whoever wrote its scenario; a new law is one module and one line in LAWS."""

from __future__ import annotations

from typing import Any

from analysis.run_folder.traffic import Traffic
from analysis.theory import (
    asking,
    backlog,
    batteries,
    cut_off,
    deciding,
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
    "asking": asking.LAW,
    "switching": switching.LAW,
}

OURS = frozenset(LAWS)
KNOWN = {"arrivals", "duration", "service", "shape", "outage"}  # families of which our laws know every kind

KNOW_OPTIONS = {"asking", "switching"}
KNOW_THE_WAY = {
    "shared_links",
    "staleness",
    "together",
    "asking",
}  # the latter are of what takes clients' own links


def predicted(traffic: Traffic) -> dict[str, list[Prediction]]:
    """The predictions of each law that applies to a run with traffic, in the order of LAWS.

    Ours are silent on a run with arrivals, service or outages that somebody brought; where options or
    servers have names, all but those that know of options; where clients share links, all but those that know
    of it.
    """
    run = traffic.run
    if not len(traffic.requests):
        return {}
    ours = frozenset() if run.brought & KNOWN else OURS
    if run.scenario.get("server") is None or any(group.get("options") for group in run.groups.values()):
        ours &= KNOW_OPTIONS
    laws = {name: law for name, law in LAWS.items() if name in ours or name not in OURS}
    if traffic.run.scenario.get("network"):
        laws = {name: law for name, law in laws.items() if name not in OURS - KNOW_THE_WAY}
    by_law = {name: law.predict(traffic) for name, law in laws.items()}
    return {name: predictions for name, predictions in by_law.items() if predictions}


def predictions(traffic: Traffic) -> list[dict[str, Any]]:
    """A section of the summary: per law that applies its words, and its numbers beside the simulated ones."""
    return [reported(name, LAWS[name], of_law) for name, of_law in predicted(traffic).items()]
