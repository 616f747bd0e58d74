"""Prices that learn from answers: how their regret grows, and what a decision costs.

Regret is what one client pays more than the best fixed threshold in hindsight, in a world of ten levels of
the score whose errors are drawn, with a server that is right (`tests/online_worlds.py`), played by the
compiled loop: at a tenth of the requests and at all of them, with what is tuned to the horizon tuned to each.
`ratio` is the one over the other, `law` what the order of growth would give; medians over the seeds.
Lyapunov-EXP4 is held against the best threshold that sends as much as it may, without c_e; the weighted
median at c_e = 1/2 and at 0.3.

`ns` is the time of a decision, with what is heard of it where it was sent, in compiled code that calls the
price's functions by address as the event loop does, at sixteen levels; `fixed` is a price that never changes
in the same loop, so the difference is what learning costs. Medians of the rounds. The last line is one JSON
object.

`python -m benchmarks.regret [--requests N] [--seeds N] [--rounds N]`
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from math import inf, log, sqrt
from typing import Any

import numba
import numpy as np
from online_worlds import C_E, learned_for, learner, losses, played, scenario_for
from worlds import group_of, scenario_of

from analysis.metrics.regret import best_threshold
from sim.engine.arrays.layout import OF_PRICES
from sim.engine.compiled_functions import SIGNATURES, NoPrice, compiled_price
from sim.policy.controllers import moving_price
from sim.policy.outcomes import Outcome, Request

LOGARITHM, ROOT, TWO_THIRDS = "log T", "T^1/2", "T^2/3"
CONTESTS: dict[str, tuple[str, str]] = {  # the price and its law
    "hi_lcb": ("hi_lcb", LOGARITHM),
    "hi_lcb_lite": ("hi_lcb_lite", LOGARITHM),
    "ucb": ("ucb", LOGARITHM),
    "thompson": ("thompson", LOGARITHM),
    "hedge_queue": ("hedge_queue", ROOT),
    "lyapunov_exp4": ("lyapunov_exp4", ROOT),
    "h2t2": ("h2t2", TWO_THIRDS),
    "weighted_median": ("weighted_median", "none"),
    "weighted_median_at_its_price": ("weighted_median", "none"),
}
RATE = 0.3  # of Lyapunov-EXP4
DECISIONS = 200_000


def tuned(kind: str, horizon: int) -> dict[str, Any]:
    """What its law asks for at this many requests."""
    if kind == "h2t2":
        return {"eta": 30 * horizon ** (-2 / 3), "epsilon": min(1.0, 2 * horizon ** (-1 / 3)), "queue": 64}
    if kind in ("hedge_queue", "lyapunov_exp4"):
        found: dict[str, Any] = {"eta": 2 / sqrt(horizon), "epsilon": min(RATE, 5 / sqrt(horizon))}
        return found | ({"rate": RATE, "v": sqrt(horizon)} if kind == "lyapunov_exp4" else {})
    return {}


def regret(name: str, requests: int, seed: int) -> float:
    kind = CONTESTS[name][0]
    c_e = 0.5 if name.endswith("at_its_price") else C_E
    scenario = scenario_for(learner(kind, **tuned(kind, requests)), requests, seed=seed, c_e=c_e)
    rows = played(scenario, learned_for(scenario, seed=seed))
    paid, kept, sent = losses(rows, c_e=c_e)
    score = rows["score"].to_numpy(dtype=float)
    if kind == "lyapunov_exp4":
        best = float(np.quantile(score, 1 - RATE))
        paid, sent = np.where(rows["deferred"], 0.0, kept), np.zeros(len(sent))
    else:
        best = best_threshold(score, kept, sent)
    return float((paid - np.where(score > best, sent, kept)).sum())


def growth(name: str, requests: int, seeds: int) -> dict[str, Any]:
    law = {LOGARITHM: log(requests) / log(requests / 10), ROOT: sqrt(10), TWO_THIRDS: 10 ** (2 / 3)}
    tenth, whole = (
        statistics.median(regret(name, n, seed) for seed in range(seeds)) for n in (requests // 10, requests)
    )
    told = law.get(CONTESTS[name][1])
    return {
        "regret_at_a_tenth": round(tenth, 1),
        "regret": round(whole, 1),
        "ratio": round(whole / tenth, 2),
        "law": CONTESTS[name][1],
        "law_gives": round(told, 2) if told else None,
    }


def _decide(
    threshold: Any, on_decision: Any, on_outcome: Any, p: Any, m: Any, score: Any, is_wrong: Any, draw: Any
) -> Any:
    sends = 0
    for place in range(len(score)):
        now = 0.01 * place
        asked = Request(place, 0, score[place], now, inf, 0, draw[place], 1.0)
        is_sent = score[place] > threshold(p, m, now, asked)
        on_decision(p, m, now, is_sent)
        if is_sent:
            sends += 1
            heard = Outcome(place, 0, score[place], 0, now, 1, 0, is_wrong[place], 0)
            on_outcome(p, m, now, heard)
    return sends


_FLOATS, _WHOLE = numba.types.Array(numba.types.float64, 1, "C"), numba.types.Array(numba.types.int64, 1, "C")
decide = numba.njit(
    (
        *(numba.types.FunctionType(one) for one in SIGNATURES[: len(OF_PRICES)]),
        _FLOATS,
        _FLOATS,
        _FLOATS,
        _WHOLE,
        _FLOATS,
    )
)(_decide)


def cost(rounds: int) -> dict[str, Any]:
    """Nanoseconds a decision, and the share that was sent."""
    draw = np.random.default_rng(0)
    score, luck = draw.random(DECISIONS), draw.random(DECISIONS)
    is_wrong = (draw.random(DECISIONS) < score**2).astype(np.int64)
    players: dict[str, tuple[Any, Any, Any]] = {"fixed": (NoPrice, np.array([0.0]), np.array([0.0]))}
    for kind, _ in CONTESTS.values():
        keys = {"rate": RATE} if kind == "lyapunov_exp4" else {}
        policy = {"score": "l2h", "price": {"kind": kind, "levels": 16, **keys}}
        scenario = scenario_of(fleet=(group_of(policy=policy),), costs={"c_e": C_E})
        price: Any = moving_price(scenario, scenario.fleet[0])
        players[kind] = type(price), np.array(price.parameters()), np.array(price.begin())
    found: dict[str, list[float]] = {name: [] for name in players}
    shares = {}
    for _ in range(rounds):
        for name, (kind, p, begin) in players.items():
            functions, m = [one.dispatcher for one in compiled_price(kind)], begin.copy()
            at = score + (-0.56 if name == "fixed" else 0.0)  # NoPrice compares with 0
            began = time.process_time()
            sends = decide(*functions, p, m, at, is_wrong, luck)
            found[name].append(1e9 * (time.process_time() - began) / DECISIONS)
            shares[name] = round(sends / DECISIONS, 3)
    return {
        name: {"ns": round(statistics.median(took), 1), "sent": shares[name]} for name, took in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args()
    results: dict[str, Any] = {"decision": cost(chosen.rounds)}
    print("decision", results["decision"])
    for name in CONTESTS:
        results[name] = growth(name, chosen.requests, chosen.seeds)
        print(name, results[name])
    print(json.dumps(results))


if __name__ == "__main__":
    main()
