"""Where what is worth keeping between runs lies: frozen clients, and what was learned."""

from __future__ import annotations

import os
from pathlib import Path

from sim.errors import BadInput
from sim.results.whole_files import in_words

CACHE_VARIABLE = "L2H_CACHE"
LONGEST = "0" * 80  # of what is put below it


def cache_root(chosen: Path | None = None) -> Path:
    """`chosen`, else $L2H_CACHE, else .cache; absolute. Raises BadInput for one that no file could lie in."""
    root = (chosen or Path(os.environ.get(CACHE_VARIABLE) or ".cache")).absolute()
    try:
        (root / LONGEST).exists()
    except OSError as error:
        raise BadInput(f"{CACHE_VARIABLE} {in_words(error, root)}") from None
    return root
