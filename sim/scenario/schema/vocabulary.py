"""Questions about the schema itself: which keys and choices a place of a scenario has.
Asked by complaints and overrides, so that neither repeats what the schema says."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from sim.scenario.schema.document import Scenario
from sim.scenario.schema.values import AsItStands, Part
from sim.scenario.text.draft import Path

TAGS = ("kind", "mix")  # the keys that say which of several parts is meant


def kinds_of_annotation(annotation: Any) -> list[Any]:
    """The alternatives of an annotation, one level, without `Annotated`: parts, types, literals, None."""
    if isinstance(annotation, type) and issubclass(annotation, AsItStands):
        return kinds_of_annotation(annotation.made())
    if get_origin(annotation) is Annotated:
        return kinds_of_annotation(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [kind for alternative in get_args(annotation) for kind in kinds_of_annotation(alternative)]
    return [annotation]


def annotations_at(path: Path, value: Any) -> list[Any]:
    """What may stand at `path` of the scenario `value`: unions are narrowed by the tags in `value`."""
    here: list[Any] = [Scenario]
    for step in path:
        part = tag_and_kind(value)
        below = [_below(annotation, step) for annotation in _narrowed(here, part)]
        here = [
            kind for annotation in below if annotation is not None for kind in kinds_of_annotation(annotation)
        ]
        value = child(value, step)
    return here


def parts_at(path: Path, value: Any) -> list[type[Part]]:
    """The parts that may stand at `path`, narrowed by the tag written there."""
    here: Any = value
    for step in path:
        here = child(here, step)
    return [kind for kind in _narrowed(annotations_at(path, value), tag_and_kind(here)) if is_part(kind)]


def choices_at(path: Path, value: Any) -> list[Any]:
    """The literals that may stand at `path`; for the tag of a union, the names of its parts."""
    if path and path[-1] in TAGS:
        tag = str(path[-1])
        parts = [
            kind for kind in annotations_at(path[:-1], value) if is_part(kind) and tag in kind.model_fields
        ]
        return [name for part in parts for name in literals(part.model_fields[tag].annotation)]
    return [name for annotation in annotations_at(path, value) for name in literals(annotation)]


def child(value: Any, step: str | int) -> Any:
    """What is written one step below `value`, or None."""
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, tuple) and isinstance(step, int) and step < len(value):
        return value[step]
    return None


def is_part(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Part)


def tag_and_kind(value: Any) -> tuple[str, Any] | None:
    """The tag written in a mapping and what it says: `("kind", "poisson")`."""
    if isinstance(value, dict):
        for tag in TAGS:
            if tag in value:
                return tag, value[tag]
    return None


def literals(annotation: Any) -> tuple[Any, ...]:
    """The choices of a literal type; none for any other."""
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _narrowed(annotations: list[Any], written: tuple[str, Any] | None) -> list[Any]:
    """The annotations that agree with a written tag; all of them if none does."""
    if written is None:
        return annotations
    tag, kind = written
    agreeing = [
        annotation
        for annotation in annotations
        if is_part(annotation)
        and tag in annotation.model_fields
        and kind in literals(annotation.model_fields[tag].annotation)
    ]
    return agreeing or annotations


def _below(annotation: Any, step: str | int) -> Any:
    """The annotation of a key of a part, or of an entry of a list or of a mapping by name; None where there
    is none."""
    if is_part(annotation) and step in annotation.model_fields:
        return annotation.model_fields[step].annotation
    if get_origin(annotation) is tuple and isinstance(step, int):
        entries = get_args(annotation)
        if entries[-1] is Ellipsis:
            return entries[0]
        return entries[step] if step < len(entries) else None
    if get_origin(annotation) is dict:
        return get_args(annotation)[1]
    return None
