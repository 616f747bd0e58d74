"""The whole scenario, as one frozen object: what `read` returns and every other module reads."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from sim.registry.switches import Switch
from sim.scenario.schema.federation import Federation
from sim.scenario.schema.fleet import Group
from sim.scenario.schema.network import SharedLink
from sim.scenario.schema.server import NamedServer, Outage, Server, ServerModel, Station
from sim.scenario.schema.training import Costs, Data, Study, Training
from sim.scenario.schema.values import Instant, Name, Part

Path = tuple[str | int, ...]


class Engine(Part):
    """How the event loop is run, which changes no result."""

    path: Literal["auto", "simpy", "compiled"] = "auto"
    """`compiled`: by Numba; `simpy`: by SimPy's loop; `auto`: by whichever is over first."""


class WrittenOutage(NamedTuple):
    """An outage, where it stands in the scenario, under which server (None: beside them), and how tables name
    its target: "server", "replicas:N", "links:GROUP+GROUP", "servers:NAME+NAME"; of one of several servers
    "NAME" or "NAME/replicas:N"."""

    path: Path
    station: int | None
    outage: Outage
    target_name: str


class Scenario(Part):
    """A question put to a fleet: who the clients are, what the server can do, when it fails, what learns."""

    name: Name
    """Name of the scenario, and of its run folder unless `--out` says otherwise."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Every draw follows from it; two scenarios under one seed share the draws that both need."""
    horizon_s: Instant
    """Virtual time at which the run ends; 0 learns only and simulates no traffic."""
    warm_up_s: Instant = 0.0
    """Requests that arrive before it are simulated and left out of every number of the summary; less than the
    horizon."""
    data: Data = Data()
    """Samples and how they are shared out."""
    costs: Costs = Costs()
    """What a send and a wrong answer cost."""
    fleet: Annotated[tuple[Group, ...], Field(min_length=1)]
    """The groups of clients."""
    server: Server | None = None
    """The one server that all clients share; null: there are `servers`."""
    servers: Annotated[tuple[NamedServer, ...], Field(min_length=1)] | None = None
    """Several servers, in place of `server`."""
    models: Annotated[dict[Name, ServerModel], Field(min_length=1)] | None = None
    """The classifiers of `servers`, by name; null: one, called `model`."""
    outages: tuple[Outage, ...] = ()
    """What fails beside the servers' own outages: several of them at once, links."""
    network: tuple[SharedLink, ...] = ()
    """Links that many clients share, such as a cell's uplink."""
    training: Training = Training()
    """How server and rejectors learn, before and during the run."""
    federation: Federation | None = None
    """What clients learn during the run, each from its own answers, and merge: rejectors, prototypes or
    heads; null: nothing."""
    study: Study | None = None
    """More settings in which rejectors are trained and judged, without traffic; null: none."""
    engine: Engine = Engine()
    """How the event loop is played; it changes no result."""
    detail: Literal["full", "lean", "none"] = "full"
    """What is written of every request. `full`: all columns; `lean`: those that numbers and figures are made
    of, so without threshold, propensity, answer_label, server_version and copy_version; `none`: no rows, only
    sums by group and outcome, so without intervals, windows of outages, numbers of clients and samples."""

    @property
    def clients(self) -> int:
        """Number of clients in all groups."""
        return sum(group.clients for group in self.fleet)

    @property
    def one_server(self) -> Server:
        """The one server, for what knows no others. Raises ValueError where there are several."""
        if self.server is None:
            raise ValueError("the scenario has several servers")
        return self.server

    @property
    def learns_from_answers(self) -> bool:
        """Whether clients learn during the run from the answers that they got."""
        training = self.training
        on_feedback = training.online is not None and training.feedback == "deferred_only"
        return on_feedback or self.federation is not None

    @property
    def shares_prototypes(self) -> bool:
        """Whether what clients learn together are means of features."""
        return self.federation is not None and self.federation.learns == "prototypes"

    @property
    def shares_heads(self) -> bool:
        """Whether what clients learn together are the layers that answer from the server's features."""
        return self.federation is not None and self.federation.learns == "heads"

    @property
    def learns_in_run(self) -> bool:
        """Whether anything is trained during the run."""
        return self.training.online is not None or self.federation is not None

    @property
    def stations(self) -> tuple[Station, ...]:
        """The servers, one or several."""
        return (self.server,) if self.server is not None else self.servers or ()

    @property
    def station_names(self) -> tuple[str, ...]:
        """What tables call them: `server` where there is one without a name."""
        return ("server",) if self.server is not None else tuple(one.server for one in self.servers or ())

    @property
    def station_paths(self) -> tuple[Path, ...]:
        """Where each of them stands in the scenario."""
        if self.server is not None:
            return (("server",),)
        return tuple(("servers", place) for place in range(len(self.servers or ())))

    @property
    def server_models(self) -> dict[str, ServerModel]:
        """The servers' classifiers by name: `model` where there is one without a name."""
        if self.server is not None:
            return {"model": self.server.model}
        return dict(self.models or {"model": ServerModel()})

    @property
    def first_model(self) -> ServerModel:
        """The one classifier, or the first of several."""
        return next(iter(self.server_models.values()))

    def models_of(self, station: int) -> tuple[str, ...]:
        """The names of the models that a server has."""
        named = None if self.server is not None else (self.servers or ())[station].models
        return tuple(self.server_models) if named is None else named

    def switch_of(self, station: int) -> Switch | None:
        """How a server chooses among its models itself, if it does."""
        return None if self.server is not None else (self.servers or ())[station].switch

    @property
    def all_outages(self) -> tuple[WrittenOutage, ...]:
        """Every outage, those of the servers first."""
        own = (
            WrittenOutage((*path, "outages", place), station, outage, self._told(station, outage))
            for station, (path, one) in enumerate(zip(self.station_paths, self.stations, strict=True))
            for place, outage in enumerate(one.outages)
        )
        beside = (
            WrittenOutage(("outages", place), None, one, one.target.told())
            for place, one in enumerate(self.outages)
        )
        return (*own, *beside)

    def _told(self, station: int, outage: Outage) -> str:
        told = outage.target.told()
        if self.server is not None:
            return told
        name = self.station_names[station]
        return name if outage.target.kind == "server" else f"{name}/{told}"

    def hit_by(self, written: WrittenOutage) -> tuple[int, ...]:
        """The servers that an outage hits, or whose replicas it does; none: it hits links."""
        target = written.outage.target
        if target.hits_links:
            return ()
        if written.station is not None:
            return (written.station,)
        named = getattr(target, "names", self.station_names)
        return tuple(place for place, name in enumerate(self.station_names) if name in named)
