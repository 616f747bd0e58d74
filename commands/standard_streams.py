"""The standard streams of the process, whatever they were given as: closed, a full device, a broken pipe.
Part of the command line; imports nothing that takes time, since it comes before all other imports."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TextIO

STANDARD_OUTPUT = "standard output"


class _Output(TextIOWrapper):
    """Results: where they cannot be written an error names this, once, and the rest goes nowhere."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise self._ended(error) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise self._ended(error) from None

    def _ended(self, error: OSError) -> OSError:
        _open_nowhere(self.fileno(), os.O_WRONLY)  # else the end of the process would try it again
        return OSError(error.errno, error.strerror, STANDARD_OUTPUT)


class _Remarks(TextIOWrapper):
    """Progress, warnings, errors: that they cannot be written costs no result and changes no exit code."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def guard() -> None:
    """Opens what is closed, on nothing, so that no file of ours takes its number; and says what becomes of
    output that cannot be written: of stdout one error, of stderr nothing."""
    for number, flags in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            _open_nowhere(number, flags)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  (as long as the process)
    sys.stdout, sys.stderr = _as(_Output, sys.stdout, 1), _as(_Remarks, sys.stderr, 2)


def _as(kind: type[TextIOWrapper], stream: TextIO | None, number: int) -> TextIO:
    """The stream as one of this kind; what it was stays in `sys`, under its name with underscores."""
    if stream is None:
        return kind(open(number, "wb", closefd=False), "utf-8", "backslashreplace")
    return kind(stream.buffer, stream.encoding, stream.errors, None, stream.isatty() or number == 2)


def _open_nowhere(number: int, flags: int) -> None:
    handle = os.open(os.devnull, flags)
    if handle != number:
        os.dup2(handle, number)
        os.close(handle)
    os.set_inheritable(number, True)
