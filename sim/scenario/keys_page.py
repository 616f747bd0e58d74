"""docs/scenario_keys.md: every key of a scenario with its unit, bounds, default and meaning, from the schema.
Made anew by `python -m sim.scenario.keys_page > docs/scenario_keys.md`; a test holds the page to it."""

from __future__ import annotations

from typing import Any

from sim.registry.durations import DURATIONS
from sim.scenario.schema.vocabulary import TAGS
from sim.scenario.text.writing import json_schema, on_one_line

Schema = dict[str, Any]

HEAD = """\
# Every key of a scenario

Made from the schema, which `python run_sim.py schema` prints for editors. A key without a default must be
given. In a path `*` stands for an entry of a list; on the command line it is a number, for groups also their
name: `--set fleet.sensors.clients=10`. A *name* is a letter and up to 63 more letters, digits, `_` and `-`.
Numbers are never NaN or infinite, and unknown keys are errors, as are values that break a rule between keys.
Seconds and bits may be written as `10min` and `2Mbit/s`: [writing a scenario](writing_scenarios.md).
"""
NAMES_OF_DURATIONS = tuple(part.__name__ for part in DURATIONS.values())
UNITS = {"_s": "s", "_hz": "1/s", "_bps": "bit/s", "_bytes": "bytes"}
TABLE = ("| key | value | default | meaning |", "| --- | --- | --- | --- |")
TABLE_OF_KINDS = ("| kind | key | value | default | meaning |", "| --- | --- | --- | --- | --- |")


def page() -> str:
    """The page: a section for each part of a scenario in the order of its keys, durations last."""
    schema = json_schema(resolved=True)
    parts = schema["$defs"]
    told: set[str] = set()
    lines = [HEAD, "## The scenario", "", *TABLE, *_rows(schema, parts)]
    lines += _below(schema, (), parts, told)
    lines += ["", "## Durations", "", "A constant number of seconds, or one of these distributions.", ""]
    lines += _kinds([parts[name] for name in NAMES_OF_DURATIONS], parts)
    return "\n".join(lines) + "\n"


def _below(part: Schema, path: tuple[str, ...], parts: dict[str, Schema], told: set[str]) -> list[str]:
    """The sections of what stands below a part, each part of the vocabulary once."""
    lines: list[str] = []
    for key, value in _keys(part):
        names = [name for name in _parts_in(value) if name not in (*NAMES_OF_DURATIONS, *told)]
        told.update(names)
        here = (*path, key, *("*" for _ in range(_is_list(value))))
        below = [parts[name] for name in names]
        if not below:
            continue
        lines += ["", f"## `{'.'.join(here)}`", ""]
        if _tag_of(below[0]):
            lines += _kinds(below, parts)
        else:
            lines += [_sentence(below[0]["description"]), "", *TABLE, *_rows(below[0], parts)]
        for one in below:
            lines += _below(one, here, parts, told)
    return lines


def _kinds(parts: list[Schema], every: dict[str, Schema]) -> list[str]:
    """A table of parts that a tag tells apart: what each is, then its keys."""
    tag = _tag_of(parts[0])
    lines = [head.replace("kind", tag) for head in TABLE_OF_KINDS]
    for part in parts:
        lines.append(f"| `{part['properties'][tag]['const']}` | | | | {_sentence(part['description'])} |")
        lines += [f"| {row}" for row in _rows(part, every)]
    return lines


def _rows(part: Schema, parts: dict[str, Schema]) -> list[str]:
    """A row for each key of a part: its value, default and meaning."""
    rows = []
    for key, value in _keys(part):
        meaning = value.get("description") or parts[_parts_in(value)[0]]["description"]
        told = _value(key, value)
        rows.append(f"| `{key}` | {told} | {_default(value)} | {_sentence(meaning)} |")
    return rows


def _value(key: str, value: Schema) -> str:
    """What may be written there: type or choices, unit and bounds."""
    if "enum" in value or "const" in value:
        return ", ".join(f"`{on_one_line(one)}`" for one in value.get("enum", [value.get("const")]))
    if "discriminator" in value:
        return ", ".join(f"`{kind}`" for kind in value["discriminator"]["mapping"])
    if "oneOf" in value and set(_parts_in(value)) & set(NAMES_OF_DURATIONS):
        return _number("_s", value["oneOf"][0]) + ", or a [duration](#durations)"
    if "anyOf" in value:
        return ", or ".join(_value(key, one) for one in value["anyOf"])
    if _is_list(value):
        return "list: " + _entry(key, value["items"])
    inner = [_value(key, one) for one in value.get("patternProperties", {}).values()]
    nouns = {
        "object": "mapping by name: " + "".join(inner or ["mapping"]),
        "boolean": "`true`, `false`",
        "null": "`null`",
        "string": "name" if "pattern" in value else "text",
    }
    return "mapping" if "$ref" in value else nouns.get(value["type"]) or _number(key, value)


def _entry(key: str, value: Schema) -> str:
    """An entry of a list: of a pair what both are."""
    pair = value.get("prefixItems")
    if pair is None:
        return _value(key, value)
    return "[from, to] (s)" if pair[0] == pair[1] else f"[at (s), {_value('', pair[1])}]"


def _number(key: str, value: Schema) -> str:
    """A number with its unit and bounds."""
    unit = next((f" ({unit})" for end, unit in UNITS.items() if key.endswith(end)), "")
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {_bound(value[name])}" for name, sign in signs.items() if name in value]
    return ", ".join([("whole number" if value["type"] == "integer" else "number") + unit, *bounds])


def _bound(value: float) -> str:
    named = {2**31 - 1: "2³¹ − 1", 2**63: "2⁶³"}
    return named.get(int(value)) or f"{value:.6g}".replace("e+0", "e").replace("e-0", "e-")


def _default(value: Schema) -> str:
    if "default" not in value:
        return ""
    if "$ref" in value:  # a part without kinds: its own keys say their defaults
        return "as below"
    default = value["default"]
    return f"`{on_one_line(tuple(default) if isinstance(default, list) else default)}`"


def _keys(part: Schema) -> list[tuple[str, Schema]]:
    return [(key, value) for key, value in part["properties"].items() if key not in TAGS]


def _tag_of(part: Schema) -> str:
    return next((tag for tag in TAGS if tag in part["properties"]), "")


def _parts_in(value: Schema) -> list[str]:
    """The names of the parts that may stand there."""
    if "$ref" in value:
        return [value["$ref"].rpartition("/")[2]]
    choices = [*(value[name] for name in ("items",) if name in value), *value.get("anyOf", ())]
    choices += value.get("oneOf", ())
    return [name for one in choices for name in _parts_in(one)]


def _is_list(value: Schema) -> bool:
    return value.get("type") == "array"


def _sentence(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
