"""What may be learned from requests: deferred samples whose labels have come, answers that clients have seen.
Read off the loop's state at each training round; what ended before its label came is kept here."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sim.engine.state import Columns, Ended, empty, join, take
from sim.results.columns import OUTCOMES
from sim.results.last_sends import is_answer

_REMOTE, _NO_POWER = (OUTCOMES.index(outcome) for outcome in ("remote", "no_power"))

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
OF_SEVERAL: dict[str, str] = {  # the attempt that was answered: whom it asked, and who was chosen then
    "option": "i1",
    "model": "i2",
}
INSTANTS = ("finished", "answered", "decided")
Learners = NDArray[np.bool_]  # which servers the models that train are on, (those models, servers)


def finished_by(place: int) -> str:
    """The note of when a server first was done with a request that has this one of the models that train."""
    return f"finished.{place}"


def notes(
    rows: Columns,
    sends: Columns,
    held_out: NDArray[np.bool_],
    counts_decisions: bool = False,
    learners: Learners | None = None,
) -> Columns:
    """What there is to learn from requests, open or ended: those of samples that are not held out.

    held_out: bool, along the sample axis. Labels of held-out samples train nothing, so nothing of them
    leaves this function. counts_decisions: also notes requests of which only the decision is known. learners:
    where there are several servers, models or options; None: there is one of each.
    """
    n = len(rows["request_id"])
    finished = np.full(n, np.inf)
    np.fmin.at(finished, sends["row"], sends["finished"])
    first = np.full(n, -1)
    done = np.flatnonzero(sends["finished"] < np.inf)
    done = done[np.lexsort((-sends["attempt"][done], -sends["finished"][done]))]
    first[sends["row"][done]] = done
    last = np.full(n, -1)
    if learners is None:
        order = np.argsort(sends["attempt"], kind="stable")
    else:  # of two attempts at once either may be answered
        order = np.lexsort((sends["attempt"], is_answer(Ended(rows, sends))))
    last[sends["row"][order]] = order
    ran_empty = (rows["outcome"] == _NO_POWER) & (rows["server_version"] < 0)  # before it decided
    answered = (rows["outcome"] == _REMOTE) & ~np.isnan(rows["completed_at"])
    found = {name: rows[name] for name in ("request_id", "client", "sample", "propensity")} | {
        "finished": finished,
        "answered": np.where(answered, rows["completed_at"], np.inf),
        "began": np.append(sends["started"], np.nan)[first],
        "started": np.append(sends["started"], np.nan)[last],
        "decided": np.where(ran_empty, np.inf, rows["decided"]) if counts_decisions else np.full(n, np.inf),
    }
    if learners is not None:
        chosen = np.append(sends["model"], -1)[last], np.append(sends["option"], -1)[last]
        found |= dict(zip(("model", "option"), chosen, strict=True))
        for place, on in enumerate(learners):
            mine, since = on[sends["server"]], np.full(n, np.inf)
            np.fmin.at(since, sends["row"][mine], sends["finished"][mine])
            found[finished_by(place)] = since
    something = np.any([found[name] < np.inf for name in INSTANTS], axis=0)
    return take(found, ~held_out[rows["sample"]] & something)


class ReplayBuffer:
    """The notes of requests that have ended and are still of use to a training round to come."""

    def __init__(
        self,
        held_out: NDArray[np.bool_],
        label_delay_s: float,
        counts_decisions: bool,
        learners: Learners | None = None,
    ) -> None:
        self._held_out, self._delay_s, self._counts = held_out, label_delay_s, counts_decisions
        self._learners, self.instants = learners, list(INSTANTS)
        types = NOTE_TYPES
        if learners is not None:
            self.instants += [finished_by(place) for place in range(len(learners))]
            types = NOTE_TYPES | OF_SEVERAL | dict.fromkeys(self.instants, "f8")
        self.kept = empty(types)

    def nothing(self) -> Columns:
        """No note."""
        return take(self.kept, np.zeros(0, dtype=np.int64))

    def keep(self, rows: Columns, sends: Columns, before_s: Mapping[str, float]) -> None:
        """Takes notes of requests that ended; forgets those that rounds have used up, each instant by the
        last one `before_s` that asked for it."""
        found = join(self.kept, self._noted(rows, sends))
        useful = [
            (found[name] < np.inf) & ~self._known(found[name], before_s[name]) for name in self.instants
        ]
        self.kept = take(found, np.any(useful, axis=0))

    def news(self, name: str, rows: Columns, sends: Columns, before_s: float, now_s: float) -> Columns:
        """The notes whose instant `name` and label became known after a round at `before_s` and are so now.

        By that instant, then by request. What happens at `now_s` itself comes after the round.
        """
        found = join(self.kept, self._noted(rows, sends))
        found = take(found, self._known(found[name], now_s) & ~self._known(found[name], before_s))
        return take(found, np.lexsort((found["request_id"], found[name])))

    def _noted(self, rows: Columns, sends: Columns) -> Columns:
        return notes(rows, sends, self._held_out, self._counts, self._learners)

    def _known(self, at_s: NDArray[np.float64], now_s: float) -> NDArray[np.bool_]:
        known: NDArray[np.bool_] = (at_s < now_s) & (at_s + self._delay_s <= now_s)
        return known
