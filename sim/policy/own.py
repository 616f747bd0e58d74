"""Prices and policies that somebody brings: plain objects, as the engine plays them.
Made by `commands.plugins.registering` of the class that was registered; a price is the three functions of
`sim.policy.controllers.Price`, a policy decides and hears as it likes, on SimPy's clock alone."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from math import inf
from time import perf_counter
from traceback import extract_tb
from typing import Any

import numpy as np

from sim.errors import RunFailed
from sim.policy.outcomes import Outcome, Request
from sim.results.packing import pack

LOCAL = -1  # what a policy gives to keep a request; to send it, the number of an option from 0 on
LIMIT_S = 10.0  # wall time of one call
OURS = __name__.partition(".")[0]


class TooLong(BaseException):
    """A call of a policy lasted too long; no exception that a policy might swallow."""


class Asking(Request):
    """A request as a policy in plain Python is told of it. scores: by which each of its client's options is
    compared, net of what it costs more than others."""

    scores: tuple[float, ...] = ()


class Defaults:
    """What a price of one's own need not write. Its numbers are its constructor's, kept under their names."""

    def parameters(self) -> tuple[float, ...]:
        return tuple(float(getattr(self, name)) for name in signature(type(self)).parameters)

    def begin(self) -> tuple[float, ...]:
        return ()

    @staticmethod
    def on_decision(p: Any, m: Any, now: float, is_sent: bool) -> None:
        """Nothing follows from it."""

    @staticmethod
    def on_outcome(p: Any, m: Any, now: float, heard: Outcome) -> None:
        """Nothing follows from it."""


def completed(made: type) -> type[Any]:
    """A class of one's own with what it left out."""
    return type(made.__name__, (made, Defaults), {"__doc__": made.__doc__})


class PythonPolicy:
    """A policy as a price: it asks for everything or for nothing.

    make: gives the object of a client that has decided nothing yet. options: how many a client has.

    A client's numbers are the option that it named for the request under way, -1: none, and the scores that
    it is told.
    """

    def __init__(self, name: str, make: Callable[[], Any], options: int = 1) -> None:
        self.name, self.make, self.options = name, make, options

    def among(self, options: int) -> PythonPolicy:
        """The same policy for clients that have so many options."""
        return PythonPolicy(self.name, self.make, options)

    def parameters(self) -> tuple[float, ...]:
        return ()

    def begin(self) -> tuple[float, ...]:
        return (-1.0, *(0.0 for _ in range(self.options)))

    def player(self) -> Player:
        """Its clients in one run."""
        return Player(self)

    @staticmethod
    def threshold(p: Any, m: Any, now: float, request: Request) -> float:
        raise NotImplementedError("a policy is played by its `player`")

    @staticmethod
    def on_decision(p: Any, m: Any, now: float, is_sent: bool) -> None:
        """As `threshold`."""

    @staticmethod
    def on_outcome(p: Any, m: Any, now: float, heard: Outcome) -> None:
        """As `threshold`."""


