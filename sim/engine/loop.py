"""The event loop: what happens to the sends of one chunk, from the server's door to the client's last word.
`sim.engine.chunk` prepares and settles its columns; `tests/reference_loop.py` tells the same as a story."""

from __future__ import annotations

from dataclasses import dataclass

from sim.engine.agenda import Agenda
from sim.engine.at_clients import clients, telling
from sim.engine.at_server import Completion, serving
from sim.engine.board import Board
from sim.engine.clock import Clock
from sim.engine.closed_loop import closed_loops
from sim.engine.learning import Learning
from sim.engine.passage import downlink
from sim.engine.replicas import replicas
from sim.engine.scaling import Meter
from sim.engine.state import State
from sim.world.parameters import Rules


@dataclass(frozen=True)
class Played:
    """What the loop saw that its columns do not tell.

    area: the integral of N(t), the number of sends in the server, waiting or in service, counted as they
    come and go; whoever tabulates their stays can be checked against it. stopped: (size of its batch, start,
    stop) of every send that an outage put back into the queue. steps: (instant, usable replicas) wherever
    they changed, the first at the beginning. A chunk may be played in pieces, which add up.
    """

    area: float
    stopped: list[tuple[int, float, float]]
    steps: list[tuple[float, int]]

    def __add__(self, later: Played) -> Played:
        return Played(self.area + later.area, self.stopped + later.stopped, self.steps + later.steps)


def play(
    rules: Rules,
    state: State,
    agenda: Agenda,
    begin: float,
    end: float,
    learning: Learning,
) -> Played:
    """Runs the events of [begin, end) and leaves in `state` what they changed.

    agenda: what is known when the chunk begins, sorted by (instant, kind, rank), all before `end`.
    learning: what decisions in closed loops need, and how training makes batches take longer. `state.sends`
    grows by the retries, and with closed loops by first sends, `state.rows` then by requests at its end.
    """
    clock = Clock(begin)
    board = Board(rules, state, clock)
    stopped: list[tuple[int, float, float]] = []
    meter = Meter(state) if rules.autoscaling else None
    goes_down = downlink(board) if rules.asks.any() else None
    told = telling(board, goes_down) if goes_down else None
    server = serving(board, learning.slowness, begin, goes_down, told, meter)
    steps = replicas(board, server, meter, stopped, begin)
    clients(board, server.reach, closed_loops(board, learning, end))

    clock.walk(agenda.items(), board.handlers, end)

    for at, _, _, moment in clock.heap:
        if isinstance(moment, Completion) and moment.subject >= 0:
            state.ends[moment.subject] = at
    state.sends = board.sends_of_state()
    if rules.has_closed_loops:
        state.rows = board.rows_of_state()
    state.waiting, state.returned = list(server.queue), server.queue.returned
    return Played(server.area(end), stopped, steps)
