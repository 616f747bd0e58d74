"""Values as bytes: what is read is what was written, and reading runs nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sim.results.packing import fill, pack, unpack

NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats() | st.booleans() | st.none()
ARRAYS = st.sampled_from(["?", "i1", "i2", "i4", "i8", "f4", "f8"]).flatmap(
    lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
)
PLAIN = st.recursive(
    NUMBERS | st.text(max_size=5) | ARRAYS,
    lambda part: (
        st.lists(part, max_size=4)
        | st.lists(part, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=3), part, max_size=4)
    ),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """The same types, shapes and bits."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)  # NaN is NaN, and -0.0 is not 0.0


@given(PLAIN)
def test_what_is_unpacked_is_what_was_packed(value):
    assert same(unpack(pack(value)), value)


def test_an_array_is_stored_once_and_can_be_written_to():
    long = np.arange(10_000.0)
    packed = pack([long, {"again": long}, long.reshape(100, 100).T])
    assert len(packed) < 2.2 * long.nbytes
    first, second, turned = unpack(packed)
    assert np.array_equal(turned, long.reshape(100, 100).T)
    first[0] = 5.0
    assert second["again"][0] == 5.0, "as one array it was packed, and one array it is"


@dataclass
class Inner:
    n: int = 0


@dataclass
class Outer:
    at: list[float] = field(default_factory=list)
    inner: Inner = field(default_factory=Inner)


def test_a_dataclass_is_filled_from_what_was_packed_of_one():
    target = Outer()
    fill(target, unpack(pack(Outer([0.5, np.inf], Inner(7)))))
    assert target == Outer([0.5, np.inf], Inner(7))
    with pytest.raises(ValueError, match="has the fields inner, not at, inner"):
        fill(target, {"inner": {"n": 1}})


@pytest.mark.parametrize("value", [{1: 2}, object(), {"a": {3.5}}, lambda: None])
def test_what_is_no_plain_value_is_refused_when_it_is_written(value):
    with pytest.raises(TypeError, match="is no plain value"):
        pack(value)


def other(tree: str) -> bytes:
    """A sound file of safetensors with another tree than `pack` writes."""
    header = json.dumps({"__metadata__": {"tree": tree}}).encode()
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04K\x01.",  # a pickle
        pack([np.arange(9)])[:-1],
        other("no JSON"),
        other('{"array": "7"}'),
        other('{"array": "7", "list": "7"}'),
        other('{"run": "me"}'),
        other("{}"),
        json.dumps({"a": 1}).encode(),
    ],
)
def test_other_bytes_are_refused(content):
    with pytest.raises(ValueError, match=r"."):
        unpack(content)


def test_words_that_repeat_are_told_once() -> None:
    words = ["softmax", "l2h"] * 500
    content = pack({"source": words, "few": ["a", "b"], "none": [], "mixed": ["a", 1, None]})
    assert content.count(b"softmax") == 1
    assert unpack(content) == {"source": words, "few": ["a", "b"], "none": [], "mixed": ["a", 1, None]}
