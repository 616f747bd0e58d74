"""The versions of everything that the bytes of a run depend on besides its scenario.
Written into each run folder; a run goes on only where they are the same."""

from __future__ import annotations

import platform
from importlib.metadata import version

from sim.results.columns import OWN_KEY, VERSION

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
    return own | {name: version(name) for name in PACKAGES}
