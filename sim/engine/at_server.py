"""The server's side of the loop: the door, the queue, batches that start and end.
Handlers over the columns of `sim.engine.board`; `sim.engine.replicas` changes what works beneath them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

from sim.engine.admission import admission
from sim.engine.board import ADMISSION, DOWN, DUE, ERROR, EXPIRED, LOST, QUEUE_FULL, REACH, Board
from sim.engine.clock import Handler, Kind, Moment
from sim.engine.queues import PlainQueue, Queue, queue_of, starts_at_once
from sim.engine.scaling import Meter
from sim.scenario.schema.values import SHORTEST_S
from sim.world.outages.capacity import Slowness

_COMPLETE = int(Kind.COMPLETE)


class Completion(Moment):
    """The end of a replica's batch, used again for its next one; a lost batch leaves a void one behind."""

    def __init__(self, callbacks: Any, replica: int, lost_before: int = 0) -> None:
        super().__init__(callbacks, replica)
        self.lost_before = lost_before
        self.rank = replica << 32 | lost_before

    def cancel(self) -> Completion:
        """Makes this one void and gives the replica a new one."""
        replica, self.subject = self.subject, -1
        return Completion(self.callbacks, replica, self.lost_before + 1)


@dataclass(frozen=True)
class Serving:
    """The server's side, as those use it who change its capacity.

    idle: usable replicas without a batch, a heap. count: (now, change) of the sends inside; serve: starts
    what may start; set_usable: tells the door how many replicas work; area: the integral of the number
    inside, up to an instant.
    """

    queue: PlainQueue | Queue
    idle: list[int]
    completions: list[Completion]
    reach: Handler
    count: Callable[[float, int], None]
    serve: Callable[[float], None]
    swallow: Handler
    set_usable: Callable[[int], None]
    area: Callable[[float], float]


