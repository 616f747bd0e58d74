"""Keeps what a function found of a run or of its traffic with that object, so that it is found once.
Below all that many sections of a summary ask for alike."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

Of = TypeVar("Of")
Asked = ParamSpec("Asked")
Found = TypeVar("Found")


def kept(function: Callable[Concatenate[Of, Asked], Found]) -> Callable[Concatenate[Of, Asked], Found]:
    """The same function of an object that does not change, asked of each with the same arguments once.

    What it gives goes with the object, and nobody may change it. The other arguments are hashable.
    """

    @wraps(function)
    def found(of: Of, /, *args: Asked.args, **named: Asked.kwargs) -> Found:
        known = of.__dict__.setdefault("_kept", {})
        key = (function, args, *named.items())
        if key not in known:
            known[key] = function(of, *args, **named)
        return known[key]  # type: ignore[no-any-return]

    return found
