"""What was registered from outside: which kinds, and digests of the code behind them.
Part of what decides the bytes of a run, so of the versions that a run folder tells."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple


class Brought(NamedTuple):
    """A kind that was registered from outside. code: the digest of its source; take_back: undoes it; file:
    the file that `--plugin` named, "" where it came otherwise."""

    family: str
    name: str
    made: Any
    code: str
    take_back: Callable[[], None]
    file: str


BROUGHT: list[Brought] = []
FILES: list[tuple[str, str]] = []  # the plugin that is being read, innermost last: its path and its code


def digests() -> dict[str, str]:
    """Per kind a digest of its code, by `FAMILY NAME`, in order of the names."""
    found = {
        f"{one.family} {one.name}": one.code
        for one in BROUGHT
        if one.family != "hook" and not _is_ours(one.made)
    }
    return dict(sorted(found.items()))


def _is_ours(made: Any) -> bool:
    return str(getattr(made, "__module__", "")).startswith("l2h_fleet")


def code_of(made: Any) -> str:
    """A digest of the file that defines an object; of its own source where that is no file, in a notebook."""
    kind = made if inspect.isclass(made) or inspect.isroutine(made) else type(made)
    path = getattr(sys.modules.get(kind.__module__), "__file__", None)
    try:
        content = Path(path).read_bytes() if path else inspect.getsource(kind).encode()
    except (OSError, TypeError):
        content = f"{kind.__module__}.{kind.__qualname__}".encode()
    return digest(content)


def digest(content: bytes) -> str:
    """20 hex digits."""
    return blake2b(content, digest_size=10).hexdigest()
