"""When the system was not whole: outages as intervals, usable replicas as a step function.
Built from the events and the time line of a run; used by the metrics and by the figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.run_folder.kept import kept
from analysis.run_folder.run import Run

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Outage:
    """One outage, half-open [from_s, to_s); `target` as in the events ("server", "replicas:1", ...).

    slower: the factor of service or transfer times; None where the target is down. number: its place in the
    scenario's list.
    """

    target: str
    from_s: float
    to_s: float
    slower: float | None = None
    number: int = field(default=0, compare=False)

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups whose links it hits; none where it hits the server, and so everybody."""
        kind, _, detail = self.target.partition(":")
        return tuple(detail.split("+")) if kind == "links" else ()

    @property
    def stops_a_server(self) -> bool:
        """Whether it takes all replicas of whom it hits."""
        part = self.target.rpartition("/")[2].partition(":")[0]
        return self.slower is None and part not in ("links", "replicas")

    @property
    def label(self) -> str:
        """The target in words."""
        server, _, part = self.target.rpartition("/")
        kind, _, detail = part.partition(":")
        name = self.target.replace(":", " ")
        if kind == "replicas":
            name = f"{detail} replica{'' if detail == '1' else 's'}{f' of {server}' if server else ''}"
        return name if self.slower is None else f"{name} {self.slower:g} times slower"


@kept
def find_outages(run: Run) -> tuple[Outage, ...]:
    """The outages and slowdowns of all that they hit together, in order of start; one that outlives the run
    ends at the horizon."""
    told = run.columns_of("outages")
    shared = (told["client_id"] < 0) & (told["from_s"] < run.horizon_s)
    names = "target", "from_s", "until_s", "effect", "factor", "outage"
    rows = zip(*(told[name][shared].tolist() for name in names), strict=True)
    found = [
        Outage(target, from_s, min(until_s, run.horizon_s), factor if effect == "slowdown" else None, number)
        for target, from_s, until_s, effect, factor, number in rows
    ]
    return tuple(sorted(found, key=lambda outage: (outage.from_s, outage.to_s, outage.target)))


def clients_hit(run: Run, outage: Outage) -> NDArray[np.int64]:
    """Whose links an outage of links hits, where it is a share of its groups' links, too."""
    clients = run.of_clients("client_id", "outages")
    told = clients["outages"].astype("str")
    hit = [numbers for numbers in told.unique() if str(outage.number) in numbers.split()]
    found: NDArray[np.int64] = clients["client_id"].to_numpy(dtype=np.int64)[told.isin(hit)]
    return found


def in_any(outages: tuple[Outage, ...], at_s: Floats) -> NDArray[np.bool_]:
    """Which instants lie in an outage; shape of `at_s`."""
    begins, ends = edges(outages)
    begun, ended = np.searchsorted(begins, at_s, side="right"), np.searchsorted(ends, at_s, side="right")
    return np.asarray(begun > ended)


def seconds_touched(outages: tuple[Outage, ...], at_s: Floats) -> NDArray[np.bool_]:
    """Which seconds [at, at + 1) of the time line share time with an outage; shape of `at_s`."""
    begins, ends = edges(outages)
    begun, ended = np.searchsorted(begins, at_s + 1, side="left"), np.searchsorted(ends, at_s, side="right")
    return np.asarray(begun > ended)


def edges(outages: tuple[Outage, ...]) -> tuple[Floats, Floats]:
    """Where outages begin and where they end, each (outages,), ascending."""
    begins, ends = (np.array([getattr(one, name) for one in outages]) for name in ("from_s", "to_s"))
    return np.sort(begins.astype(np.float64)), np.sort(ends.astype(np.float64))


@kept
def usable_steps(run: Run, server: str | None = None) -> tuple[Floats, Floats]:
    """Usable replicas of a server, or of all, as a step function: instants (k,), the first 0, and the numbers
    from then on (k,)."""
    return _added([_usable_steps(run, name) for name in ([server] if server else run.servers)])


@kept
def _usable_steps(run: Run, server: str) -> tuple[Floats, Floats]:
    told = run.columns_of("events")
    rows = np.flatnonzero((told["kind"] == "usable_replicas") & (told["target"] == server))
    rows = rows[np.argsort(told["at_s"][rows], kind="stable")]
    at_s = np.append(0.0, told["at_s"][rows])
    values = np.append(float(run.servers[server]["replicas"]), told["value"][rows])
    last_of_instant = np.append(at_s[1:] != at_s[:-1], True)
    return at_s[last_of_instant], values[last_of_instant]


@kept
def replica_steps(run: Run, server: str | None = None) -> tuple[Floats, Floats]:
    """The replicas of a server, or of all, that there are, whether outages stop them or not, as a step
    function like `usable_steps`.

    Those of the scenario, or as many as the autoscaler has: usable ones and those that outages take; while an
    outage leaves nothing usable, as many as there were. Without one nothing usable means that there are none.
    """
    return _added([_replica_steps(run, name) for name in ([server] if server else run.servers)])


