"""Random scenarios over the whole vocabulary, for `benchmarks.soak`: a mapping from a seed and a number.

Every key of the schema is drawn, a new one too: values by their type and bounds, kinds from the examples of
the registry, their numbers moved about. `OWN` says it of keys that must fit others, such as names. Most
worlds are mended: what a rule refuses is taken out, or drawn where it is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.soak_documents import Table, at_path, frozen, put_in, without, wrong
from benchmarks.soak_draws import Draws, together
from sim.registry.registry import FAMILIES, PartFamily
from sim.registry.scores import SCORES
from sim.scenario.schema.vocabulary import TAGS, parts_at
from sim.scenario.text.writing import json_schema

FILES = {
    "trace.csv": "time,client\n" + "".join(f"{0.25 * (n // 2)},{n % 2}\n" for n in range(80)),
    "seconds.csv": "seconds\n0.1\n0.4\n0.05\n",
    "outages.csv": "from_s,until_s\n3,8\n20,21.5\n",
    "moves.csv": "client,time,cell\n0,0,b\n0,2,c\n0,8,a\n",
    "cell.trace": "".join(f"{7 * n}\n" for n in range(1, 400)),
    "partitions.json": "[[" + ", ".join(map(str, range(90))) + "]]",
}
OMITTED = object()
CELLS = ["a", "b", "c"]
TIMES_MENDED = 60


def write_files(folder: Path) -> None:
    """The files that the examples of the registry name."""
    for name, text in FILES.items():
        (folder / name).write_text(text)


@cache
def schema() -> Table:
    return json_schema(resolved=True)


@cache
def examples() -> dict[str, list[Table]]:
    """How the parts of every family may be written, by the name of their class."""
    families = [family for family in FAMILIES.values() if isinstance(family, PartFamily)]
    return {
        part.__name__: [dict(keys) for keys in part.examples.values()] or [{}]
        for family in families
        for part in family.values()
    }


class Drawing(Draws):
    """Draws one scenario."""

    def __init__(self, seed: int, number: int) -> None:
        super().__init__(seed, number)
        self.groups = [f"g{n}" for n in range(self.number(1, 3))]
        self.has_one, self.named = self.chance(0.5), 0
        self.servers = ["server"] if self.has_one else [f"s{n}" for n in range(self.number(1, 3))]
        self.models = ["model"] if self.has_one else [f"m{n}" for n in range(self.number(1, 3))]
        self.links = [f"l{n}" for n in range(self.one_of(0, 0, 1, 2))]

    def scenario(self) -> Table:
        found = self.part("Scenario")
        if self.has_one:
            found["server"] = self.part("Server")
        else:
            found["servers"] = [self.part("NamedServer") | {"server": name} for name in self.servers]
            found["models"] = {name: self.part("ServerModel") for name in self.models}
        if self.has_one and self.chance(0.15):
            together(self, found)
        return self.mended(found) if self.chance(0.85) else found

    def mended(self, document: Table) -> Table:
        """Without what is refused, key by key, and with what is missing; it may not come to an end."""
        for _ in range(TIMES_MENDED):
            finding = next(wrong(document), None)
            if finding is None:
                break
            document = self._mended_at(document, finding.path)
        return document

    def _mended_at(self, document: Table, path: tuple[Any, ...]) -> Table:
        while path:
            around = at_path(document, path[:-1])
            key = path[-1]
            if isinstance(around, list) and isinstance(key, int) and len(around) > max(1, key):
                return without(document, path)
            parts = parts_at(path[:-1], frozen(document)) if isinstance(around, dict) else []
            if parts and key not in TAGS and key in self._properties(parts[0].__name__):
                part = parts[0].__name__
                is_needed = key in self._root(part).get("required", ())
                if key in around and not is_needed:
                    return without(document, path)
                if key not in around or self.chance(0.5):
                    drawn = self.value(part, key)
                    return document if drawn is OMITTED else put_in(document, path, drawn)
            path = path[:-1]
        return document

    def _root(self, name: str) -> Table:
        found: Table = schema() if name == "Scenario" else schema()["$defs"][name]
        return found

    def _properties(self, name: str) -> Table:
        found: Table = self._root(name)["properties"]
        return found

    def part(self, name: str) -> Table:
        """A part by the name of its class: what it must have, some of what it may have."""
        kinds = examples().get(name)
        found: Table = self.moved(kinds[self.number(0, len(kinds) - 1)]) if kinds else {}
        for key, value in self._properties(name).items():
            if key in TAGS:
                if "const" in value:
                    found[key] = value["const"]
            elif (name, key) in OWN or key not in found:
                must = key in self._root(name).get("required", ()) or key in found
                if must or self.chance(OFTEN.get((name, key), 0.25)):
                    drawn = self.value(name, key)
                    found |= {} if drawn is OMITTED else {key: drawn}
        return found

    def value(self, name: str, key: str) -> Any:
        """What a key of a part may hold."""
        own = OWN.get((name, key))
        if own:
            return own(self)
        written = [one[key] for one in examples().get(name, ()) if key in one]
        return self.moved(written[0]) if written else self.of(key, self._properties(name)[key])

    def of(self, key: str, told: Table) -> Any:  # noqa: PLR0911  (one line for each type)
        """A value by its type and bounds, as the schema tells them."""
        if "$ref" in told:
            return self.part(told["$ref"].rpartition("/")[2])
        if "enum" in told:
            return self.one_of(*told["enum"])
        if "const" in told:
            return told["const"]
        alternatives = [one for one in told.get("anyOf", told.get("oneOf", ())) if one.get("type") != "null"]
        if alternatives:
            return self.of(key, self.one_of(*alternatives))
        if told["type"] == "array":
            return [self.of(key, told["items"]) for _ in range(self.number(1, 2))]
        if told["type"] == "boolean":
            return self.chance(0.5)
        if told["type"] == "integer":
            low = told.get("minimum", 0)
            return self.number(low, min(told.get("maximum", low + 4), low + 4))
        return self.real(key, told) if told["type"] == "number" else OMITTED

    # What must fit something else.

    def group(self) -> Table:
        found = self.part("Group")
        if self.chance(0.8) and "retry" in found:
            found.setdefault("timeout_s", self.one_of(0.7, 2.0))
        return self.in_sessions(found) if self.chance(0.15) else found

    def in_sessions(self, group: Table) -> Table:
        """A group whose requests are blocks, without what is refused beside these."""
        gamma = self.number(0, 4)
        rule = {"items": self.number(1, 20), "draft": gamma, "again_s": self.one_of(0.3, 2.0)}
        rule |= {"backlog": gamma + self.number(0, 9)} if self.chance(0.6) else {}
        device = {"inference_s": self.one_of(0.0, 0.05, 0.3)}
        kind = self.word("always_local", "always_remote", "always_remote") if gamma else "always_remote"
        price = {"score": self.word("random", "plug_in"), "price": {"kind": kind}}
        others = ("options", "hedge", "presence", "moves", "fallback", "provisional_after_s", "traffic")
        kept = {key: value for key, value in group.items() if key not in (*others, "link")}
        link = {"latency": self.one_of(0.0, 0.1), "payload_bytes": 500}
        link |= {"bandwidth_bps": self.one_of(None, 1e5)}
        loop = {"process": {"kind": "closed_loop", "think": self.one_of(0.5, 3.0)}}
        return kept | {"session": rule, "device": device, "policy": price, "link": link, "arrivals": loop}

    def name_of_group(self) -> str:
        self.named += 1
        return self.groups[self.named - 1] if self.named <= len(self.groups) else f"more{self.named}"

    def network(self) -> list[Table]:
        return [self.part("SharedLink") | {"link": name} for name in self.links]

    def policy(self) -> Table:
        """Half of the time a score that goes with every price."""
        score = self.word("plug_in", "l2h_priced") if self.chance(0.5) else self.word(*SCORES)
        found = {"score": score, "price": self.of("price", self._properties("Policy")["price"])}
        return found | ({"price": {"kind": "always_remote"}} if self.chance(0.3) else {})

    def breaker(self) -> Table:
        by = {"ratio": self.one_of(0.3, 0.5, 1.0), "window": self.number(1, 5)}
        by = by if self.chance(0.5) else {"failures": self.number(1, 4)}
        return by | {"cooldown_s": self.seconds(), "probes": self.number(1, 3)}

    def presence(self) -> Table:
        if self.chance(0.3):
            return {"at": [[1.0, 6.0], [7.0, 9.5]]}
        return {"join_hz": self.one_of(0.05, 0.5), "stay": self.one_of(1.0, 4.0)}

    def moves(self) -> Table:
        drawn = {"stays": self.one_of(1.0, 4.0), "next": self.one_of(None, {"a": {"b": 1.0}})}
        written = self.one_of({"at": [[0.0, "a"], [3.0, "b"], [6.5, "c"]]}, {"file": "moves.csv"})
        return {"cells": CELLS} | (drawn if self.chance(0.6) else written)

    def autoscaling(self) -> Table:
        least = self.number(0, 2)
        by = self.one_of({"target_utilisation": self.one_of(0.3, 0.7, 1.0)}, {"target_queue": 1.5})
        more = {key: self.one_of(0.0, 1.0, 5.0) for key in ("stabilise_s", "cool_down_s") if self.chance(0.4)}
        return {
            **by,
            **more,
            "min": least,
            "max": max(1, least) + self.number(0, 4),
            "tolerance": self.one_of(0.0, 0.0, 0.2),
            "interval_s": self.one_of(0.5, 2.0, 7.0),
            "provisioning_s": self.one_of(0.0, 1.0, 5.0),
        }

    def online(self) -> Table:
        gaps = {"cost": self.one_of(0.05, 1.0, 20.0), "at_least_s": self.one_of(2.5, 5.0)}
        adaptive = gaps | {"memory": self.one_of(0.0, 0.5)} if self.chance(0.3) else None
        return (
            self.part("Online")
            | {
                "every_s": self.one_of(5.0, 12.5),
                "adaptive": adaptive,
                "steps": self.number(1, 3),
                "step_s": self.one_of(0.0, 0.4),
                "rejector_steps": 1,
                "copy_bytes": self.one_of(0, 10_000),
            }
            | ({"capacity_share": 0.0} if adaptive else {})
        )

    def drift(self) -> list[Table]:
        at = sorted({self.one_of(2.0, 5.0, 9.0) for _ in range(self.number(1, 2))})
        return [{"at_s": s, "classes": [self.one_of(0.0, 1.0, 3.0) for _ in range(9)] + [0.5]} for s in at]


def _omitted(_one: Drawing) -> Any:
    return OMITTED


OFTEN = {
    ("Group", "timeout_s"): 0.6,
    ("Group", "retry"): 0.4,
    ("Group", "link"): 0.6,
    ("Group", "policy"): 0.9,
    ("Device", "batch"): 0.5,
    ("Link", "over"): 0.6,
    ("Option", "over"): 0.6,
    ("Scenario", "network"): 1.0,
    ("Server", "outages"): 0.4,
    ("NamedServer", "outages"): 0.4,
    **{(name, "memory_bytes"): 0.6 for name in ("NamedServer", "ServerModel")},
    ("NamedServer", "load_s"): 0.4,
    ("Outage", "target"): 0.7,
    ("Scenario", "training"): 0.3,
    ("Scenario", "data"): 0.1,
    ("Scenario", "study"): 0.05,
}
FILES_OF_OTHERS = (  # learning from what users bring has tests of its own
    *(("ClientModel", key) for key in ("file", "scaling", "answers", "image_size")),
    *(("ServerModel", key) for key in ("file", "scaling", "answers", "image_size")),
    *(("TraceArrivals", key) for key in ("format", "columns", "unit", "start", "client_by", "work_of_one")),
    ("TraceOutage", "format"),
    ("Policy", "column"),
)
OWN: dict[tuple[str, str], Callable[[Drawing], Any]] = {
    **dict.fromkeys(FILES_OF_OTHERS, _omitted),
    **{("Scenario", key): _omitted for key in ("server", "servers", "models", "engine")},
    ("Scenario", "name"): lambda _one: "soak",
    ("Scenario", "horizon_s"): lambda one: one.one_of(10.0, 20.0, 40.0, 100.0),
    ("Scenario", "warm_up_s"): lambda one: one.one_of(0.0, 3.0),
    ("Scenario", "seed"): lambda one: one.number(0, 2**31),
    ("Scenario", "fleet"): lambda one: [one.group() for _ in one.groups],
    ("Scenario", "network"): lambda one: one.network() or OMITTED,
    ("Scenario", "data"): lambda one: {"set": "gaussian_mixture", "samples": one.one_of(400, 900)},
    ("Scenario", "costs"): lambda one: one.part("Costs") | {"c_e": one.share(), "c_1": one.seconds()},
    ("SharedLink", "link"): lambda one: one.word(*one.links),
    ("SharedLink", "bandwidth"): lambda one: one.moved({"kind": "trace", **examples()["BandwidthTrace"][0]}),
    ("SharedLink", "bandwidth_bps"): lambda one: one.one_of(16_000.0, 1e6),
    ("Link", "bandwidth_bps"): lambda one: one.one_of(16_000.0, 1e6),
    ("Link", "payload_bytes"): lambda one: one.number(0, 9999),
    ("Link", "over"): lambda one: one.some(one.links),
    ("Group", "group"): Drawing.name_of_group,
    ("Group", "session"): _omitted,
    ("Group", "homes"): lambda one: [f"o{one.number(1, 3)}" for _ in range(one.number(1, 8))],
    ("Group", "clients"): lambda one: one.number(1, 8),
    ("Group", "policy"): Drawing.policy,
    ("Group", "breaker"): Drawing.breaker,
    ("Group", "weight"): lambda one: one.one_of(0.5, 1.0, 3.0),
    ("ClientModel", "family"): lambda one: one.word("linear", "mlp"),
    ("ClientModel", "train_samples"): lambda one: one.number(20, 100),
    ("ClientModel", "epochs"): lambda one: one.number(1, 3),
    ("ClientModel", "variants"): lambda one: one.number(1, 2),
    ("ServerModel", "family"): lambda one: one.word("linear", "mlp"),
    ("Pretrain", "epochs"): lambda one: one.number(1, 3),
    ("Training", "online"): Drawing.online,
    ("Online", "models"): lambda one: one.some(one.models, least=1),
    ("MixAll", "drift"): Drawing.drift,
    ("MixOwn", "drift"): Drawing.drift,
    ("MixDirichlet", "drift"): Drawing.drift,
    ("Option", "server"): lambda one: one.word(*one.servers),
    ("Option", "model"): lambda one: one.word(*one.models),
    ("Option", "over"): lambda one: one.some(one.links),
    ("Option", "option"): lambda one: f"o{one.number(1, 99)}",
    ("NamedServer", "server"): lambda one: one.word(*one.servers),
    ("NamedServer", "models"): lambda one: one.some(one.models, least=1),
    **{(name, "queue_limit"): lambda one: one.number(0, 20) for name in ("Server", "NamedServer")},
    **{(name, "autoscaling"): Drawing.autoscaling for name in ("Server", "NamedServer")},
    ("NamedServer", "load_s"): lambda one: one.one_of(0.0, 0.05, 0.4, 3.0),
    **{
        (name, "memory_bytes"): lambda one: one.one_of(1.0, 1.0, 2.0)
        for name in ("NamedServer", "ServerModel")
    },
    ("LinksTarget", "groups"): lambda one: one.some(one.groups, least=1),
    ("Group", "presence"): Drawing.presence,
    ("Group", "moves"): Drawing.moves,
    ("Option", "latency_in"): lambda one: {cell: one.seconds() for cell in one.some(CELLS, least=1)},
    ("NamedServer", "peers_of"): lambda one: one.word(*one.groups),
    ("ServerModel", "nested_in"): lambda one: one.word(*one.models),
    ("ServerModel", "of_group"): lambda one: one.word(*one.groups),
    ("ServersTarget", "names"): lambda one: one.some(one.servers, least=1),
}
