"""What may be learned from requests: deferred samples whose labels have come, answers that clients have seen.
Read off the loop's state at each training round; what ended before its label came is kept here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.engine.state import Columns, empty, join, take
from sim.results.columns import OUTCOMES

_REMOTE = OUTCOMES.index("remote")

NOTE_TYPES: dict[str, str] = {
    "request_id": "i8",
    "client": "i4",
    "sample": "i4",
    "finished": "f8",  # the first time that the server was done with it; inf = never so far
    "began": "f8",  # the work that was done then; NaN = none so far
    "answered": "f8",  # when its answer reached the client in time; inf = it did not so far
    "started": "f8",  # the work on that answer
    "propensity": "f4",
    "decided": "f8",  # the client had decided by then whether to send it; inf where nobody counts decisions
}
INSTANTS = ("finished", "answered", "decided")


def notes(
    rows: Columns, sends: Columns, held_out: NDArray[np.bool_], counts_decisions: bool = False
) -> Columns:
    """What there is to learn from requests, open or ended: those of samples that are not held out.

    held_out: bool, along the sample axis. Labels of held-out samples train nothing, so nothing of them
    leaves this function. counts_decisions: also notes requests of which only the decision is known.
    """
    n = len(rows["request_id"])
    finished = np.full(n, np.inf)
    np.fmin.at(finished, sends["row"], sends["finished"])
    first = np.full(n, -1)
    done = np.flatnonzero(sends["finished"] < np.inf)
    done = done[np.lexsort((-sends["attempt"][done], -sends["finished"][done]))]
    first[sends["row"][done]] = done
    last = np.full(n, -1)
    order = np.argsort(sends["attempt"], kind="stable")
    last[sends["row"][order]] = order
    answered = (rows["outcome"] == _REMOTE) & ~np.isnan(rows["completed_at"])
    found = {name: rows[name] for name in ("request_id", "client", "sample", "propensity")} | {
        "finished": finished,
        "answered": np.where(answered, rows["completed_at"], np.inf),
        "began": np.append(sends["started"], np.nan)[first],
        "started": np.append(sends["started"], np.nan)[last],
        "decided": rows["decided"] if counts_decisions else np.full(n, np.inf),
    }
    something = np.any([found[name] < np.inf for name in INSTANTS], axis=0)
    return take(found, ~held_out[rows["sample"]] & something)


class ReplayBuffer:
    """The notes of requests that have ended and are still of use to a training round to come."""

    def __init__(self, held_out: NDArray[np.bool_], label_delay_s: float, counts_decisions: bool) -> None:
        self._held_out, self._delay_s, self._counts = held_out, label_delay_s, counts_decisions
        self.kept = empty(NOTE_TYPES)

    def keep(self, rows: Columns, sends: Columns, before_s: float) -> None:
        """Takes notes of requests that ended; forgets those that a round at `before_s` has used up."""
        found = join(self.kept, notes(rows, sends, self._held_out, self._counts))
        useful = [(found[name] < np.inf) & ~self._known(found[name], before_s) for name in INSTANTS]
        self.kept = take(found, np.any(useful, axis=0))

    def news(self, name: str, rows: Columns, sends: Columns, before_s: float, now_s: float) -> Columns:
        """The notes whose instant `name` and label became known after a round at `before_s` and are so now.

        By that instant, then by request. What happens at `now_s` itself comes after the round.
        """
        found = join(self.kept, notes(rows, sends, self._held_out, self._counts))
        found = take(found, self._known(found[name], now_s) & ~self._known(found[name], before_s))
        return take(found, np.lexsort((found["request_id"], found[name])))

    def _known(self, at_s: NDArray[np.float64], now_s: float) -> NDArray[np.bool_]:
        known: NDArray[np.bool_] = (at_s < now_s) & (at_s + self._delay_s <= now_s)
        return known
