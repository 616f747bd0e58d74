"""The pages on what users bring: every block of each is played in its order, in a folder with their files."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from brought_files import answers, router_benchmark, write

from analysis.figures import FIGURES
from analysis.reports import report
from commands import main

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
SETTINGS = {"run": ["--local", "--quiet", "--force"], "compare": [], "check": []}


def files_of_answers() -> None:
    write(answers(), Path("answers.csv"))
    router_benchmark(Path("routerbench.csv"))


FILES = {"own_answers.md": files_of_answers}


@pytest.mark.parametrize("page", FILES)
def test_every_block_of_the_page_can_be_played(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report, "drawings_of", lambda _run: {"timeline": FIGURES["timeline"]})
    FILES[page]()
    blocks = BLOCK.findall((ROOT / "docs" / page).read_text())
    assert {"yaml", "sh"} <= {language for language, _ in blocks}
    for language, text in blocks:
        if language == "yaml":
            (name,) = re.findall(r"^name: (\w+)$", text, flags=re.MULTILINE)
            Path(f"{name}.yaml").write_text(text)
        elif language == "python":
            exec(text, {})
        else:
            for line in text.splitlines():
                play(line, monkeypatch, capsys)


def play(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    python, program, *words = shlex.split(line.split(" #", maxsplit=1)[0])
    assert (python, program) == ("python", "run_sim.py")
    monkeypatch.setattr(sys, "argv", [program, *words, *SETTINGS[words[0]]])
    assert main.main() == 0, f"{line}: {capsys.readouterr().err}"
