"""Writing a scenario: the resolved copy of a run folder, in which every default is spelled out.
What is written here reads back as the same scenario."""

from __future__ import annotations

import re
from typing import Any

from sim.scenario.schema.document import Scenario
from sim.scenario.text.wording import number, quote
from sim.scenario.text.yaml_text import scalar

_WIDTH = 100
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_+./-]*")


def write(scenario: Scenario) -> str:
    """The scenario as YAML, every default written: `read(write(s)) == s`."""
    return "\n".join(_block(scenario.model_dump(), "")) + "\n"


def written(scenario: Scenario) -> dict[str, Any]:
    """What a reader of YAML makes of `write(scenario)`, told without reading it: that takes a tenth of a
    second."""
    found: dict[str, Any] = _read_again(scenario.model_dump())
    return found


def _read_again(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _read_again(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_read_again(item) for item in value]
    return scalar(number(value)) if isinstance(value, float) else value


def json_schema(resolved: bool = False) -> dict[str, Any]:
    """The JSON schema of a scenario, for editors that complete and check YAML; resolved: of the copy in a run
    folder, where all is seconds and bits."""
    return Scenario.model_json_schema(mode="serialization" if resolved else "validation")


def _block(mapping: dict[str, Any], indent: str) -> list[str]:
    """The lines of a mapping; what fits on one line stands on one."""
    lines = []
    for key, value in mapping.items():
        flow = f"{indent}{key}: {on_one_line(value)}"
        nested = isinstance(value, dict) or (
            isinstance(value, tuple) and value and isinstance(value[0], dict)
        )
        if not nested or (len(flow) <= _WIDTH and indent):
            lines.append(flow)
            continue
        lines.append(f"{indent}{key}:")
        lines += _block(value, indent + "  ") if isinstance(value, dict) else _entries(value, indent + "  ")
    return lines


def _entries(entries: tuple[Any, ...], indent: str) -> list[str]:
    """The lines of a list of mappings, each behind a dash."""
    lines = []
    for entry in entries:
        flow = f"{indent}- {on_one_line(entry)}"
        block = _block(entry, indent + "  ")
        lines += [flow] if len(flow) <= _WIDTH else [f"{indent}- {block[0].lstrip()}", *block[1:]]
    return lines


def on_one_line(value: Any) -> str:
    """Plain data as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {on_one_line(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(on_one_line, value)) + "]"
    if isinstance(value, str):
        # Text that would read as a number or a word of YAML must be quoted.
        return value if _PLAIN.fullmatch(value) and scalar(value) == value else quote(value)
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return number(value) if isinstance(value, float) else str(value)
