"""What was registered from outside: which kinds, and digests of the code behind them.
Part of what decides the bytes of a run, so of the versions that a run folder tells."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import is_dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

NOISE = ("__dict__", "__weakref__", "__module__", "__annotations__", "__firstlineno__", "model_fields")
OURS = ("sim", "agents", "analysis", "commands", "live", "l2h_fleet", "builtins")
PLAIN = (int, float, complex, str, bytes, bool, type(None))


class Brought(NamedTuple):
    """A kind that was registered from outside. code: a digest of what decides what it does; take_back: undoes
    it; file: the file that `--plugin` named, "" where it came otherwise."""

    family: str
    name: str
    made: Any
    code: str
    take_back: Callable[[], None]
    file: str


BROUGHT: list[Brought] = []
FILES: list[tuple[str, str]] = []  # where what is registered now comes from: its file and its digest


def digests() -> dict[str, str]:
    """Per kind a digest of its code, by `FAMILY NAME`, in order of the names."""
    deciding = [one for one in BROUGHT if one.family != "hook" and not _is_ours(one.made)]
    return dict(sorted((f"{one.family} {one.name}", one.code) for one in deciding))


def _is_ours(made: Any) -> bool:
    return str(getattr(made, "__module__", "")).partition(".")[0] == "l2h_fleet"


def digest(content: bytes) -> str:
    """20 hex digits."""
    return blake2b(content, digest_size=10).hexdigest()


def code_of(made: Any) -> str:
    """A digest of an object's code: its functions, what they close over, the globals that they name, its
    bases; and the file that defines it, if there is one."""
    module = sys.modules.get(str(getattr(made, "__module__", "")))
    path = getattr(module, "__file__", None)
    file = Path(path).read_bytes() if path and Path(path).is_file() else b""
    return digest(file + "\n".join(_told(made, set())).encode())


def _told(made: Any, seen: set[int]) -> Iterator[str]:
    """An object in words that are the same in every process."""
    if isinstance(made, PLAIN):
        yield f"{type(made).__name__} {made!r}"
    elif id(made) not in seen:
        seen.add(id(made))
        if isinstance(made, frozenset | set):
            yield from sorted(word for one in made for word in _told(one, seen))
        elif isinstance(made, CodeType):
            yield f"{made.co_name} {made.co_code.hex()} {made.co_names}"
            yield from _told(made.co_consts, seen)
        elif isinstance(made, FunctionType):
            yield from _function(made, seen)
        elif inspect.isclass(made):
            yield made.__qualname__
            yield from _told(_of_class(made), seen) if _is_brought(made) else ()
        else:
            yield type(made).__qualname__
            for one in _parts(made):
                yield from _told(one, seen)


def _parts(made: Any) -> Iterable[Any]:
    """What an object consists of."""
    found: Iterable[Any] = ()
    if isinstance(made, dict):
        found = [*made, *made.values()]
    elif hasattr(made, "_asdict"):  # such as a Ratio
        found = list(made._asdict().values())
    elif isinstance(made, list | tuple):
        found = made
    elif isinstance(made, partial):
        found = made.func, made.args, made.keywords
    elif isinstance(made, staticmethod | classmethod):
        found = (made.__func__,)
    elif isinstance(made, property):
        found = made.fget, made.fset
    elif is_dataclass(made) or _is_brought(type(made)):  # such as a Law
        found = list(getattr(made, "__dict__", {}).values())
    return found


def _of_class(made: type) -> list[Any]:
    return [made.__bases__, *(value for name, value in sorted(vars(made).items()) if not _is_noise(name))]


def _function(made: FunctionType, seen: set[int]) -> Iterator[str]:
    yield from _told(made.__code__, seen)
    yield from _told((made.__defaults__, made.__kwdefaults__), seen)
    for cell in made.__closure__ or ():
        yield from _told(cell.cell_contents, seen)
    for name in _names(made.__code__):
        found = made.__globals__.get(name)
        if found is not None and (isinstance(found, PLAIN) or _is_brought(found)):
            yield name
            yield from _told(found, seen)


def _names(code: CodeType) -> list[str]:
    """The globals that code and the code within it may name."""
    inner = [one for one in code.co_consts if isinstance(one, CodeType)]
    return sorted({*code.co_names, *(name for one in inner for name in _names(one))})


def _is_brought(made: Any) -> bool:
    """Whether an object is defined by whoever registers, and not by this tool or a package that has a
    version: in a notebook, a script, or a file outside the installed packages."""
    name = str(getattr(made, "__module__", "builtins"))
    if name == "__main__":
        return True
    path = getattr(sys.modules.get(name), "__file__", None)
    return (
        not is_ours(name) and (path is None or not is_installed(path)) and name not in sys.stdlib_module_names
    )


def is_ours(module: str) -> bool:
    """Whether a module is this tool's, or Python's own, by its name."""
    return module.partition(".")[0] in OURS


def is_installed(path: str) -> bool:
    """Whether a file belongs to Python or an installed package, whose version tells what it is."""
    return "site-packages" in path or path.startswith((sys.base_prefix, sys.prefix))


def _is_noise(name: str) -> bool:
    return name in NOISE or name.startswith("__pydantic")
