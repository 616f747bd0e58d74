"""What a price is that moves: a few numbers per client, and three plain functions of arrays of floats.
Every clock calls the same: SimPy's as they are, the compiled one as `numba.types.FunctionType`, together with
the plain functions that they call."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any, Protocol

from sim.policy.outcomes import Outcome, Request


class Price(Protocol):
    """A price that moves. Instants are virtual seconds.

    p: `parameters()`, float64 (m,), the same for the whole group. m: the numbers of one client, float64 (n,),
    changed in place. Whether it hears what becomes of attempts, its entry in `sim.registry.prices` says.
    """

    def parameters(self) -> tuple[float, ...]: ...

    def begin(self) -> tuple[float, ...]:
        """A client's numbers at t = 0."""

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:
        """λ for this request, which is decided now."""

    @staticmethod
    def on_decision(p: Any, m: Any, now: float, is_sent: bool) -> None:
        """The request was sent, or kept."""

    @staticmethod
    def on_outcome(p: Any, m: Any, now: float, heard: Outcome) -> None:
        """An attempt ended for the client."""


class Parameters:
    """Parameters that are the fields of a dataclass."""

    def parameters(self) -> tuple[float, ...]:
        return tuple(float(one) for one in astuple(self))  # type: ignore[call-overload]

    @staticmethod
    def on_decision(p: Any, m: Any, now: float, is_sent: bool) -> None:
        """Nothing follows from it."""

    @staticmethod
    def on_outcome(p: Any, m: Any, now: float, heard: Outcome) -> None:
        """Nothing follows from it."""
