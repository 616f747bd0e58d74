"""What the simulation asks of whoever learns during a run.
Kept by the fleet of `agents`; `sim.engine.learning` calls it, in virtual time."""

from __future__ import annotations

from typing import Any, Protocol

from sim.messages import Merge, TrainingRound, Update


class OnlineLearner(Protocol):
    """The learners while a run goes on."""

    def train_round(self, training_round: TrainingRound) -> Update:
        """Trains the server's models for one round and the rejectors named in it against their new versions.

        Rounds come in the order of their versions, 1, 2, …, each once; those that are lost or skipped
        come not at all, so nothing has to be taken back. The law: an update is a function of the rounds so
        far. Raises RunFailed if a loss diverges.
        """

    def train_rejectors(self, training_round: TrainingRound) -> Update:
        """Trains the rejectors named in it on all that their own clients were answered, and the server not at
        all; or the prototypes or heads of its clients, where these are what is learned. The law: what one
        client was answered changes no other's rejector or head. Raises RunFailed as above.
        """

    def merge(self, merge: Merge) -> Update:
        """Merges what clients uploaded, and gives what comes of it to those who receive it."""

    def state(self) -> dict[str, Any]:
        """All that the rounds to come depend on besides their messages: what `sim.results.packing` takes."""

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on where `state` was taken, of the same scenario."""
