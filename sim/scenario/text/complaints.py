"""What pydantic found wrong with a draft, in plain English: the path, the value received, the rule.
Each kind of error has one short function; the line itself is put together in `draft`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from pydantic import BaseModel, ValidationError

from sim.registry.registry import FAMILIES
from sim.scenario.schema.vocabulary import (
    TAGS,
    annotations_at,
    child,
    choices_at,
    is_part,
    parts_at,
    tag_and_kind,
)
from sim.scenario.text.draft import MISSING, UNKNOWN, Finding, Path, refusal
from sim.scenario.text.wording import nearest, number, one_of, show, type_noun

Error = dict[str, Any]
RENAMED: dict[str | int, str] = {"hedge_after_s": "provisional_after_s"}  # keys that had other names once


def findings(error: ValidationError, value: Any) -> list[Finding]:
    """What is wrong with the scenario `value`, one finding per path."""
    by_path: dict[Path, list[Finding]] = {}
    for details in error.errors(include_url=False):
        one: Error = dict(details)
        path = written_path(one["loc"], value)
        if not _is_echo(one):
            found = _SENTENCES.get(one["type"], _other)(path, one, value)
            by_path.setdefault(found.path, []).append(found)
    return [_merged(found) for found in by_path.values()]


def written_path(loc: tuple[str | int, ...], value: Any) -> Path:
    """The path of an error without the names of kinds that pydantic puts into it."""
    path: list[str | int] = []
    here, before = value, None
    for step in loc:
        if step == "[key]":
            continue  # what is wrong with a key of a mapping is said of the key
        tag = tag_and_kind(here)
        if isinstance(here, dict):
            if tag is not None and step == tag[1] and before is not here:
                before = here  # the kind of this mapping, named once
                continue
        elif not (isinstance(here, tuple) and isinstance(step, int)):
            continue  # the kind of a scalar
        path.append(step)
        here = child(here, step)
    return tuple(path)


def _is_echo(error: Error) -> bool:
    """pydantic counts only the valid entries of a list, so a wrong entry makes the list too short as well."""
    return bool(error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"])


def _merged(found: list[Finding]) -> Finding:
    """One sentence for a value that fits none of several alternatives: the rules joined by `or`."""
    head, _, rule = found[0].sentence.partition(": ")
    others = [other.sentence.partition(": must be ")[2] for other in found[1:]]
    return Finding(found[0].path, ", or ".join([f"{head}: {rule}" if rule else head, *filter(None, others)]))


def _missing(path: Path, error: Error, value: Any) -> Finding:
    if isinstance(path[-1], int):
        entries, received = _length_of_fixed_list(path[:-1], value), error["input"]
        return refusal(path[:-1], received, f"must be a list of {entries} entries, not {len(received)}")
    return Finding(path, f"{MISSING}this key must be given")


def _length_of_fixed_list(path: Path, value: Any) -> int:
    lists = [annotation for annotation in annotations_at(path, value) if hasattr(annotation, "__args__")]
    return max((len(annotation.__args__) for annotation in lists), default=1)


def _extra(path: Path, _error: Error, value: Any) -> Finding:
    parts = parts_at(path[:-1], value)
    keys = sorted({key for part in parts for key in part.model_fields})
    here = value
    for step in path[:-1]:
        here = child(here, step)
    if path[-1] in RENAMED and RENAMED[path[-1]] in keys:
        return Finding(path, f"{UNKNOWN}: it is called {RENAMED[path[-1]]} now")
    tag = tag_and_kind(here)
    if tag is None or tag[0] not in keys or len(parts) > 1:
        told = _kind_within(path, value, keys) or nearest(path[-1], keys)
        return Finding(path, f"{UNKNOWN}: {told}{_still_missing(told, parts, here)}")
    if len(keys) == 1:
        return Finding(path, f"{UNKNOWN}: {tag[0]} {tag[1]} takes no other key")
    others = _kinds_that_take(path, tag[0], value)
    hint = f"; {tag[0]} {' or '.join(others)} takes it" if others else ""
    told = nearest(path[-1], keys)
    missing = _still_missing(told, parts, here)
    return Finding(path, f"{UNKNOWN} for {tag[0]} {tag[1]}: {told}{missing}{hint}")


def _still_missing(told: str, parts: Sequence[type[BaseModel]], here: Any) -> str:
    """The key that must be given and is not, where there is one and nothing else is near."""
    required = {key for part in parts for key, field in part.model_fields.items() if field.is_required()}
    missing = sorted(required - set(here)) if isinstance(here, dict) else []
    return f"; {missing[0]} is missing" if len(missing) == 1 and not told.startswith("did") else ""


def _kinds_that_take(path: Path, tag: str, value: Any) -> list[str]:
    """The kinds under which the key at the end of `path` may stand."""
    found = []
    for kind in choices_at((*path[:-1], tag), value):
        other = deepcopy(value)
        here = other
        for step in path[:-1]:
            here = child(here, step)
        here[tag] = kind
        if any(path[-1] in part.model_fields for part in parts_at(path[:-1], other)):
            found.append(str(kind))
    return found


def _kind_within(path: Path, value: Any, keys: list[str]) -> str:
    """Where a kind was written one level too high, or as a key: the key under which it may stand; else
    nothing."""
    here = value
    for step in path:
        here = child(here, step)
    tag, kind, within = (path[-1], here, {}) if path[-1] in TAGS else ("kind", path[-1], here)
    if not isinstance(kind, str) or not isinstance(within, dict):
        return ""
    holders = [key for key in keys if kind in choices_at((*path[:-1], key, tag), value)]
    return f"did you mean {holders[0]}: {_of_kind(tag, kind, within)}?" if len(holders) == 1 else ""


def _of_kind(tag: Any, kind: str, within: dict[str, Any]) -> str:
    return f"{{{tag}: {kind}, {show(within)[1:]}" if within else f"{{{tag}: {kind}}}"


def _tag_missing(path: Path, error: Error, value: Any) -> Finding:
    tag, here = _tag_of(error), error["input"]
    kinds = choices_at((*path, tag), value)
    (only, within), *_ = [*here.items(), (None, None)] if isinstance(here, dict) else [(None, None)]
    if only in kinds and len(here) == 1 and isinstance(within, dict):
        return Finding((*path, tag), f"{MISSING}did you mean {_of_kind(tag, str(only), within)}?")
    return Finding((*path, tag), f"{MISSING}must be {one_of(kinds)}")


def _tag_invalid(path: Path, error: Error, value: Any) -> Finding:
    tag = _tag_of(error)
    if not isinstance(error["input"], dict) or tag not in error["input"]:
        return _tag_missing(path, error, value)
    received = error["input"][tag]
    return refusal((*path, tag), received, _nearest_kind(received, choices_at((*path, tag), value)))


def _nearest_kind(received: Any, choices: list[str]) -> str:
    """As `nearest`, with a word on kinds of one's own where there may be some."""
    told = nearest(received, choices)
    is_open = isinstance(received, str) and any(
        family.is_open and list(family) == choices for family in FAMILIES.values()
    )
    return f"{told}; one of your own needs --plugin FILE" if is_open and not told.startswith("did") else told


