"""Servers and options of a run as its scenario has them, resolved: whom a group may ask, and what is common.
Plain mappings in, plain mappings out."""

from __future__ import annotations

from functools import cached_property
from typing import Any


class AskedOf:
    """What a run's scenario, resolved, says of groups, servers and options."""

    scenario: dict[str, Any]

    @cached_property
    def groups(self) -> dict[str, dict[str, Any]]:
        """The scenario's groups by name, in its order."""
        return {group["group"]: group for group in self.scenario["fleet"]}

    @cached_property
    def servers(self) -> dict[str, dict[str, Any]]:
        """The scenario's servers by name, in its order: `server` where there is one without a name."""
        one = self.scenario.get("server")
        return {"server": one} if one else {each["server"]: each for each in self.scenario["servers"]}

    @cached_property
    def server(self) -> dict[str, Any]:
        """The one server; of several what they are together, their service unknown."""
        if len(self.servers) == 1:
            return next(iter(self.servers.values()))
        return together(list(self.servers.values()))

    @cached_property
    def outages_asked(self) -> list[tuple[str | None, dict[str, Any]]]:
        """Every outage that the scenario asks for, and under which server it stands; None: beside them."""
        own = [(name, one) for name, server in self.servers.items() for one in server["outages"]]
        return [*own, *((None, one) for one in self.scenario.get("outages") or ())]

    @property
    def lends_replicas(self) -> bool:
        """Whether training during the run takes a share of them from the service."""
        online = self.scenario["training"].get("online")
        return online is not None and bool(online["capacity_share"])

    @cached_property
    def options(self) -> dict[str, list[dict[str, Any]]]:
        """Per group whom its clients may ask, in order."""
        return {name: options_of(self.scenario, group) for name, group in self.groups.items()}

    @cached_property
    def has_options(self) -> bool:
        """Whether some client may ask several, or a server chooses among its models, so that requests tell
        who answers."""
        return any(len(options) > 1 for options in self.options.values()) or any(
            map(switches, self.servers.values())
        )

    @cached_property
    def has_several_prices(self) -> bool:
        """Whether some option has a c_e of its own."""
        usual = self.scenario["costs"]["c_e"]
        return any(one["c_e"] != usual for options in self.options.values() for one in options)


def intake_share(server: dict[str, Any]) -> float:
    """The share of a batch's service time after which a replica can take the next: 1 unless it is a
    pipeline, where each stage takes `stage_overhead` over `stages` of it."""
    return float(server.get("stage_overhead", 1.0)) / int(server.get("stages", 1))


ALIKE = ("in_flight", "when_down", "discipline")


def options_of(scenario: dict[str, Any], group: dict[str, Any]) -> list[dict[str, Any]]:
    """Whom the clients of a group may ask, with names of server and model, the link with its payload, c_e,
    and what the device and the server have to do of each."""
    c_e, link = scenario["costs"]["c_e"], group["link"]
    written = group.get("options") or _every_one(scenario)
    models = {server: of[-1] for server, of in _models_by_server(scenario).items()}
    return [
        {
            "option": one["option"],
            "server": one["server"],
            "model": one.get("model") or models[one["server"]],
            "link": _with_payload(one.get("link") or link, one.get("payload_bytes")),
            "over": tuple(
                (one.get("link") or link).get("over", ()) if one.get("over") is None else one["over"]
            ),
            "device_s": one.get("device_s") or 0.0,
            "work": one.get("work") or 1.0,
            "c_e": c_e if one.get("c_e") is None else one["c_e"],
        }
        for one in written
    ]


def _with_payload(link: dict[str, Any], payload_bytes: int | None) -> dict[str, Any]:
    return link if payload_bytes is None else link | {"payload_bytes": payload_bytes}


def switches(server: dict[str, Any]) -> bool:
    """Whether a server chooses among its models itself."""
    return server.get("switch") is not None


def swaps(server: dict[str, Any]) -> bool:
    """Whether a server's models take turns in its memory."""
    return server.get("load_s") is not None


def together(servers: list[dict[str, Any]]) -> dict[str, Any]:
    """Several servers as one, for numbers of all of them: replicas and places added up, the largest batch,
    and no law of service, as there is none."""
    limits = [one["queue_limit"] for one in servers]
    found = {
        "replicas": sum(one["replicas"] for one in servers),
        "max_batch": max(one["max_batch"] for one in servers),
        "batch_wait_s": max(one["batch_wait_s"] for one in servers),
        "queue_limit": None if None in limits else sum(limits),
        "autoscaling": next((one["autoscaling"] for one in servers if one["autoscaling"]), None),
        "service": {"kind": "several"},
        "outages": [outage for one in servers for outage in one["outages"]],
    }
    return found | {name: _common([one[name] for one in servers]) for name in ALIKE}


def _common(values: list[str]) -> str:
    return values[0] if len(set(values)) == 1 else "several"


def _models_by_server(scenario: dict[str, Any]) -> dict[str, list[str]]:
    if scenario.get("server"):
        return {"server": ["model"]}
    known = list(scenario.get("models") or {"model": None})
    return {one["server"]: list(one["models"] or known) for one in scenario["servers"]}


def _every_one(scenario: dict[str, Any]) -> list[dict[str, Any]]:
    """Every model of every server, named as the run names them; of one that chooses itself it alone."""
    chooses = {one["server"] for one in scenario.get("servers") or () if switches(one)}
    pairs: list[tuple[str, str | None]] = []
    for server, of in _models_by_server(scenario).items():
        pairs += [(server, model) for model in ([None] if server in chooses else of)]
    several = len({model for _, model in pairs}) > 1
    return [
        {"option": f"{server}-{model}" if several and model else server, "server": server, "model": model}
        for server, model in pairs
    ]
