"""Every kind that the learners must act on has its code with them, and they have none for others."""

from __future__ import annotations

from typing import Any

import pytest

from agents.data.datasets import SETS
from agents.data.partitions import SELECTED, SENT
from agents.models.families import FAMILIES
from sim.registry.data_sets import DATA_SETS
from sim.registry.families import MODEL_FAMILIES
from sim.registry.mixes import MIXES
from sim.registry.partitions import PARTITIONS
from sim.registry.registry import Code, Family


@pytest.mark.parametrize(
    ("code", "family"),
    [(SETS, DATA_SETS), (SELECTED, PARTITIONS), (SENT, MIXES)],
    ids=["data sets", "partitions", "mixes"],
)
def test_every_kind_has_its_code(code: Code[Any], family: Family[Any]) -> None:
    assert list(code) == list(family)


def test_every_family_has_a_builder_but_those_that_others_build() -> None:
    """What takes a name is built by the library that knows it; see `agents.models.library_models`."""
    assert list(FAMILIES) == [name for name, family in MODEL_FAMILIES.items() if not family.takes_name]
