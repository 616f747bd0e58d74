"""How often intervals of means over a few seeds hold the truth, and how wide they are.
`python -m benchmarks.few_units` prints docs/validation.md's table of them, some ten seconds.

Each row is a law of what a seed measures and a number of seeds; beside it stands Student's interval.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.estimates import student
from analysis.statistics.units import mean_of_units

Floats = NDArray[np.float64]
Law = Callable[[np.random.Generator, tuple[int, int]], Floats]  # values of mean zero, of that shape
LAWS: dict[str, Law] = {
    "normal": lambda rng, shape: rng.normal(0, 1, shape),
    "mildly skewed (Gamma of 4, skewness 1)": lambda rng, shape: rng.gamma(4.0, 1.0, shape) - 4,
    "strongly skewed (exponential, skewness 2)": lambda rng, shape: rng.exponential(1.0, shape) - 1,
    "a difference of two exponentials": lambda rng, shape: rng.laplace(0, 1, shape),
}
SEEDS = (3, 5, 10, 32)


class Row(NamedTuple):
    """Of one law and number of seeds: shares of the repetitions whose interval holds the mean, ours and
    Student's, and how wide ours are on average, Student's being 1."""

    law: str
    seeds: int
    covered: float
    student: float
    width: float


def row(law: str, seeds: int, repetitions: int, rng: np.random.Generator) -> Row:
    """What the intervals of so many repetitions come to."""
    values = LAWS[law](rng, (repetitions, seeds))
    ends = np.array([mean_of_units(one)[1:] for one in values])
    reach = student(seeds - 1) * values.std(axis=1, ddof=1) / np.sqrt(seeds)
    covered = np.mean((ends[:, 0] <= 0) & (ends[:, 1] >= 0))
    plain = np.mean(np.abs(values.mean(axis=1)) <= reach)
    return Row(
        law, seeds, float(covered), float(plain), float(np.ptp(ends, axis=1).mean() / (2 * reach.mean()))
    )


def rows(repetitions: int, seed: int = 1) -> Iterator[Row]:
    """Every law at every number of seeds."""
    rng = np.random.default_rng(seed)
    for law in LAWS:
        for seeds in SEEDS:
            yield row(law, seeds, repetitions, rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=20_000, help="of each row")
    print("| what a seed measures | seeds | covered, % | Student's, % | width, Student's being 1 |")
    print("| --- | --- | --- | --- | --- |")
    for one in rows(parser.parse_args().repetitions):
        shares = f"{100 * one.covered:.1f} | {100 * one.student:.1f}"
        print(f"| {one.law} | {one.seeds} | {shares} | {one.width:.2f} |")


if __name__ == "__main__":
    main()
