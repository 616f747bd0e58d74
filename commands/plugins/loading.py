"""Where registrations come from: files that `--plugin` names, installed packages, and another process.
Nothing else ever runs somebody's code; what a scenario names has to be here by then."""

from __future__ import annotations

import logging
import sys
import types
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path
from traceback import extract_tb
from typing import Any, NamedTuple

from sim.errors import BadInput
from sim.registry import brought

log = logging.getLogger(__name__)
GROUP = "l2h_fleet"  # of the entry points of installed packages
_READ: dict[str, str] = {}  # what was read: the text of each file by its path


def load(path: str | Path) -> None:
    """Runs a Python file that registers kinds; once, however often it is named.

    Raises BadInput, in one line, if it cannot be read, breaks, or registers nothing.
    """
    whole = Path(path).resolve()
    try:
        text = whole.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"--plugin {path}: cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    if _READ.get(str(whole)) != text:
        _run(str(whole), text)


def _run(path: str, text: str) -> None:
    """All that the file registers is there afterwards, or, if it breaks, nothing of it."""
    module = types.ModuleType(f"plugin_{Path(path).stem}")
    module.__file__ = path
    _forget(path)
    others = set(sys.modules)
    sys.modules[module.__name__] = module  # where dataclasses look for it
    brought.FILES.append((path, ""))
    try:
        _execute(module, path, text)
        if not any(one.file == path for one in brought.BROUGHT):
            raise BadInput(f"--plugin {path}: registers nothing; see l2h_fleet.register")
    except BaseException:
        _forget(path)
        raise
    finally:
        brought.FILES.pop()
    code = _digest_of(text, [sys.modules[name] for name in sorted(set(sys.modules) - others)])
    brought.BROUGHT[:] = [one._replace(code=code) if one.file == path else one for one in brought.BROUGHT]
    _READ[path] = text


def _forget(path: str) -> None:
    """Takes back what a file registered."""
    _READ.pop(path, None)
    for one in [one for one in reversed(brought.BROUGHT) if one.file == path]:
        one.take_back()
        brought.BROUGHT.remove(one)


def _digest_of(text: str, beside: list[types.ModuleType]) -> str:
    """Of a plugin and of the modules that came with it, but for those of installed packages and of this tool,
    which another process may have loaded before."""
    theirs = [one for one in beside if one.__name__ != "__main__" and not brought.is_ours(one.__name__)]
    paths = [Path(str(getattr(module, "__file__", None) or "")) for module in theirs]
    own = [
        path.read_bytes()
        for path in paths
        if path.suffix == ".py" and path.is_file() and not brought.is_installed(str(path))
    ]
    return brought.digest(b"\n".join([text.encode(), *own]))


def _execute(module: types.ModuleType, path: str, text: str) -> None:
    try:
        exec(compile(text, path, "exec"), module.__dict__)
    except BadInput as error:
        raise error.told(f"--plugin {path}: ") from None
    except SyntaxError as error:
        raise BadInput(f"--plugin {path}:{error.lineno}: {error.msg}") from None
    except (Exception, SystemExit) as error:
        line = max(
            (one.lineno or 0 for one in extract_tb(error.__traceback__) if one.filename == path), default=0
        )
        raise BadInput(f"--plugin {path}:{line}: {type(error).__name__}: {error}") from error


@cache
def load_installed() -> None:
    """Lets installed packages register: each entry point of the group is imported, and called if it can be.

    Raises BadInput for one that breaks.
    """
    for point in entry_points(group=GROUP):
        try:
            found = point.load()
            if callable(found):
                found()
        except (Exception, SystemExit) as error:
            raise BadInput(f"the installed plugin '{point.name}' ({point.value}) broke: {error}") from error


class Carried(NamedTuple):
    """What another process needs to know the same kinds. files: text by path; objects: of a notebook or of
    modules that can be imported there, each with the digest of its code here."""

    files: dict[str, str]
    objects: list[tuple[str, str, Any, str]]


def preparation() -> Callable[[], None] | None:
    """What another process has to do to know the same kinds; None where there are none but the tool's own."""
    if not brought.BROUGHT:
        return None
    objects = [(one.family, one.name, one.made, one.code) for one in brought.BROUGHT if not one.file]
    return partial(take, Carried(dict(_READ), objects))


def take(what: Carried) -> None:
    """Registers in this process what it does not know yet."""
    from commands.plugins.registering import register

    load_installed()
    known = {(one.family, one.name): one.code for one in brought.BROUGHT}
    for path, text in what.files.items():
        if _READ.get(path) != text:
            _run(path, text)
    for family, name, made, code in what.objects:
        if known.get((family, name)) != code:
            brought.FILES.append(("", code))
            try:
                register(family, name, made)
            finally:
                brought.FILES.pop()


def call_hooks(folder: Path) -> None:
    """Hands a finished run to whoever registered a hook. One that breaks costs a warning, not the run."""
    if not any(one.family == "hook" for one in brought.BROUGHT):
        return
    from analysis.run_folder.run import load_run
    from commands.plugins.of_results import HOOKS

    for name, hook in HOOKS.items():
        try:
            hook(load_run(folder))
        except Exception as error:
            log.warning("the hook '%s' broke: %s: %s", name, type(error).__name__, error)
