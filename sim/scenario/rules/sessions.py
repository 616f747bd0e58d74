"""Rules about sessions: what a block can be, and where nobody knows yet what becomes of one.
Part of the table in `checks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sim.scenario.rules.batching import cannot_leave_together
from sim.scenario.rules.tables import table_of
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Group
from sim.scenario.schema.sessions import Session
from sim.scenario.text.draft import Path

Breach = tuple[Path, Any, str]


def sessions_can_be_played(scenario: Scenario) -> Iterator[Breach]:
    for index, group in enumerate(scenario.fleet):
        rule, path = group.session, ("fleet", index)
        if rule is None:
            continue
        if rule.backlog is not None and rule.backlog < rule.draft:
            least = f"must be at least draft, {rule.draft}: the drafts of a block wait, too"
            yield (*path, "session", "backlog"), rule.backlog, least
        for key, value, what in _of_the_group(group, rule):
            yield (*path, *key), value, what
        for what in _not_yet(scenario, group):
            yield (*path, "session"), "...", f"{what}: must be null"
    if scenario.detail == "none" and any(group.session for group in scenario.fleet):
        yield ("detail",), "none", "items of sessions are told from requests: must be full or lean"


def _of_the_group(group: Group, rule: Session) -> Iterator[tuple[tuple[Any, ...], Any, str]]:
    """Keys of a group that blocks ask for."""
    process, price = group.arrivals.process, group.policy.price
    if process.kind != "closed_loop":
        what = "blocks of a session follow each other: must be closed_loop, or leave out session"
        yield ("arrivals", "process", "kind"), process.kind, what
    elif process.at_once > 1:  # type: ignore[attr-defined]
        what = "a session has one block at a time: must be 1"
        yield ("arrivals", "process", "at_once"), process.at_once, what  # type: ignore[attr-defined]
    if price.kind not in ("always_remote", "always_local"):
        what = "every block of a session is sent, or none: must be always_remote or always_local"
        yield ("policy", "price", "kind"), price.kind, what
    elif price.kind == "always_local" and rule.draft == 0:
        yield ("session", "draft"), 0, "who never asks a server drafts: must be at least 1"
    if group.fallback != "client":
        yield ("fallback",), group.fallback, "drafts of a session stand until verified: must be client"
    if group.provisional_after_s is not None:
        what = "drafts of a session are shown as they are made: must be null"
        yield ("provisional_after_s",), group.provisional_after_s, what


def _not_yet(scenario: Scenario, group: Group) -> Iterator[str]:
    yield from cannot_leave_together(scenario, group, "block")
    if group.device.batch is not None:
        yield "not yet with device.batch"
    if group.traffic.drift:
        yield "not yet with traffic that drifts"
    if scenario.training.online is not None:
        yield "not yet with training.online"
    if scenario.federation is not None:
        yield "not yet with federation"
    if any(scenario.switch_of(place) is not None for place in range(len(scenario.stations))):
        yield "not yet where a server chooses among its models (switch)"
    table = table_of(scenario)
    if table is not None and table.is_graded:
        yield "not yet with answers that are graded: nobody can say whether two are alike"


SESSION_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (sessions_can_be_played,)
