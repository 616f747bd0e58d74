"""What a scenario asks of the learners and its schema cannot judge, found out without training anything.
Used by the command `check` and before every fleet is opened; loads torch only where the registry does not
settle it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from pathlib import PurePath
from typing import Any

import numpy as np

from agents.brought_names import files_of
from agents.data.class_counts import warn_of_shortfalls
from agents.plan import CLIENT_BATCH, Plan, make_plan
from sim.errors import BadInput
from sim.messages import NUMBER_BYTES
from sim.registry.arrivals import TraceArrivals
from sim.registry.families import REJECTOR_FAMILIES, model_family
from sim.scenario import Group, Scenario
from sim.scenario.files.traces import first_other_sample
from sim.scenario.schema.server import ServerModel


def validate(scenario: Scenario) -> None:
    """Returns if the learners can do what the scenario says. Raises BadInput, one line, if not."""
    checked_plan(scenario)


def checked_plan(scenario: Scenario, models: Mapping[str, Any] | None = None) -> Plan:
    """The plan of a scenario that passes every check. models: objects that a caller brings, by name. Raises
    BadInput, one line, if a check fails."""
    for path, server in _server_models(scenario):
        _require_known(server.family, f"{path}.family")
    for group in scenario.fleet:
        _require_known(group.model.family, f"fleet.{group.group}.model.family")
    plan = make_plan(scenario, models or ())
    if models or files_of(scenario):
        from agents.models.own_models import require_own  # noqa: PLC0415  (torch takes seconds to load)

        require_own(plan, models or {})
    if scenario.training.specialise and any(map(plan.is_given, range(len(scenario.server_models)))):
        raise BadInput("training.specialise: true: is for models that are trained, not for a server's own")
    if scenario.training.warm_start and plan.has_given_server:
        raise BadInput("training.warm_start: is for models that are trained, not for a server's own")
    _check_nested(plan)
    _check_named_samples(plan)
    if plan.given is None:
        _check_models(plan)
        _check_replies(plan)
        warn_of_shortfalls(plan)
    for place, group in enumerate(scenario.fleet):
        if plan.served[place]:
            _check_pictures(plan, group)
            for phase in plan.phases[place]:
                plan.class_weights_at(place, phase.at_s)
    return plan


def _check_nested(plan: Plan) -> None:
    names = list(plan.scenario.server_models)
    for place, (path, model) in enumerate(_server_models(plan.scenario)):
        if model.nested_in is not None:
            for one in (place, names.index(model.nested_in)):
                if plan.is_given(one):
                    raise BadInput(
                        f"{path}.nested_in: is for models that are trained, and {names[one]} is brought"
                    )


def _server_models(scenario: Scenario) -> Iterator[tuple[str, ServerModel]]:
    """Every model of the servers, and where it stands."""
    one = scenario.server is not None
    for name, model in scenario.server_models.items():
        yield "server.model" if one else f"models.{name}", model


def _require_known(family: str, path: str) -> None:
    known = model_family(family)
    if known is None or known.least_side is None:
        from agents.models import families  # noqa: PLC0415  (torch takes seconds to load)

        families.require_known(family, path)


def _check_models(plan: Plan) -> None:
    """Raises BadInput if a family cannot take the images, or batches as small as some would be."""
    batch = min(plan.scenario.training.pretrain.batch, len(plan.pools.server))
    asked = {
        (path, server.family, server.image_size, batch)
        for place, (path, server) in enumerate(_server_models(plan.scenario))
        if not plan.is_given(place)
    }
    for place, (group, drawn) in enumerate(zip(plan.scenario.fleet, plan.trains_on, strict=True)):
        if plan.is_brought(place):
            continue
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


def _check_replies(plan: Plan) -> None:
    """Raises BadInput where features are to be sent back of a server that is brought, or in bytes that do not
    hold them."""
    users = [group for group in plan.scenario.fleet if group.reply == "features"]
    if not users:
        return
    ((path, server),) = _server_models(plan.scenario)
    if plan.is_given(0):
        raise BadInput(f"fleet.{users[0].group}.reply: features: is for a server that is trained")
    from agents.models.last_layer import width_of  # noqa: PLC0415  (torch takes seconds to load)

    width = width_of(server.family, plan.data.image_shape, plan.data.classes, server.image_size)
    needed = NUMBER_BYTES * width
    for group in users:
        links = {"link": group.link}
        links |= {f"options.{n}.link": one.link for n, one in enumerate(group.options or ()) if one.link}
        for name, link in links.items():
            if link.reply_bytes != needed:
                raise BadInput(
                    f"fleet.{group.group}.{name}.reply_bytes: {link.reply_bytes}: must be {needed}: the "
                    f"features of {path}.family {server.family} are {width} numbers of {NUMBER_BYTES} bytes"
                )


def _check_named_samples(plan: Plan) -> None:
    """Raises BadInput if a trace asks about a sample that its group cannot be sent, in some phase."""
    for place, group in enumerate(plan.scenario.fleet):
        process = group.arrivals.process
        if not isinstance(process, TraceArrivals) or process.columns.sample is None:
            continue
        phases = [plan.samples.base_id[phase.positions] for phase in plan.phases[place]]
        known = reduce(np.intersect1d, phases)
        wrong = first_other_sample(process.trace(plan.scenario, place), known)
        if wrong is not None:
            path, file = f"fleet.{group.group}.arrivals.process.columns.sample", PurePath(process.file).name
            raise BadInput(
                f"{path}: {file}: {wrong}: must be one of the {len(known)} samples of its traffic, which "
                "depend on the seed and on data.pools"
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
        if not REJECTOR_FAMILIES[family].fits(height, width):
            raise BadInput(
                f"{path}.family: '{family}' leaves nothing of pictures of {height}x{width}; use linear or mlp"
            )
