"""The law of clients that move between cells, against a run."""

from __future__ import annotations

import numpy as np
import pytest
from predicted_runs import predict_run

from analysis.theory.cells import stationary

CHAIN = "{up: {mid: 1}, mid: {up: 1, down: 3}, down: {mid: 1}}"
STAYS = "{kind: gamma, mean_s: 20, cv: 0.5}"


def moving(tmp_path, moves: str, *change: str):
    return predict_run(
        tmp_path, "churn", "fleet.phones.presence=null", f"fleet.phones.moves={moves}", *change
    )


def test_requests_come_in_each_cell_as_often_as_the_chain_says(tmp_path):
    laws = moving(tmp_path, f"{{cells: [up, mid, down], stays: {STAYS}, next: {CHAIN}}}")
    for cell, share in (("up", 1 / 8), ("mid", 1 / 2), ("down", 3 / 8)):
        found = laws.one("cells", "requests there", f"phones, {cell}")
        assert found.predicted == pytest.approx(share)
        assert found.simulated.high - found.simulated.low < 0.1
    laws.assert_agree("cells")


@pytest.mark.parametrize("more", ["begin: up", "next: {up: {mid: 1}, mid: {up: 1}, down: {up: 1, mid: 1}}"])
def test_it_speaks_only_where_clients_are_met_as_in_the_long_run(tmp_path, more):
    """Of the second chain `down` is left for good, and is never met."""
    laws = moving(tmp_path, f"{{cells: [up, mid, down], stays: {STAYS}, {more}}}")
    if "begin" in more:
        assert "cells" not in laws.by_law
    else:
        assert [one.where for one in laws.by_law["cells"]] == ["phones, up", "phones, mid"]


def test_two_chains_beside_each_other_have_no_law():
    apart = {"a": {"b": 1}, "b": {"a": 1}, "c": {"d": 1}, "d": {"c": 1}}
    assert stationary({"cells": ["a", "b", "c", "d"], "next": apart}) is None
    np.testing.assert_allclose(stationary({"cells": ["a", "b", "c"], "next": None}), 1 / 3)
