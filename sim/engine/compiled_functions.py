"""Prices, disciplines and choices as functions that compiled handlers call by address, whichever they are.
So no scenario and nothing that somebody brings has the event loop compiled anew."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import FunctionType
from typing import Any, get_type_hints

import numba
from numba import extending
from numba.core import cgutils
from numba.core.errors import NumbaExperimentalFeatureWarning
from numba.experimental.function_type import FunctionModel

from sim.engine.arrays.laying_out import choices_of, kinds_of, ranks_of
from sim.engine.arrays.layout import OF_PRICES, Functions
from sim.engine.compiling.decorators import handler as inlined
from sim.engine.compiling.decorators import is_switched_off
from sim.engine.compiling.fingerprint import OWN
from sim.engine.compiling.kept import ready
from sim.policy.outcomes import Outcome, Request
from sim.policy.own import PythonPolicy
from sim.registry.choices import Candidate, as_written
from sim.registry.disciplines import Waiting, by_work
from sim.world.parameters import Parameters

types: Any = numba.types
_extending: Any = extending
_cgutils: Any = cgutils
warnings.simplefilter("ignore", NumbaExperimentalFeatureWarning)  # of functions as arguments, which it is
SLOTS = 8  # kinds of prices, of disciplines and of choices that one scenario may have
_FLOATS = types.Array(types.float64, 1, "C")
_NUMBERS = {float: types.float64, int: types.int64, bool: types.boolean}


def _named(told: type[Any]) -> Any:
    """Numba's type of what a function is told."""
    return types.NamedTuple(tuple(_NUMBERS[hint] for hint in get_type_hints(told).values()), told)


SIGNATURES = Functions(
    threshold=types.float64(_FLOATS, _FLOATS, types.float64, _named(Request)),
    on_decision=types.void(_FLOATS, _FLOATS, types.float64, types.boolean),
    on_outcome=types.void(_FLOATS, _FLOATS, types.float64, _named(Outcome)),
    rank_waiting=types.float64(_named(Waiting)),
    rank_option=types.float64(_named(Candidate)),
)


class AddressedType(types.FunctionType):  # type: ignore[misc]
    """Numba's type of a function that is called by address, whose value is an `Addressed`."""


_extending.register_model(AddressedType)(FunctionModel)


class Addressed:
    """A compiled function by its addresses. Numba would ask a dispatcher for them at every call of whoever it
    is an argument of, for 0.1 ms each."""

    def __init__(self, dispatcher: Any) -> None:
        (made,) = dispatcher.overloads.values()
        names = made.fndesc.llvm_cfunc_wrapper_name, made.fndesc.llvm_func_name
        self.c_addr, self.jit_addr = map(made.library.get_pointer_to_function, names)
        self.py_addr, self.dispatcher = id(dispatcher), dispatcher


@_extending.unbox(AddressedType)  # type: ignore[untyped-decorator]
def _unbox(kind: Any, value: Any, c: Any) -> Any:
    found = _cgutils.create_struct_proxy(kind)(c.context, c.builder)
    for name in ("c_addr", "jit_addr", "py_addr"):
        number = c.pyapi.object_getattr_string(value, name)
        setattr(found, name, c.pyapi.long_as_voidptr(number))
        c.pyapi.decref(number)
    return _extending.NativeValue(found._getvalue())


FUNCTIONS = types.NamedTuple(
    tuple(types.UniTuple(AddressedType(signature), SLOTS) for signature in SIGNATURES), Functions
)


class NoPrice:
    """Stands where there is none."""

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:  # noqa: ARG004
        return 0.0

    @staticmethod
    def on_decision(p: Any, m: Any, now: float, is_sent: bool) -> None: ...

    @staticmethod
    def on_outcome(p: Any, m: Any, now: float, heard: Outcome) -> None: ...


def compiled(parameters: Parameters) -> Functions:
    """What the handlers call in a run, with a stand-in in the slots that are left.

    Raises TypeError, in one line, if something cannot be compiled or if there are too many.
    """
    kinds, ranks, choices = kinds_of(parameters), ranks_of(parameters), choices_of(parameters)
    prices = _filled("kinds of prices that move", [*map(compiled_price, kinds)], compiled_price(NoPrice))
    return Functions(
        **dict(zip(OF_PRICES, zip(*prices, strict=True), strict=True)),
        rank_waiting=_filled("disciplines", [*map(compiled_discipline, ranks)], compiled_discipline(by_work)),
        rank_option=_filled("choices", [*map(compiled_choice, choices)], compiled_choice(as_written)),
    )


def _filled(noun: str, found: list[Any], stand_in: Any) -> tuple[Any, ...]:
    if len(found) > SLOTS:
        raise TypeError(f"the scenario has {len(found)} {noun}, more than {SLOTS}")
    return (*found, *[stand_in] * (SLOTS - len(found)))


_COMPILED: dict[Any, tuple[Any, ...]] = {}


def compiled_price(kind: Any) -> tuple[Any, ...]:
    """The three functions of a kind of price, compiled once per process, the tool's own once on a machine."""
    if isinstance(kind, PythonPolicy):
        raise TypeError(f"the policy '{kind.name}' is plain Python")
    functions = {name: getattr(kind, name) for name in OF_PRICES}
    return _once(kind, f"the price {kind.__name__}", functions)


def compiled_discipline(rank: Callable[[Waiting], float]) -> Any:
    """By which a discipline ranks."""
    (found,) = _once(rank, f"the discipline {rank.__name__}", {"rank_waiting": rank})
    return found


def compiled_choice(rank: Callable[[Candidate], float]) -> Any:
    """By which a choice ranks."""
    (found,) = _once(rank, f"the choice {rank.__name__}", {"rank_option": rank})
    return found


def _once(whose: Any, noun: str, functions: dict[str, Callable[..., Any]]) -> tuple[Any, ...]:
    if whose not in _COMPILED:
        try:
            _COMPILED[whose] = tuple(
                _compiled(function, getattr(SIGNATURES, name)) for name, function in functions.items()
            )
        except numba.core.errors.NumbaError as error:
            why = " ".join(str(error).split())
            raise TypeError(f"{noun} cannot be compiled: {why}") from error
    return _COMPILED[whose]


def _compiled(function: Callable[..., Any], signature: Any) -> Any:
    if is_switched_off():
        return function
    made: Any = numba.njit()(_with_callees(function, {}))
    if function.__module__.partition(".")[0] == OWN:
        ready(made, signature, is_small=True)
    else:
        made.compile(signature)
    return Addressed(made)


def _with_callees(function: Any, known: dict[Any, Any]) -> Any:
    """The function, with those plain functions of Python that it calls by a name of its module compiled,
    too."""
    home = function.__globals__
    named = {name: home[name] for name in function.__code__.co_names if name in home}
    callees = {name: one for name, one in named.items() if isinstance(one, FunctionType)}
    for one in callees.values():
        if one not in known:
            known[one] = one  # whoever calls itself is refused by Numba, in one line
            known[one] = inlined(_with_callees(one, known))
    if not callees:
        return function
    scope = home | {name: known[one] for name, one in callees.items()}
    closure, defaults = function.__closure__, function.__defaults__
    return FunctionType(function.__code__, scope, function.__name__, defaults, closure)
