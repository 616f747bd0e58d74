"""The registry: names in order, refusals on one line, and what the schema and the pages make of it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from sim.errors import BadInput
from sim.registry.admission import ADMISSIONS
from sim.registry.data_sets import DATA_SETS
from sim.registry.disciplines import BY_RANK, DISCIPLINES
from sim.registry.durations import DURATIONS, DurationOrZero
from sim.registry.prices import PRICES
from sim.registry.registry import FAMILIES, Code, Family, PartFamily
from sim.registry.scores import SCORES
from sim.registry.switches import SWITCHES
from sim.scenario import json_schema
from sim.scenario.schema.vocabulary import TAGS

ROOT = Path(__file__).resolve().parents[3]
ROOM = ROOT / "sim/registry"
MODULES = [f"sim.registry.{path.stem}" for path in sorted(ROOM.glob("*.py")) if path.stem != "__init__"]
for _module in MODULES:
    import_module(_module)
OF_PARTS = {name: family for name, family in FAMILIES.items() if isinstance(family, PartFamily)}
EXAMPLES = [(name, written) for name, family in OF_PARTS.items() for written in family.examples().values()]


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> Family[str]:
    """One that is not among the others when the test is over."""
    monkeypatch.setattr("sim.registry.registry.FAMILIES", made := {})
    found = Family[str]("colours", "colour")
    for name in ("red", "green", "blue"):
        found.register(name, name.upper())
    assert made == {"colours": found}
    return found


def test_kinds_keep_the_order_of_their_registration(family: Family[str]) -> None:
    assert list(family) == ["red", "green", "blue"]
    assert TypeAdapter(family.literal()).json_schema()["enum"] == ["red", "green", "blue"]


def test_a_name_is_taken_once(family: Family[str]) -> None:
    with pytest.raises(ValueError, match=r"^there is a colour 'red' already$"):
        family.register("red", "again")
    with pytest.raises(ValueError, match=r"^there is a family 'colours' already$"):
        Family("colours", "colour")


def test_an_unknown_name_is_refused_with_the_nearest(family: Family[str]) -> None:
    assert family.choose("green", "paint.colour") == "GREEN"
    with pytest.raises(BadInput) as refusal:
        family.choose("gren", "paint.colour")
    told = "paint.colour: 'gren' is not a known colour (red, green, blue); did you mean 'green'?"
    assert str(refusal.value) == told
    with pytest.raises(BadInput, match=r"\(red, green, blue\)$"):
        family.choose("7", "paint.colour")


def test_code_is_for_kinds_that_there_are_and_in_their_order(family: Family[str]) -> None:
    code: Code[Any] = Code(family)
    made = code.of("blue", "red")(len)
    assert (list(code), made, "green" in code) == (["red", "blue"], len, False)
    with pytest.raises(ValueError, match=r"^there is no colour 'pink'; register it first$"):
        code.attach("pink", len)
    with pytest.raises(ValueError, match=r"^there is a colour 'red' already$"):
        code.attach("red", len)


def test_a_part_begins_with_its_tag_and_says_what_it_is() -> None:
    for name, family in OF_PARTS.items():
        for kind, part in family.items():
            assert part.__doc__, f"{name}: {kind} says what it is"
            assert next(iter(part.model_fields)) == family.tag


@pytest.mark.parametrize(("name", "written"), EXAMPLES, ids=[f"{n} {w}" for n, w in EXAMPLES])
def test_a_kind_is_read_as_it_is_written(name: str, written: dict[str, Any]) -> None:
    family = OF_PARTS[name]
    made = TypeAdapter(DurationOrZero if family is DURATIONS else family.union()).validate_python(written)
    assert type(made) is family[written[family.tag]]
    assert made.model_dump(exclude_unset=True) == written


def test_every_kind_can_be_written_in_a_scenario() -> None:
    """The schema that editors read knows the parts of every family, and no other with a tag."""
    parts = json_schema()["$defs"]
    kinds = {part.__name__: kind for family in OF_PARTS.values() for kind, part in family.items()}
    told = {
        name: part["properties"][tag]["const"]
        for name, part in parts.items()
        for tag in TAGS
        if tag in part["properties"]
    }
    assert told == kinds


def test_codes_count_up() -> None:
    assert [kind.code for kind in ADMISSIONS.values()] == list(range(len(ADMISSIONS)))
    assert [kind.code for kind in DISCIPLINES.values() if kind.rank is None] == list(range(BY_RANK))
    assert {kind.code for kind in DISCIPLINES.values() if kind.rank} == {BY_RANK}
    assert [kind.code for kind in SWITCHES.values()] == [1, 2, 3]  # 0: a server that does not switch


@pytest.mark.slow
def test_any_module_of_the_room_may_be_the_first_that_is_imported() -> None:
    """The schema is made of kinds and kinds of values of the schema: no order of imports may tell."""
    names = [
        *MODULES,
        "sim.world.arrivals.mmpp",
        "sim.world.outages.times",
        "sim.policy.prices",
        "sim.scenario",
    ]
    code = "\n".join(
        [
            "import sys, importlib",
            f"for name in {names!r}:",
            "    for old in [module for module in sys.modules if module.split('.')[0] == 'sim']:",
            "        del sys.modules[old]",
            "    importlib.import_module(name)",
            "    importlib.import_module('sim.scenario').Scenario",
        ]
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_page_on_extending_names_every_family() -> None:
    page = (ROOT / "docs/extending.md").read_text()
    for name in FAMILIES:
        assert f"`{name}`" in page


def test_the_page_on_policies_has_every_price_with_its_keys_and_what_it_works_with() -> None:
    page = (ROOT / "docs/policies.md").read_text()
    rows = re.findall(r"^\| (`(?!kind)\w[^|\n]*) \| [^|\n]* \| ([^|\n]*) \| ([^|\n]*) \|$", page, flags=re.M)
    told: dict[str, tuple[set[str], str, str]] = {}
    for names, remembers, works_with in rows:
        for name, keys in re.findall(r"`(\w+)(?: \{([^}]*)\})?`", names):
            told[name] = set(filter(None, keys.split(", "))), remembers, works_with
    assert set(told) == set(PRICES)
    for name, price in PRICES.items():
        keys, remembers, works_with = told[name]
        assert keys == set(price.model_fields) - {"kind"}
        assert (remembers != "nothing") == price.keeps_state
        assert (works_with == "gains") == (price.unit == "cost")
        assert ("Bayes price" in works_with) == price.needs_bayes_price


def test_the_page_on_data_has_every_set_with_its_size() -> None:
    page = (ROOT / "docs/data.md").read_text()
    told = {
        name: samples
        for names, samples in re.findall(
            r"^\| (`\w+`.*?) \| ([\d,]+|as asked|as brought) \|", page, re.MULTILINE
        )
        for name in re.findall(r"`(\w+)`", names)
    }
    assert told == {
        name: "as asked" if kind.is_drawn else "as brought" if kind.is_brought else f"{kind.samples:,}"
        for name, kind in DATA_SETS.items()
    }


def test_the_pages_have_every_score() -> None:
    page = (ROOT / "docs/policies.md").read_text()
    ((gains, ranks),) = re.findall(
        r"^\| gains \| ranks \|\n\|[- |]+\n\| (.*?) \| (.*?) \|$", page, re.MULTILINE
    )
    for unit, cell in (("gain", gains), ("rank", ranks)):
        named = set(re.findall(r"`(\w+)`", cell))
        assert named == {name for name, score in SCORES.items() if score.unit == unit}
    table = (ROOT / "README.md").read_text().partition("| score | what it is |")[2].partition("\n\n")[0]
    first = [
        name
        for cell in re.findall(r"^\| (.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", cell)
    ]
    assert sorted(first) == sorted(SCORES)
