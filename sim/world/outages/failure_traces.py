"""Failure traces in public formats: the Failure Trace Archive's events of nodes, OpenDC's failures of hosts.
Read by the outage times `trace`; what a run saves itself reads `sim.world.outages.trace`."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.typing import NDArray

from sim.scenario.files.instants import IN_A_SECOND
from sim.scenario.files.rows import BadFile, RowFile, identity, reason
from sim.scenario.text.wording import nearest, show
from sim.streams import Draws
from sim.world.outages.downtime import Downtime

if TYPE_CHECKING:
    import pandas as pd

    from sim.world.outages.drawn import Hit, Times

FTA_COLUMNS = (
    "event_id",
    "component_id",
    "node_id",
    "platform_id",
    "node_name",
    "event_type",
    "event_start_time",
    "event_stop_time",
    "event_end_reason",
)
TOO_MANY = "beyond the names"  # where a field that has no name lands
DOWN = "0"  # of event_type; 1 is available
NAMED = 6  # nodes in a message

Periods = tuple[tuple[float, float], ...]


class Failures(NamedTuple):
    """Failures of OpenDC in order: seconds from t = 0 and the share of hosts hit, float64 (n,) each."""

    from_s: NDArray[np.float64]
    until_s: NDArray[np.float64]
    intensity: NDArray[np.float64]


def node_times(file: str, node: str | None, time_scale: float, hit: Hit) -> Times:
    """Links that fail each on their own take a node each, in the order in which the file names them; those
    beyond its nodes never fail. Anything else fails as one node does."""
    nodes = nodes_down(file)
    if not hit.is_each:
        return Downtime(_scaled(nodes[the_node(file, node)], time_scale)), {}
    lines = (Downtime(_scaled(periods, time_scale)) for periods in nodes.values())
    return Downtime(), dict(zip(hit.members.tolist(), lines, strict=False))


def host_times(file: str, time_scale: float, hit: Hit) -> Times:
    """Of links that fail each on their own, a failure hits its share, keyed by the failure and the client;
    what fails as one is hit with that chance."""
    found = failures(file)
    draws = Draws(hit.seed, "failure hits")
    begins, ends = found.from_s * time_scale, found.until_s * time_scale
    if not hit.is_each:
        is_hit = draws.many(np.arange(len(begins)), trial=hit.number) < found.intensity
        return Downtime(zip(begins[is_hit].tolist(), ends[is_hit].tolist(), strict=True)), {}
    periods: dict[int, list[tuple[float, float]]] = {}
    for row in range(int(np.searchsorted(begins, hit.horizon_s))):
        count = int(np.floor(found.intensity[row] * len(hit.members) + 0.5))
        order = np.argsort(draws.many(hit.members, row + 1, hit.number), kind="stable")
        for client in hit.members[order[:count]].tolist():
            periods.setdefault(client, []).append((float(begins[row]), float(ends[row])))
    return Downtime(), {client: Downtime(of) for client, of in sorted(periods.items())}


def the_node(file: str, node: str | None) -> str:
    """The node that is meant. Raises BadFile for one that is not there, or for none if there are several."""
    known = list(nodes_down(file))
    if node is not None and node not in known:
        raise BadFile(f"has no node {show(node)}: {nearest(node, known[:NAMED])}")
    if node is None and len(known) > 1:
        some = ", ".join(known[:NAMED])
        raise BadFile(
            f"tells of {len(known):,} nodes ({some}): name one as node, or hit links that are not correlated"
        )
    return node or known[0]


def nodes_down(file: str) -> dict[str, Periods]:
    """When each node of a Failure Trace Archive's `event_trace.tab` was unavailable, by `node_id`, in seconds
    from the first event of all; nodes in order of appearance. Raises BadFile."""
    return _nodes_down(file, identity(file))


def failures(file: str) -> Failures:
    """The failures of an OpenDC failure trace: Parquet, or any file with its columns. Raises BadFile."""
    return _failures(file, identity(file))


@lru_cache(maxsize=4)
def _nodes_down(path: str, _identity: object) -> dict[str, Periods]:
    names, head = _fta_columns(path)
    import pandas as pd  # noqa: PLC0415  (half a second that only such a trace needs)

    try:
        with catch_warnings():  # of more fields than names, which are refused below
            simplefilter("ignore", pd.errors.ParserWarning)
            rows = pd.read_csv(
                path,
                sep=r"\s+" if head.is_blank else "\t",
                header=None,
                names=[*names, TOO_MANY],
                index_col=False,
                skiprows=head.lines,
                dtype=str,
            )
    except (OSError, ValueError) as error:
        raise BadFile(reason(error)) from None
    if not len(rows):
        raise BadFile("has no rows")
    longer = np.flatnonzero(rows[TOO_MANY].notna())
    if len(longer):
        raise BadFile(f"line {longer[0] + head.lines + 1}: has more than {len(names)} fields")
    begins, ends = (_seconds(rows, name, head.lines) for name in ("event_start_time", "event_stop_time"))
    wrong = np.flatnonzero(ends < begins)
    if len(wrong):
        row = int(wrong[0])
        raise BadFile(
            f"line {row + head.lines + 1}: ends at {ends[row]:.12g}, before its start, {begins[row]:.12g}"
        )
    first_s = float(begins.min())
    down = rows["event_type"].str.strip().to_numpy() == DOWN
    found: dict[str, list[tuple[float, float]]] = {node: [] for node in rows["node_id"].unique()}
    nodes = rows["node_id"][down].tolist()
    for node, begin, end in zip(
        nodes, (begins[down] - first_s).tolist(), (ends[down] - first_s).tolist(), strict=True
    ):
        found[node].append((begin, end))
    if not nodes:
        raise BadFile(f"has no event of type {DOWN}, unavailable")
    return {node: tuple(periods) for node, periods in found.items()}


class _Head(NamedTuple):
    """Lines of comments on top, and whether blanks stand between fields, and not tabs."""

    lines: int
    is_blank: bool


def _fta_columns(path: str) -> tuple[list[str], _Head]:
    """The names of the columns: of the last comment on top that has them, else by their place."""
    names, lines, first = list(FTA_COLUMNS), 0, ""
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                if not line.startswith("#"):
                    first = line
                    break
                lines += 1
                told = line.lstrip("#").split()
                if "event_start_time" in told:
                    names = told
    except (OSError, ValueError) as error:
        raise BadFile(reason(error)) from None
    for name in ("node_id", "event_type", "event_start_time", "event_stop_time"):
        if name not in names:
            raise BadFile(f"has no column {name}, only {', '.join(map(show, names))}")
    return names, _Head(lines, "\t" not in first)


def _seconds(rows: pd.DataFrame, name: str, lines: int) -> NDArray[np.float64]:
    import pandas as pd  # noqa: PLC0415

    found = pd.to_numeric(rows[name], errors="coerce").to_numpy(dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(found))
    if len(wrong):
        row = int(wrong[0])
        value = rows[name].iloc[row]
        shown = show(value) if isinstance(value, str) else "nothing"
        raise BadFile(f"line {row + lines + 1}: {name} is {shown}: must be a number of seconds")
    return found


@lru_cache(maxsize=4)
def _failures(path: str, _identity: object) -> Failures:
    file, at_s = RowFile(path), 0.0
    columns = ["failure_interval", "failure_duration", "failure_intensity"]
    file.require(columns)
    parts: list[tuple[NDArray[np.float64], ...]] = []
    for rows in file.read(columns):
        interval, duration, intensity = (file.numbers(rows, name) for name in columns)
        refuse = partial(file.refuse, rows)
        for name, found in zip(columns[:2], (interval, duration), strict=True):
            wrong = np.flatnonzero(~(np.isfinite(found) & (found >= 0)))
            if len(wrong):
                refuse(int(wrong[0]), name, float(found[wrong[0]]), "must be milliseconds, 0 or more")
        wrong = np.flatnonzero(~((intensity > 0) & (intensity <= 1)))
        if len(wrong):
            refuse(
                int(wrong[0]), columns[2], float(intensity[wrong[0]]), "must be a share above 0, at most 1"
            )
        # The next interval begins when the failure before is over.
        until_s = at_s + np.cumsum((interval + duration) / IN_A_SECOND["ms"])
        parts.append((until_s - duration / IN_A_SECOND["ms"], until_s, intensity))
        at_s = float(until_s[-1]) if len(until_s) else at_s
    if not parts or not sum(len(part[0]) for part in parts):
        raise BadFile("has no rows")
    return Failures(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _scaled(periods: Periods, time_scale: float) -> list[tuple[float, float]]:
    return [(begin * time_scale, end * time_scale) for begin, end in periods]
