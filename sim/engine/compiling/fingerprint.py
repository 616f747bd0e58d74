"""What compiled code follows from, as a digest: the function, all that it calls and every constant in them.
Nothing of where the sources lie or when they were written, so clones with the same sources share an entry."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from hashlib import blake2b
from inspect import getsourcefile
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core.registry import cpu_target

PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...), np.generic, np.dtype)
OWN = __name__.partition(".")[0]  # the package whose modules may change under our hands


def fingerprint(function: Any, types: Any) -> str:
    """Of a function compiled for arguments of these types, or with this signature, by these packages, for
    this processor."""
    found = blake2b(digest_size=10)
    told = types if isinstance(types, tuple) else (types.return_type, *types.args)
    for word in (*_surroundings(), *map(_of_type, told), *_of_function(function, set())):
        found.update(f"{len(word)} {word}".encode())
    return found.hexdigest()


def _surroundings() -> Iterator[str]:
    yield f"{platform.python_implementation()} {sys.version_info[:2]}"
    yield from (package.__version__ for package in (numba, llvmlite, np))
    yield repr(cpu_target.target_context.codegen().magic_tuple())


def _of_type(kind: Any) -> str:
    """Numba's name of a type, with the fields of tuples, whose places compiled code knows by number."""
    if not hasattr(kind, "fields") or not hasattr(kind, "types"):
        return str(kind)
    inner = (f"{name}: {_of_type(of)}" for name, of in zip(kind.fields, kind.types, strict=True))
    return f"{kind.instance_class.__name__}({', '.join(inner)})"


def _of_function(function: Any, known: set[int]) -> Iterator[str]:
    """Its byte code, and what the names in it mean; `known`: functions that were told of before."""
    python = getattr(function, "py_func", function)
    if id(python) in known:
        yield python.__qualname__
        return
    known.add(id(python))
    options = getattr(function, "targetoptions", {})
    yield f"{python.__qualname__} {sorted((name, repr(value)) for name, value in options.items())}"
    for code in _codes(python.__code__):
        yield f"{code.co_code!r} {code.co_names} {code.co_varnames} {code.co_freevars}"
        for constant in code.co_consts:
            yield from () if isinstance(constant, CodeType) else _of_value(constant, known)
        for name in code.co_names:
            if name in python.__globals__:
                yield name
                yield from _of_value(python.__globals__[name], known)
    for default in (*(python.__defaults__ or ()), *sorted((python.__kwdefaults__ or {}).items())):
        yield from _of_value(default, known)
    for cell in python.__closure__ or ():
        yield from _of_value(cell.cell_contents, known)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _of_value(value: Any, known: set[int]) -> Iterator[str]:
    """A constant by its value; what comes from elsewhere by its name; a module of ours by its text."""
    if isinstance(value, PLAIN):
        yield f"{type(value).__name__} {value!r}"
    elif isinstance(value, (tuple, list)):
        yield f"{type(value).__qualname__} of {len(value)} {getattr(value, '_fields', '')}"
        for item in value:
            yield from _of_value(item, known)
    elif isinstance(value, frozenset):  # in an order of its own in each process
        yield f"frozenset {sorted(map(repr, value))}"
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype} {value.shape} {value.tobytes()!r}"
    elif isinstance(value, FunctionType) or hasattr(value, "py_func"):
        yield from _of_function(value, known)
    else:
        name = getattr(value, "__qualname__", getattr(value, "__name__", type(value).__qualname__))
        module = value if isinstance(value, ModuleType) else sys.modules[_home(value)]
        yield f"{module.__name__} {name}"
        if module.__name__.partition(".")[0] == OWN:
            yield Path(getsourcefile(module) or "").read_text()


def _home(value: Any) -> str:
    """The module that a thing, or else its type, was made in."""
    name = getattr(value, "__module__", None)
    return name if name in sys.modules else type(value).__module__
