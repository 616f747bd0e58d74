"""Where what is worth keeping between runs lies: frozen clients, and what was learned."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "L2H_CACHE"


def cache_root(chosen: Path | None = None) -> Path:
    """`chosen`, else $L2H_CACHE, else .cache; absolute."""
    return (chosen or Path(os.environ.get(CACHE_VARIABLE) or ".cache")).absolute()
