"""What random scenarios are made of, for `benchmarks.soak_worlds`: numbers, words, and examples moved about.
Every third world stands on a lattice of quarters of a second, where much happens at once."""

from __future__ import annotations

from typing import Any

import numpy as np


class Draws:
    """Draws of one world, each in its turn."""

    def __init__(self, seed: int, number: int) -> None:
        self._draw = np.random.default_rng([seed, number])
        self.on_lattice = self.chance(0.3)

    def moved(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.moved(part) for key, part in value.items()}
        if isinstance(value, tuple | list):
            return [self.moved(part) for part in value]
        if isinstance(value, float) and self.chance(0.3):
            return float(np.round(value * np.exp(self._draw.normal(0, 0.7)), self.number(1, 4)))
        return value

    def seconds(self) -> float:
        if self.on_lattice:
            return self.number(1, 12) / 4
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

    def real(self, key: str, told: dict[str, Any]) -> float:
        low, high = told.get("minimum", told.get("exclusiveMinimum", 0.0)), told.get("maximum", 1e9)
        high = min(high, told.get("exclusiveMaximum", 1e9))
        if high <= 1:
            return float(np.clip(self.share(), max(low, 0.01 * self.chance(0.8)), 0.99 * high))
        found = self.seconds() if key.endswith("_s") else float(np.round(10 ** self._draw.uniform(-1, 1), 2))
        return float(np.clip(found, low, high))

    def some(self, names: list[str], least: int = 0) -> list[str]:
        return [str(name) for name in self._draw.permutation(names)[: self.number(least, len(names))]]


def neighbours(draws: Draws, federation: dict[str, Any]) -> None:
    """Has clients that are near each other share an uplink or hand samples over, where they can."""
    shares, hands_over = federation["merge"] in {"average", "laplace"}, federation["learns"] == "rejectors"
    if not (shares or hands_over):
        return
    federation["neighbours"] = {
        "size": draws.number(2, 5),
        "one_uplink": shares,
        "link": {"latency": draws.one_of(0.0, 0.3), "bandwidth_bps": draws.one_of(None, 1e4)},
    }
    if hands_over and (not shares or draws.chance(0.5)):
        most = draws.one_of(None, 10)
        hands = {"share": draws.one_of(0.5, 1.0), "at_most": most, "sample_bytes": 300}
        federation["neighbours"]["hand_over"] = hands


def together(draws: Draws, found: dict[str, Any]) -> None:
    """Has the clients of a scenario learn together, and leaves out most of what does not go with that."""
    every_s, learns = draws.one_of(5.0, 12.5), draws.word("rejectors", "prototypes", "heads")
    merges = {
        "rejectors": ("none", "average", "laplace", "median"),
        "prototypes": ("average", "median"),
        "heads": ("none", "average", "median"),
    }[learns]
    found["federation"] = {
        "learns": learns,
        "every_s": every_s,
        "steps": draws.number(1, 2),
        "step_s": draws.one_of(0.0, 0.7),
        "wait_s": every_s * draws.one_of(0.5, 0.8),
        "merge": draws.word(*merges),
        "absent": draws.one_of(0.0, 0.3),
        "label_delay_s": draws.one_of(0.0, 1.5),
    }
    if found["federation"]["merge"] != "none":
        found["federation"]["dropout"] = draws.one_of(0.0, 0.3)
        if learns == "heads":
            found["federation"]["heads"] = {"personalise_at_s": draws.one_of(None, 3 * every_s)}
    if draws.chance(0.5):
        neighbours(draws, found["federation"])
    has_steps = learns == "rejectors" and found["federation"]["step_s"]
    if has_steps and found["federation"]["merge"] != "laplace" and draws.chance(0.5):
        found["federation"]["unequal"] = {"step": {"kind": "exponential", "mean_s": 0.5}}
    found.setdefault("training", {}).pop("online", None)
    for place, group in enumerate(found["fleet"]):
        group.pop("options", None)
        group.get("device", {}).pop("battery", None)
        if learns == "prototypes":
            group["fallback"] = draws.word("client", "prototype") if place else "prototype"
        elif learns == "heads":
            group["reply"] = draws.word("label", "features") if place else "features"
            group.setdefault("link", {})["reply_bytes"] = 4 * _width(found)
        else:
            group["rejector"] = {"per": "client"}


def _width(found: dict[str, Any]) -> int:
    """How many features the server of a scenario gives."""
    family = (found.get("server") or {}).get("model", {}).get("family", "small_cnn")
    data = found.get("data") or {}
    classes = 10
    if data.get("set") == "gaussian_mixture":
        classes = (data.get("mixture") or {}).get("classes", classes)
    return {"linear": classes, "mlp": 64, "lenet5": 84, "alexnet": 4096}.get(family, 128)
