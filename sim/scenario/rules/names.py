"""Rules about names that others refer to: one of `server` and `servers`, and servers, models and shared links
that are named once and are there. While one of them is broken, what follows from it is not told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sim.scenario.schema.document import Scenario
from sim.scenario.text.draft import Path
from sim.scenario.text.wording import nearest

Breach = tuple[Path, Any, str]


def there_are_servers(scenario: Scenario) -> Iterator[Breach]:
    if scenario.server is not None and scenario.servers is not None:
        yield ("servers",), "...", "there is a server, too: give one of the two"
    if scenario.models is not None and scenario.servers is None:
        yield ("models",), "...", "is for servers: the model of the one server stands in server.model"


def servers_have_names_of_their_own(scenario: Scenario) -> Iterator[Breach]:
    names = scenario.station_names
    for place, name in enumerate(names):
        if name in names[:place]:
            yield ("servers", place, "server"), name, "another server has this name"


def models_of_servers_are_there(scenario: Scenario) -> Iterator[Breach]:
    known = list(scenario.models or ())
    for place, server in enumerate(scenario.servers or ()):
        for position, model in enumerate(server.models or ()):
            path: Path = ("servers", place, "models", position)
            if not known:
                yield path, model, "there are no models: write them under models, or leave this out"
            elif model not in known:
                yield path, model, f"there is no such model: {nearest(model, known)}"
            elif model in (server.models or ())[:position]:
                yield path, model, "is named twice"


def shared_links_have_names_of_their_own(scenario: Scenario) -> Iterator[Breach]:
    for place, one in enumerate(scenario.network):
        if one.link in [other.link for other in scenario.network[:place]]:
            yield ("network", place, "link"), one.link, "another link has this name"


NAME_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (
    there_are_servers,
    servers_have_names_of_their_own,
    models_of_servers_are_there,
    shared_links_have_names_of_their_own,
)
