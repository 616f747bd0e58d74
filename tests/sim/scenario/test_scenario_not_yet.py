"""The table of what works today agrees with the schema, and what is missing is said so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_origin

import pytest

from sim.scenario.document import Scenario
from sim.scenario.not_yet import WORKS_TODAY
from sim.scenario.vocabulary import is_part, kinds_of_annotation, literals


def places(pattern: str) -> list[Any]:
    """The annotations that a pattern reaches in any scenario."""
    here: list[Any] = [Scenario]
    for step in pattern.split("."):
        if step == "*":
            below = [kind.__args__[0] for kind in here if get_origin(kind) is tuple]
        else:
            fields = [kind.model_fields.get(step) for kind in here if is_part(kind)]
            below = [field.annotation for field in fields if field is not None]
        here = [kind for annotation in below for kind in kinds_of_annotation(annotation)]
    return here


Case = tuple[str, str, str]


@pytest.mark.parametrize("pattern", WORKS_TODAY)
def test_every_pattern_names_a_place_of_the_schema(pattern: str) -> None:
    assert places(pattern), f"{pattern} leads nowhere"


@pytest.mark.parametrize(("pattern", "works"), WORKS_TODAY.items())
def test_every_value_that_works_is_one_of_the_schema(pattern: str, works: tuple[Any, ...]) -> None:
    kinds = places(pattern)
    choices = [choice for kind in kinds for choice in literals(kind)]
    for value in works:
        is_default = value in (None, (), False, 0.0)
        assert value in choices or is_default or (str in kinds and isinstance(value, str))


@pytest.mark.parametrize(("pattern", "works"), WORKS_TODAY.items())
def test_a_line_of_the_table_that_forbids_nothing_is_gone(pattern: str, works: tuple[Any, ...]) -> None:
    choices = [choice for kind in places(pattern) for choice in literals(kind)]
    assert not choices or set(choices) - set(works) or None in works


def test_what_is_not_there_yet_is_said_so(case: Case, spoilt: Callable[[str, str], str]) -> None:
    old, new, line = case
    assert spoilt(old, new) == line


def test_a_broken_rule_is_said_before_what_is_not_there_yet(
    complaint: Callable[..., str], example_text: str
) -> None:
    line = complaint(example_text.replace("set: digits", "set: mnist"), "warm_up_s=1000")
    assert line == "--set warm_up_s: 1000.0 is not allowed: must be less than horizon_s, 900"
