"""From YAML text to plain Python and line numbers, for the part of YAML that a scenario needs.
Works on the parser's events, so nothing is built, expanded or run that was not looked at first."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from sim.errors import BadInput
from sim.scenario.text.draft import Draft, Origin, Path
from sim.scenario.text.wording import show

DEEPEST = 32
_INT = re.compile(r"[-+]?[0-9]{1,40}")
_OCTAL_OR_HEX = re.compile(r"0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


def parse(text: str, origin_of_line: Callable[[int], Origin]) -> Draft:
    """The one document in `text`, sequences as tuples, with the origin of every path.

    Raises `BadInput`, one line, for anything but mappings with text keys, lists and plain scalars.
    """
    builder = _Builder(origin_of_line)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            builder.take(event)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else _line_at(text, getattr(error, "position", 0))
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
        raise BadInput(f"{origin_of_line(line).label}: not YAML: {_one_line(str(problem))}") from None
    except (ValueError, OverflowError, LookupError, TypeError, AttributeError, RecursionError):
        # The parser lets a few of its own slips out, for instance on an escape beyond Unicode.
        raise BadInput(f"{origin_of_line(builder.line).label}: not YAML: cannot be read") from None
    if not builder.documents:
        raise BadInput(f"{origin_of_line(1).label}: is empty")
    return Draft(builder.root, builder.origins)


def scalar(text: str) -> Any:
    """The value of an unquoted scalar in YAML 1.2: `1e3` is a float; `off`, `10:30` and dates are text.

    A whole number of more than 40 digits is a float, too: no field takes it, and converting it is slow.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL_OR_HEX.fullmatch(text):
        return int(text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text


def _line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


@dataclass
class _Open:
    """A mapping or list that has begun and not ended."""

    path: Path
    items: dict[str, Any] | list[Any]
    key: str | None = None


@dataclass
class _Builder:
    origin_of_line: Callable[[int], Origin]
    root: Any = None
    documents: int = 0
    line: int = 1
    origins: dict[Path, Origin] = field(default_factory=dict)
    open: list[_Open] = field(default_factory=list)

    def take(self, event: Any) -> None:
        if event.start_mark is not None:
            self.line = event.start_mark.line + 1
        if isinstance(event, DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self.refuse("holds several documents: a scenario is one")
        elif isinstance(event, NodeEvent):
            self.look_at(event)
            self.take_node(event)
        elif isinstance(event, CollectionEndEvent):
            ended = self.open.pop()
            value = tuple(ended.items) if isinstance(ended.items, list) else ended.items
            self.put(value)

    def look_at(self, event: Any) -> None:
        if isinstance(event, AliasEvent) or event.anchor is not None:
            self.refuse(f"anchors and aliases (& and *) are not allowed: {show(event.anchor)}")
        if event.tag is not None:
            self.refuse(f"tags (!) are not allowed: {show(str(event.tag))}")

    def take_node(self, event: NodeEvent) -> None:
        path = self.place(event)
        if path is None:
            return
        self.origins.setdefault(path, self.origin_of_line(self.line))
        if isinstance(event, ScalarEvent):
            self.put(self.value_of(event))
            return
        if len(self.open) >= DEEPEST:
            self.refuse(f"is nested more than {DEEPEST} deep")
        self.open.append(_Open(path, {} if isinstance(event, MappingStartEvent) else []))

    def place(self, event: NodeEvent) -> Path | None:
        """The path of the node that begins, or None if it was the key of a mapping."""
        if not self.open:
            return ()
        within = self.open[-1]
        if isinstance(within.items, list):
            return (*within.path, len(within.items))
        if within.key is not None:
            return (*within.path, within.key)
        within.key = self.key_of(event, within.items)
        # The key's line stands for its value, too, which may begin lines below.
        self.origins[(*within.path, within.key)] = self.origin_of_line(self.line)
        return None

    def key_of(self, event: NodeEvent, taken: dict[str, Any]) -> str:
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            self.refuse("a list or mapping cannot be a key")
        key = self.value_of(event)
        if not isinstance(key, str):
            self.refuse(f"keys must be text, not {show(key)}")
        if key in taken:
            self.refuse(f"the key {show(key)} stands here twice")
        return key

    def value_of(self, event: Any) -> Any:
        text = event.value
        if any("\ud800" <= c <= "\udfff" for c in text):
            self.refuse("half of a surrogate pair is not text")
        return scalar(text) if event.implicit[0] else text

    def put(self, value: Any) -> None:
        if not self.open:
            self.root = value
            return
        within = self.open[-1]
        if isinstance(within.items, list):
            within.items.append(value)
        elif within.key is not None:
            within.items[within.key] = value
            within.key = None

    def refuse(self, why: str) -> NoReturn:
        raise BadInput(f"{self.origin_of_line(self.line).label}: {why}")