class Player:
    """The policies of a group's clients, each an object of its own that knows nothing of the others."""

    def __init__(self, policy: PythonPolicy) -> None:
        self._policy, self._of_client = policy, dict[int, Any]()
        self._decides, self._hears = dict[int, Callable[..., Any]](), hasattr(policy.make(), "hear")
        self.since: float | None = None  # wall time at which the call under way began

    def threshold(self, p: Any, m: Any, now: float, request: Request) -> float:  # noqa: ARG002
        """-inf to send, inf to keep; m takes the option that is named."""
        options = self._policy.options
        decide = self._decides.get(request.client)
        try:
            self.since = perf_counter()
            if decide is None:
                decide = self._decides[request.client] = self._of(request.client).decide
            told = Asking(*request)
            told.scores = tuple(m[1 : 1 + options])
            chosen = decide(told, now)
        except (Exception, SystemExit, TooLong) as error:
            raise self._broken(error, "decide", now) from error
        finally:
            self.since = None
        if isinstance(chosen, bool | np.bool_):
            return -inf if chosen else inf
        if isinstance(chosen, int | np.integer) and LOCAL <= chosen < options:
            m[0] = float(chosen)
            return inf if chosen == LOCAL else -inf
        asked = f"request {request.request_id} of client {request.client} at {now:.12g} s"
        raise RunFailed(
            "run",
            f"the policy '{self._policy.name}' gave {chosen!r} for {asked}: "
            f"must be LOCAL (-1) or an option ({'0' if options == 1 else f'0 to {options - 1}'})",
        )

    def on_decision(self, p: Any, m: Any, now: float, is_sent: bool) -> None:
        """It knows what it decided."""

    def on_outcome(self, p: Any, m: Any, now: float, heard: Outcome) -> None:  # noqa: ARG002
        if not self._hears:
            return
        try:
            self.since = perf_counter()
            self._of(heard.client).hear(heard, now)
        except (Exception, SystemExit, TooLong) as error:
            raise self._broken(error, "hear", now) from error
        finally:
            self.since = None

    def _of(self, client: int) -> Any:
        """The object of a client."""
        if client not in self._of_client:
            self._of_client[client] = self._policy.make()
        return self._of_client[client]

    def _broken(self, error: BaseException, name: str, now: float) -> RunFailed:
        if isinstance(error, TooLong):
            return RunFailed("run", f"a policy's call took more than {LIMIT_S:g} s of wall time")
        return broken(f"the policy '{self._policy.name}' broke at {now:.12g} s in {name}", error)

    def kept(self) -> dict[str, Any]:
        """What each client's object remembers, by the client's number.

        Raises RunFailed if that is more than plain values, which no checkpoint can hold.
        """
        found = {str(client): dict(vars(one)) for client, one in self._of_client.items()}
        try:
            for one in self._of_client.values():
                _require_plain(vars(one), set())
            pack(found)
        except (TypeError, ValueError, OverflowError) as error:
            raise RunFailed(
                "run", f"the policy '{self._policy.name}' remembers what {NOT_PLAIN}: {error}"
            ) from None
        return found

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Goes on where `kept` was taken."""
        self._decides.clear()
        for client, remembered in kept.items():
            one = self._of_client[int(client)] = self._policy.make()
            vars(one).clear()
            vars(one).update(remembered)


def broken(what: str, error: BaseException) -> RunFailed:
    """Of somebody's code: which, and where."""
    where = extract_tb(error.__traceback__)[-1]
    return RunFailed("run", f"{what}: {type(error).__name__}: {error} ({where.filename}:{where.lineno})")


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function as plain Python calls it: one that somebody brought ends the run in one line if it
    raises."""
    if function.__module__.partition(".")[0] == OURS:
        return function

    def call(*told: Any) -> Any:
        try:
            return function(*told)
        except Exception as error:
            raise broken(f"{function.__qualname__} broke", error) from error

    return call


def _require_plain(value: Any, seen: set[int]) -> None:
    """Raises TypeError for what would come back from a checkpoint as something else."""
    if type(value) not in PLAIN:
        raise TypeError(f"a {type(value).__name__}")
    if isinstance(value, list | dict | np.ndarray):
        if id(value) in seen:
            raise TypeError(f"the same {type(value).__name__} in two places")
        seen.add(id(value))
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    for one in inner:
        _require_plain(one, seen)


PLAIN = {int, float, str, bool, type(None), list, tuple, dict, np.ndarray, np.float64, np.bool_}
NOT_PLAIN = "no checkpoint can hold (numbers, text, lists, mappings by name, arrays)"


@contextmanager
def ending_calls_that_last(players: list[Player]) -> Iterator[None]:
    """Within it a call of one of them that takes longer than LIMIT_S of wall time ends in RunFailed.

    Needs the main thread; elsewhere, and inside code that is not Python, a call lasts as long as it likes.
    """
    if not players or threading.current_thread() is not threading.main_thread():
        yield
        return

    def look(_signal: int, _frame: Any) -> None:
        for player in players:
            if player.since is not None and perf_counter() - player.since > LIMIT_S:
                raise TooLong

    handler = signal.signal(signal.SIGALRM, look)
    before = signal.setitimer(signal.ITIMER_REAL, LIMIT_S / 4, LIMIT_S / 4)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *before)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if handler is None else handler)
