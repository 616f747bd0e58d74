"""One set of handlers for every clock: bound anew, each clock with primitive operations of its own.
The handlers are plain Python; the compiled clock wraps each function, SimPy's clock runs them as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType, ModuleType
from typing import Any

HANDLER, VIEW = "handler", "view"


def handler(function: Any) -> Any:
    """Marks a function that every clock runs, or puts one of its own in place of."""
    function.mark = HANDLER
    return function


def view(function: Any) -> Any:
    """Marks a handler that gives a slice of an array."""
    function.mark = VIEW
    return function


def link(
    modules: tuple[ModuleType, ...],
    own: Mapping[Any, Any],
    wrap: Callable[[Any, str], Any] = lambda function, _mark: function,
) -> dict[Any, Any]:
    """Every marked function of the modules, by its original, calling the others as they are linked here.

    own: what stands in for some. wrap: what becomes of each function, given its mark.
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
