"""Standard streams as shells may give them: closed, full, or read by somebody who has had enough."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OUTPUT_IS_FULL = "failed: standard output: cannot be written (No space left on device)\n"


def by_a_shell(line: str, folder: Path) -> tuple[int, str, str]:
    """The exit code, stdout and stderr of a line of bash in which `l2h` is the command line."""
    begun = f'l2h() {{ "{sys.executable}" "{ROOT / "run_sim.py"}" "$@"; }}; set -o pipefail; {line}'
    done = subprocess.run(
        ["bash", "-c", begun], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command", ["--help", "scenarios", "schema"])
def test_results_that_find_no_room_are_one_line(command: str, tmp_path: Path) -> None:
    assert by_a_shell(f"l2h {command} > /dev/full", tmp_path) == (1, "", OUTPUT_IS_FULL)


def test_who_reads_the_first_lines_alone_is_told_nothing(tmp_path: Path) -> None:
    code, said, complained = by_a_shell("l2h schema | head -1", tmp_path)
    assert (code, said, complained) == (1, "{\n", "")


@pytest.mark.parametrize("where", ["2> /dev/full", "2>&-", "2>&- <&-"])
def test_bad_input_is_bad_input_where_nothing_can_be_said_of_it(where: str, tmp_path: Path) -> None:
    """And what was to go to stderr goes nowhere else."""
    assert by_a_shell(f"l2h check nothere {where}", tmp_path) == (2, "", "")


@pytest.mark.slow
@pytest.mark.parametrize("where", ["2> /dev/full", "2> >(true)"])
def test_progress_that_nobody_hears_costs_no_result(where: str, tmp_path: Path) -> None:
    line = f"l2h run smoke --local --out run --set horizon_s=80 {where}"
    code, said, _ = by_a_shell(line, tmp_path)
    assert (code, said.splitlines()[-1]) == (0, "report: run/report.html")
    assert (tmp_path / "run/summary.json").is_file()


CLOSED = """
import os
from commands.standard_streams import guard
guard()
print("said"), print("told", file=sys.stderr)
print(os.open("file", os.O_CREAT | os.O_WRONLY), file=open("number", "w"))
"""


def test_no_file_of_ours_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    """Else what a library tells on stderr would be written into a table."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}){CLOSED}"
    line = f"'{sys.executable}' -c \"$PROGRAM\" <&- >&- 2>&-"
    environment = {"PROGRAM": program}
    subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, timeout=60, check=True)
    assert int((tmp_path / "number").read_text()) > 2
    assert (tmp_path / "file").read_text() == ""
