"""What ran, in words: each group's policy and limits, and the server; and what differs between two scenarios.
Reads resolved scenarios as plain data; shown by the report and by comparisons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from analysis.reports.outages_in_words import outages_in_words
from analysis.run_folder.servers import swaps
from analysis.time_in_words import span

HEADING = "what ran"
PARTS: dict[str, Callable[[dict[str, Any]], str]] = {  # of a group, told whole: one key alone says little
    "policy": lambda group: policy(group["policy"]),
    "arrivals.process": lambda group: _keyed(group["arrivals"]["process"]),
    "clients": lambda group: f"{group['clients']:,}",
}


def setup(scenario: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Under one heading a line per group and one per server; without any traffic, what they learn."""
    if not scenario["horizon_s"]:
        return {HEADING: list(_learning(scenario))}
    rows = [(str(group["group"]), _group(group)) for group in scenario["fleet"]]
    return {HEADING: [*rows, *((name, _server(server)) for name, server in _servers(scenario).items())]}


def _learning(scenario: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The models of groups and servers, and the settings that a study tries."""
    for group in scenario["fleet"]:
        model = group.get("model") or {}
        samples = model.get("train_samples")
        own = f"{_model(model)}{f' from {samples:,} samples' if samples else ''}"
        yield str(group["group"]), f"{_count(group['clients'], 'client')}; {own}; {policy(group['policy'])}"
    for name, server in _servers(scenario).items():
        shared = scenario.get("models") or {}
        models = (
            [server["model"]]
            if server.get("model")
            else [shared[one] for one in server.get("models") or shared]
        )
        yield name, ", ".join(map(_model, models)) or _model({})
    for key, tried in (scenario.get("study") or {}).items():
        if isinstance(tried, list) and tried:
            yield key, ", ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in tried)


def _model(model: dict[str, Any]) -> str:
    return str(model.get("family") or model.get("kind") or "models of their own").replace("_", " ")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _servers(scenario: dict[str, Any]) -> dict[str, Any]:
    one = scenario.get("server")
    return {"server": one} if one else {each["server"]: each for each in scenario["servers"]}


def policy(written: dict[str, Any]) -> str:
    """For instance: l2h above a threshold of 0; nothing sent; confidence by rate_controller (rate 0.4)."""
    price = written["price"]
    kind = str(price["kind"])
    if kind in ("always_local", "always_remote"):
        return "nothing sent" if kind == "always_local" else "everything sent"
    if kind == "threshold":
        return f"{written['score']} above a threshold of {price['at']:g}"
    return f"{written['score']} by {_keyed(price)}"


def changes(base: dict[str, Any], other: dict[str, Any]) -> dict[str, str]:
    """What of the groups' policies and traffic and of the server is otherwise, by the path that a sentence is
    about: 'sensors: policy: l2h above a threshold of 0 → nothing sent'. Other paths are the caller's."""
    told = {}
    groups = {group["group"]: group for group in base["fleet"]}
    for group in other["fleet"]:
        name, before = group["group"], groups.get(group["group"])
        if before is None:
            told[f"fleet.{name}"] = f"{name}: a group that the other has not: {_group(group)}"
            continue
        for part, tell in PARTS.items():
            one, two = tell(before), tell(group)
            if one != two:
                told[f"fleet.{name}.{part}"] = f"{name}: {part}: {one} → {two}"
    there = {group["group"] for group in other["fleet"]}
    told |= {f"fleet.{name}": f"{name}: this group is gone" for name in groups if name not in there}
    return told | _changes_of_servers(_servers(base), _servers(other))


def _changes_of_servers(base: dict[str, Any], other: dict[str, Any]) -> dict[str, str]:
    told = {}
    for name in {**base, **other}:
        path = "server" if name == "server" else f"servers.{name}"
        if name not in other:
            told[path] = f"{name}: this server is gone: {_server(base[name])}"
            continue
        if name not in base:
            told[path] = f"{name}: a server that the other has not: {_server(other[name])}"
            continue
        one_server, two_server = dict(_of_server(base[name])), dict(_of_server(other[name]))
        for part, one in one_server.items():
            if one != two_server[part]:
                told[f"{path}.{part}"] = f"{name}: {one} → {two_server[part]}"
    return told


def _group(group: dict[str, Any]) -> str:
    spans = [(name, group.get(f"{name}_s")) for name in ("deadline", "timeout")]
    limits = [f"{name} {span(limit_s)}" for name, limit_s in spans if limit_s]
    retry = group.get("retry")
    limits += [f"{retry['attempts']} attempts"] if retry else []
    limits += _together(group)
    limits += [f"choose {group['choose']}"] if len(group.get("options") or ()) > 1 else []
    clients = _count(group["clients"], "client") + _moves(group)
    return "; ".join([clients, policy(group["policy"]), *limits, *_drifts(group)])


def _moves(group: dict[str, Any]) -> str:
    cells = (group.get("moves") or {}).get("cells")
    return f" that move between {len(cells)} cells" if cells else ""


def _together(group: dict[str, Any]) -> list[str]:
    """How many requests are made, or sent, at a time: 'sent after every 15 requests'."""
    at_once = group["arrivals"]["process"].get("at_once", 1)
    batch = (group.get("device") or {}).get("batch")
    told = [f"{at_once} requests at once"] if at_once > 1 else []
    if batch:
        wait = f", or {span(batch['wait_s'])}" if batch["wait_s"] else ""
        told.append(f"sent together after every {batch['size']} {batch['of']}{wait}")
    return told


def _drifts(group: dict[str, Any]) -> list[str]:
    """How the samples change during the run: 'noise 0.4 from 250 s on'."""
    told = []
    for drift in group.get("traffic", {}).get("drift") or []:
        new = [f"{key} {value}" for key, value in drift.items() if key != "at_s" and value is not None]
        told.append(f"{', '.join(new) or 'drift'} from {span(drift['at_s'])} on")
    return told


def _server(server: dict[str, Any]) -> str:
    return ", ".join(text for _, text in _of_server(server))


def _of_server(server: dict[str, Any]) -> Iterator[tuple[str, str]]:
    scaling = server.get("autoscaling")
    count = int(server["replicas"])
    replicas = _count(count, "replica")
    if scaling:
        replicas += f", scaled from {scaling['min']} to {scaling['max']}"
    yield "replicas", replicas
    largest = int(server["max_batch"])
    yield "max_batch", "one request at a time" if largest == 1 else f"batches of up to {largest}"
    yield "service", _service(server["service"])
    if int(server.get("stages", 1)) > 1:
        yield "stages", f"a pipeline of {server['stages']} stages, overhead {server['stage_overhead']:g}"
    if swaps(server):
        memory = f"{server['memory_bytes']:g} bytes"
        yield "load_s", f"models take turns in {memory} of memory, {server['load_s']:g} s to bring one in"
    yield "outages", outages_in_words(server.get("outages") or [])


def _service(service: dict[str, Any]) -> str:
    if service["kind"] == "affine":
        varies = f", cv {service['cv']:g}" if service.get("cv") else ""
        return f"{service['base_s']:g} s a batch and {service['per_item_s']:g} s a request{varies}"
    if "time" not in service:
        return _keyed(service)
    time = service["time"]
    return f"{_keyed(time) if isinstance(time, dict) else f'{time:g} s'} a batch"


def _keyed(part: dict[str, Any]) -> str:
    """A kind with its keys: poisson (rate_hz 0.5)."""
    keys = [f"{key} {value:g}" for key, value in part.items() if isinstance(value, int | float)]
    return f"{part['kind']} ({', '.join(keys)})" if keys else str(part["kind"])
