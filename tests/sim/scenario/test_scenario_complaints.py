"""What the schema refuses, in words for a researcher: the line, the path, the value, the rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import BadInput
from sim.scenario.text.draft import MOST_TOLD
from sim.scenario.text.overrides import put
from sim.scenario.text.reading import check, read_draft
from sim.scenario.text.wording import show, type_noun

Case = tuple[str, str, str]
Spoil = Callable[[str, str], str]


def test_what_the_schema_refuses_is_said_in_one_line(case: Case, spoilt: Spoil) -> None:
    old, new, line = case
    assert spoilt(old, new) == line


def test_a_kind_that_is_also_a_key_is_not_lost(complaint: Callable[..., str], example_text: str) -> None:
    budget = "budget: {kind: count, count: 5, per_s: 1}"
    line = complaint(example_text.replace("budget: null", budget))
    assert line == (
        "x.yaml:24: fleet.sensors.budget.count: unknown key for kind count: "
        "must be one of kind, limit, per_s, shared_by; limit is missing"
    )


def test_a_kind_written_as_a_key_is_told_with_where_it_goes(
    complaint: Callable[..., str], example_text: str
) -> None:
    """`daily: {...}` for `{kind: daily, ...}`, with the key that takes it or without."""
    written = "{at_s: '03:00', for_s: 10min}"
    kind = '{kind: daily, at_s: "03:00", for_s: "10min"}'
    for outage, line in (
        (f"when: {{daily: {written}}}", f"when.kind: is missing: did you mean {kind}?"),
        (f"daily: {written}", f"daily: unknown key: did you mean when: {kind}?"),
    ):
        text = example_text.replace("when: {kind: intervals, at: [[300, 420]]}", outage)
        assert text != example_text
        assert complaint(text).partition("server.outages.0.")[2] == line


def test_one_server_written_as_several_or_several_as_one_is_told_the_other_key(
    complaint: Callable[..., str], example_text: str
) -> None:
    head, _, body = example_text.partition("server:\n")
    one = complaint(f"{head}servers:\n{body}")
    assert one.startswith("x.yaml:26: servers: {")
    assert one.endswith("(a mapping) is not allowed: must be a list; did you mean server?")
    several = complaint(f"{head}server: [{{server: a}}, {{server: b}}]\n")
    assert several.endswith("(a list) is not allowed: must be a mapping; did you mean servers?")


def test_every_mistake_has_a_line_and_what_is_missing_beside_a_misspelt_key_none(
    complaint: Callable[..., str], example_text: str
) -> None:
    daily = "when: {kind: daily, at: '03:00', for: 10min}"
    outage = "when: {kind: intervals, at: [[300, 420]]}"
    assert outage in example_text
    assert "clients: 120" in example_text
    said = complaint(example_text.replace(outage, daily).replace("clients: 120", "clients: 0"), "sed=3")
    lines = said.split("\n")
    assert [line.partition(" ")[2].partition(":")[0] for line in lines[:3]] == [
        "fleet.sensors.clients",
        "server.outages.0.when.at",
        "server.outages.0.when.for",
    ]
    assert lines[3].startswith("--set sed: unknown key")
    assert len(lines) == 4


def test_a_kind_written_without_its_mapping_is_told_with_it(
    complaint: Callable[..., str], example_text: str
) -> None:
    said = complaint(example_text, "fleet.sensors.policy.price=always_local")
    assert said == (
        '--set fleet.sensors.policy.price: "always_local" (text) is not allowed: '
        "must be a mapping: did you mean {kind: always_local}?"
    )


def test_a_key_that_is_also_a_kind_elsewhere_is_not_taken_for_it(
    complaint: Callable[..., str], example_text: str
) -> None:
    """`down` is how long a renewal is down, and an effect."""
    said = complaint(example_text.replace("when: {kind: intervals, at: [[300, 420]]}", "down: 2min"))
    assert said.endswith("outages.0.down: unknown key: must be one of effect, target, when; when is missing")


def test_an_entry_without_its_list_is_told_with_it(complaint: Callable[..., str], example_text: str) -> None:
    weekly = "when: {kind: weekly, on: monday, at_s: '03:00', for_s: 10min}"
    said = complaint(example_text.replace("when: {kind: intervals, at: [[300, 420]]}", weekly))
    assert said.endswith('when.on: "monday" (text) is not allowed: must be a list: did you mean [monday]?')


def test_of_many_mistakes_the_first_are_told_and_how_many_more_there_are(
    complaint: Callable[..., str], example_text: str
) -> None:
    lines = complaint(example_text, *(f"x{number}=1" for number in range(20))).split("\n")
    assert (len(lines), lines[-1]) == (MOST_TOLD + 1, f"and {20 - MOST_TOLD} more")


def test_groups_stand_by_index_where_their_names_do_not_tell_them_apart(
    complaint: Callable[..., str], example_text: str
) -> None:
    head, _, rest = example_text.partition("  - group")
    group, _, tail = rest.partition("server:")
    two = f"{head}  - group{group}  - group{group.replace('clients: 120', 'clients: 0')}server:{tail}"
    assert complaint(two) == (
        "x.yaml:27: fleet.1.clients: 0 is not allowed: must be greater than or equal to 1"
    )


def test_no_complaint_speaks_of_pydantic(spoilt: Spoil) -> None:
    for junk in ("null", "[]", "{}", "x", "-1", "1.5", "true", "{kind: 1}", "[[]]"):
        for old in ("name: outage", "score: l2h", "timeout_s: 0.5", "mix: all", "when_down: queue"):
            key = old.partition(":")[0]
            if (key, junk) not in {("name", "x"), ("timeout_s", "1.5"), ("timeout_s", "null")}:
                line = spoilt(old, f"{key}: {junk}")
                assert not any(
                    word in line for word in ("Input", "valid ", "tuple", "dict", "instance", "str")
                )


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.dictionaries(st.text(max_size=5) | st.sampled_from(["kind", "mix", "at"]), inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=8,
)


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, tuple) else ()
    return [path, *(deeper for step, inner in below for deeper in paths_of(inner, (*path, step)))]


@settings(deadline=None)
@given(data=st.data(), junk=plain)
def test_junk_at_any_place_gives_a_scenario_or_one_line(
    example: Path, data: st.DataObject, junk: Any
) -> None:
    draft = read_draft(example)
    path = data.draw(st.sampled_from(paths_of(draft.value)[1:]))
    line = ""
    try:
        check(put(draft, path, junk, draft.origin(path)))
    except BadInput as refusal:
        line = str(refusal)
    assert line.replace("\n", "").isprintable()
    assert "Input" not in line


@settings(deadline=None)
@given(plain)
def test_any_value_is_shown_on_one_short_line(value: Any) -> None:
    assert show(value).isprintable()
    assert len(show(value)) <= 60
    assert type_noun(value) is None or type_noun(value)


def test_what_helps_first_comes_first(complaint: Callable[..., str], example_text: str) -> None:
    """A key is often missing because it was written otherwise: then what was written says more."""
    line = complaint(example_text.replace("\nserver:", "\nservr:"))
    assert line.endswith("servr: unknown key: did you mean server?")
    right = "target: {kind: replicas, count: 1}}"
    line = complaint(example_text.replace(right, "kind: replicas, replicas: [0, 1]}"))
    assert "outages.1.kind: unknown key: did you mean target: {kind: replicas}?" in line


def test_two_mistakes_in_one_override_are_two_and_one_in_all_groups_is_one(
    complaint: Callable[..., str], example_text: str
) -> None:
    both = complaint(example_text, "server.service={kind: affine, base_s: -1, per_item_s: -1}").split("\n")
    assert [line.split(": ")[1] for line in both] == ["server.service.base_s", "server.service.per_item_s"]
    (alone,) = complaint(example_text, "fleet.*.clients=-1").split("\n")
    assert "-1 is not allowed" in alone
