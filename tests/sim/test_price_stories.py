"""Prices that remember, told request by request: what each sends, and what it makes of what it hears."""

from __future__ import annotations

from math import exp, log
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from stories import Story, devices, server

from sim.engine.handlers.deciding import memory_of, parameters_of

HALF = 0.5


def paying(kind: str, score: str = "plug_in", **price: Any) -> dict[str, Any]:
    return {"policy": {"score": score, "price": {"kind": kind, **price}}}


def every(step_s: float, until_s: float) -> list[tuple[float, int]]:
    return [(step_s * k, 0) for k in range(int(until_s / step_s))]


def test_a_controlled_rate_of_a_half_sends_one_of_every_two():
    """All scores tie, so luck decides the first of a pair; a gain of 2 leaves no doubt about the second."""
    told = Story(
        *every(0.5, 20.0),
        fleet=devices(**paying("rate_controller", "l2h", rate=HALF, gain=2.0)),
        server={"service": {"kind": "affine", "base_s": 0.1}},
        score=1.0,
    )
    pairs = np.reshape(told["deferred"], (-1, 2))
    assert pairs.sum(axis=1).tolist() == [1] * 20
    assert 3 < pairs[:, 0].sum() < 17
    assert set(np.reshape(told["propensity"], (-1, 2))[:, 0]) == {HALF}


def test_a_virtual_queue_sends_until_it_is_long_and_then_as_fast_as_it_drains():
    """What gains 0.5 is sent while Q < 2: Q is 0, 0.75, 1.5, 2.25, 2, 1.75 at the first six, and after them
    it drains by one in two seconds."""
    told = Story(
        *every(0.5, 12.0),
        fleet=devices(**paying("drift_plus_penalty", v=4.0, rate_hz=HALF)),
        server={"service": {"kind": "affine", "base_s": 0.1}},
        score=HALF,
    )
    sent = [at for at, deferred in zip(told["decided_at_s"], told["deferred"], strict=True) if deferred]
    assert sent == [0.0, 0.5, 1.0, 2.5, 4.5, 6.5, 8.5, 10.5]


SILENT = {"when_down": "silent"}


def doubting(**parts: Any) -> dict[str, Any]:
    return devices(timeout_s=1.0) | paying("availability_aware", memory_s=4.0, probe_every_s=6.0) | parts


def test_silence_makes_an_answer_dear_and_a_probe_finds_out_when_it_is_over():
    """What gains 0.25 is sent while a > c_e/0.25 = 0.4. From 5 s on nothing is answered; the last answer came
    at 4 s, and since then a falls as exp(-t/4), so from 4 + 4·ln 2.5 = 7.67 s on the price is too high. The
    last send, at 7.5 s, makes a probe due at 13.5 s, which fails; the next, at 19.5 s, is answered."""
    told = Story(
        *((at + 0.5, 0) for at in range(30)),
        fleet=doubting(),
        server=server(down=((5.0, 16.0),), **SILENT) | {"service": {"kind": "affine", "base_s": 0.5}},
        horizon_s=30.0,
        score=0.25,
        costs={"c_e": 0.1},
    )
    sent = [at for at, deferred in zip(told["decided_at_s"], told["deferred"], strict=True) if deferred]
    before = [at + 0.5 for at in range(8)]
    # At 20 s the answer stands for the 5.5 s since the failure that was heard of at 14.5 s.
    a = 1.0 - exp(-5.5 / 4.0) * (1.0 - exp(-(14.5 - 4.0) / 4.0))
    assert a > 0.4
    assert sent == [*before, 13.5, 19.5, *(at + 0.5 for at in range(20, 30))]


def test_it_stops_at_the_instant_that_the_memory_says():
    """Failures are heard of each quarter of a second from 2 s on; the first stands for all the time since the
    last answer, at 0.76 s."""
    stops_at_s = 0.76 + 2.0 * log(0.8 / 0.1)
    told = Story(
        *every(0.25, 12.0),
        fleet=devices(timeout_s=1.0) | paying("availability_aware", memory_s=2.0, probe_every_s=60.0),
        server=server(down=((1.0, 20.0),), **SILENT) | {"service": {"kind": "affine", "base_s": 0.01}},
        score=0.8,
        costs={"c_e": 0.1},
    )
    sent = [at for at, deferred in zip(told["decided_at_s"], told["deferred"], strict=True) if deferred]
    assert stops_at_s - 0.25 <= sent[-1] < stops_at_s


def test_where_only_answers_are_charged_silence_costs_nothing():
    told = Story(
        *every(1.0, 20.0),
        fleet=doubting(),
        server=server(down=((5.0, 16.0),), **SILENT),
        score=0.11,
        costs={"c_e": 0.1, "charge_on": "answer"},
    )
    assert all(told["deferred"])


