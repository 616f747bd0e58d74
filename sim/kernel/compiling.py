"""How the kernel is compiled: once per state of its sources, kept on disk for later runs.
The parts are plain functions that become one; only the walk in `sim.kernel.walk` is called from Python."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numba

KERNEL = Path(__file__).resolve().parent
NOT_COMPILED = ("stretch.py", "terms.py")  # plain Python around it

# Nothing is allocated, so arrays need no counting of references: that would take most of the time. A part is
# written into whoever calls it by Numba, a leaf by LLVM: the one costs time to compile per place where it is
# called, the other per array that it is given, so what takes the whole world is a part.
_jit: Any = partial(numba.njit, _nrt=False)
part: Callable[[Any], Any] = _jit(inline="always")
leaf: Callable[[Any], Any] = _jit(forceinline=True)


def whole(function: Any) -> Any:
    """A function to be called from Python, from the cache if these very sources were compiled before.

    No fast-math: sums and products come out as Python's do. Numba itself would look at one file only, and
    run an old kernel after a change in another.
    """
    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(cache_folder())
    try:
        return _jit(cache=True)(function)
    except RuntimeError:  # nowhere to write: it is compiled anew in each process
        return _jit()(function)
    finally:
        config.CACHE_DIR = before


def cache_folder() -> Path:
    """Where compiled code of these sources is kept: in the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "l2h-fleet" / f"kernel-{numba.__version__}-{fingerprint(KERNEL)}"


def fingerprint(kernel: Path) -> str:
    """Of all that is compiled: the modules in the kernel's folder, and those that they take constants of."""
    own = sorted(path for path in kernel.glob("*.py") if path.name not in NOT_COMPILED)
    named = {
        name for path in own for name in re.findall(r"^from (sim\.[\w.]+) import", path.read_text(), re.M)
    }
    others = (kernel.parents[1] / f"{name.replace('.', '/')}.py" for name in sorted(named))
    found = hashlib.blake2b(digest_size=8)
    for path in (*own, *others):
        found.update(path.read_bytes())
    return found.hexdigest()
