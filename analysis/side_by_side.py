"""Work over many rows that two cores share: NumPy and Arrow let go of Python's lock while they count.
Below the summary and the pages. A piece of work is done whole by one thread: no result depends on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from analysis.heap import shared_by_threads
from analysis.statistics.pieces import AT_ONCE
from sim.another_process import cores

THREADS = 2  # each holds columns of its own while it counts
Item = TypeVar("Item")
Found = TypeVar("Found")


@contextmanager
def side_by_side(rows: int) -> Iterator[Executor]:
    """Does what is submitted to it: over more rows than are summed up at once two pieces of work at a time,
    over fewer each as it is submitted. What has not begun when one fails is not done."""
    is_worth_it = rows > AT_ONCE and cores() >= THREADS
    if is_worth_it:
        shared_by_threads()
    work: Executor = ThreadPoolExecutor(THREADS) if is_worth_it else _InTurn()
    try:
        yield work
    except BaseException:
        work.shutdown(cancel_futures=True)
        raise
    work.shutdown()


def in_order(
    work: Executor, function: Callable[[Item], Found], items: Iterable[Item]
) -> Iterator[Future[Found]]:
    """What becomes of each item, in their order, with no more than a few of them begun or lying there."""
    begun: deque[Future[Found]] = deque()
    for item in items:
        begun.append(work.submit(function, item))
        if len(begun) > THREADS:
            yield begun.popleft()
    yield from begun


class _InTurn(Executor):
    """An executor without a thread of its own: everything is done as it is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # told where the result is asked for
            done.set_exception(error)
        return done
