"""How the compiled loop is compiled: once per state of its sources, kept on disk for later runs.
The parts are plain functions that become one; only the walk in `sim.engine.handlers.walk` is called from
Python."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numba
from numba.core.errors import NumbaError

log = logging.getLogger(__name__)

ENGINE = Path(__file__).resolve().parent
PATIENCE_S = 400.0  # wall time for another process to compile; then this one does it too
LOOK_S = 0.05  # wall time between two looks whether it has
KEPT_S = 30 * 86_400.0  # code of other sources that nobody has used for so long is removed

# Nothing is allocated, so arrays need no counting of references: that would take most of the time.
# A part is written into whoever calls it by Numba; a leaf is called, or written there by LLVM, as that sees
# fit. The one costs time to compile per place where it is used, the other per array that it is given, so what
# takes the whole world is a part.
_jit: Any = partial(numba.njit, _nrt=False)
part: Callable[[Any], Any] = _jit(inline="always")
leaf: Callable[[Any], Any] = _jit()


def whole(function: Any) -> Any:
    """A function to be called from Python, from the cache if these very sources were compiled before.

    No fast-math: sums and products come out as Python's do. Numba itself would look at one file only, and
    run old code after a change in another; so where the cache cannot be written it must not choose
    another place: each process compiles anew. With NUMBA_DISABLE_JIT nothing is compiled.
    """
    if is_switched_off():
        return function
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError):  # a full disk, nobody may write there, or there is no home
        return _jit()(function)
    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
    try:
        return _jit(cache=True)(function)
    finally:
        config.CACHE_DIR = before


def ready(function: Any, types: tuple[Any, ...]) -> None:
    """Has a whole function compiled for these types, or read from the cache.

    Of many processes that find nothing there one compiles, and the others read what it left. A cache that is
    damaged is made anew, and one that takes nothing is told in a warning: it costs time, never the run.
    """
    if is_switched_off() or function.signatures:
        return
    with _one_at_a_time():
        try:
            function.compile(types)
            _tidy()
        except NumbaError:
            raise
        except Exception as error:  # whatever half a file makes of Numba's reader, or a full disk
            why = " ".join(f"{type(error).__name__}: {error}".split())
            log.warning("%s: cannot be used (%s); the event loop is compiled without it", cache_folder(), why)
            shutil.rmtree(cache_folder(), ignore_errors=True)
            if function.signatures:  # it was compiled, and only not kept
                return
            with suppress(OSError):
                function.compile(types)
            if not function.signatures:
                raise


def is_switched_off() -> bool:
    """Whether Numba was told to compile nothing, so that a debugger can step through the compiled loop."""
    config: Any = numba.config
    return bool(config.DISABLE_JIT)


def is_kept() -> bool:
    """Whether there is nothing to compile: these sources were before, or nothing ever is."""
    with suppress(OSError, RuntimeError):
        return is_switched_off() or any(cache_folder().rglob("*.nbi"))
    return False


def _tidy() -> None:
    """Removes what was compiled of other sources and has not been used for a month.

    Who reads code holds the lock, and marks its folder as used; so nothing that is being read goes.
    """
    with suppress(OSError, RuntimeError):
        own = cache_folder()
        os.utime(own)
        for other in own.parent.glob("kernel-*"):
            if other != own and time.time() - other.stat().st_mtime > KEPT_S:
                shutil.rmtree(other, ignore_errors=True)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Within it no other process of this user compiles, unless there are no locks or it takes too long."""
    handle = None
    try:
        with suppress(OSError, RuntimeError):
            above = cache_folder().parent
            above.mkdir(parents=True, exist_ok=True)
            handle = os.open(above, os.O_RDONLY)
            until = time.monotonic() + PATIENCE_S
            while not _locked(handle) and time.monotonic() < until:
                time.sleep(LOOK_S)
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def cache_folder() -> Path:
    """Where compiled code of these sources is kept: in the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "l2h-fleet" / f"kernel-{numba.__version__}-{fingerprint(ENGINE)}"


def fingerprint(engine: Path) -> str:
    """Of all that is compiled: the handlers and what lays out their arguments, and the modules that they take
    constants and functions of."""
    own = [
        *sorted((engine / "handlers").glob("*.py")),
        engine / "arrays.py",
        engine / "parameter_arrays.py",
        engine / "compiled_clock.py",
    ]
    named = {
        name for path in own for name in re.findall(r"^from (sim\.[\w.]+) import", path.read_text(), re.M)
    }
    files = (engine.parents[1] / f"{name.replace('.', '/')}.py" for name in sorted(named))
    found = hashlib.blake2b(digest_size=8)
    for path in (*own, *(path for path in files if path.exists() and path not in own)):
        found.update(path.read_bytes())
    return found.hexdigest()