@pytest.mark.parametrize(("when_down", "sends"), [("refuse", True), ("silent", False)])
def test_a_refusal_that_is_not_charged_costs_nothing_and_silence_might(when_down, sends):
    """Charged is what is accepted: an error says that it was not, and P(charged)/a stays what it was."""
    told = Story(
        *every(0.5, 12.0),
        fleet=doubting(),
        server=server(down=((0.0, 20.0),), when_down=when_down),
        score=0.2,
        costs={"c_e": 0.1, "charge_on": "accept"},
    )
    assert told["deferred"][:3] == [True] * 3
    assert told["deferred"][-1] == sends


def test_a_backlog_that_is_told_raises_the_price_until_a_smaller_one_is():
    """Client 1 fills the queue at 0 s. Client 0 asks at 0.1 s and is answered after the nine others, at
    10 s; two ask later, so it is told of 2, and what gains 0.35 is not above 0.1 + 0.125·2. What it asked at
    9.9 s leaves an empty queue behind."""
    others = (*tuple((0.0, 1) for _ in range(9)), (5.0, 1), (6.0, 1))
    told = Story(
        *others,
        *((at, 0) for at in (0.1, 9.9, 10.5, 60.0)),
        fleet=[devices("asks", **paying("queue_aware", weight=0.125)), devices("fills")],
        horizon_s=70.0,
        score=0.35,
        costs={"c_e": 0.1},
    )
    assert told["deferred"][:4] == [True, True, False, True]


def test_a_backlog_that_fades_is_asked_about_again():
    """Told of 2 at 10 s, with a memory of 10 s: 0.1 + 0.25·exp(-t/10) is below 0.2 from 9.17 s later on."""
    others = (*tuple((0.0, 1) for _ in range(9)), (5.0, 1), (6.0, 1))
    told = Story(
        *others,
        *((at, 0) for at in (0.1, 18.9, 19.4)),
        fleet=[devices("asks", **paying("queue_aware", weight=0.125, memory_s=10.0)), devices("fills")],
        horizon_s=40.0,
        score=0.2,
        costs={"c_e": 0.1},
    )
    assert told["deferred"][:3] == [True, False, True]


def test_an_error_tells_of_the_queue_and_silence_does_not():
    """One place in the queue, taken: the second client is told of one who waits."""
    told = Story(
        (0.0, 1),
        (0.1, 1),
        *((at, 0) for at in (0.2, 0.3, 15.0)),
        fleet=[devices("asks", **paying("queue_aware", weight=0.5)), devices("fills")],
        server=server(queue_limit=1),
        score=0.5,
        costs={"c_e": 0.1},
    )
    assert told["outcome"][:3] == ["refused", "local", "local"]
    silent = Story(
        (0.0, 0),
        (2.0, 0),
        fleet=devices(timeout_s=1.0) | paying("queue_aware", weight=0.5),
        server=server(down=((0.0, 9.0),), **SILENT),
        score=0.5,
        costs={"c_e": 0.1},
    )
    assert silent["deferred"] == [True, True]


def test_a_request_that_is_kept_is_answered_at_its_decision_and_never_sent():
    told = Story(
        (0.0, 0),
        fleet=devices(device={"inference_s": 0.25}, **paying("queue_aware", weight=0.5)),
        score=0.05,
        costs={"c_e": 0.1},
    )
    assert (told["outcome"], told["answered_at_s"], told["attempts"]) == (["local"], [0.25], [0])
    assert (told["sent_at_s"], told["propensity"]) == ([None], [0.0])


def test_a_send_that_comes_too_late_is_timed_out():
    told = Story(
        (0.0, 0),
        fleet=devices(device={"inference_s": 1.0}, deadline_s=1.0, **paying("queue_aware", weight=0.5)),
        score=0.5,
        costs={"c_e": 0.1},
    )
    assert (told["outcome"], told["deferred"], told["attempts"]) == (["timed_out"], [True], [0])


def test_whoever_asks_again_only_after_the_last_word_decides_as_it_hears():
    """A closed loop: what is kept at once lets the client think at once."""
    told = Story(
        fleet=devices(
            arrivals={"process": {"kind": "closed_loop", "think": 1.0}},
            **paying("availability_aware", memory_s=1.0, probe_every_s=4.0),
            timeout_s=1.0,
        ),
        server=server(down=((3.0, 9.0),), **SILENT) | {"service": {"kind": "affine", "base_s": 0.5}},
        score=0.15,
        costs={"c_e": 0.1},
    )
    assert {"local", "remote", "timed_out"} == set(told["outcome"]) - {"in_flight"}
    at, resolved = np.array(told["arrived_at_s"]), np.array(told["answered_at_s"], dtype=float)
    assert at[1:] == pytest.approx(resolved[: len(at) - 1] + 1.0)


def test_a_price_is_handed_the_numbers_of_its_own_client_and_group_alone():
    numbers = list(range(6))
    w = SimpleNamespace(
        clients=SimpleNamespace(memory=numbers),
        groups=SimpleNamespace(parameters=numbers),
        constants=SimpleNamespace(memory=2, parameters=3),
    )
    assert [memory_of(w, client) for client in range(3)] == [[0, 1], [2, 3], [4, 5]]
    assert [parameters_of(w, group) for group in range(2)] == [[0, 1, 2], [3, 4, 5]]
