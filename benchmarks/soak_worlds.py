"""Random scenarios over the whole vocabulary, for `benchmarks.soak`: a mapping from a seed and a number.
Kinds come from the registry's own examples, their numbers moved about; many are refused, which counts too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sim.registry.registry import FAMILIES, PartFamily
from sim.registry.scores import SCORES

FILES = {
    "trace.csv": "time,client\n" + "".join(f"{0.37 * n:.2f},{n % 2}\n" for n in range(60)),
    "seconds.csv": "seconds\n0.1\n0.4\n0.05\n",
    "outages.csv": "from_s,until_s\n3,8\n20,21.5\n",
}
Table = dict[str, Any]


def write_files(folder: Path) -> None:
    """The files that the examples of the registry name."""
    for name, text in FILES.items():
        (folder / name).write_text(text)


def tidy(scenario: Table) -> None:
    """Takes out what would do nothing, which is refused."""
    if not any("deadline_s" in group for group in scenario["fleet"]):
        scenario["server"].pop("drop_expired", None)
    for group in scenario["fleet"]:
        if group.get("fallback") == "none":
            group.pop("provisional_after_s", None)


class Drawing:
    """Draws one scenario."""

    def __init__(self, seed: int, number: int) -> None:
        self._draw = np.random.default_rng([seed, number])

    def scenario(self) -> Table:
        horizon_s = float(self.one_of(10, 30, 60, 150))
        groups = [self.group(f"g{n}") for n in range(self.number(1, 3))]
        names = [group["group"] for group in groups]
        found: Table = {
            "name": "soak",
            "seed": self.number(0, 2**31),
            "horizon_s": horizon_s,
            "warm_up_s": self.one_of(0.0, 0.0, 3.0),
            "costs": {
                "c_e": self.share(),
                "c_1": self.seconds(),
                "charge_on": self.word("send", "accept", "answer"),
            },
            "fleet": groups,
            "server": self.server(names),
        }
        if self.chance(0.8):
            tidy(found)
        if self.chance(0.3):
            found["training"] = {"online": self.online(), "exploration": self.one_of(0.0, 0.2)}
        return found

    def group(self, name: str) -> Table:
        found: Table = {
            "group": name,
            "clients": self.number(1, 8),
            "model": {"variants": 1},
            "arrivals": {"process": self.kind("arrivals")},
            "policy": self.policy(),
        }
        maybe: list[tuple[str, Any]] = [
            ("device", lambda: {"inference_s": self.seconds()}),
            (
                "link",
                lambda: {
                    "latency": self.duration(),
                    "bandwidth_bps": 1e6,
                    "payload_bytes": self.number(0, 9999),
                },
            ),
            ("deadline_s", self.seconds),
            ("timeout_s", self.seconds),
            ("retry", self.retry),
            ("provisional_after_s", self.seconds),
            ("breaker", lambda: {"failures": self.number(1, 4), "cooldown_s": self.seconds()}),
            ("budget", lambda: self.kind("budget")),
            ("fallback", lambda: self.word("client", "none")),
        ]
        for key, make in maybe:
            if self.chance(0.3):
                found[key] = make()
        if "retry" in found and self.chance(0.9):
            found.setdefault("timeout_s", 0.7)
        if self.chance(0.3) and found["arrivals"]["process"]["kind"] != "closed_loop":
            found["arrivals"]["shape"] = self.kind("shape")
        return found

    def policy(self) -> Table:
        """Half of the time a score that goes with every price."""
        score = self.word("plug_in", "l2h_priced") if self.chance(0.5) else self.word(*SCORES)
        return {"score": score, "price": self.kind("price")}

    def server(self, groups: list[str]) -> Table:
        found: Table = {"service": self.kind("service"), "replicas": self.number(1, 4)}
        maybe: list[tuple[str, Any]] = [
            ("max_batch", lambda: self.number(1, 5)),
            ("batch_wait_s", lambda: self.one_of(0.0, 0.02, 0.5)),
            ("queue_limit", lambda: self.number(0, 20)),
            ("discipline", lambda: self.word(*FAMILIES["discipline"])),
            ("admission", lambda: self.kind("admission")),
            ("drop_expired", lambda: True),
            ("when_down", lambda: self.word("refuse", "silent", "queue")),
            ("in_flight", lambda: self.word("lose", "requeue", "finish")),
            ("queue_survives", lambda: self.chance(0.5)),
            ("outages", lambda: [self.outage(groups) for _ in range(self.number(1, 3))]),
            ("autoscaling", self.autoscaling),
        ]
        for key, make in maybe:
            if self.chance(0.3):
                found[key] = make()
        if "autoscaling" in found and self.chance(0.9):
            found["replicas"] = found["autoscaling"]["min"]
        return found

    def outage(self, groups: list[str]) -> Table:
        found: Table = {
            "when": self.kind("outage"),
            "target": self.kind("outage_target"),
            "effect": self.kind("outage_effect"),
        }
        if "groups" in found["target"]:
            found["target"]["groups"] = [self.word(*groups)]
        return found

    def autoscaling(self) -> Table:
        least = self.number(1, 3)
        return {
            "min": least,
            "max": least + self.number(0, 4),
            "target_utilisation": self.one_of(0.3, 0.7, 1.0),
            "interval_s": self.one_of(0.5, 2.0, 7.0),
            "provisioning_s": self.one_of(0.0, 1.0, 5.0),
        }

    def retry(self) -> Table:
        return {
            "attempts": self.number(1, 5),
            "backoff_s": self.one_of(0.0, 0.05, 1.0),
            "jitter": self.word("none", "full"),
            "allowance": self.one_of(None, 0.0, 0.2, 1.0),
        }

    def online(self) -> Table:
        return {
            "every_s": self.one_of(5.0, 12.5),
            "steps": self.number(1, 3),
            "step_s": self.one_of(0.0, 0.4),
            "rejector_steps": 1,
            "rejector_step_s": self.one_of(0.0, 0.1),
            "source": self.word("pool", "deferred", "mix"),
            "capacity_share": self.one_of(0.0, 0.5),
            "copy_bytes": self.one_of(0, 10_000),
        }

    def duration(self) -> Any:
        return self.seconds() if self.chance(0.3) else self.kind("duration")

    def kind(self, family: str) -> Table:
        """An example of any kind of a family, its numbers moved half of the time."""
        kinds = FAMILIES[family]
        assert isinstance(kinds, PartFamily)
        examples = list(kinds.examples().values())
        found: Table = self.moved(examples[self.number(0, len(examples) - 1)])
        return found

    def moved(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.moved(part) for key, part in value.items()}
        if isinstance(value, tuple | list):
            return [self.moved(part) for part in value]
        if isinstance(value, float) and self.chance(0.3):
            return float(np.round(value * np.exp(self._draw.normal(0, 0.7)), self.number(1, 4)))
        return value

    def seconds(self) -> float:
        return float(np.round(10 ** self._draw.uniform(-2.0, 1.0), self.number(2, 4)))

    def share(self) -> float:
        return float(np.round(self._draw.random(), 2))

    def number(self, low: int, high: int) -> int:
        return int(self._draw.integers(low, high, endpoint=True))

    def chance(self, share: float) -> bool:
        return bool(self._draw.random() < share)

    def word(self, *words: str) -> str:
        return words[self.number(0, len(words) - 1)]

    def one_of(self, *values: Any) -> Any:
        return values[self.number(0, len(values) - 1)]


def shrunk(document: Table, still_fails: Callable[[Table], bool]) -> Table:
    """The document with every key left out that the failure does not need."""
    changed = True
    while changed:
        changed = False
        for path in list(_keys(document)):
            smaller = _without(document, path)
            if still_fails(smaller):
                document, changed = smaller, True
                break
    return document


def _keys(value: Any, path: tuple[Any, ...] = ()) -> Any:
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, part in entries:
        yield (*path, key)
        yield from _keys(part, (*path, key))


def _without(value: Any, path: tuple[Any, ...]) -> Any:
    smaller = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1:
        del smaller[path[0]]
    else:
        smaller[path[0]] = _without(value[path[0]], path[1:])
    return smaller
