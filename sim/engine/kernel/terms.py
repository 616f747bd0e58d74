"""From the rules of a run to the plain arrays that the kernel reads.
Made once per run; what depends on the stretch that is played is put beside it by
`sim.engine.kernel.stretch`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.engine.kernel.codes import ADMISSIONS, DISCIPLINES, IN_FLIGHT, WHEN_DOWN
from sim.engine.kernel.layout import Accounts, Clients, Downtimes, Groups, Slowdowns, Terms
from sim.engine.state import State
from sim.world.budgets import Allotment, Bucket, admission_bucket, full
from sim.world.outages.capacity import Slowness
from sim.world.outages.downtime import Downtime
from sim.world.parameters import Rules

SlowSpan = tuple[Downtime, int, float]
_ANY = 1 << 30  # more than there are replicas


class Lines:
    """Collects time lines; those that several share are kept once."""

    def __init__(self) -> None:
        self._number: dict[int, int] = {}
        self._lines: list[Downtime] = []

    def add(self, line: Downtime) -> int:
        """Its number; -1 if it is never down."""
        if not len(line):
            return -1
        if id(line) not in self._number:
            self._number[id(line)] = len(self._lines)
            self._lines.append(line)
        return self._number[id(line)]

    def arrays(self) -> Downtimes:
        sizes = [len(line) for line in self._lines]
        from_s, until_s = (
            np.concatenate([np.zeros(0), *(np.array(getattr(line, name)) for line in self._lines)])
            for name in ("from_s", "until_s")
        )
        return Downtimes(np.append(0, np.cumsum(sizes, dtype=np.int64)), from_s, until_s)


def slowdowns(owners: Iterable[Sequence[SlowSpan]]) -> Slowdowns:
    """The spans of each owner, in their order; spans that never come are left out."""
    sizes, found, lines = [0], [], Lines()
    for spans in owners:
        found += [(lines.add(when), count, factor) for when, count, factor in spans if len(when)]
        sizes.append(len(found))
    line, hits, factor = (list(column) for column in zip(*found, strict=True)) if found else ([], [], [])
    return Slowdowns(
        first=np.array(sizes, dtype=np.int64),
        line=np.array(line, dtype=np.int64),
        hits=np.array(hits, dtype=np.int64),
        factor=np.array(factor, dtype=np.float64),
        lines=lines.arrays(),
    )


def within(slow: Slowness, begin: float, end: float) -> list[SlowSpan]:
    """The spans of which some part lies in [begin, end], in their order."""
    return [span for span in slow.spans if not span[0].is_up_through(begin, end)]


def accounts(allotments: Sequence[Allotment]) -> Accounts:
    """Allotments, full."""
    buckets = [one if isinstance(one, Bucket) else None for one in allotments]
    return Accounts(
        is_bucket=np.array([bucket is not None for bucket in buckets], dtype=bool),
        rate_hz=np.array([bucket.rate_hz if bucket else 0.0 for bucket in buckets], dtype=np.float64),
        per_s=np.array([getattr(one, "per_s", 1.0) for one in allotments], dtype=np.float64),
        full=np.array([one.full for one in allotments], dtype=np.int64),
        **full(allotments),
    )


@dataclass(frozen=True)
class Fixed:
    """What stays the same for a whole run; accounts are those of t = 0, whose columns the state replaces."""

    rules: Rules
    groups: Groups
    link: NDArray[np.int64]
    cuts: Downtimes
    slow_links: Slowdowns
    budgets: Accounts
    door: Accounts

    def clients(self, state: State) -> Clients:
        """Beside the rules what clients remember: the state's own columns, which the kernel writes to."""
        rules = self.rules
        return Clients(
            group=rules.clients.group,
            asks=rules.asks,
            hears=rules.hears,
            link=self.link,
            account=rules.accounts.of_client,
            allowance=state.allowance,
            **state.breakers,
        )

    def terms(self, begin: float, end: float) -> Terms:
        """The rules of the server for [begin, end)."""
        rules = self.rules
        return Terms(
            begin=begin,
            end=end,
            max_batch=rules.max_batch,
            batch_wait_s=rules.batch_wait_s,
            queue_limit=float(rules.queue_limit),
            discipline=DISCIPLINES.index(rules.discipline),
            admission=ADMISSIONS.index(rules.admission.kind),
            drops_expired=rules.drop_expired,
            when_down=WHEN_DOWN.index(rules.when_down),
            in_flight=IN_FLIGHT.index(rules.in_flight),
            queue_survives=rules.queue_survives,
            anyone_asks=bool(rules.asks.any()),
            is_held=rules.charge_on != "send",
            is_redrawn=rules.service.constant is None,
            backoff_root=np.uint64(rules.patience[0].backoff.draws.root),
        )


def fixed(rules: Rules) -> Fixed:
    """Lays out the rules."""
    lines, links, every = Lines(), rules.links, range(rules.clients.size)
    hit = links.hit(rules.clients.size)
    link = [lines.add(links.downtime(client)) if hit[client] else -1 for client in every]
    return Fixed(
        rules=rules,
        groups=_groups(rules),
        link=np.array(link, dtype=np.int64),
        cuts=lines.arrays(),
        slow_links=slowdowns([(when, _ANY, by) for when, by in links.slowdowns(client)] for client in every),
        budgets=accounts(rules.accounts.allotments),
        door=accounts(admission_bucket(rules.admission)),
    )


def _groups(rules: Rules) -> Groups:
    patience, breakers = rules.patience, rules.breakers
    backoff_s = np.zeros((len(patience), max(p.max_attempts for p in patience)))
    for row, p in zip(backoff_s, patience, strict=True):
        row[: len(p.backoff.steps)] = p.backoff.steps
    return Groups(
        timeout_s=np.array([p.timeout_s for p in patience], dtype=np.float64),
        max_attempts=np.array([p.max_attempts for p in patience], dtype=np.int64),
        is_limited=np.array([p.limited for p in patience], dtype=bool),
        earns=np.array([p.allowance for p in patience], dtype=np.int64),
        backoff_s=backoff_s,
        is_jittered=np.array([p.backoff.is_jittered for p in patience], dtype=bool),
        failures=np.array([b.failures if b else 0 for b in breakers], dtype=np.int64),
        cooldown_s=np.array([b.cooldown_s if b else 0.0 for b in breakers], dtype=np.float64),
    )
