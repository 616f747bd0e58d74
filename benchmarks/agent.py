"""An agent that learns to set the price, beside the best fixed price: the cross-entropy method on a linear
rule, trained and judged on traffic of different seeds. Prints a table; needs Gymnasium.

Try: python -m benchmarks.agent --minutes 5
"""

from __future__ import annotations

import argparse
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from l2h_fleet.gym import FleetEnv, make_env

Floats = NDArray[np.float64]
FIXED = np.linspace(0.0, 1.0, 11)  # shares of requests to send
JUDGED_ON = range(1_000, 1_010)  # seeds of traffic, which training never sees
MEMORY = 0.8  # of what the agent saw a step ago in what it knows now
ELITE = 0.25
POPULATION = 12


def share(weights: Floats, seen: Floats) -> float:
    """The rule: a logistic function of a constant and of what was seen of attempts that ended."""
    return float(1.0 / (1.0 + np.exp(-np.clip(weights @ np.append(seen, 1.0), -30.0, 30.0))))


def episode(env: FleetEnv, weights: Floats | None, fixed: float, seed: int) -> float:
    """Risk per request of one run."""
    env.reset(seed=seed)
    risk, requests, seen, done = 0.0, 0, np.zeros(2), False
    while not done:
        action = fixed if weights is None else share(weights, seen)
        observed, _, _, done, info = env.step(np.array([action]))
        _, sent, answered, refused, timed_out, _ = observed.tolist()
        if sent * (answered + refused + timed_out) > 0:
            seen = MEMORY * seen + (1 - MEMORY) * np.array([answered, refused + timed_out])
        risk, requests = risk + info["risk"], requests + info["requests"]
    return risk / max(requests, 1)


def trained(env: FleetEnv, until: float) -> tuple[Floats, int]:
    """Weights after as many generations as fit, and how many those were; it begins at a fixed price."""
    draw, generation = np.random.default_rng(0), 0
    begin = min(FIXED[1:-1].tolist(), key=lambda at: episode(env, None, at, generation))
    mean, spread = np.array([0.0, 0.0, np.log(begin / (1.0 - begin))]), np.array([2.0, 2.0, 0.5])
    while perf_counter() < until:
        tried = mean + spread * draw.normal(size=(POPULATION, 3))
        found = [episode(env, one, 0.0, generation) for one in tried]
        best = tried[np.argsort(found)[: int(ELITE * POPULATION)]]
        mean, spread, generation = best.mean(axis=0), best.std(axis=0) + 0.05, generation + 1
        print(f"generation {generation}: best {min(found):.4f}, weights {np.round(mean, 2)}", flush=True)
    return mean, generation


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--minutes", type=float, default=5.0, help="wall time to train")
    words.add_argument("--scenario", default="intermittent")
    words.add_argument("--horizon", type=float, default=300.0, help="virtual seconds of an episode")
    asked = words.parse_args()
    env = make_env(asked.scenario, {"horizon_s": asked.horizon})
    weights, generations = trained(env, perf_counter() + 60 * asked.minutes)
    seeds = list(JUDGED_ON)
    fixed = {at: np.array([episode(env, None, at, seed) for seed in seeds]) for at in FIXED.tolist()}
    best = min(fixed, key=lambda at: float(fixed[at].mean()))
    mine = np.array([episode(env, weights, 0.0, seed) for seed in seeds])
    gain = fixed[best] - mine
    error = gain.std(ddof=1) / len(seeds) ** 0.5
    print(f"\n{'policy':<28}{'risk per request':>18}")
    for at, risks in fixed.items():
        print(f"{f'fixed: send {at:.1f}':<28}{risks.mean():>18.4f}")
    print(f"{f'agent, {generations} generations':<28}{mine.mean():>18.4f}")
    print(f"best fixed less agent: {gain.mean():+.4f} ± {2.26 * error:.4f} (95%, {len(seeds)} runs, paired)")


if __name__ == "__main__":
    main()
