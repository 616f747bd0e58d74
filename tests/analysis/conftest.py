from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from run_folders import write_folder

import analysis


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A believable run folder with its results, and its summary; not to be changed."""
    path = write_folder(tmp_path_factory.mktemp("runs") / "outage", outages=(("server", 100, 140),))
    return path, analysis.finish(path)
