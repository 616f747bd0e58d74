"""Only plain YAML is read: one mapping of text keys, lists and scalars, and anything else is one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim.errors import BadInput
from sim.scenario import read
from sim.scenario.text.draft import Origin
from sim.scenario.text.wording import number, quote
from sim.scenario.text.yaml_text import parse, scalar

BOMB = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def parsed(text: str) -> object:
    return parse(text, lambda line: Origin(line, f"x.yaml:{line}")).value


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", "x.yaml:1: is empty"),
        ("# only a question?\n", "x.yaml:1: is empty"),
        ("- 1\n", "x.yaml:1: [1] is not allowed: must be a mapping of keys such as name, fleet and server"),
        ("3", "x.yaml:1: 3 is not allowed: must be a mapping of keys such as name, fleet and server"),
        ("~", "x.yaml:1: null is not allowed: must be a mapping of keys such as name, fleet and server"),
        ("a: 1\nb: 2\na: 3\n", 'x.yaml:3: the key "a" stands here twice'),
        ("a:\n  b: 1\n  'b': 2\n", 'x.yaml:3: the key "b" stands here twice'),
        ("a: 1\nb: &n 1\n", 'x.yaml:2: anchors and aliases (& and *) are not allowed: "n"'),
        ("a: *n\n", 'x.yaml:1: anchors and aliases (& and *) are not allowed: "n"'),
        (BOMB, 'x.yaml:1: anchors and aliases (& and *) are not allowed: "a"'),
        ("a: !x 1\n", 'x.yaml:1: tags (!) are not allowed: "!x"'),
        ("\na: !!int 1\n", 'x.yaml:2: tags (!) are not allowed: "tag:yaml.org,2002:int"'),
        ("--- {a: 1}\n--- {b: 2}\n", "x.yaml:2: holds several documents: a scenario is one"),
        ("1: 2\n", "x.yaml:1: keys must be text, not 1"),
        ("a: 1\nnull: 2\n", "x.yaml:2: keys must be text, not null"),
        ("? [a]\n: 2\n", "x.yaml:1: a list or mapping cannot be a key"),
        ("[" * 100_000, "x.yaml:1: is nested more than 32 deep"),
        ("{a: " * 100_000, "x.yaml:1: is nested more than 32 deep"),
        ("- " * 10_000, "x.yaml:1: is nested more than 32 deep"),
        ("name: x\na: [1,\n", "x.yaml:3: not YAML: expected the node content, but found '<stream end>'"),
        ("a: 1\nb: c: d\n", "x.yaml:2: not YAML: mapping values are not allowed here"),
        ("a: 1\n\x01", "x.yaml:2: not YAML: special characters are not allowed"),
        ('a: "\\UFFFFFFFF"\n', "x.yaml:1: not YAML: cannot be read"),
        ('a: "\\ud800"\n', "x.yaml:1: half of a surrogate pair is not text"),
        (b"a: 1\nb: \xff\n", "x.yaml:2: is not UTF-8 text"),
        (b"a: 1\n" + b" " * 2**20, "x.yaml: is larger than 1 MiB: too large for a scenario"),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_what_is_not_plain_yaml_is_refused(content: str, line: str, complaint: Callable[..., str]) -> None:
    assert complaint(content) == line


def test_a_byte_order_mark_is_no_part_of_the_text(example: Path, tmp_path: Path) -> None:
    marked = tmp_path / "marked.yaml"
    marked.write_bytes(b"\xef\xbb\xbf" + example.read_bytes())
    assert read(marked) == read(example)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000.0),
        ("2.0e+6", 2e6),
        (".5", 0.5),
        ("5.", 5.0),
        ("-7", -7),
        ("007", 7),
        ("0x1F", 31),
        ("0o17", 15),
        ("1_000", "1_000"),
        ("10:30", "10:30"),
        ("2024-02-30", "2024-02-30"),
        ("off", "off"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("~", None),
        (".inf", float("inf")),
        ("-.INF", -float("inf")),
        ("1" * 400, float("inf")),
        ("nan", "nan"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)
    assert parsed(f"[{text}, '{text}']") == (value, text)


def test_lines_are_those_of_the_keys_and_entries() -> None:
    draft = parse("a: 1\nb:\n\n  - c: 2\n  - 3\n", lambda line: Origin(line, ""))
    assert draft.value == {"a": 1, "b": ({"c": 2}, 3)}
    assert {path: origin.order for path, origin in draft.origins.items()} == {
        (): 1,
        ("a",): 1,
        ("b",): 2,
        ("b", 0): 4,
        ("b", 0, "c"): 4,
        ("b", 1): 5,
    }


@settings(deadline=None)
@given(st.floats(allow_nan=False))
def test_a_float_reads_back_as_it_was(value: float) -> None:
    assert parsed(f"- {number(value)}\n") == (value,)


@settings(deadline=None)
@given(st.text())
def test_quoted_text_reads_back_and_is_one_line(text: str) -> None:
    quoted = quote(text)
    assert quoted.isprintable()
    if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text):
        assert parsed(f"- {quoted}\n") == (text,)


def outcome(path: Path) -> str:
    try:
        read(path)
    except BadInput as refusal:
        return str(refusal)
    return "read"


@settings(deadline=None)
@example(content=b"{}")  # three keys are missing: three lines
@given(content=st.binary(max_size=200))
def test_any_bytes_give_a_line_a_problem(folder: Path, content: bytes) -> None:
    path = folder / "bytes.yaml"
    path.write_bytes(content)
    assert all(line.isprintable() for line in outcome(path).split("\n"))


@settings(deadline=None)
@example(content="{}")  # three keys are missing: three lines
@given(content=st.text(alphabet="a1: -[]{},#&*!|>'\"%@`?\n\t\\x.~<\u2028", max_size=60))
def test_any_text_of_yaml_signs_gives_a_line_a_problem(folder: Path, content: str) -> None:
    path = folder / "signs.yaml"
    path.write_text(content, encoding="utf-8")
    assert all(line.isprintable() for line in outcome(path).split("\n"))
