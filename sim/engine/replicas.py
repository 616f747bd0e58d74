"""Replicas that stop and start: what outages and the autoscaler do to those at work and to the queue.
Works on the server's side of the loop, `sim.engine.at_server`."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappush
from math import nan

from sim.engine.at_server import Serving
from sim.engine.board import CAPACITY, Board
from sim.engine.scaling import Meter, scaling

Stopped = list[tuple[int, float, float]]  # (size of its batch, start, stop)


Ending = Callable[[float, list[int]], None]  # what becomes of the sends of batches that stop


def replicas(
    board: Board, server: Serving, meter: Meter | None, stopped: Stopped, begin: float
) -> list[tuple[float, int]]:
    """Handles changes of capacity. stopped: gets every send that goes back to the queue.

    Gives the list that (instant, usable replicas) will be added to, with what there is at `begin`.
    """
    rules, state = board.rules, board.state
    queue, idle, batch_of = server.queue, server.idle, state.batch_of
    (started,) = board.columns("started")
    steps = [(begin, state.usable)]

    def change(now: float, replicas: int, taken: int, end: Ending | None) -> None:
        """Replicas stop and start from the highest index; None: those that stop end their batches first.

        An outage that leaves nothing usable stops everything, replicas included that only end their batches.
        """
        was, is_total = state.usable, taken > state.taken and taken >= replicas
        if meter:
            meter.measure(now)
        state.replicas, state.taken = replicas, taken
        usable = state.usable
        if end and (usable < was or is_total):
            last = len(batch_of) if is_total else was
            working = [replica for replica in range(usable, last) if batch_of[replica]]
            if working:
                end(now, stop(working))
        if usable == was:
            return
        steps.append((now, usable))
        server.set_usable(usable)
        for replica in range(was, usable):
            if not batch_of[replica]:
                heappush(idle, replica)
        if usable < was:
            idle[:] = [replica for replica in idle if replica < usable]
            heapify(idle)
        if meter:
            meter.count()
        if not usable and not rules.queue_survives:
            lose(now, queue.drop_all())
        server.serve(now)

    def stop(working: list[int]) -> list[int]:
        """Takes the batches from these replicas, in order of start; gives their sends."""
        working.sort(key=lambda replica: started[batch_of[replica][0]])
        sends = [send for replica in working for send in batch_of[replica]]
        for replica in working:
            batch_of[replica] = []
            server.completions[replica] = server.completions[replica].cancel()
        return sends

    def lose(now: float, sends: list[int]) -> None:
        server.count(now, -len(sends))
        for send in sends:
            server.swallow(now, send)

    endings = {"lose": lose, "requeue": _putting_back(board, server, stopped), "finish": None}
    in_flight = endings[rules.in_flight]
    board.handle(CAPACITY, lambda now, taken: change(now, state.replicas, taken, in_flight))
    if rules.autoscaling and meter:
        scaling(board, rules.autoscaling, meter, lambda now, n: change(now, n, state.taken, None))
    return steps


def _putting_back(board: Board, server: Serving, stopped: Stopped) -> Ending:
    """Back to the head of the queue, each send with a fresh draw in case it heads a batch."""
    service, (request_id,) = board.rules.service, board.rows("request_id")
    row_of, attempt_of, factor, started = board.columns("row", "attempt", "factor", "started")
    replica_of, batch_size, returns = board.columns("replica", "batch_size", "returns")

    def put_back(now: float, sends: list[int]) -> None:
        for send in sends:
            stopped.append((batch_size[send], started[send], now))
            returns[send] += 1
            factor[send] = service.factor_one(request_id[row_of[send]], attempt_of[send], returns[send])
            started[send], replica_of[send], batch_size[send] = nan, -1, 0
        server.queue.put_back(sends)

    return put_back
