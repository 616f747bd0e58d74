"""What stands over functions that are compiled: a handler, a view, or the whole that Python calls.
Where the whole is kept, `kept` knows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numba

# Nothing is allocated, so arrays need no counting of references: that would take most of the time. LLVM
# writes every handler into its callers, a tenth faster than by its own judgement; Numba writes a view there,
# since without counting none may be returned.
_jit: Any = partial(numba.njit, _nrt=False)
handler: Callable[[Any], Any] = _jit(forceinline=True)
view: Callable[[Any], Any] = _jit(inline="always")


def whole(function: Any) -> Any:
    """A function to be called from Python, once it is `ready`.

    No fast-math: sums and products come out as Python's do. With NUMBA_DISABLE_JIT nothing is compiled.
    """
    return function if is_switched_off() else _jit()(function)


def is_switched_off() -> bool:
    """Whether Numba was told to compile nothing, so that a debugger can step through the handlers."""
    config: Any = numba.config
    return bool(config.DISABLE_JIT)
