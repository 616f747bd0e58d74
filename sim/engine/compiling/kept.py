"""Where compiled code is kept: an entry in the user's cache folder for each fingerprint, made once.
Of many processes that miss one, a single one compiles; the others are told what they can wait for."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import _CacheLocator
from numba.core.errors import NumbaError

from sim.engine.compiling import private, turns
from sim.engine.compiling.decorators import is_switched_off
from sim.engine.compiling.fingerprint import fingerprint

log = logging.getLogger(__name__)

KEPT_S = 30 * 86_400.0  # code of other sources that nobody has used for so long is removed

_config: Any = numba.config


class ByContent(_CacheLocator):
    """Has Numba look for a function in one folder, whose name tells all that the code follows from.

    Numba's own locators go by the path of one source file and by its content: another clone would not be
    served, and a change in another file not be noticed.
    """

    def __init__(self, folder: str, source: str) -> None:
        self._folder, self._py_file = folder, source

    def get_cache_path(self) -> str:
        return self._folder

    def get_source_stamp(self) -> str:
        return ""

    def get_disambiguator(self) -> str:
        return "kept"

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> ByContent:  # noqa: ARG003  (as Numba calls it)
        return cls(_config.CACHE_DIR, py_file)


def cache_folder(function: Any, types: Any) -> Path:
    """Where the code of this function for these types, or with this signature, is kept.

    Raises RuntimeError if there is no home.
    """
    return turns.above() / f"kernel-{numba.__version__}-{fingerprint(function, types)}"


def is_kept(function: Any, types: Any) -> bool:
    """Whether there is nothing to compile: what `ready` would read is there and nobody else can have written
    it, or no code is ever made."""
    if is_switched_off():
        return True
    with suppress(OSError, RuntimeError):
        # Whoever is killed between the two files has left the index alone; each appears whole or not at all.
        folder = cache_folder(function, types)
        if any(folder.glob("*.nbi")) and any(folder.glob("*.nbc")):
            return not private.is_open_to_others(folder)
    return False


def compiling_since_s(function: Any, types: Any) -> float | None:
    """For how many wall seconds a process has been compiling this; None if none is."""
    with suppress(RuntimeError):
        return turns.at_work_since_s(cache_folder(function, types))
    return None


def wait(function: Any, types: Any, tell: Callable[[float], None]) -> None:
    """Until what another process compiles, or will in its turn, is there, or nobody is at it any more, or
    patience ends. tell: hears for how many seconds somebody has been at it."""
    until = time.monotonic() + turns.PATIENCE_S
    while not is_kept(function, types) and time.monotonic() < until:
        since_s = compiling_since_s(function, types)
        if since_s is None and not turns.is_taken():
            return
        tell(since_s or 0.0)  # not yet its turn
        time.sleep(turns.LOOK_S)


def ready(function: Any, types: Any, is_my_turn: bool = False, is_small: bool = False) -> None:
    """Has a whole function compiled for these types, or read from the cache.

    Of many processes that find nothing there one compiles, and the others read what it left; is_my_turn: that
    is this one. is_small: it takes no turn and is not announced: to wait would take longer. A cache that
    is damaged is made anew, and one that takes nothing is told in a warning: it costs time, never the run.
    Where it cannot be written at all, or others could write it, each process compiles anew.
    """
    if is_switched_off() or function.signatures:
        return
    folder = writable(function, types)
    if folder is None:
        function.compile(types)
        return
    if is_small or is_kept(function, types):  # which takes no turn: nothing is made
        _read_or_compile(folder, function, types)
        return
    with nullcontext() if is_my_turn else turns.my_turn():
        if is_kept(function, types):
            _read_or_compile(folder, function, types)
        else:
            with turns.at_work(folder):
                _read_or_compile(folder, function, types)


def _read_or_compile(folder: Path, function: Any, types: Any) -> None:
    try:
        with suppress(OSError):
            os.utime(folder)
        _keep_in(folder, function)
        with private.only_mine():
            function.compile(types)
        _tidy(folder)
    except NumbaError:
        raise
    except Exception as error:  # whatever half a file makes of Numba's reader, or a full disk
        why = " ".join(f"{type(error).__name__}: {error}".split())
        log.warning("%s: cannot be used (%s); what it holds is compiled anew", folder, why)
        shutil.rmtree(folder, ignore_errors=True)
        if function.signatures:  # it was compiled, and only not kept
            return
        with suppress(OSError):
            function.compile(types)
        if not function.signatures:
            raise


def writable(function: Any, types: Any) -> Path | None:
    """The folder of an entry, made for this user alone; None if nobody may write there, or the disk is full,
    or others may write there too, which is told in a warning."""
    try:
        folder = cache_folder(function, types)
        with private.only_mine():
            folder.mkdir(parents=True, exist_ok=True)
        why = private.is_open_to_others(folder)
        if why:
            _tell(why)
            return None
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError):
        return None
    return folder


@cache
def _tell(why: str) -> None:
    """Once in a process, whoever asks."""
    log.warning("%s: so compiled code is neither read nor kept there, and compiled anew", why)


def _keep_in(folder: Path, function: Any) -> None:
    names = ("CACHE_DIR", "CACHE_LOCATOR_CLASSES")
    before = [getattr(_config, name) for name in names]
    _config.CACHE_DIR, _config.CACHE_LOCATOR_CLASSES = str(folder), f"{__name__}.{ByContent.__name__}"
    try:
        function.enable_caching()
    finally:
        for name, value in zip(names, before, strict=True):
            setattr(_config, name, value)


def _tidy(own: Path) -> None:
    """Removes what was compiled of other sources and has not been used for a month, and what a process that
    was killed left of this one.

    Who reads code marks its folder as used, so nothing that is being read is a month old.
    """
    with suppress(OSError, RuntimeError):
        for half in own.glob("*.tmp.*"):
            if time.time() - half.stat().st_mtime > turns.PATIENCE_S:
                half.unlink()
        for other in own.parent.glob("kernel-*"):
            if other != own and time.time() - other.stat().st_mtime > KEPT_S:
                shutil.rmtree(other, ignore_errors=True)
