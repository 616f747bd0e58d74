"""One set of handlers for every clock: their functions bound anew, each clock with its own primitive
operations.
The handlers are plain Python; the compiled clock wraps each function, SimPy's clock runs them as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType, ModuleType
from typing import Any

PART, LEAF, PRIMITIVE = "part", "leaf", "primitive"


def part(function: Any) -> Any:
    """Marks a handler that takes the whole world: compiled, it is written into whoever calls it by Numba."""
    function.mark = PART
    return function


def leaf(function: Any) -> Any:
    """Marks a handler that takes a few arrays: compiled, a function of its own."""
    function.mark = LEAF
    return function


def primitive(function: Any) -> Any:
    """Marks what a clock may do in its own way: a leaf that `link` can replace."""
    function.mark = PRIMITIVE
    return function


def link(
    modules: tuple[ModuleType, ...],
    own: Mapping[Any, Any],
    wrap: Callable[[Any, str], Any] = lambda function, _mark: function,
) -> dict[Any, Any]:
    """Every marked function of the modules, by its original, calling the others as they are linked here.

    own: what stands in for some primitives. wrap: what becomes of each function, given its mark.
    """
    linked: dict[Any, Any] = dict(own)
    scopes: dict[int, dict[str, Any]] = {}
    waiting = [vars(module) for module in modules]
    while waiting:
        home = waiting.pop()
        if id(home) in scopes:
            continue
        scope = scopes[id(home)] = dict(home)
        for name, found in home.items():
            if not isinstance(found, FunctionType) or not hasattr(found, "mark"):
                continue
            if found.__globals__ is not home:
                waiting.append(found.__globals__)
            elif found not in linked:
                linked[found] = wrap(FunctionType(found.__code__, scope, name), found.mark)
    for scope in scopes.values():
        for name, found in scope.items():
            if isinstance(found, FunctionType) and found in linked:
                scope[name] = linked[found]
    return linked
