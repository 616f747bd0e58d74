"""The compiled clock: the same handlers under Numba, with a heap of its own, for long runs.
`sim.engine.choice` decides where it plays; the bytes are those of SimPy's clock."""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np

from sim.engine.arrays.context import Context
from sim.engine.arrays.known_events import NO_EVENTS
from sim.engine.arrays.laying_out import fixed
from sim.engine.clock import Played, Stretch
from sim.engine.compiled_functions import FUNCTIONS, compiled
from sim.engine.compiling.decorators import handler, is_switched_off, view, whole
from sim.engine.compiling.kept import ready
from sim.engine.compiling.reference import by_reference
from sim.engine.events import DONE, RAN_BACKWARDS
from sim.engine.handlers import MODULES
from sim.engine.handlers.walk import walk as walk_of_handlers
from sim.engine.learning import Learning
from sim.engine.linking import VIEW, link
from sim.engine.state import State
from sim.errors import RunFailed
from sim.world.parameters import Parameters

types: Any = numba.types
Expected = tuple[tuple[str, Any], ...]  # per field its name, and its dtype, its own fields, or None


linked = link(MODULES, {}, lambda function, mark: view(function) if mark == VIEW else handler(function))
_walk = linked[walk_of_handlers]


def _walk_by_reference(world: Any, registers: Any, stations: Any) -> Any:
    """The walk over the handlers, all compiled into one function."""
    return _walk(by_reference(world), registers, stations)


walk = walk_of_handlers if is_switched_off() else whole(_walk_by_reference)


class CompiledClock:
    """Plays any stretch of one run.

    Raises TypeError, in one line, if a function of the run cannot be compiled or if there are too many.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._fixed, self._functions = fixed(parameters), compiled(parameters)

    def compile(self) -> None:
        """Compiles the walk, or reads it from the disk, if this process has not yet."""
        from sim.engine.compiling import target  # noqa: PLC0415  (which names what is compiled, in here)

        ready(walk, target.argument_types())

    def context_of_nothing(self, state: State, learning: Learning) -> Context:
        """The arrays of a stretch without events, which have the types of all."""
        return Context(self._fixed, self._functions, state, Stretch(0.0, 0.0, NO_EVENTS, []), learning)

    def play(self, state: State, stretch: Stretch, learning: Learning) -> Played:
        """Runs the events of the stretch and leaves in `state` what they changed."""
        self.compile()
        context = Context(self._fixed, self._functions, state, stretch, learning)
        while (why := _walked(context)) != DONE:
            if why == RAN_BACKWARDS:
                raise RunFailed("run", f"the clock ran backwards from {context.registers['now'][0]} s")
            context.help(why)
        return context.read_back()

    def kept(self) -> list[Any]:
        return []

    def restore(self, kept: list[Any]) -> None:
        """Nothing is kept."""


def _walked(context: Context) -> Any:
    """Calls the one version there is: Numba would look at the type of every array, for 10 ms a call."""
    if is_switched_off():
        with np.errstate(over="ignore"):  # in plain Python the words of keyed draws warn as they wrap
            return walk(context.arrays, context.registers, context.stations)
    check(_expected(), context.arrays)
    return _entry_point()(context.arrays, context.registers, context.stations)


@cache
def _entry_point() -> Any:
    (only,) = walk.overloads.values()
    return only.entry_point


def check(expected: Expected, world: Any) -> None:
    """Raises TypeError if an array is not what was compiled for, which nobody else would notice."""
    for (name, kind), value in zip(expected, world, strict=True):
        if isinstance(kind, tuple):
            check(kind, value)
        elif kind is not None and (value.dtype != kind or not value.flags.c_contiguous):
            raise TypeError(f"{name} is {value.dtype} with strides {value.strides}, not {kind} in one piece")


@cache
def _expected() -> Expected:
    ((signature, _),) = walk.overloads.items()
    return expected_of(signature[0])


def expected_of(kind: Any) -> Expected:
    """The arrays of a named tuple that Numba compiled for."""
    return tuple((name, _dtype_or_fields(one)) for name, one in zip(kind.fields, kind.types, strict=True))


def _dtype_or_fields(kind: Any) -> Any:
    if isinstance(kind, types.Array):
        return np.dtype(str(kind.dtype))
    return expected_of(kind) if isinstance(kind, types.BaseNamedTuple) and kind is not FUNCTIONS else None


def types_of(context: Context) -> tuple[Any, ...]:
    """The types of the walk's arguments, the same for every world: those of functions are given."""
    typeof: Any = numba.typeof
    fields = [
        FUNCTIONS if name == "functions" else typeof(value)
        for name, value in context.arrays._asdict().items()
    ]
    world = types.NamedTuple(tuple(fields), type(context.arrays))
    return world, typeof(context.registers), typeof(context.stations)
