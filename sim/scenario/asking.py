"""What it takes to ask: of each group and option the seconds at the device, on the way and at the server, on
average, by the scenario alone. Read by the rules about deadlines and by the command `plan`."""

from __future__ import annotations

from dataclasses import dataclass

from sim.registry.durations import mean_s
from sim.scenario.options import model_of, written
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Group, Link, Option
from sim.scenario.schema.server import Station
from sim.world.cells import time_shares


@dataclass(frozen=True)
class Way:
    """One option of one group. server: its place; over: the shared links, by name; bits: of what is sent,
    of a block all of its payloads; work: how many times as long service takes as its server says; full_work:
    the same of full batches, against those of plain requests.

    Seconds: device_s, of inference and what the device does before it sends; link_s, there and back on links
    without anybody else, of clients that move on average; service_s, at a server without a queue.
    """

    option: Option
    server: int
    over: tuple[str, ...]
    bits: float
    work: float
    full_work: float
    device_s: float
    link_s: float
    service_s: float

    @property
    def answer_s(self) -> float:
        """From the request to its answer, if it is sent and nobody else is there."""
        return self.device_s + self.link_s + self.service_s


def links_of(scenario: Scenario, group: Group, option: Option) -> list[tuple[Link, float]]:
    """The links of an option from where its clients are, each with the share of time that they are there."""
    if group.moves is None:
        return [(option.over_link(group.link), 1.0)]
    held = time_shares(group.moves, group.clients, scenario.horizon_s)
    return [
        (option.over_link(group.link, cell), float(share))
        for cell, share in zip(group.moves.cells, held, strict=True)
    ]


def items_of(group: Group) -> int:
    """Items that a server answers of a request: of a session those of a full block."""
    return 1 if group.session is None else group.session.most_items


def inference_s(group: Group) -> float:
    """What a device infers before it decides on a request: of a session all drafts of a block."""
    drafts = 1 if group.session is None else min(group.session.draft, group.session.items)
    return drafts * group.device.inference_s


def block_work(server: Station, group: Group) -> float:
    """How many times as long as plain requests full batches of a group's blocks take, at most."""
    most, service = server.max_batch, server.service
    return service.scale_s(most * items_of(group)) / service.scale_s(most)


def ways_of(scenario: Scenario, group: Group) -> list[Way]:
    """Those of a group, in the order of its options. Raises BadFile for a file that has changed since."""
    shared, models = {one.link: one for one in scenario.network}, list(scenario.server_models.values())
    found, items = [], items_of(group)
    for one in written(scenario, group):
        place, links = scenario.station_names.index(one.server), links_of(scenario, group, one)
        link = links[0][0]
        over, server = link.over if one.over is None else one.over, scenario.stations[place]
        bits = 8.0 * link.payload_bytes * items
        link_s = sum(
            share * (2 * mean_s(here.latency) + items * here.transfer_s + here.reply_s)
            for here, share in links
        )
        for name in over:
            link_s += 2 * mean_s(shared[name].latency) + bits / (shared[name].bandwidth_bps or float("inf"))
        work = one.work * models[model_of(scenario, one)].work * group.service_factor
        found.append(
            Way(
                one,
                place,
                over,
                bits,
                work,
                work * block_work(server, group),
                inference_s(group) + one.device_s,
                link_s,
                server.service.scale_s(items) * server.service.mean_factor() * server.stage_overhead * work,
            )
        )
    return found
