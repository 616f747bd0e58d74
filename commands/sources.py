"""The project's own code as a digest: part of what decides the bytes of a run."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (
    "sim/**/*.py",
    "agents/**/*.py",
    "analysis/**/*.py",
    "commands/one_run.py",
)  # all that decides a run and its summary


@cache
def sources() -> str:
    """A digest of the code that this process runs, if it is asked for as it begins."""
    return sources_now()


def sources_now() -> str:
    """A digest of the code that makes a run, as a process that begins now would load it."""
    whole = blake2b(digest_size=10)
    for path in sorted(path for pattern in SOURCES for path in ROOT.glob(pattern)):
        content = path.read_bytes()
        whole.update(f"{path.relative_to(ROOT).as_posix()} {len(content)}\n".encode() + content)
    return whole.hexdigest()
