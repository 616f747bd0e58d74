"""docs/scenario_keys.md: made from the schema, with every key, each with what it means."""

from __future__ import annotations

import re
from pathlib import Path

from sim.scenario import json_schema
from sim.scenario.keys_page import DURATIONS, page
from sim.scenario.schema.vocabulary import TAGS

PAGE = Path(__file__).resolve().parents[3] / "docs/scenario_keys.md"
SCHEMA = json_schema()
PARTS = {"Scenario": SCHEMA} | SCHEMA["$defs"]
KEYS = [(name, key) for name, part in PARTS.items() for key in part["properties"] if key not in TAGS]


def sections() -> dict[str, str]:
    """The page by heading."""
    _, *parts = re.split(r"^## (.+)$", PAGE.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_page_is_that_of_the_schema() -> None:
    assert PAGE.read_text() == page(), "python -m sim.scenario.keys_page > docs/scenario_keys.md"


def test_every_part_and_key_says_what_it_means() -> None:
    """In the schema, so that editors show it too. A part of a key's own says it for the key."""
    assert [name for name, part in PARTS.items() if not part.get("description")] == []
    silent = [
        f"{name}.{key}"
        for name, key in KEYS
        if not PARTS[name]["properties"][key].get("description")
        and "$ref" not in PARTS[name]["properties"][key]
    ]
    assert silent == [], "write a line of meaning below the field"


def test_every_key_and_kind_stands_on_the_page() -> None:
    text = PAGE.read_text()
    found = re.findall(r"^\|(?: \|)? `(\w+)` \|", text, flags=re.MULTILINE)
    kinds = [
        part["properties"][tag]["const"]
        for part in PARTS.values()
        for tag in TAGS
        if tag in part["properties"]
    ]
    assert sorted(found) == sorted([key for _, key in KEYS] + kinds)


def test_sections_are_named_by_the_path_of_what_they_hold() -> None:
    told = sections()
    assert "`cooldown_s`" in told["`fleet.*.breaker`"]
    assert "| `token_bucket` |" in told["`fleet.*.budget`"]
    assert "| `token_bucket` |" in told["`server.admission`"]
    assert "`noise`" in told["`fleet.*.traffic.drift.*`"]
    assert all(f"| `{name.lower()}` |" in told["Durations"] for name in DURATIONS)


def test_rows_tell_unit_bounds_and_default() -> None:
    rows = {line.split(" | ")[0]: line for line in sections()["`fleet.*`"].splitlines()}
    assert rows["| `deadline_s`"].startswith(
        "| `deadline_s` | number (s), ≥ 1e-6, ≤ 1e9, or `null` | `null` |"
    )
    assert rows["| `partition`"].split(" | ")[2] == "`{kind: iid}`"
    assert rows["| `arrivals`"].split(" | ")[2] == "", "nothing to fall back on"
    link = sections()["`fleet.*.link`"]
    assert "| `bandwidth_bps` | number (bit/s), ≥ 1, or `null` | `null` |" in link
    assert "| `latency` | number (s), ≥ 0, ≤ 1e9, or a [duration](#durations) | `0.0` |" in link
