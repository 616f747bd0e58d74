"""Laws that predict what a run comes to; each says nothing where its assumptions do not hold.
Applied to every finished run, whoever wrote its scenario; a new law is one module and one line in LAWS."""

from __future__ import annotations

from typing import Any

from analysis.run_folder.run import Run
from analysis.run_folder.servers import swaps, switches
from analysis.run_folder.traffic import Traffic
from analysis.theory import (
    asking,
    backlog,
    batteries,
    calls,
    cells,
    cut_off,
    deciding,
    heads,
    loading,
    pipelines,
    presence,
    sessions,
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
    "heads": heads.LAW,
    "shared_links": shared_links.LAW,
    "batteries": batteries.LAW,
    "calls": calls.LAW,
    "presence": presence.LAW,
    "cells": cells.LAW,
    "pipelines": pipelines.LAW,
    "loading": loading.LAW,
    "asking": asking.LAW,
    "switching": switching.LAW,
    "sessions": sessions.LAW,
}

KNOWN = {"arrivals", "duration", "service", "shape", "outage"}  # families of which our laws know every kind


def predicted(traffic: Traffic) -> dict[str, list[Prediction]]:
    """The predictions of each law that applies to a run with traffic, in the order of LAWS.

    Each speaks only where it knows of all that there is; ours are also silent on a run with arrivals, service
    or outages that somebody brought.
    """
    run = traffic.run
    if not traffic.count:
        return {}
    there, is_brought = what_there_is(run), bool(run.brought & KNOWN)
    laws = {
        name: law
        for name, law in LAWS.items()
        if law.knows is None or (not is_brought and there <= law.knows)
    }
    by_law = {name: law.predict(traffic) for name, law in laws.items()}
    return {name: predictions for name, predictions in by_law.items() if predictions}


def predictions(traffic: Traffic) -> list[dict[str, Any]]:
    """A section of the summary: per law that applies its words, and its numbers beside the simulated ones."""
    return [reported(name, LAWS[name], of_law) for name, of_law in predicted(traffic).items()]


def what_there_is(run: Run) -> frozenset[str]:
    """What a run has beyond one plain server that every client asks over a link of its own, in the words of
    `Law.knows`."""
    servers, groups = run.servers.values(), run.groups.values()
    has = {
        "servers": run.scenario.get("server") is None,
        "options": any(group.get("options") for group in groups),
        "choices": any(len(options) > 1 for options in run.options.values()),
        "stages": any(server.get("stages", 1) > 1 for server in servers),
        "switches": any(map(switches, servers)),
        "loads": any(map(swaps, servers)),
        "calls": any(server.get("serverless") for server in servers),
        "presence": any(group.get("presence") for group in groups),
        "links": bool(run.scenario.get("network")),
        "moves": run.has_cells,
        "sessions": any(group.get("session") for group in groups),
        "heads": run.has_heads,
        "batches": any(_asks_together(group) for group in groups),
    }
    return frozenset(name for name, is_there in has.items() if is_there)


def _asks_together(group: dict[str, Any]) -> bool:
    """Whether requests of a client come or leave several at a time."""
    process = group["arrivals"]["process"]
    return bool((group.get("device") or {}).get("batch")) or process.get("at_once", 1) > 1