def _tag_of(error: Error) -> str:
    """The key that names the kind; durations choose by a function, whose key is `kind`."""
    tag = str(error["ctx"]["discriminator"]).strip("'")
    return tag if tag in TAGS else "kind"


def _literal(path: Path, error: Error, value: Any) -> Finding:
    return refusal(path, error["input"], _nearest_kind(error["input"], choices_at(path, value)))


def _wrong_type(expected: str) -> Callable[[Path, Error, Any], Finding]:
    def sentence(path: Path, error: Error, value: Any) -> Finding:
        received = error["input"]
        if isinstance(received, dict) and any(is_part(kind) for kind in annotations_at(path, value)):
            # A mapping where a number or one of several kinds may stand: it names a kind that there is not.
            kinds = one_of(choices_at((*path, "kind"), value))
            return refusal((*path, "kind"), received.get("kind"), f"must be {kinds}")
        noun = type_noun(received)
        shown = show(received) if noun is None else f"{show(received)} ({noun})"
        rule = (
            f"must be {expected}{_spoken(path, received, value)}{_with_kind(path, expected, received, value)}"
        )
        rule += _one_or_several(path, received, value)
        return Finding(path, f"{shown} is not allowed: {rule}")

    return sentence


def _one_or_several(path: Path, received: Any, value: Any) -> str:
    """The key for what was given, where several stand under another one, as `server` and `servers`."""
    key = str(path[-1]) if path else ""
    meant = f"{key}s" if isinstance(received, tuple) else key
    if isinstance(received, dict):
        meant = key.removesuffix("s")
    is_taken = any(meant in part.model_fields for part in parts_at(path[:-1], value))
    return f"; did you mean {meant}?" if meant != key and is_taken else ""


