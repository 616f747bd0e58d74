"""What stands over functions that are compiled: a part, a leaf, or the whole that Python calls.
The parts are plain functions that become one; where the whole is kept, `kept` knows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numba

# Nothing is allocated, so arrays need no counting of references: that would take most of the time.
# A part is written into whoever calls it by Numba; a leaf is called, or written there by LLVM, as that sees
# fit. The one costs time to compile per place where it is used, the other per array that it is given, so what
# takes the whole world is a part.
_jit: Any = partial(numba.njit, _nrt=False)
part: Callable[[Any], Any] = _jit(inline="always")
leaf: Callable[[Any], Any] = _jit()


def whole(function: Any) -> Any:
    """A function to be called from Python, once it is `ready`.

    No fast-math: sums and products come out as Python's do. With NUMBA_DISABLE_JIT nothing is compiled.
    """
    return function if is_switched_off() else _jit()(function)


def is_switched_off() -> bool:
    """Whether Numba was told to compile nothing, so that a debugger can step through the kernel."""
    config: Any = numba.config
    return bool(config.DISABLE_JIT)
