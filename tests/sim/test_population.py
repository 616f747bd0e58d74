"""The numbering of clients: through the groups in order, in blocks of 64, variants dealt in turn."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from worlds import group_of, scenario_of

from sim.world.population import BLOCK, Population, population


def people(*groups: tuple[int, int]) -> Population:
    """Groups of (clients, variants)."""
    fleet = [
        group_of(f"g{n}", clients=clients, model={"variants": variants})
        for n, (clients, variants) in enumerate(groups)
    ]
    return population(scenario_of(fleet=tuple(fleet)))


def test_clients_are_numbered_through_the_groups():
    found = people((2, 1), (3, 1), (1, 1))
    assert found.size == 6
    assert found.group.tolist() == [0, 0, 1, 1, 1, 2]
    assert found.first == (0, 2, 5)


def test_variants_are_dealt_in_turn_within_each_group():
    assert people((5, 2), (4, 3), (2, 1)).variant.tolist() == [0, 1, 0, 1, 0, 0, 1, 2, 0, 0, 0]


def test_a_group_may_have_more_variants_than_clients():
    assert people((2, 5)).variant.tolist() == [0, 1]


def test_blocks_are_of_64_and_never_span_groups():
    blocks = people((130, 1), (64, 1), (3, 1)).blocks()
    assert [(b.index, b.group, b.first, b.size) for b in blocks] == [
        (0, 0, 0, 64),
        (1, 0, 64, 64),
        (2, 0, 128, 2),
        (3, 1, 130, 64),
        (4, 2, 194, 3),
    ]


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(1, 5)), min_size=1, max_size=4))
def test_every_client_is_in_exactly_one_block_of_its_group(groups):
    found = people(*groups)
    blocks = found.blocks()
    members = [client for b in blocks for client in range(b.first, b.first + b.size)]
    assert members == list(range(found.size))
    assert [b.index for b in blocks] == list(range(len(blocks)))
    for b in blocks:
        assert 1 <= b.size <= BLOCK
        assert set(found.group[b.first : b.first + b.size].tolist()) == {b.group}
        assert (b.first - found.first[b.group]) % BLOCK == 0
    assert found.group.dtype == np.int16
    assert found.variant.dtype == np.int32
