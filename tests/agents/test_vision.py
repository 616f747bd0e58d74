"""torchvision can be imported beside a torch of any build, and nobody goes round the one way to do it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def in_a_fresh_process(code: str) -> str:
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    return told.stdout.strip()


@pytest.mark.slow
def test_its_models_and_data_sets_can_be_imported() -> None:
    look = "print(t('models').__name__, t('datasets').__name__)"
    code = f"from agents.models.vision import torchvision as t; {look}"
    assert in_a_fresh_process(code) == "torchvision.models torchvision.datasets"


@pytest.mark.slow
def test_schemas_that_are_there_are_not_declared_again() -> None:
    """As where torchvision's compiled operators are found."""
    code = """
import torch
there = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    there.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from agents.models import vision
vision.torchvision("models")
print(vision._import().declared)
"""
    assert in_a_fresh_process(code) == "None"


def test_only_one_module_imports_it() -> None:
    for path in [*ROOT.glob("*.py"), *(ROOT / "agents").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "torchvision"], path
