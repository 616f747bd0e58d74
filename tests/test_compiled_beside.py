"""A run whose event loop is compiled beside it: what is told, and that nothing outlives it unasked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from here import running_with

pytest.importorskip("numba")

ROOT = Path(__file__).resolve().parents[1]
WORDS = ("run", "smoke", "--local", "--set", "engine.path=compiled")


@pytest.mark.slow
@pytest.mark.parametrize("is_heard_by", ["both", "the run"])
def test_ctrl_c_ends_both(is_heard_by, tmp_path):
    """A terminal tells it to both; a supervisor to the run alone."""
    cache = tmp_path / "cache"
    run = subprocess.Popen(
        [sys.executable, str(ROOT / "run_sim.py"), *WORDS],
        cwd=tmp_path,
        env=os.environ | {"XDG_CACHE_HOME": str(cache)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 120
    while not list(cache.rglob("begun")):
        assert time.monotonic() < end
        time.sleep(0.05)
    if is_heard_by == "both":
        os.killpg(run.pid, signal.SIGINT)
    else:
        run.send_signal(signal.SIGINT)
    told = run.communicate(timeout=60)[1]
    assert run.returncode == 130, told
    assert "compile: 0%  the event loop, in another process while the fleet learns" in told
    assert "interrupted" in told.splitlines()[-1]
    while running_with("XDG_CACHE_HOME", cache):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert not list(cache.rglob("*walk*.nbc")), "the loop; prices are small, and may have been through"
