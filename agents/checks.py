"""What a scenario asks of the learners and its schema cannot judge, found out without training anything.
Used by the command `check` and before every fleet is opened."""

from __future__ import annotations

from collections.abc import Mapping

from agents.data.class_counts import warn_of_shortfalls
from agents.models import families
from agents.models.frozen import BATCH
from agents.models.own_models import OwnModel, require_own
from agents.plan import Plan, make_plan
from agents.rejectors import stacked
from sim.errors import BadInput
from sim.registry.families import REJECTOR_FAMILIES
from sim.scenario import Group, Scenario


def validate(scenario: Scenario) -> None:
    """Returns if the learners can do what the scenario says. Raises BadInput, one line, if not."""
    checked_plan(scenario)


def checked_plan(scenario: Scenario, models: Mapping[str, OwnModel] | None = None) -> Plan:
    """The plan of a scenario that passes every check. models: objects that a caller brings, by name. Raises
    BadInput, one line, if a check fails."""
    families.require_known(scenario.server.model.family, "server.model.family")
    for group in scenario.fleet:
        families.require_known(group.model.family, f"fleet.{group.group}.model.family")
    plan = make_plan(scenario, models or ())
    require_own(plan, models or {})
    if plan.given is None:
        _check_models(plan)
        warn_of_shortfalls(plan)
    for place, group in enumerate(scenario.fleet):
        if plan.served[place]:
            _check_pictures(plan, group)
            for phase in plan.phases[place]:
                plan.class_weights_at(place, phase.at_s)
    return plan


def _check_models(plan: Plan) -> None:
    """Raises BadInput if a family cannot take the images, or batches as small as some would be."""
    pretrain, server = plan.scenario.training.pretrain, plan.scenario.server.model
    batch = min(pretrain.batch, len(plan.pools.server))
    asked = set() if plan.has_given_server else {("server.model", server.family, server.image_size, batch)}
    for place, (group, drawn) in enumerate(zip(plan.scenario.fleet, plan.trains_on, strict=True)):
        if plan.is_brought(place):
            continue
        batch = min(BATCH, *(len(sample_ids) for sample_ids in drawn))
        asked.add((f"fleet.{group.group}.model", group.model.family, group.model.image_size, batch))
    for path, family, size, batch in sorted(asked, key=str):
        families.require_fit(
            family, plan.data.image_shape, plan.data.classes, image_size=size, batch=batch, path=path
        )


def _check_pictures(plan: Plan, group: Group) -> None:
    """A rejector that looks at pictures must be given some that are large enough."""
    family, path = group.rejector.family, f"fleet.{group.group}.rejector"
    _, height, width = plan.data.image_shape
    if not len(plan.rejector_pool):
        raise BadInput(f"{path}: is trained, and the pool 'rejector' has no sample")
    if REJECTOR_FAMILIES[family].convolutions:
        if group.rejector.input == "features":
            raise BadInput(f"{path}.input: 'features' holds no picture for {family}; use raw or raw+features")
        if not stacked.fits(family, height, width):
            raise BadInput(
                f"{path}.family: '{family}' leaves nothing of pictures of {height}x{width}; use linear or mlp"
            )
