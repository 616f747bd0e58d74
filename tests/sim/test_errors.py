"""Errors that cross processes: pickled, or built again from their arguments, they say the same."""

from __future__ import annotations

import pickle

import pytest

from sim.errors import BadInput, RunFailed

ERRORS = [BadInput("fleet.0.clients: 0 is not allowed"), RunFailed("run", "the clock ran backwards")]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_an_error_survives_a_journey(error):
    for again in (pickle.loads(pickle.dumps(error)), type(error)(*error.args)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert again.args == error.args
        assert vars(again) == vars(error)


def test_a_failed_run_names_its_stage():
    assert str(RunFailed("learn", "out of memory")) == "failed in stage 'learn': out of memory"
