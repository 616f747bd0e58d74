"""The versions of everything that the bytes of a run depend on besides its scenario.
Written into each run folder; a run goes on only where they are the same. The commit is written beside them,
and a run goes on with another: not every commit changes bytes, and those that do raise the version."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import version

from sim.registry.brought import digests
from sim.results.columns import OWN_KEY, VERSION
from sim.results.commit import commit

PACKAGES = (
    "torch",
    "torchvision",
    "ray",
    "simpy",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "pydantic",
    "scikit-learn",
)


def versions() -> dict[str, str]:
    """What the bytes of a run depend on besides its scenario."""
    own = {OWN_KEY: VERSION, "python": platform.python_version(), "machine": platform.machine()}
    return own | _installed() | digests()


@cache
def _installed() -> dict[str, str]:
    """Looked up once: a process goes on with the packages that it has loaded."""
    return {name: version(name) for name in PACKAGES}


def provenance() -> dict[str, str | None]:
    """What a run folder tells of the code that made it: the versions, and the commit if it is known."""
    return versions() | {"commit": commit()}