def _spoken(path: Path, received: Any, value: Any) -> str:
    """How a text may say the number that should stand there."""
    if not isinstance(received, str):
        return ""
    key = next((str(step) for step in reversed(path) if isinstance(step, str)), "")
    if key.endswith("_bps"):
        return ", or a text such as 2Mbit/s"
    if key.endswith("_s") or "exponential" in choices_at((*path, "kind"), value):
        has_kinds = _with_kind(path, "a number", None, value)
        return ", a text such as 10min" if has_kinds else ", or a text such as 10min"
    return ""


def _with_kind(path: Path, expected: str, received: Any, value: Any) -> str:
    """What a mapping must hold where it may be of several kinds; of one entry the list."""
    if expected == "a list" and received in choices_at((*path, 0), value):
        return f": did you mean [{received}]?"
    for tag in TAGS:
        kinds = choices_at((*path, tag), value)
        mapping = "" if expected == "a mapping" else ", or a mapping"
        if len(kinds) > 1 and received in kinds:
            return f"{mapping}: did you mean {{{tag}: {received}}}?"
        if len(kinds) > 1:
            return f"{mapping} with {tag}: {one_of(kinds)}"
    return ""


def _bound(words: str, key: str) -> Callable[[Path, Error, Any], Finding]:
    def sentence(path: Path, error: Error, _value: Any) -> Finding:
        bound = error["ctx"][key]
        shown = number(bound) if isinstance(bound, float) and bound % 1 else str(int(bound))
        return refusal(path, error["input"], f"must be {words} {shown}")

    return sentence


def _finite(path: Path, error: Error, _value: Any) -> Finding:
    return refusal(path, error["input"], "must be a finite number")


def _length(path: Path, error: Error, value: Any) -> Finding:
    least, most = _bounds_of_length(path, error, value)
    count = f"{least}" if least == most else f"at least {least}" if most is None else f"at most {most}"
    if least is not None and most is not None and least < most and least > 1:
        count = f"{least} to {most}"
    entries = "entry" if count.endswith(" 1") or count == "1" else "entries"
    noun = "mapping" if isinstance(error["input"], dict) else "list"
    return refusal(path, error["input"], f"must be a {noun} of {count} {entries}, not {len(error['input'])}")


def _bounds_of_length(path: Path, error: Error, value: Any) -> tuple[int | None, int | None]:
    least, most = error["ctx"].get("min_length"), error["ctx"].get("max_length")
    for part in parts_at(path[:-1], value):
        field = part.model_fields.get(str(path[-1]))
        for rule in field.metadata if field is not None else ():
            least = getattr(rule, "min_length", least)
            most = getattr(rule, "max_length", most)
    if path and isinstance(path[-1], int):  # an entry that is itself a list of fixed length
        least = most
    return least, most


def _name(path: Path, error: Error, _value: Any) -> Finding:
    rule = "must be a name: a letter, then at most 63 letters, digits, _ or -"
    return refusal(path, error["input"], rule)


def _other(path: Path, error: Error, _value: Any) -> Finding:
    return refusal(path, error["input"], str(error["msg"]).replace("Input should", "must").splitlines()[0])


_SENTENCES: dict[str, Callable[[Path, Error, Any], Finding]] = {
    "missing": _missing,
    "extra_forbidden": _extra,
    "union_tag_not_found": _tag_missing,
    "union_tag_invalid": _tag_invalid,
    "literal_error": _literal,
    "float_type": _wrong_type("a number"),
    "int_type": _wrong_type("a whole number"),
    "string_type": _wrong_type("text"),
    "bool_type": _wrong_type("true or false"),
    "tuple_type": _wrong_type("a list"),
    "model_type": _wrong_type("a mapping"),
    "model_attributes_type": _wrong_type("a mapping"),
    "dict_type": _wrong_type("a mapping"),
    "greater_than": _bound("greater than", "gt"),
    "greater_than_equal": _bound("greater than or equal to", "ge"),
    "less_than": _bound("less than", "lt"),
    "less_than_equal": _bound("less than or equal to", "le"),
    "finite_number": _finite,
    "too_short": _length,
    "too_long": _length,
    "string_pattern_mismatch": _name,
}
