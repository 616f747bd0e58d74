"""Links of the pages lead somewhere, and every column of a run folder is described.
Commands, scenarios and the site are looked after by test_docs.py."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa

from sim.results import columns, columns_by_run, columns_learned

ROOT = Path(__file__).resolve().parents[1]


def test_every_column_of_every_table_is_described():
    page = (ROOT / "docs/run_folder.md").read_text()
    modules = (columns, columns_by_run, columns_learned)
    found = [table for module in modules for table in vars(module).values() if isinstance(table, pa.Schema)]
    tables = [table for place, table in enumerate(found) if table not in found[:place]]
    assert len(tables) == 28
    tables += [
        columns_by_run.requests(True, True, has_options=True, has_calls=True),
        pa.schema([columns.WORK]),
    ]
    assert [name for table in tables for name in table.names if f"`{name}`" not in page] == []


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"
