"""What the handlers of the loop share: the columns of a chunk, the heap, and the events they put into it.
Made by `sim.engine.loop` for one chunk; the server's side and the clients' side work on it."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from heapq import heappush
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.clock import Clock, Handler, Kind, Moment
from sim.engine.state import ROW_TYPES, SEND_TYPES, Columns, State
from sim.results.columns import CAUSES, OUTCOMES
from sim.world.parameters import Rules

ATTEMPT_BITS = 7

# What can happen. Below it, its place among simultaneous events, where the heap may hold it; a first send
# that is asked for, or that takes no time, keeps the place of its decision. A retry ranks as a client timer.
CAPACITY, SCALE, READY, GAIN, ARRIVE, ASK, REACH, DUE, ERROR, ANSWER, TIMER, RETRY = range(12)
_KINDS = {
    READY: Kind.CAPACITY_UP,
    REACH: Kind.REACH,
    DUE: Kind.DUE,
    ERROR: Kind.REPLY,
    ANSWER: Kind.REPLY,
    TIMER: Kind.TIMER,
    RETRY: Kind.TIMER,
    ASK: Kind.DECISION,
}
# Plain integers: a heap compares them at every push, and members of an enumeration take twice as long.
KIND_OF = {code: int(kind) for code, kind in _KINDS.items()}

REFUSALS = [CAUSES.index(cause) for cause in ("down", "queue_full", "admission")]
DOWN, QUEUE_FULL, ADMISSION, EXPIRED, LOST = (
    CAUSES.index(cause) for cause in ("down", "queue_full", "admission", "expired", "lost")
)
REFUSED, TIMED_OUT = (OUTCOMES.index(outcome) for outcome in ("refused", "timed_out"))
_ARRAY_CODE = {"i8": "q", "i4": "i", "f8": "d", "f4": "f", "i2": "h", "i1": "b", "?": "b"}


def rank(request: Any, attempt: Any) -> Any:
    """The place of a send among events of its kind: by request, then by attempt.

    request: the row, since rows are sorted by request; with closed loops, where rows are added, the id.
    """
    return request << ATTEMPT_BITS | attempt


class Board:
    """The sends as arrays that grow by retries, the rows as views, and the heap of the clock.

    Handlers take columns from here once and keep them as variables of their own: look-ups on an object
    would cost a third of the loop's speed.
    """

    def __init__(self, rules: Rules, state: State, clock: Clock) -> None:
        self.rules, self.state, self.clock = rules, state, clock
        self.sends: dict[str, Any] = {
            name: array(_ARRAY_CODE[SEND_TYPES[name]], column.tobytes())
            for name, column in state.sends.items()
        }
        self._rows: dict[str, Any] = {name: self.view(column) for name, column in state.rows.items()}
        if rules.has_closed_loops:
            self._rows = {
                name: array(_ARRAY_CODE[ROW_TYPES[name]], column.tobytes())
                for name, column in state.rows.items()
            }
        self.callbacks: list[list[Callable[[Moment], None]]] = [[] for _ in range(RETRY + 1)]
        self.handlers: list[Handler] = [_nothing] * (RETRY + 1)
        self.put = self._putter()

    def columns(self, *names: str) -> list[Any]:
        """Columns of the sends."""
        return [self.sends[name] for name in names]

    def rows(self, *names: str) -> list[Any]:
        """Columns of the rows, as views: an element costs a third of what it costs through NumPy.

        With closed loops, whose requests arrive in the loop, they are arrays that grow.
        """
        return [self._rows[name] for name in names]

    def add_row(self, values: dict[str, Any]) -> int:
        """Adds a row; gives its number. Only with closed loops."""
        for name, column in self._rows.items():
            column.append(values[name])
        return len(self._rows["client"]) - 1

    @staticmethod
    def view(column: NDArray[Any]) -> Any:
        """A column of the state, as a view."""
        return column.data

    def handle(self, code: int, do: Handler) -> None:
        """Says what happens at events of this code, on the agenda or in the heap."""
        clock = self.clock
        self.handlers[code] = do
        self.callbacks[code].append(lambda moment: do(clock.now, moment.subject))

    def _putter(self) -> Callable[[float, int, int], None]:
        heap, callbacks = self.clock.heap, self.callbacks
        row_of, attempt_of = self.columns("row", "attempt")
        if self.rules.has_closed_loops:
            (request_id,) = self.rows("request_id")

            def put_by_id(at: float, code: int, send: int) -> None:
                place = rank(request_id[row_of[send]], attempt_of[send] + (code == RETRY))
                heappush(heap, (at, KIND_OF[code], place, Moment(callbacks[code], send)))

            return put_by_id

        def put(at: float, code: int, send: int) -> None:
            """Puts an event of a send into the heap."""
            place = row_of[send] << ATTEMPT_BITS | attempt_of[send] + (code == RETRY)
            heappush(heap, (at, KIND_OF[code], place, Moment(callbacks[code], send)))

        return put

    def rows_of_state(self) -> Columns:
        """The rows as they are now, as columns of the state."""
        return {name: np.frombuffer(column, dtype=ROW_TYPES[name]) for name, column in self._rows.items()}

    def sends_of_state(self) -> Columns:
        """The sends as they are now, as columns of the state."""
        return {name: np.frombuffer(column, dtype=SEND_TYPES[name]) for name, column in self.sends.items()}


def _nothing(_now: float, _subject: int) -> None:
    """What happens at events that this world does not know."""
