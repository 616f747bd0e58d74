"""When replications agree with a number, and how small a disagreement they would have found.
The tolerance is the replications' own standard error; the chances of both kinds of mistake are stated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from queues import Run, run
from scipy import optimize, stats

from sim.scenario import Scenario

FALSE_ALARM = 1e-3  # how often a right simulator would fail one comparison, over sets of seeds
POWER = 0.9  # with this probability an error of the stated size is found

Statistics = Callable[[Run], Mapping[str, float]]


def replicate(
    scenario: Scenario | Callable[[int], Scenario], seeds: range, statistics: Statistics
) -> pd.DataFrame:
    """One row per seed: what `statistics` finds in independent runs."""
    rows = []
    for seed in seeds:
        made = scenario(seed) if callable(scenario) else scenario
        rows.append(dict(statistics(run(made.model_copy(update={"seed": seed})))))
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Comparison:
    """One figure: what it should be, and what the replications say."""

    name: str
    should_be: float
    simulated: float
    standard_error: float
    freedom: int  # degrees of freedom of the standard error

    @property
    def p_value(self) -> float:
        """Of the two-sided t-test."""
        return float(2 * stats.t.sf(abs(self.simulated - self.should_be) / self.standard_error, self.freedom))

    @property
    def disagrees(self) -> bool:
        return not self.p_value >= FALSE_ALARM

    @property
    def finds(self) -> float:
        """The smallest error found with probability POWER, relative to `should_be`."""
        return smallest_found(self.standard_error, self.freedom) / self.should_be

    def __str__(self) -> str:
        figures = f"{self.should_be:.5g}, found {self.simulated:.5g} ± {self.standard_error:.2g}"
        return f"{self.name}: {figures}, p = {self.p_value:.3f}, finds {self.finds:.1%}"


NONE: dict[str, float] = {}


def with_truth(
    simulated: pd.DataFrame, truth: Mapping[str, float], controls: Mapping[str, float] = NONE
) -> list[Comparison]:
    """A t-test per figure: the means of the replications against the exact values.

    controls: further columns whose expectations are known as well, such as the arrival rate. What the
    figures owe to their chance is taken out by regression (control variates: Law, Simulation Modeling and
    Analysis, 11.4); without controls this is Student's test of a mean. The controls are compared as well, as
    they are: a regression on a wrong arrival rate would hide that it is wrong.
    """
    assert set(simulated) == set(truth) | set(controls)
    chance = simulated[list(controls)].to_numpy() - np.array(list(controls.values()))
    design = np.column_stack([np.ones(len(simulated)), chance])
    made = []
    for name, exact in {**truth, **controls}.items():
        regressors = design if name in truth else design[:, :1]
        fit, error, freedom = _regress(regressors, simulated[name].to_numpy(), 0)
        made.append(Comparison(name, exact, float(fit[0]), error, freedom))
    return made


def with_other(ours: pd.DataFrame, theirs: pd.DataFrame, controls: Sequence[str] = ()) -> list[Comparison]:
    """A t-test per figure: the means of two simulators over independent replications of one model.

    controls: columns that hold the chance of the draws, taken out by regression and compared as above; one
    that does not vary must be the same for both. The runs of both must be equally long, so that they vary
    alike.
    """
    assert set(ours) == set(theirs)
    both = pd.concat([ours, theirs])
    kept = [name for name in controls if both[name].std() > 1e-9 * abs(both[name].mean())]
    is_ours = np.repeat([1.0, 0.0], [len(ours), len(theirs)])
    chance = (both[kept] - both[kept].mean()).to_numpy()
    design = np.column_stack([np.ones(len(both)), is_ours, chance])
    fixed = both[[name for name in controls if name not in kept]]
    np.testing.assert_allclose(fixed, np.broadcast_to(fixed.mean(), fixed.shape), rtol=1e-6)
    made = []
    for name in ours.columns.difference(fixed.columns, sort=False):
        regressors = design[:, :2] if name in kept else design
        fit, error, freedom = _regress(regressors, both[name].to_numpy(), 1)
        made.append(Comparison(str(name), float(fit[0]), float(fit[0] + fit[1]), error, freedom))
    return made


def _regress(design: np.ndarray, column: np.ndarray, which: int) -> tuple[np.ndarray, float, int]:
    """Coefficients, the standard error of the one at `which`, degrees of freedom (ordinary least squares)."""
    freedom = len(column) - design.shape[1]
    fit = np.linalg.lstsq(design, column)[0]
    variance = ((column - design @ fit) ** 2).sum() / freedom * np.linalg.inv(design.T @ design)[which, which]
    return fit, float(np.sqrt(variance)), freedom


def assert_agreement(comparisons: list[Comparison], finds: Mapping[str, float]) -> None:
    """Every comparison agrees, and those in `finds` find at least the relative error claimed for them there.

    So a test fails as well if it is too weak for what it says. Prints the figures (`pytest -rP` shows them).
    """
    assert {one.name for one in comparisons} >= set(finds)
    print(*comparisons, sep="\n")
    assert [str(one) for one in comparisons if one.disagrees] == []
    assert [str(one) for one in comparisons if one.finds > finds.get(one.name, np.inf)] == []


def smallest_found(error: float, freedom: float) -> float:
    """The shift of a mean with this standard error that the t-test finds with probability POWER.

    Where the non-central t distribution lies beyond the upper bound often enough. (That it lies below the
    lower one instead has a chance below FALSE_ALARM / 2, which is left out.)
    """
    bound = stats.t.ppf(1 - FALSE_ALARM / 2, freedom)
    shift = optimize.brentq(lambda shift: stats.nct.sf(bound, freedom, shift) - POWER, 0.0, 2 * bound + 2)
    return float(shift * error)
