"""Who is served next: the disciplines of the server's queue.
Used by `sim.engine.at_server`; a discipline says in which order the sends that wait leave it."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from heapq import heappop, heappush, heapreplace
from typing import Any, Protocol

from sim.engine.board import Board
from sim.world.parameters import Rules


class Discipline(Protocol):
    """Holds the sends that wait and gives the next one; `add` is called in order of arrival."""

    def add(self, send: int) -> None: ...

    def next(self) -> int: ...


class Lifo:
    """The one that came last."""

    def __init__(self, _board: Board) -> None:
        self._stack: list[int] = []
        self.add, self.next = self._stack.append, self._stack.pop


class Fifo:
    """The one that came first."""

    def __init__(self, _board: Board) -> None:
        line: deque[int] = deque()
        self.add, self.next = line.append, line.popleft


class EarliestDeadline:
    """The one whose deadline is next; among equals the one that came first."""

    def __init__(self, board: Board) -> None:
        (self._row_of,), (self._deadline,) = board.columns("row"), board.rows("deadline")
        self._heap: list[tuple[float, int, int]] = []
        self._came = 0

    def add(self, send: int) -> None:
        self._came += 1
        heappush(self._heap, (self._deadline[self._row_of[send]], self._came, send))

    def next(self) -> int:
        return heappop(self._heap)[2]


class Fair:
    """The oldest of the client whose last start lies furthest back, then of the lowest number.

    A client's key only grows, so an entry of the heap that is out of date comes up too early, never too late.
    """

    def __init__(self, board: Board) -> None:
        (self._row_of,), (self._client_of,) = board.columns("row"), board.rows("client")
        self._last_started: Any = board.state.last_started.data
        self._heap: list[tuple[float, int]] = []
        self._lines: dict[int, deque[int]] = {}

    def add(self, send: int) -> None:
        client = self._client_of[self._row_of[send]]
        if client not in self._lines:
            self._lines[client] = deque()
            heappush(self._heap, (self._last_started[client], client))
        self._lines[client].append(send)

    def next(self) -> int:
        while True:
            known, client = self._heap[0]
            if known == self._last_started[client]:
                break
            heapreplace(self._heap, (self._last_started[client], client))
        line = self._lines[client]
        send = line.popleft()
        if not line:
            heappop(self._heap)
            del self._lines[client]
        return send


DISCIPLINES: dict[str, Callable[[Board], Discipline]] = {
    "fifo": Fifo,
    "lifo": Lifo,
    "edf": EarliestDeadline,
    "fair": Fair,
}


class PlainQueue(deque[int]):
    """First come, first served, where nobody is put back or only at the head: the fast one."""

    pop_next = deque.popleft

    def put_back(self, sends: list[int]) -> None:
        self.extendleft(reversed(sends))

    def oldest(self) -> int:
        return self[0]

    @property
    def returned(self) -> int:
        return 0

    def drop_all(self) -> list[int]:
        """Empties the queue; gives those who waited."""
        gone = list(self)
        self.clear()
        return gone


class Queue:
    """Sends that were put back, served first, then those that wait by a discipline."""

    def __init__(
        self, board: Board, make: Callable[[Board], Discipline], waiting: Iterable[int], returned: int
    ):
        waiting = list(waiting)
        (self._reached,) = board.columns("reached")
        self._board, self._make = board, make
        self._returned = deque(waiting[:returned])
        self._arrived: OrderedDict[int, None] = OrderedDict()
        self._discipline = make(board)
        for send in waiting[returned:]:
            self.append(send)

    def __len__(self) -> int:
        return len(self._returned) + len(self._arrived)

    def __iter__(self) -> Any:
        """Those put back, then the others in order of arrival: what `__init__` takes."""
        yield from self._returned
        yield from self._arrived

    @property
    def returned(self) -> int:
        return len(self._returned)

    def append(self, send: int) -> None:
        self._arrived[send] = None
        self._discipline.add(send)

    def pop_next(self) -> int:
        if self._returned:
            return self._returned.popleft()
        send = self._discipline.next()
        del self._arrived[send]
        return send

    def put_back(self, sends: list[int]) -> None:
        self._returned.extendleft(reversed(sends))

    def oldest(self) -> int:
        """The one that reached the server first of all who wait."""
        first = [next(iter(self._arrived))] if self._arrived else []
        return min([*self._returned, *first], key=self._reached.__getitem__)

    def drop_all(self) -> list[int]:
        gone = list(self)
        self._returned.clear()
        self._arrived.clear()
        self._discipline = self._make(self._board)
        return gone


def starts_at_once(rules: Rules) -> bool:
    """Whether nobody ever waits while a replica is idle."""
    return rules.max_batch == 1 or rules.batch_wait_s == 0.0


def is_plain(rules: Rules) -> bool:
    """Whether the order of the queue never differs from that of a line to whose head some are put back."""
    return rules.discipline == "fifo" and (starts_at_once(rules) or rules.in_flight != "requeue")


def queue_of(board: Board) -> PlainQueue | Queue:
    """The queue as the state left it."""
    rules, state = board.rules, board.state
    if is_plain(rules):
        return PlainQueue(state.waiting)
    return Queue(board, DISCIPLINES[rules.discipline], state.waiting, state.returned)
