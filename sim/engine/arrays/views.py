"""The arrays as plain Python reads them fast: as memoryviews.
For SimPy's clock, whose handlers are not compiled."""

from __future__ import annotations

from typing import Any

import numpy as np


def views(world: Any) -> Any:
    """A named tuple of arrays as one of memoryviews, which Python reads faster; numbers as plain ones."""
    found = []
    for value in world:
        if isinstance(value, np.ndarray):
            found.append(value.data)
        elif isinstance(value, tuple) and hasattr(value, "_fields"):
            found.append(views(value))
        else:
            found.append(value.item() if isinstance(value, np.generic) else value)
    return type(world)(*found)
