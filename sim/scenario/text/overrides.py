"""Changes `path=value` of a scenario as written: `fleet.sensors.clients=10`, `fleet.*.policy.score=random`.
Applied before the schema, which then judges the new value as it would have judged a written one."""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn, get_origin

from sim.errors import BadInput
from sim.scenario.schema.values import Part
from sim.scenario.schema.vocabulary import TAGS, annotations_at, child, is_part, parts_at
from sim.scenario.text.draft import Draft, Origin, Path, group_names, name_path
from sim.scenario.text.wording import nearest, show
from sim.scenario.text.yaml_text import DEEPEST, parse

AFTER_EVERY_LINE = 2**40  # the order of an override's complaints: behind those of the file


class Change(NamedTuple):
    """A value for every place that a written path names, and where it was asked for."""

    path: str
    value: Any
    origin: Origin


def override(draft: Draft, written: str, nth: int = 0) -> Draft:
    """`draft` with one `path=value` applied at every place that the path names."""
    path_text, value_text, origin = split_option("--set", written, "seed=9", nth)
    return change(draft, Change(path_text, parse(value_text, lambda _line: origin).value, origin))


def change(draft: Draft, wanted: Change) -> Draft:
    """`draft` with a value at every place that the change's path names. Raises BadInput if it names none."""
    for path in _Route(draft, wanted.path, wanted.origin.label).paths():
        draft = put(draft, path, wanted.value, wanted.origin)
    return draft


def split_option(option: str, written: str, example: str, nth: int) -> tuple[str, str, Origin]:
    """Path and value of an option's `path=value`, both as text, and the origin of what it says."""
    path_text, equals, value_text = written.partition("=")
    path_text = path_text.strip()
    if not equals or not path_text:
        wrong = f"{option} {_as_option(written)}"
        raise BadInput(f"{wrong}: must be written path=value, for instance {option} {example}")
    origin = Origin(AFTER_EVERY_LINE + nth, f"{option} {_as_option(path_text)}")
    if not value_text.strip():
        raise BadInput(f"{origin.label}: no value behind the = (write null for none)")
    return path_text, value_text, origin


def put(draft: Draft, path: Path, value: Any, origin: Origin) -> Draft:
    """`draft` with `value` at `path`; parts that were left out on the way are opened."""
    origins = {at: where for at, where in draft.origins.items() if at[: len(path)] != path}
    here = draft.value
    for depth in range(1, len(path) + 1):
        here = child(here, path[depth - 1])
        if here is None or depth == len(path):
            origins[path[:depth]] = origin
    return Draft(_with(draft.value, path, 0, value, draft.value), origins)


def _with(here: Any, path: Path, depth: int, value: Any, whole: Any) -> Any:
    if depth == len(path):
        return value
    step = path[depth]
    if isinstance(here, tuple) and isinstance(step, int):
        return (*here[:step], _with(here[step], path, depth + 1, value, whole), *here[step + 1 :])
    opened: dict[str | int, Any] = _default_tag(path[:depth], whole) if here is None else dict(here)
    return {**opened, step: _with(child(opened, step), path, depth + 1, value, whole)}


def _default_tag(path: Path, whole: Any) -> dict[str | int, Any]:
    """What a part that was left out must hold to stay of its default kind: `{kind: threshold}`."""
    default = None
    for part in parts_at(path[:-1], whole) if path else ():
        field = part.model_fields.get(str(path[-1]))
        default = field.default if field is not None else default
    if not isinstance(default, Part):
        return {}
    return {tag: getattr(default, tag) for tag in TAGS if tag in type(default).model_fields}


class _Route:
    """Walks the steps of a written path through a draft."""

    def __init__(self, draft: Draft, text: str, label: str) -> None:
        self.draft = draft
        self.steps = text.split(".")
        self.label = label

    def paths(self) -> list[Path]:
        """Every place that the path names, at least one, else `BadInput`."""
        if len(self.steps) > DEEPEST:
            self.refuse(f"has {len(self.steps)} steps: no path of a scenario has more than {DEEPEST}")
        found: list[tuple[Path, Any]] = [((), self.draft.value)]
        for step in self.steps:
            if not step:
                self.refuse("a step of the path is empty: write it like fleet.0.clients")
            found = [below for path, here in found for below in self.below(path, here, step)]
        return [path for path, _ in found]

    def below(self, path: Path, here: Any, step: str) -> list[tuple[Path, Any]]:
        if isinstance(here, tuple):
            return [((*path, index), here[index]) for index in self.indices(path, here, step)]
        if isinstance(here, dict):
            return [((*path, step), here.get(step))]
        named = name_path(self.draft.value, path)
        if here is not None:
            self.refuse(f"leads nowhere: {named} is {show(here)}, which has no parts")
        possible = annotations_at(path, self.draft.value)
        # Nothing possible means an unknown key, which the schema names better.
        if possible and not any(is_part(annotation) for annotation in possible):
            is_list = any(get_origin(annotation) is tuple for annotation in possible)
            self.refuse(f"leads nowhere: {named} {'is empty' if is_list else 'has no parts'}")
        return [((*path, step), None)]

    def indices(self, path: Path, here: tuple[Any, ...], step: str) -> list[int]:
        """The entries of a list that a step names: `*`, an index, or a group's name."""
        named = name_path(self.draft.value, path)
        if not here:
            self.refuse(f"leads nowhere: {named} is empty")
        if step == "*":
            return list(range(len(here)))
        if step.isascii() and step.isdigit():
            if len(step) > 9 or int(step) >= len(here):
                self.refuse(f"leads nowhere: {named} has the entries 0 to {len(here) - 1}, not {step[:20]}")
            return [int(step)]
        if path != ("fleet",):
            self.refuse(f"leads nowhere: {named} is a list: give an entry from 0 to {len(here) - 1}, or *")
        names = group_names(self.draft.value)
        if step not in names:
            known = [name for name in names if name is not None]
            hint = nearest(step, known) if known else "the groups have no names yet"
            self.refuse(f"no group is called {show(step)}: {hint}")
        return [index for index, name in enumerate(names) if name == step]

    def refuse(self, why: str) -> NoReturn:
        raise BadInput(f"{self.label}: {why}")


def _as_option(text: str) -> str:
    """An option's text as typed where it can be printed on one line, else quoted."""
    return text if text.isprintable() and len(text) <= 200 else show(text)
