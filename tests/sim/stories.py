"""Tiny scenarios told request by request: what the exact time-line tests are written with.

Both clocks and the definition play each story, and must tell it alike. Unless a story says otherwise a client
sends everything over a link that takes no time, and the server takes one second.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from worlds import (
    WrittenArrivals,
    differences,
    group_of,
    made_up,
    product_with_energy,
    reference_with_energy,
    scenario_of,
)

from sim.engine.choice import EnginePath

LOCAL = {"score": "l2h", "price": {"kind": "always_local"}}


def devices(name: str = "devices", **parts: Any) -> dict[str, Any]:
    """A group over a link of the given latency, in seconds."""
    latency = parts.pop("latency", 0.0)
    return group_of(name, **({"link": {"latency": latency}} | parts))


def server(
    down: tuple[tuple[float, float], ...] = (), replicas_down: Any = (), **parts: Any
) -> dict[str, Any]:
    """A server of one second per batch with the given outages of all, or of one replica."""
    targets = ((down, {"kind": "server"}), (replicas_down, {"kind": "replicas", "count": 1}))
    outages = tuple(
        {"when": {"kind": "intervals", "at": at}, "target": target} for at, target in targets if at
    )
    return {"service": {"kind": "affine", "base_s": 1.0}, "outages": outages} | parts


def retries(attempts: int, backoff_s: float, **parts: Any) -> dict[str, Any]:
    return {"attempts": attempts, "backoff_s": backoff_s, "jitter": "none", "allowance": None} | parts


class Story:
    """What happened to requests that arrived at the given (instant, client), in the order of their ids.

    score: of every sample, or a row of one for each option, if not as it is made up.
    """

    def __init__(
        self,
        *arrivals: tuple[float, int],
        fleet: Any = None,
        server: Any = None,
        horizon_s: float = 20.0,
        score: Any = None,
        **parts: Any,
    ) -> None:
        fleet = fleet or devices()
        scenario = scenario_of(
            horizon_s=horizon_s,
            fleet=tuple(fleet) if isinstance(fleet, list) else (fleet,),
            server=None if "servers" in parts else server or {"service": {"kind": "affine", "base_s": 1.0}},
            **parts,
        )
        learned, written = made_up(scenario), WrittenArrivals(arrivals)
        if score is not None:
            for table in learned.tables.groups:
                table.score[:] = score
        ours, theirs = (
            loop(scenario, learned, written, 60.0) for loop in (product_with_energy, reference_with_energy)
        )
        compiled = product_with_energy(scenario, learned, written, 60.0, path=EnginePath("compiled", ""))
        for mine, other, told in zip(ours, compiled, theirs, strict=True):
            assert differences(mine, told) == []
            assert mine.equals(other)
        self.requests, self.attempts, self.energy = ours

    def __getitem__(self, column: str) -> list[Any]:
        """A column of the requests, None where nothing happened."""
        return _values(self.requests, column)

    def sends(self, column: str) -> list[Any]:
        """A column of the attempts of requests that took several."""
        return _values(self.attempts, column)


def _values(frame: pd.DataFrame, column: str) -> list[Any]:
    return [None if pd.isna(value) else value for value in frame[column].tolist()]
