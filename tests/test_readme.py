"""The README says what is true: its scenario is fine, its commands can be read, its files exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pyarrow as pa
import pytest

from agents.checks import validate
from sim import columns
from sim.scenario import read

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^(python run_sim\.py [^#\n]+)", README, flags=re.MULTILINE)
SCENARIO = re.search(r"```yaml\n(.*?)```", README, flags=re.DOTALL).group(1)


@pytest.fixture
def fifty(tmp_path):
    path = tmp_path / "fifty.yaml"
    path.write_text(SCENARIO)
    return path


def test_the_scenario_of_the_readme_is_fine(fifty):
    scenario = read(fifty)
    validate(scenario)
    assert scenario.clients == 50


def test_there_are_commands_to_check():
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("command", [c for c in COMMANDS if shlex.split(c)[2] in {"run", "check"}])
def test_every_run_of_the_readme_can_be_read(command, fifty):
    words = shlex.split(command)
    source = fifty if words[3] == "fifty.yaml" else words[3]
    changes = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    validate(read(source, changes))


def test_every_column_of_every_table_is_described():
    page = (ROOT / "docs/run_folder.md").read_text()
    tables = [table for table in vars(columns).values() if isinstance(table, pa.Schema)]
    assert len(tables) == 14
    assert [name for table in tables for name in table.names if f"`{name}`" not in page] == []


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"
