"""The pages on what users bring: every block of each is played in its order, in a folder with their files."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from brought_files import answers, eurosat, features, linear_onnx, pictures, router_benchmark, write
from safetensors.torch import save_file

from agents.models.families import new_model
from analysis.figures import FIGURES
from analysis.reports import run_page
from commands import main

pytestmark = pytest.mark.usefixtures("plain_pictures")

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(yaml|python|sh)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
SETTINGS = {"run": ["--local", "--quiet", "--force"], "compare": [], "check": []}


def files_of_answers() -> None:
    write(answers(), Path("answers.csv"))
    router_benchmark(Path("routerbench.csv"))


def files_of_data() -> None:
    features(Path("wafers.csv"))
    pictures(Path("pictures.npz"), Path("pictures"))
    eurosat(Path("downloads"))
    Path("partitions.json").write_text(json.dumps([list(range(0, 300, 2)), list(range(1, 300, 3))]))


def files_of_models() -> None:
    weights = new_model("linear", (1, 8, 8), 10, 5).state_dict()
    save_file({name: one.contiguous() for name, one in weights.items()}, "client.safetensors")
    linear_onnx(Path("server.onnx"), new_model("linear", (1, 8, 8), 10, 6).state_dict())


FILES = {"own_models.md": files_of_models, "own_answers.md": files_of_answers, "own_data.md": files_of_data}


@pytest.mark.slow
@pytest.mark.parametrize("page", FILES)
def test_every_block_of_the_page_can_be_played(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_page, "drawings_of", lambda _run: {"timeline": FIGURES["timeline"]})
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
