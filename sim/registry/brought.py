"""What was registered from outside: which kinds, and digests of the code behind them.
Part of what decides the bytes of a run, so of the versions that a run folder tells; also how the objects
reach other processes."""

from __future__ import annotations

import inspect
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple


class Brought(NamedTuple):
    """A kind that was registered from outside. code: the digest of its source."""

    family: str
    name: str
    made: Any
    code: str


BROUGHT: list[Brought] = []


def note(family: str, name: str, made: Any) -> None:
    """Remembers a kind that was registered from outside."""
    BROUGHT.append(Brought(family, name, made, code_of(made)))


def digests() -> dict[str, str]:
    """Per kind a digest of its code, by `FAMILY NAME`."""
    return {f"{one.family} {one.name}": one.code for one in BROUGHT}


def code_of(made: Any) -> str:
    """A digest of the file that defines an object; of its own source in a notebook; of its name elsewhere."""
    kind = made if inspect.isclass(made) or inspect.isroutine(made) else type(made)
    try:
        module = inspect.getmodule(kind)
        path = getattr(module, "__file__", None)
        content = Path(path).read_bytes() if path else inspect.getsource(kind).encode()
    except (OSError, TypeError):
        content = f"{kind.__module__}.{kind.__qualname__}".encode()
    return blake2b(content, digest_size=10).hexdigest()
