"""Rules about devices that send several requests together. Part of the table in `checks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sim.registry.arrivals import ClosedLoop
from sim.scenario.options import written
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Group
from sim.scenario.text.draft import Path
from sim.world.energy import is_metered

Breach = tuple[Path, Any, str]


def batches_can_leave(scenario: Scenario) -> Iterator[Breach]:
    """A batch goes to one server, over one link that is its client's own, and is filled before its client
    waits for what is in it."""
    for index, group in enumerate(scenario.fleet):
        batch, process = group.device.batch, group.arrivals.process
        if batch is None:
            continue
        path: Path = ("fleet", index, "device", "batch")
        for rule in cannot_leave_together(scenario, group, "batch"):
            yield path, "...", f"{rule}: must be null"
        if isinstance(process, ClosedLoop) and batch.size > process.at_once:
            most = f"its clients ask for {process.at_once} at once and wait for the answers"
            yield (*path, "size"), batch.size, f"{most}: must be at most at_once, or give a larger at_once"


def cannot_leave_together(scenario: Scenario, group: Group, what: str) -> Iterator[str]:
    """Why a group's clients cannot send several at a time, as a batch or a block (what)."""
    options = written(scenario, group)
    if len(options) > 1:
        yield f"a {what} goes to one server, and clients of this group have {len(options)} options"
    elif options[0].device_s:
        yield "not yet where the device has a part in what is sent (device_s)"
    if group.link.over or any(one.over or (one.link and one.link.over) for one in options):
        yield "not yet over shared links"
    if is_metered(group):
        yield "not yet where something is said of what devices draw"


BATCH_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (batches_can_leave,)
