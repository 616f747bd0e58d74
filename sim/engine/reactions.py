"""Decisions in the loop: of clients whose price depends on what became of their earlier sends.
Asked by `sim.engine.at_clients` before a first send, and told the end of every attempt; see
`sim.policy.controllers`."""

from __future__ import annotations

from typing import Any

from sim.engine.board import TIMED_OUT, Board
from sim.policy.controllers import REFUSED, REMOTE, own_of
from sim.results.columns import OUTCOMES
from sim.streams import Draws

SENDS = -1
_LOCAL = OUTCOMES.index("local")


class Reactions:
    """The prices on the columns of the rows and on what the state's clients remember."""

    def __init__(self, board: Board) -> None:
        rules = board.rules
        self._prices = [price if price and price.hears_replies else None for price in rules.prices]
        self._group_of: Any = rules.clients.group.data
        self._memory = board.state.memory.reshape(-1).data
        self._explored, self._exploration = Draws(rules.seed, "exploration"), rules.exploration
        self._request_id, self._client_of, self._score, self._deadline = board.rows(
            "request_id", "client", "score", "deadline"
        )
        self._propensity, self._deferred = board.rows("propensity", "deferred")
        self._row_of, self._backlog = board.columns("row", "backlog")

    def keeps(self, now: float, row: int) -> int:
        """Decides; gives the outcome of a request that is kept, or comes too late to be sent, else SENDS."""
        client = self._client_of[row]
        price = self._prices[self._group_of[client]]
        if price is None:
            return SENDS
        own = own_of(self._memory, client)
        is_sent = self._score[row] > price.price(own, now)
        propensity = 1.0 if is_sent else self._exploration
        if not is_sent and self._exploration:
            is_sent = self._explored.one(self._request_id[row]) < self._exploration
        price.decided(own, now, is_sent)
        self._propensity[row], self._deferred[row] = propensity, is_sent
        if not is_sent:
            return _LOCAL
        return TIMED_OUT if now >= self._deadline[row] else SENDS

    def hears(self, now: float, send: int, outcome: int) -> None:
        """An attempt has ended for its client, who still waited for it: remote, refused or timed_out."""
        client = self._client_of[self._row_of[send]]
        price = self._prices[self._group_of[client]]
        if price is not None:
            backlog = self._backlog[send] if outcome in (REMOTE, REFUSED) else -1
            price.heard(own_of(self._memory, client), now, outcome, backlog)


def reactions(board: Board) -> Reactions | None:
    """None where no price hears replies."""
    return Reactions(board) if board.rules.reacts.any() else None
