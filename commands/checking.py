"""Whether a scenario, a study or every cell of many can run, found out without running anything.
Between the commands and `agents.checks`; loads neither clocks nor learners."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from agents.checks import validate
from commands.progress import Reporter, reporting
from sim.errors import BadInput
from sim.scenario import Scenario, read
from sim.scenario.schema.policy_study import ReadStudy, read_study
from sim.scenario.text.grid import Variant
from sim.scenario.text.wording import show as shown

PATIENCE_S = 5.0  # wall time


def load(scenario: str, changes: Sequence[str], seed: int | None) -> Scenario:
    """Reads a scenario and asks the learners whether they can do what it says. Raises BadInput."""
    plan = read(scenario, changes, seed)
    validate(plan)
    return plan


def check_study(source: str, changes: Sequence[str], seed: int | None) -> None:
    """What `check` says of a study; raises BadInput where a policy or their traffic is not in order."""
    if seed is not None:
        raise BadInput("--seed: a study holds its seeds itself: --set seed=N changes the first")
    with reporting(quiet=True) as progress:
        wanted = read_study(source, changes)
        validate_all(variants_of(wanted), progress)
    seeds = len(next(iter(wanted.policies.values())))
    print(
        f"{wanted.name}: fine ({len(wanted.policies)} policies, {seeds} seeds; baseline {wanted.baseline}; "
        "the same traffic for all)"
    )


def variants_of(wanted: ReadStudy) -> list[Variant]:
    return [
        Variant({"policy": name}, scenario)
        for name, scenarios in wanted.policies.items()
        for scenario in scenarios
    ]


def validate_all(combined: Sequence[Any], progress: Reporter) -> None:
    """Asks the learners whether they can do every cell. Raises BadInput for the first that they cannot."""
    began = time.monotonic()
    for number, variant in enumerate(combined):
        if time.monotonic() - began > PATIENCE_S:  # a refusal stands alone unless it takes long to find
            progress.report("check", number, len(combined))
        try:
            validate(variant.scenario)
        except BadInput as error:
            where = ", ".join(f"{path}={shown(value)}" for path, value in variant.chosen.items())
            raise error.told(after=f" (where {where})" if where else "") from None
