"""What devices draw and harvest, unfolded: whole nanojoules, so that accounts are exact.
Made once per run; functions of plain arrays, asked by the loop wherever a battery is looked at."""

from __future__ import annotations

from math import floor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.scenario import Group, Scenario
from sim.scenario.files.power import Pieces
from sim.scenario.schema.fleet import Battery
from sim.world.network import Bandwidths, lines_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

JOULE = 1e9  # in nanojoules


class Power(NamedTuple):
    """Per group, in nanojoules and nanowatts.

    is_metered: whether anything that its devices draw is said. capacity, start: of the battery, 0 on mains.
    restart: the energy at which a silent device works again, 0: it never does. inference: of a request.
    harvest: a line of each group, whose bits are nanojoules.
    """

    is_metered: Flags
    capacity: Ints
    start: Ints
    restart: Ints
    inference: Ints
    idle: Floats
    harvest: Bandwidths


def power(scenario: Scenario) -> Power:
    """Unfolds what a scenario says of energy."""
    devices = [group.device for group in scenario.fleet]
    batteries = [device.battery for device in devices]
    return Power(
        is_metered=np.array([is_metered(group) for group in scenario.fleet], dtype=bool),
        capacity=_whole(battery.capacity_j if battery else 0.0 for battery in batteries),
        start=_whole(start_j(battery) if battery else 0.0 for battery in batteries),
        restart=_whole((battery.restart_j or 0.0) if battery else 0.0 for battery in batteries),
        inference=_whole(device.inference_j for device in devices),
        idle=np.array([device.idle_w * JOULE for device in devices], dtype=np.float64),
        harvest=lines_of([_harvest(battery) for battery in batteries]),
    )


def is_metered(group: Group) -> bool:
    """Whether anything that its devices draw is said."""
    device, links = group.device, [group.link, *(one.link for one in group.options or () if one.link)]
    radios = [link.tx_w or link.rx_w for link in links]
    works = [one.device_j for one in group.options or ()]
    return bool(device.inference_j or device.idle_w or device.battery or any(radios) or any(works))


def start_j(battery: Battery) -> float:
    """What it holds at t = 0."""
    return battery.capacity_j if battery.start_j is None else battery.start_j


def nearest(nanojoules: Any) -> Any:
    """A whole number of them."""
    return floor(nanojoules + 0.5)


def _whole(joules: Any) -> Ints:
    return np.array([nearest(one * JOULE) for one in joules], dtype=np.int64)


def _harvest(battery: Battery | None) -> tuple[Floats, Floats, float]:
    """As pieces of constant power, in nanowatts."""
    watts = 0.0 if battery is None else battery.harvest_w
    pieces = Pieces(np.zeros(1), np.array([watts]), np.inf)
    if battery is not None and battery.harvest is not None:
        pieces = battery.harvest.pieces()
    return pieces.at_s, pieces.watts * JOULE, pieces.period_s
