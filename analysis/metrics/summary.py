"""The summary of a run: every section in one table, turned into numbers that JSON can hold.
A new metric is one function of the traffic and one line in SECTIONS (and its definition)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import numpy as np

from analysis.metrics import answers, service
from analysis.metrics.breakdown import by_whom
from analysis.metrics.classes import classes, ranking
from analysis.metrics.energy import energy
from analysis.metrics.heads import heads
from analysis.metrics.intervals import intervals
from analysis.metrics.loads import loads
from analysis.metrics.money import calls, money
from analysis.metrics.outages import outages
from analysis.metrics.presence import presence
from analysis.metrics.queues import queues
from analysis.metrics.reliability import reliability
from analysis.metrics.rounds import rounds
from analysis.metrics.run_length import run_length
from analysis.metrics.sessions import sessions
from analysis.metrics.study import study
from analysis.metrics.together import federation, prototypes, warm_start
from analysis.metrics.transmissions import transmissions
from analysis.metrics.validity import reasons_against
from analysis.metrics.without_rows import without_rows
from analysis.run_folder.parts import OF_WHOM
from analysis.run_folder.provenance import in_one_line
from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Traffic, traffic_kept
from analysis.side_by_side import side_by_side
from analysis.theory import predictions

encoded = json.JSONEncoder(allow_nan=False, ensure_ascii=False).encode
_quoted = lru_cache(maxsize=4096)(encoded)  # of words, most of which come again


def about(traffic: Traffic) -> dict[str, Any]:
    """Which run this is and how much of it the numbers cover."""
    run = traffic.run
    return {
        "name": run.scenario["name"],
        "seed": run.scenario["seed"],
        "horizon_s": run.horizon_s,
        "warm_up_s": run.warm_up_s,
        "clients": sum(int(group["clients"]) for group in run.groups.values()),
        "requests_in_warm_up": len(traffic.everything) - traffic.count,
        "held_out_requests": int(traffic.held_out.sum()),
        "held_out_samples": traffic.distinct("base_id"),
        "held_out_clients": traffic.distinct("client_id"),
    }


SECTIONS: dict[str, Callable[[Traffic], Any]] = {
    "run": about,
    "run_length": run_length,
    "counts": answers.counts,
    "accuracy": answers.accuracy,
    "classes": classes,
    "ranking": ranking,
    "contrast": answers.contrast,
    "rates": answers.rates,
    "risk": answers.risk,
    "fairness": answers.fairness,
    "latency_s": service.latency_s,
    "goodput": service.goodput,
    "load": service.load,
    "queue": service.queue,
    "work": service.work,
    "retries": service.retries,
    "wire": service.wire,
    "cost": service.cost,
    "calls": calls,
    "loads": loads,
    "transmissions": transmissions,
    "sessions": sessions,
    "money": money,
    "energy": energy,
    "presence": presence,
    "availability": service.availability,
    "staleness": service.staleness,
    "rounds": rounds,
    "federation": federation,
    "prototypes": prototypes,
    "heads": heads,
    "warm_start": warm_start,
    **{section: by_whom(section) for section in OF_WHOM},
    "queues": queues,
    "outages": outages,
    "intervals": intervals,
    "study": study,
    "predictions": predictions,
    "reliability": reliability,
}


WHERE_THERE_ARE_ANY = (
    "servers",
    "models",
    "options",
    "queues",
    "calls",
    "loads",
    "transmissions",
    "sessions",
    "money",
    "energy",
    "presence",
    "federation",
    "prototypes",
    "heads",
    "warm_start",
)


def summarise(run: Run) -> dict[str, Any]:
    """All numbers of a run, JSON-safe: what cannot be computed is None. Same folder, same bytes."""
    return summary_of(traffic_kept(run))


def summary_of(traffic: Traffic, work: Executor | None = None) -> dict[str, Any]:
    """The same from the traffic, for who needs that as well, or has an executor that does other work, too."""
    with in_one_line(traffic.run.warnings):
        if not traffic.run.keeps_rows:
            return _ready(without_rows(traffic, SECTIONS))
        reasons = _section(reasons_against, traffic)  # finds what many sections ask for
        with nullcontext(work) if work else side_by_side(traffic.count) as doing:
            # From the last on, among which are the longest: the short ones fill up what they leave.
            found = {name: doing.submit(_section, SECTIONS[name], traffic) for name in reversed(SECTIONS)}
            numbers = {name: found[name].result() for name in SECTIONS}
    return _ready({"valid": not reasons, "invalid_because": reasons} | numbers)


def _section(section: Callable[[Traffic], Any], traffic: Traffic) -> Any:
    found = section(traffic)
    traffic.let_go()
    return found


def _ready(summary: dict[str, Any]) -> dict[str, Any]:
    """Safe for JSON; what there may be several of, or something said of, is there only where it is."""
    kept = {name: part for name, part in summary.items() if part or name not in WHERE_THERE_ARE_ANY}
    return {name: json_safe(part) for name, part in kept.items()}


def to_json(summary: dict[str, Any]) -> bytes:
    """The content of summary.json: as `json.dumps` indents it by two spaces, only faster."""
    pieces: list[str] = []
    _write(summary, "\n", pieces)
    return ("".join(pieces) + "\n").encode()


def _write(value: Any, line: str, into: list[str]) -> None:
    """Adds the text of a value; `line`: begins a line where the value stands."""
    kind = type(value)
    if kind is float and math.isfinite(value):
        into.append(float.__repr__(value))
    elif kind is dict and value:
        inner, between = line + "  ", "{"
        for name, one in value.items():
            into.append(f"{between}{inner}{_quoted(name)}: ")
            _write(one, inner, into)
            between = ","
        into.append(line + "}")
    elif kind is list and value:
        inner, between = line + "  ", "["
        for one in value:
            into.append(between + inner)
            _write(one, inner, into)
            between = ","
        into.append(line + "]")
    else:
        into.append(_quoted(value) if kind is str else encoded(value))


def json_safe(value: Any) -> Any:
    kind = type(value)
    if kind is float:
        return value if math.isfinite(value) else None
    if value is None or kind is str or kind is int or kind is bool:
        return value
    if isinstance(value, dict):
        return {str(key): json_safe(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