@kept
def _replica_steps(run: Run, server: str) -> tuple[Floats, Floats]:
    at_s, usable = _usable_steps(run, server)
    if run.servers[server]["autoscaling"] is None:
        return np.zeros(1), np.array([float(run.servers[server]["replicas"])])
    taken, is_hit = np.zeros(at_s.size), np.zeros(at_s.size, dtype=bool)
    for outage in find_outages(run):
        whose, _, part = outage.target.rpartition("/")
        kind, _, count = part.partition(":")
        if outage.slower is None and hits(run, outage, server):
            is_hit |= (at_s >= outage.from_s) & (at_s < outage.to_s)
        if outage.slower is None and kind == "replicas" and whose in ("", server):
            taken += float(count) * ((at_s >= outage.from_s) & (at_s < outage.to_s))
    latest = np.maximum.accumulate(np.where((usable > 0) | ~is_hit, np.arange(at_s.size), 0))
    return at_s, (usable + taken)[latest]


def _added(steps: list[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """The sum of step functions."""
    if len(steps) == 1:
        return steps[0]
    at_s = np.unique(np.concatenate([instants for instants, _ in steps]))
    total = np.zeros(at_s.size)
    for instants, values in steps:
        total += values[np.searchsorted(instants, at_s, "right") - 1]
    return at_s, total


def hits(run: Run, outage: Outage, server: str) -> bool:
    """Whether an outage hits a server, or replicas of it."""
    if outage.groups:
        return False
    kind, _, names = outage.target.partition(":")
    if kind == "servers":
        return server in names.split("+")
    return len(run.servers) == 1 or outage.target.partition("/")[0] == server


def mean_of_steps(steps: tuple[Floats, Floats], from_s: float, to_s: float) -> float | None:
    """The mean over [from, to) of a step function; None for no time at all."""
    at_s, values = steps
    if to_s <= from_s:
        return None
    spans = np.diff(np.clip(np.append(at_s, np.inf), from_s, to_s))
    return float((spans * values).sum() / (to_s - from_s)) if at_s.size > 1 else float(values[0])


@kept
def availability_of(run: Run) -> float | None:
    """The share of [warm-up, horizon) in which at least one replica was usable; None without such a time."""
    if run.observed_s <= 0:
        return None
    at_s, values = usable_steps(run)
    edges = np.clip(np.append(at_s, run.horizon_s), run.warm_up_s, run.horizon_s)
    return float(np.diff(edges)[values > 0].sum() / run.observed_s)


class Periods(NamedTuple):
    """Times of single clients' links, all (n,)."""

    client_id: NDArray[np.int64]
    from_s: Floats
    until_s: Floats


@kept
def own_link_periods(run: Run) -> Periods:
    """The outages and slowdowns of single clients' links that began before the horizon, by client and start;
    they end there at the latest. No events tell of them."""
    told = run.columns_of("outages")
    rows = np.flatnonzero((told["client_id"] >= 0) & (told["from_s"] < run.horizon_s))
    rows = rows[np.lexsort((told["from_s"][rows], told["client_id"][rows]))]
    until_s = np.minimum(told["until_s"][rows], run.horizon_s)
    return Periods(told["client_id"][rows].astype(np.int64), told["from_s"][rows], until_s)


def on_own_outage(run: Run, client_id: NDArray[np.int32], at_s: Floats) -> NDArray[np.bool_]:
    """Which requests come while an outage of their own client's link is on; clients and instants (n,)."""
    whose, begins, ends = own_link_periods(run)
    if not whose.size:
        return np.zeros(at_s.shape, dtype=bool)
    client = np.concatenate([whose, whose, client_id])
    when = np.concatenate([begins, ends, at_s])
    step = np.concatenate([np.ones(whose.size), -np.ones(whose.size), np.zeros(at_s.size)])
    # Client by client through time, what begins or ends at an instant before who asks at it.
    order = np.lexsort((step == 0, when, client))
    are_open = np.empty(order.size)
    are_open[order] = np.cumsum(step[order])
    return np.asarray(are_open[2 * whose.size :] > 0)


def own_links_down(run: Run) -> tuple[Floats, Floats]:
    """The share of the clients on whose own link an outage is on, as a step function like `usable_steps`."""
    _, begins, ends = own_link_periods(run)
    clients = sum(int(group["clients"]) for group in run.groups.values())
    edges = np.concatenate([[0.0], begins, ends])
    change = np.concatenate([[0.0], np.ones(begins.size), -np.ones(ends.size)])
    at_s, place = np.unique(edges, return_inverse=True)
    return at_s, np.cumsum(np.bincount(place, change)) / max(1, clients)
