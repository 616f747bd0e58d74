"""Rules about energy: batteries that can do what is asked of them, radios that have something to draw.
Part of the table in `checks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any

import numpy as np

from sim.registry.harvests import HarvestTrace
from sim.scenario.files.power import Pieces
from sim.scenario.files.rows import BadFile
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Battery, Link
from sim.scenario.schema.values import MOST_JOULES
from sim.scenario.text.draft import Path

Breach = tuple[Path, Any, str]
MOST_RESTARTS = 100_000  # of a device in a run


def batteries(scenario: Scenario) -> Iterator[tuple[int, Path, Battery]]:
    """Every battery: of which group, where it is written."""
    for index, group in enumerate(scenario.fleet):
        if group.device.battery is not None:
            yield index, ("fleet", index, "device", "battery"), group.device.battery


def batteries_hold_what_they_are_to(scenario: Scenario) -> Iterator[Breach]:
    for _, path, battery in batteries(scenario):
        for name in ("start_j", "restart_j"):
            joules = getattr(battery, name)
            if joules is not None and joules > battery.capacity_j:
                most = f"must be at most capacity_j ({battery.capacity_j:.12g})"
                rule = f"the battery never holds that much: {most}"
                yield (*path, name), joules, rule


def batteries_charge(scenario: Scenario) -> Iterator[Breach]:
    """Harvests are sound, and there is one where a device is to work again; neither is beyond counting."""
    for index, path, battery in batteries(scenario):
        if battery.harvest is not None and battery.harvest_w:
            yield (*path, "harvest_w"), battery.harvest_w, "give one of the two: harvest_w, or harvest"
        try:
            most_w, mean_w = _harvested_w(battery)
        except BadFile as error:
            assert isinstance(battery.harvest, HarvestTrace)
            file = battery.harvest.file
            yield (*path, "harvest", "file"), file, f"{PurePath(file).name}: {error}"
            continue
        if battery.restart_j is not None and not most_w:
            rule = "nothing charges the battery, so it never restarts: give harvest_w or harvest, or null"
            yield (*path, "restart_j"), battery.restart_j, rule
        elif battery.restart_j is not None:
            loses_w = min(most_w, scenario.fleet[index].device.idle_w)
            least_j = loses_w * scenario.horizon_s / MOST_RESTARTS
            if battery.restart_j < least_j:
                rule = f"it would run empty more than {MOST_RESTARTS} times: must be at least {least_j:.3g}"
                yield (*path, "restart_j"), battery.restart_j, rule
        if mean_w * scenario.horizon_s > MOST_JOULES:
            rule = f"comes to more than {MOST_JOULES:.0e} J in the run, which is beyond counting"
            yield (*path, "harvest_w" if battery.harvest is None else "harvest"), "...", rule


def _harvested_w(battery: Battery) -> tuple[float, float]:
    """The most power that charges it, and the mean."""
    if battery.harvest is None:
        return battery.harvest_w, battery.harvest_w
    pieces: Pieces = battery.harvest.pieces()
    lasts_s = np.diff(pieces.at_s, append=pieces.period_s)
    return float(pieces.watts.max()), float((pieces.watts * lasts_s).sum()) / pieces.period_s


def devices_can_be_metered(scenario: Scenario) -> Iterator[Breach]:
    for index, group in enumerate(scenario.fleet):
        path: Path = ("fleet", index)
        if group.device.idle_w * scenario.horizon_s > MOST_JOULES:
            rule = f"comes to more than {MOST_JOULES:.0e} J in the run, which is beyond counting"
            yield (*path, "device", "idle_w"), group.device.idle_w, rule
        if scenario.learns_in_run and group.device.battery is not None:
            what = "federation" if scenario.training.online is None else "training.online"
            rule = f"not yet with {what}: copies are laid down before it is known who has power: must be null"
            yield (*path, "device", "battery"), "...", rule
        price = group.policy.price
        if price.needs_battery and group.device.battery is None:
            rule = "asks how much the battery has left: give device.battery"
            yield (*path, "policy", "price", "kind"), price.kind, rule


def radios_draw_something(scenario: Scenario) -> Iterator[Breach]:
    for index, group in enumerate(scenario.fleet):
        path: Path = ("fleet", index)
        links: list[tuple[Path, Link]] = [((*path, "link"), group.link)]
        if group.options and all(one.payload_bytes is not None for one in group.options):
            links = []
        for place, one in enumerate(group.options or ()):
            if one.link is not None or one.payload_bytes is not None:
                links.append(((*path, "options", place, "link"), one.over_link(group.link)))
            if one.device_j and not one.device_s:
                rule = "the device does nothing in no time: give device_s"
                yield (*path, "options", place, "device_j"), one.device_j, rule
        for here, link in links:
            if link.tx_w and not link.transfer_s:
                rule = "a payload takes no time: give bandwidth_bps and payload_bytes"
                yield (*here, "tx_w"), link.tx_w, rule
            if link.rx_w and not link.tail_s:
                yield (*here, "rx_w"), link.rx_w, "the radio never listens: give tail_s"


ENERGY_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (
    batteries_hold_what_they_are_to,
    batteries_charge,
    devices_can_be_metered,
    radios_draw_something,
)
