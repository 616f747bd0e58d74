"""From a plain class to a part of the scenario: its constructor's arguments are the keys.
Used by `commands.plugins.registering` for what need not be a part itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from inspect import Parameter, signature
from typing import Any, Literal, get_type_hints

from pydantic import Field, create_model
from pydantic.errors import PydanticUserError

from sim.errors import BadInput
from sim.registry.registry import FAMILIES, Kind, PartFamily
from sim.scenario.schema.training import Costs

COSTS = tuple(Costs.model_fields)  # arguments of these names are given what the scenario says of costs

BY_DEFAULT: dict[type, Any] = {bool: bool, int: int | float, float: float, str: str}  # where no type is said


def part_of(
    family: PartFamily[Any], base: type[Kind], name: str, made: type, facts: Mapping[str, Any]
) -> Any:
    """A kind whose keys are the constructor's arguments, with their types and defaults.

    facts: class variables of `base` that are otherwise for this one. Raises BadInput for an argument without
    a type whose default tells none, or of a type that no scenario can hold.
    """
    hints, keys = _hints(made), dict[str, Any]()
    for argument, parameter in signature(made).parameters.items():
        if argument in COSTS:
            continue
        if argument == family.tag:
            raise BadInput(f"{made.__name__}: {argument}: is the key that names the kind: call it otherwise")
        if parameter.kind is Parameter.POSITIONAL_ONLY:
            raise BadInput(
                f"{made.__name__}: {argument}: keys are given by name, so it may not stand before a /"
            )
        if parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
            raise BadInput(
                f"{made.__name__}: *{argument}: the constructor's arguments are keys, so each needs a name"
            )
        hint = hints.get(argument, BY_DEFAULT.get(type(parameter.default)))
        if hint is None:
            raise BadInput(
                f"{made.__name__}: {argument}: the constructor's argument needs a type, such as float"
            )
        keys[argument] = (hint, _default(made, argument, parameter.default))
    return tagged(family, base, name, made, facts, keys)


def _default(made: type, argument: str, default: Any) -> Any:
    """What stands for a key that is left out, held to the key's type too."""
    if default is Parameter.empty:
        return ...
    for one in fields(made) if is_dataclass(made) else ():
        if one.name == argument and one.default_factory is not MISSING:
            return Field(default_factory=one.default_factory, validate_default=True)
    return Field(default=default, validate_default=True)


def tagged(
    family: PartFamily[Any],
    base: type[Kind],
    name: str,
    made: type,
    facts: Mapping[str, Any],
    keys: Mapping[str, Any],
) -> Any:
    """A part with the family's tag, then these keys."""
    beyond: dict[str, Any] = {family.tag: (Literal[name], ...), **keys}
    try:
        found = create_model(
            made.__name__, __base__=base, __doc__=made.__doc__, __module__=__name__, **beyond
        )
    except (PydanticUserError, TypeError) as error:
        raise BadInput(f"{made.__name__}: {' '.join(str(error).split())}") from None
    for fact, value in facts.items():
        setattr(found, fact, value)
    found.__reduce__ = _reduced(family.name)  # type: ignore[method-assign]
    return found


def arguments(made: type, part: Kind, costs: Costs) -> dict[str, Any]:
    """What the constructor is given for a part of a scenario."""
    return {name: getattr(costs if name in COSTS else part, name) for name in signature(made).parameters}


def _hints(made: type) -> dict[str, Any]:
    try:
        return get_type_hints(made.__init__, include_extras=True)  # type: ignore[misc]
    except (NameError, TypeError) as error:
        raise BadInput(f"{made.__name__}: the types of its arguments are not known: {error}") from None


def _reduced(family: str) -> Any:
    """How such a part is pickled: by its name and keys, for a process where the kind is registered, too."""

    def reduce(self: Kind) -> Any:
        return _again, (family, self.model_dump())

    return reduce


def _again(family: str, written: dict[str, Any]) -> Kind:
    parts = FAMILIES[family]
    found: Kind = parts[written[parts.tag]].model_validate(written)  # type: ignore[attr-defined]
    return found