def serving(  # noqa: PLR0915
    board: Board,
    slow: Slowness,
    begin: float,
    goes_down: Callable[[float, int], bool] | None,
    told: Callable[[Any], None] | None,
    meter: Meter | None,
) -> Serving:
    """The server's side for one chunk that begins at `begin`.

    slow: what makes batches longer. goes_down: whether a word to the client passes its link, where links may
    be cut. told: called with each completion before it happens, where clients react to answers. meter: of an
    autoscaler. One function with its handlers inside, for they share variables. Everything optional is a
    function of its own, chosen here once, so that it costs nothing where it is not wanted.
    """
    rules, state, clock, heap, put = board.rules, board.state, board.clock, board.clock.heap, board.put
    row_of, reached, down, timer, factor = board.columns("row", "reached", "down", "timer", "factor")
    started, finished, over, cause = board.columns("started", "finished", "over", "cause")
    replica_of, batch_size, backlog = board.columns("replica", "batch_size", "backlog")
    deadline, client_of = board.rows("deadline", "client")
    max_batch, batch_wait_s, scale = rules.max_batch, rules.batch_wait_s, rules.service.scale
    waits_when_down, drops, is_fair = (
        rules.when_down == "queue",
        rules.drop_expired,
        rules.discipline == "fair",
    )
    is_slow, last_started = bool(slow.spans), board.view(state.last_started)
    tells = bool(rules.reacts.any())  # how many wait, with every word

    queue, at_once = queue_of(board), starts_at_once(rules)
    is_plain = isinstance(queue, PlainQueue)
    pop_next, admits, batch_of = queue.pop_next, admission(board, queue), state.batch_of
    idle = [replica for replica in range(state.usable) if not batch_of[replica]]  # a heap: lowest index first
    due: set[int] = set()  # sends that a DUE event is set for
    inside = len(queue) + sum(len(batch) for batch in batch_of)
    area, counted_to = 0.0, begin
    limit: float = -1  # places in the queue; -1 while the server is down and nobody may wait

    def count(now: float, change: int) -> None:
        nonlocal inside, area, counted_to
        area += inside * (now - counted_to)
        counted_to = now
        inside += change

    def set_usable(usable: int) -> None:
        nonlocal limit
        limit = rules.queue_limit if usable or waits_when_down else -1

    # The door.

    def reach_at_once(now: float, send: int) -> None:
        """Where a send either starts or waits, and nobody is turned away but for want of a place."""
        if idle:
            count(now, 1)
            start(now, [send])
        elif len(queue) < limit:
            count(now, 1)
            queue.append(send)
        else:
            turn_away(now, send)

    def reach(now: float, send: int) -> None:
        waits = len(queue)
        if waits >= limit and not (idle and (at_once or waits + 1 >= max_batch)):
            turn_away(now, send)
        elif admits is not None and not admits(now, deadline[row_of[send]], len(idle) > 0):
            refuse(now, send, ADMISSION)
        else:
            count(now, 1)
            queue.append(send)
            if idle:
                serve(now)

    def turn_away(now: float, send: int) -> None:
        if state.usable or waits_when_down:
            refuse(now, send, QUEUE_FULL)
        elif rules.when_down == "refuse":
            refuse(now, send, DOWN)
        else:
            swallow(now, send)

    def swallow(now: float, send: int) -> None:
        cause[send] = LOST
        over[send] = now

    def refuse(now: float, send: int, why: int) -> None:
        cause[send] = why
        if tells:
            backlog[send] = len(queue)
        if goes_down is not None and not goes_down(now, send):
            over[send] = now
            return
        over[send] = now + down[send]
        if over[send] <= timer[send]:
            put(over[send], ERROR, send)

    # The queue.

    def serve_singly(now: float) -> None:
        while idle and queue:
            start(now, [pop_next()])

    def serve_batches(now: float) -> None:
        while idle and queue:
            if len(queue) < max_batch and batch_wait_s:
                oldest = queue.oldest()
                if reached[oldest] + batch_wait_s > now:
                    put_due(oldest)
                    return
            batch = form(now)
            if batch:
                start(now, batch)

    def put_due(send: int) -> None:
        if send not in due:
            due.add(send)
            put(reached[send] + batch_wait_s, DUE, send)

    def form_next(_: float) -> list[int]:
        if is_plain and len(queue) <= max_batch:
            return queue.drop_all()
        return [pop_next() for _ in range(min(max_batch, len(queue)))]

    def form_with_care(now: float) -> list[int]:
        batch: list[int] = []
        while queue and len(batch) < max_batch:
            send = pop_next()
            if drops and deadline[row_of[send]] <= now:
                count(now, -1)
                cause[send], over[send] = EXPIRED, now
                continue
            if is_fair:
                last_started[client_of[row_of[send]]] = now
            batch.append(send)
        return batch

    def on_due(now: float, send: int) -> None:
        due.discard(send)
        serve(now)

    # The replicas.

    def start_batch(now: float, batch: list[int]) -> None:
        replica = heappop(idle)
        batch_of[replica] = batch
        n = len(batch)
        for send in batch:
            started[send] = now
            replica_of[send] = replica
            batch_size[send] = n
        takes = scale[n] * factor[batch[0]]
        if takes < SHORTEST_S:  # noqa: PLR1730  (max() takes three times as long)
            takes = SHORTEST_S
        if is_slow:
            takes *= slow.factor(now, replica, state.replicas)
        done = completions[replica]
        heappush(heap, (now + takes, _COMPLETE, done.rank, done))

    def start_measured(now: float, batch: list[int]) -> None:
        meter.measure(now, busy=1)  # type: ignore[union-attr]
        start_batch(now, batch)

    def end_batch(now: float, replica: int) -> None:
        batch = batch_of[replica]
        count(now, -len(batch))
        for send in batch:
            finished[send] = now
        if tells:
            for send in batch:
                backlog[send] = len(queue)
        batch_of[replica] = []

    def complete(done: Completion) -> None:
        replica, now = done.subject, clock.now
        if replica < 0:
            return
        end_batch(now, replica)
        heappush(idle, replica)
        if queue:
            serve(now)

    def complete_or_retire(done: Completion) -> None:
        """Where batches may outlive their replica's place among the usable ones."""
        if done.subject < state.usable:
            complete(done)
        else:
            end_batch(clock.now, done.subject)

    def end_measured(done: Completion) -> None:
        if done.subject >= 0:
            meter.measure(clock.now, busy=-(done.subject < state.usable))  # type: ignore[union-attr]

    is_simple = rules.discipline == "fifo" and not drops and admits is None
    form = form_next if rules.discipline != "fair" and not drops else form_with_care
    serve = serve_singly if max_batch == 1 and is_simple else serve_batches
    start = start_batch if meter is None else start_measured
    outlives = rules.in_flight == "finish" or rules.autoscaling is not None
    callbacks = [told] if told else []
    callbacks += [end_measured] if meter else []
    callbacks += [complete_or_retire if outlives else complete]
    completions = [Completion(callbacks, replica) for replica in range(len(batch_of))]
    for replica, done in enumerate(completions):
        if batch_of[replica]:
            heappush(heap, (state.ends[replica], _COMPLETE, done.rank, done))
    if idle and queue:  # whoever waits beside an idle replica waits for others to fill a batch
        put_due(queue.oldest())
    set_usable(state.usable)
    door = reach_at_once if is_simple and at_once else reach
    board.handle(REACH, door)
    board.handle(DUE, on_due)

    def area_until(end: float) -> float:
        count(end, 0)
        return area

    return Serving(queue, idle, completions, door, count, serve, swallow, set_usable, area_until)
