"""Options: whom the clients of each group may ask. A server and a model, reached over a link, at a price.
Made once per run from the scenario."""

from __future__ import annotations

from dataclasses import dataclass

from sim.registry.durations import mean_s
from sim.scenario import Group, Scenario
from sim.scenario.options import model_of, written
from sim.world.delays import LinkDelays
from sim.world.energy import JOULE, nearest


@dataclass(frozen=True)
class Way:
    """How an option is reached and served: what chance says of one holds for all options of a group on it.
    server: the place of one that serves so; latency_s: of the client's own link, on average."""

    link: LinkDelays
    server: int
    latency_s: float


@dataclass(frozen=True)
class Option:
    """server, model: their places in the scenario. c_e: price of a charged send. over: the shared links on
    the way, by their places; bits: of a payload on them. transfer_s: of a payload over the client's own link;
    tx, rx: power of its radio, in nanowatts; tail_s: for which it listens behind a payload; reply_s: of an
    answer over it. device_s, device: time and nanojoules that the device takes before it sends; work: what
    service is multiplied by. ways: from each cell of its group the place of its way among the group's; one
    where nobody moves."""

    name: str
    server: int
    model: int
    ways: tuple[int, ...]
    c_e: float
    over: tuple[int, ...] = ()
    bits: float = 0.0
    transfer_s: float = 0.0
    tx: float = 0.0
    rx: float = 0.0
    tail_s: float = 0.0
    device_s: float = 0.0
    device: int = 0
    work: float = 1.0
    reply_s: float = 0.0


def options(scenario: Scenario, group: Group) -> tuple[tuple[Option, ...], tuple[Way, ...]]:
    """Those of a group, and their ways, each in order."""
    servers = scenario.station_names
    shared = {one.link: (place, one.latency) for place, one in enumerate(scenario.network)}
    found, laws, ways = list[Option](), dict[tuple[str, tuple[str, ...], str], int](), list[Way]()
    for one in written(scenario, group):
        link = one.over_link(group.link)
        over = link.over if one.over is None else one.over
        server, mine = servers.index(one.server), list[int]()
        service = scenario.stations[server].service.model_dump_json()
        for cell in group.moves.cells if group.moves else (None,):
            here = one.over_link(group.link, cell)
            law = here.model_dump_json(), over, service
            if law not in laws:
                laws[law] = len(ways)
                delays = LinkDelays(scenario.seed, here, [(name, shared[name][1]) for name in over])
                ways.append(Way(delays, server, mean_s(here.latency)))
            mine.append(laws[law])
        found.append(
            Option(
                one.option,
                server,
                model_of(scenario, one),
                tuple(mine),
                scenario.costs.c_e if one.c_e is None else one.c_e,
                tuple(shared[name][0] for name in over),
                8.0 * link.payload_bytes,
                link.transfer_s,
                link.tx_w * JOULE,
                link.rx_w * JOULE,
                float(link.tail_s),
                float(one.device_s),
                nearest(one.device_j * JOULE),
                one.work,
                link.reply_s,
            )
        )
    return tuple(found), tuple(ways)
