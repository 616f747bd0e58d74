"""One hash over everything that learning hands to a run, to say "the same bytes" in a test."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from sim.messages import Learned


def fingerprint(learned: Learned) -> str:
    """A hash of every array, with type and shape, and every number of a `Learned`."""
    content = sha256()
    _add(content, learned)
    return content.hexdigest()


def _add(content: Any, value: object) -> None:
    if isinstance(value, np.ndarray):
        content.update(f"{value.dtype}{value.shape}".encode() + value.tobytes())
    elif is_dataclass(value):
        for field in fields(value):
            _add(content, getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            _add(content, item)
    else:
        content.update(repr(value).encode())
