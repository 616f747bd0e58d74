"""What is found of a run or its traffic is found once, and belongs to that object alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.run_folder.kept import kept


@dataclass(frozen=True)
class Thing:
    size: int


asked: list[tuple[int, int]] = []


@kept
def times(thing: Thing, by: int = 2) -> list[int]:
    asked.append((thing.size, by))
    return [thing.size * by]


def test_each_object_is_asked_once_with_the_same_arguments() -> None:
    one, other = Thing(3), Thing(3)
    first = times(one)
    assert times(one) is first == [6]
    assert times(one, 5) == times(one, 5) == [15]
    assert times(one, by=5) == [15]
    assert times(other) == [6]
    assert asked == [(3, 2), (3, 5), (3, 5), (3, 2)]


def test_a_changed_copy_knows_nothing_of_the_first() -> None:
    one = Thing(4)
    assert times(one) == [8]
    assert times(replace(one, size=5)) == [10]
