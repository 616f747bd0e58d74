"""The scenario: the vocabulary in which a question to the fleet is written, and its reading from YAML.
What is asked for most stands here and is loaded when it is asked for: the kinds in `sim.registry` take the
vocabulary of values from below, and the document on top is made of them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.scenario.library import question_of, shipped
    from sim.scenario.schema.document import Scenario
    from sim.scenario.schema.fleet import Group
    from sim.scenario.schema.training import POOLS, Data
    from sim.scenario.text.reading import read
    from sim.scenario.text.writing import json_schema, write

__all__ = ["POOLS", "Data", "Group", "Scenario", "json_schema", "question_of", "read", "shipped", "write"]

_STANDS_IN = {
    "POOLS": "schema.training",
    "Data": "schema.training",
    "Group": "schema.fleet",
    "Scenario": "schema.document",
    "json_schema": "text.writing",
    "question_of": "library",
    "read": "text.reading",
    "shipped": "library",
    "write": "text.writing",
}


def __getattr__(name: str) -> Any:
    if name not in _STANDS_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_STANDS_IN[name]}"), name)
