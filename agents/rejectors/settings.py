"""Settings: the ways in which a rejector can be trained, the run's own and those of a study.
All of one group see the same batches and start from the same weights, so they differ by the setting alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from sim.registry.scores import SCORES
from sim.scenario import Group, Scenario
from sim.scenario.schema.training import Study


@dataclass(frozen=True)
class Setting:
    """A score with its costs, and how its rejector is trained. form is "" where the loss has none; sync_every
    is "" for a score that is not trained.
    """

    score: str
    form: str
    c_e: float
    c_1: float
    sync_every: int | str

    def interval(self, steps_per_epoch: int) -> int:
        """Batches between two refreshes of the client side's copy of the server."""
        return steps_per_epoch if self.sync_every == "epoch" else int(self.sync_every)


def setting(score: str, form: str, c_e: float, c_1: float, sync_every: int | str) -> Setting:
    """A setting, without the parts that its score has no use for."""
    known = SCORES[score]
    return Setting(
        score,
        form if "form" in known.depends_on else "",
        c_e,
        c_1,
        sync_every if known.needs_rejector else "",
    )


def own_setting(scenario: Scenario, score: str) -> Setting:
    """How the scenario itself trains a score."""
    costs, training = scenario.costs, scenario.training
    return setting(score, training.form, costs.c_e, costs.c_1, training.pretrain.sync_every)


def costs_of(scenario: Scenario) -> tuple[tuple[float, float], ...]:
    """The pairs (c_e, c_1) that are looked at: the scenario's own first, then those of its study."""
    costs, study = scenario.costs, scenario.study or Study()
    grid = product(study.c_e or (costs.c_e,), study.c_1 or (costs.c_1,))
    return tuple(dict.fromkeys([(costs.c_e, costs.c_1), *grid]))


def settings_of(scenario: Scenario, group: Group) -> tuple[Setting, ...]:
    """The settings that a group's rejectors are trained in, each once: the run's own first, then every
    trained score of the study at the scenario's own costs, then the study's whole grid.
    """
    study, training = scenario.study or Study(), scenario.training
    scores = study.score or (group.policy.score,)
    grid = (
        setting(score, form, c_e, c_1, sync_every)
        for score, form, c_e, c_1, sync_every in product(
            scores,
            study.form or (training.form,),
            study.c_e or (scenario.costs.c_e,),
            study.c_1 or (scenario.costs.c_1,),
            study.sync_every or (training.pretrain.sync_every,),
        )
    )
    own = (own_setting(scenario, score) for score in (group.policy.score, *scores))
    return tuple(each for each in dict.fromkeys([*own, *grid]) if SCORES[each.score].needs_rejector)


def network_of(scenario: Scenario, each: Setting) -> Setting:
    """A setting without what its training does not look at: equal ones share one rejector. Where a rejector
    learns only about what it sends, it looks at the price too.
    """
    if scenario.training.feedback == "deferred_only":
        return each
    used = SCORES[each.score].depends_on
    return replace(each, c_e=each.c_e if "c_e" in used else 0.0, c_1=each.c_1 if "c_1" in used else 0.0)


def networks_of(scenario: Scenario, group: Group) -> dict[Setting, tuple[Setting, ...]]:
    """The distinct ways in which a group's rejectors are trained, the run's own first of its score, each with
    the settings that it serves.
    """
    served: dict[Setting, list[Setting]] = {}
    for each in settings_of(scenario, group):
        served.setdefault(network_of(scenario, each), []).append(each)
    return {network: tuple(settings) for network, settings in served.items()}
