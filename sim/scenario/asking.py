"""What it takes to ask: of each group and option the seconds at the device, on the way and at the server, on
average, by the scenario alone. Read by the rules about deadlines and by the command `plan`."""

from __future__ import annotations

from dataclasses import dataclass

from sim.registry.durations import mean_s
from sim.scenario.options import model_of, written
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Group, Option


@dataclass(frozen=True)
class Way:
    """One option of one group. server: its place; over: the shared links, by name; bits: of a payload; work:
    how many times as long service takes as its server says.

    Seconds: device_s, of inference and what the device does before it sends; link_s, there and back on links
    without anybody else; service_s, at a server without a queue.
    """

    option: Option
    server: int
    over: tuple[str, ...]
    bits: float
    work: float
    device_s: float
    link_s: float
    service_s: float

    @property
    def answer_s(self) -> float:
        """From the request to its answer, if it is sent and nobody else is there."""
        return self.device_s + self.link_s + self.service_s


def ways_of(scenario: Scenario, group: Group) -> list[Way]:
    """Those of a group, in the order of its options. Raises BadFile for a file that has changed since."""
    shared, models = {one.link: one for one in scenario.network}, list(scenario.server_models.values())
    found = []
    for one in written(scenario, group):
        link, place = one.over_link(group.link), scenario.station_names.index(one.server)
        over, server = link.over if one.over is None else one.over, scenario.stations[place]
        bits = 8.0 * link.payload_bytes
        link_s = 2 * mean_s(link.latency) + link.transfer_s
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
                group.device.inference_s + one.device_s,
                link_s,
                server.service.scale_s(1) * server.service.mean_factor() * server.stage_overhead * work,
            )
        )
    return found
