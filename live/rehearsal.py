"""Whether this machine can play a scenario's rates, found out before the run: the server is asked that often
for a second, with no work to do, and what it and the clients' side are late by is measured."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from live.service import Law
from sim.engine.wall_clock import Ask, Time, Word
from sim.errors import BadInput

REHEARSED_S = 1.0  # wall time
WAITED_S = 5.0  # for the last words
MOST_LATE_S = 0.1  # wall time by which it may have fallen behind


class Rehearsed(NamedTuple):
    """Wall seconds, the middle and the 99th percentile of each: how late attempts left (timer slack and the
    event loop's lag), from leaving to the start of service (dispatch, serialisation), and from its end to
    the client's side hearing of it (the way back). asked_hz: attempts per wall second that were played."""

    asked_hz: float
    late_s: tuple[float, float]
    dispatch_s: tuple[float, float]
    return_s: tuple[float, float]

    def as_json(self) -> dict[str, Any]:
        return {name: list(one) if isinstance(one, tuple) else one for name, one in self._asdict().items()}


async def rehearse(server: Any, clock: Time, law: Law, asked_hz: float) -> Rehearsed:
    """Asks at this rate for a wall second. Raises BadInput if that cannot be kept up."""
    server.take_law(law._replace(scale=[0.0] * len(law.scale), slow=[], origin=clock.origin))
    number = max(20, min(round(asked_hz * REHEARSED_S), 20_000))
    heard: dict[int, tuple[float, Word]] = {}
    server.hear = _into(heard, clock)
    left, late = np.zeros(number), np.zeros(number)
    began = time.monotonic() + 0.05
    for place in range(number):
        due = began + place / max(asked_hz, 20.0)
        wait = due - time.monotonic()
        if wait > 0 or place % 16 == 0:
            await asyncio.sleep(max(0.0, wait))
        left[place] = clock.now()
        late[place] = max(0.0, time.monotonic() - due)
        server.ask(Ask(place, 1.0, 1.0, math.inf, 0))
    until = time.monotonic() + WAITED_S
    while len(heard) < number and time.monotonic() < until:
        await asyncio.sleep(0.01)
    answered = [place for place, (_, word) in heard.items() if word.what == "answered"]
    told = [(word.started_s, word.finished_s, at) for at, word in map(heard.__getitem__, answered)]
    started, ended, came = np.array(told).reshape(-1, 3).T / clock.speed
    dispatch = started - left[answered] / clock.speed
    seen = float(np.median(late[-(number // 4) :]))  # a hiccup passes; who cannot keep up falls behind
    if len(heard) < number:
        seen = max(seen, REHEARSED_S + WAITED_S)
    if seen > MOST_LATE_S:
        raise BadInput(
            f"this machine cannot play {asked_hz:.0f} attempts/s: asked at that rate for a second, without "
            f"any work, it had fallen behind by {seen * 1e3:.0f} ms; take fewer clients or a lower --speed"
        )
    return Rehearsed(asked_hz, _middle(late), _middle(dispatch), _middle(came - ended))


def _into(heard: dict[int, tuple[float, Word]], clock: Time) -> Callable[[Word], None]:
    def hear(word: Word) -> None:
        heard[word.attempt] = clock.now(), word

    return hear


def _middle(found: Any) -> tuple[float, float]:
    if not len(found):
        return math.nan, math.nan
    median, high = np.quantile(found, [0.5, 0.99])
    return float(median), float(high)
