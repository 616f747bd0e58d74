"""How values and choices are written in a complaint: on one line, as YAML would have them."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Sequence
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_*+-]+")
_LONGEST_SHOWN = 60


def show(value: Any) -> str:
    """A value as it would be written in YAML, on one line, shortened if long."""
    text = _flow(value, depth=0)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 4] + " ..."


def _flow(value: Any, depth: int) -> str:
    if isinstance(value, dict | tuple | list):
        return _collection(value, depth + 1)
    if isinstance(value, str):
        return quote(value[: 2 * _LONGEST_SHOWN])
    return number(value) if isinstance(value, float) else json.dumps(value, default=str)


def _collection(value: dict[Any, Any] | tuple[Any, ...] | list[Any], depth: int) -> str:
    if depth > 4:
        return "..."
    more = ["..."] if len(value) > 20 else []  # no more of them would be shown anyway
    if isinstance(value, dict):
        items = [f"{_key(key)}: {_flow(item, depth)}" for key, item in list(value.items())[:20]]
        return "{" + ", ".join(items + more) + "}"
    return "[" + ", ".join([_flow(item, depth) for item in value[:20]] + more) + "]"


def _key(key: Any) -> str:
    return key if isinstance(key, str) and is_bare(key) else show(key)


def type_noun(value: Any) -> str | None:
    """What a value is, where its look does not tell."""
    nouns = {str: "text", int: "a whole number", tuple: "a list", dict: "a mapping"}
    if isinstance(value, float) and math.isfinite(value):
        return "a number with a fraction" if value % 1 else "written with a decimal point or exponent"
    return nouns.get(type(value))


def number(value: float) -> str:
    """A float in YAML, shortest form that reads back as the same float."""
    if math.isfinite(value):
        return repr(value)
    return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"


def quote(text: str) -> str:
    """A double-quoted YAML string on one line that any terminal can print."""
    escaped = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped)


def is_bare(step: str) -> bool:
    """Whether a step of a path can be read without quotes."""
    return _BARE.fullmatch(step) is not None and len(step) <= _LONGEST_SHOWN


def nearest(text: Any, choices: Sequence[Any]) -> str:
    """`did you mean sensors?` where one is close, else `must be one of` the choices."""
    words = [str(choice) for choice in choices]
    close = difflib.get_close_matches(str(text)[:100], words, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"must be {one_of(words)}"


def one_of(words: Sequence[str]) -> str:
    """`a`, or `one of a, b, c`."""
    return words[0] if len(words) == 1 else "one of " + ", ".join(words)
