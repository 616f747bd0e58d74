"""What a sweep tells while it runs, second by second, on a clock that the test moves."""

from __future__ import annotations

import pytest

from commands import job_progress, progress
from commands.job_progress import JobProgress


class Clock:
    """Wall time as the test has it."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(job_progress, "time", made)
    monkeypatch.setattr(progress, "time", made)
    return made


def test_cells_done_running_failed_and_the_time_left(clock, capsys):
    """Ten cells of which two are there, two at a time, 60 s each; the fourth fails at once."""

    def after(seconds: float) -> str:
        clock.now += seconds
        cells.say()
        return capsys.readouterr().err.rstrip("\n")

    cells = JobProgress(progress.Lines(every_s=0.0), "cells", total=10, missing=8, jobs=2)
    assert capsys.readouterr().err == "cells: 20%  2 of 10 cells, 2 running\n"
    assert after(30) == "cells: 20%  2 of 10 cells, 2 running"
    clock.now += 30
    cells.ended(1, has_failed=False)
    cells.ended(0, has_failed=False)
    reported = capsys.readouterr().err.splitlines()
    assert reported[-1] == "cells: 40%  4 of 10 cells, 2 running  about 3 min left"
    assert after(30) == "cells: 50%  4 of 10 cells, 2 running  about 2 min left"
    cells.ended(2, has_failed=True)
    assert "4 of 10 cells, 2 running, 1 failed  about" in capsys.readouterr().err
    assert after(10_000).startswith("cells: 69%")  # running for long is never being done
    for number in (3, 4, 5, 6, 7):
        cells.ended(number, has_failed=False)
    assert capsys.readouterr().err.splitlines()[-1] == "cells: 100%  9 of 10 cells, 1 failed"


@pytest.mark.usefixtures("clock")
def test_one_at_a_time_says_what_it_is_at(capsys):
    cells = JobProgress(progress.Lines(every_s=0.0), "cells", total=2, missing=2, jobs=1)
    cells.report("learn", 1, 4)
    cells.report("run", 60, 600, "60 of 600 s")
    assert capsys.readouterr().err.splitlines()[1:] == [
        "cells: 0%  0 of 2 cells, 1 running: learn 25%",
        "cells: 0%  0 of 2 cells, 1 running: run 60 of 600 s",
    ]


def test_with_nothing_missing_all_is_done(capsys):
    JobProgress(progress.Lines(), "cells", total=3, missing=0, jobs=0)
    assert capsys.readouterr().err == "cells: 100%  3 of 3 cells\n"
