"""What a scenario asks of the learners and its schema cannot judge, found out without training anything.
Used by the command `check` and before every fleet is opened; loads torch only where the registry does not
settle it."""

from __future__ import annotations

from agents.data.class_counts import warn_of_shortfalls
from agents.data.named_samples import require_known_samples
from agents.plan import CLIENT_BATCH, Plan, make_plan
from sim.errors import BadInput
from sim.registry.families import REJECTOR_FAMILIES, model_family
from sim.scenario import Group, Scenario


def validate(scenario: Scenario) -> None:
    """Returns if the learners can do what the scenario says. Raises BadInput, one line, if not."""
    checked_plan(scenario)


def checked_plan(scenario: Scenario) -> Plan:
    """The plan of a scenario that passes every check. Raises BadInput, one line, if one fails."""
    _require_known(scenario.server.model.family, "server.model.family")
    for group in scenario.fleet:
        _require_known(group.model.family, f"fleet.{group.group}.model.family")
    plan = make_plan(scenario)
    _check_models(plan)
    warn_of_shortfalls(plan)
    for place, group in enumerate(scenario.fleet):
        if plan.served[place]:
            _check_pictures(plan, group)
            for phase in plan.phases[place]:
                plan.class_weights_at(place, phase.at_s)
    require_known_samples(scenario, plan.samples, plan.phases)
    return plan


def _require_known(family: str, path: str) -> None:
    known = model_family(family)
    if known is None or known.least_side is None:
        from agents.models import families  # noqa: PLC0415  (torch takes seconds to load)

        families.require_known(family, path)


def _check_models(plan: Plan) -> None:
    """Raises BadInput if a family cannot take the images, or batches as small as some would be."""
    pretrain, server = plan.scenario.training.pretrain, plan.scenario.server.model
    batch = min(pretrain.batch, len(plan.pools.server))
    asked = {("server.model", server.family, server.image_size, batch)}
    for group, drawn in zip(plan.scenario.fleet, plan.trains_on, strict=True):
        batch = min(CLIENT_BATCH, *(len(sample_ids) for sample_ids in drawn))
        asked.add((f"fleet.{group.group}.model", group.model.family, group.model.image_size, batch))
    _, height, width = plan.data.image_shape
    for path, family, size, batch in sorted(asked, key=str):
        known = model_family(family)
        if known is None or not known.surely_fits(height, width, size):
            from agents.models import families  # noqa: PLC0415  (torch takes seconds to load)

            families.require_fit(
                family, plan.data.image_shape, plan.data.classes, image_size=size, batch=batch, path=path
            )


def _check_pictures(plan: Plan, group: Group) -> None:
    """A rejector that looks at pictures must be given some that are large enough."""
    family, path = group.rejector.family, f"fleet.{group.group}.rejector"
    _, height, width = plan.data.image_shape
    if REJECTOR_FAMILIES[family].convolutions:
        if group.rejector.input == "features":
            raise BadInput(f"{path}.input: 'features' holds no picture for {family}; use raw or raw+features")
        if not REJECTOR_FAMILIES[family].fits(height, width):
            raise BadInput(
                f"{path}.family: '{family}' leaves nothing of pictures of {height}x{width}; use linear or mlp"
            )
