"""Work over many rows that two cores share: NumPy and Arrow let go of Python's lock while they count.
Below the summary and the pages. Each piece of work is done whole by one thread, so no result depends on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from analysis.statistics.pieces import AT_ONCE

THREADS = 2  # each holds columns of its own while it counts


@contextmanager
def side_by_side(rows: int) -> Iterator[Executor]:
    """Does what is submitted to it: over more rows than are summed up at once two pieces of work at a time,
    over fewer each as it is submitted. What has not begun when one fails is not done."""
    is_worth_it = rows > AT_ONCE and len(os.sched_getaffinity(0)) >= THREADS
    work: Executor = ThreadPoolExecutor(THREADS) if is_worth_it else _InTurn()
    try:
        yield work
    except BaseException:
        work.shutdown(cancel_futures=True)
        raise
    work.shutdown()


class _InTurn(Executor):
    """An executor without a thread of its own: what fails, fails as it is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done
