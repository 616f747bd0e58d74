"""The door to the learners: builds frozen clients, pretrains server and rejectors, hands out tables.
The only module of `agents` that a run needs; with no workers it does not even import Ray."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray

from agents.backends.before_ray import before_ray
from agents.backends.in_process import Backend, InProcess
from agents.backends.scattering import gather, same_on_all, scatter
from agents.checks import checked_plan
from agents.data.class_counts import class_counts
from agents.evaluation.answers import Answers
from agents.evaluation.reliability import reliability_of
from agents.evaluation.study_tables import study_bounded_of, study_curves_of, study_losses_of, study_of
from agents.evaluation.tables import deferral_of, learning_of, tables_in_force
from agents.head_rounds import HeadRounds
from agents.models.client_cache import cache_folder, load_client, save_client
from agents.models.frozen import FrozenClient, recipe_for
from agents.models.given import untrained_clients
from agents.models.own_models import OwnModel, answers_of
from agents.models.peers import fronts_say, peers_say
from agents.models.snapshots import State
from agents.models.training import Tick
from agents.plan import Block, Plan, Variant
from agents.prototype_rounds import PrototypeRounds
from agents.rejectors.losses import RELEASED
from agents.rounds import Rounds, answers_in, everything_asked
from agents.server.model import Trajectory
from agents.server.runnable import Runnable
from agents.warm_start import warm_start, wrong_of
from sim.messages import Learned, Merge, TrainingRound, Update
from sim.results.whole_files import sweep
from sim.scenario import Scenario
from sim.scenario.learning_part import with_availability

log = logging.getLogger(__name__)
ProgressCallback = Callable[[str, int, int], None]
Item = TypeVar("Item")


@contextmanager
def open_fleet(
    scenario: Scenario,
    *,
    workers: int,
    ray_address: str | None = None,
    cache: Path | None = None,
    progress: ProgressCallback | None = None,
    availability: float | None = None,
    models: Mapping[str, OwnModel] | None = None,
    prepare: Callable[[], None] | None = None,
) -> Iterator[Fleet]:
    """A fleet whose learners live in `workers` actors beside the server's, or in this process if it is 0.

    cache: where frozen clients are kept (default $L2H_CACHE, else .cache). progress: told (what, done,
    total). availability: what `training.availability: observed` stands for, 0 to 1. models: objects in place
    of models that would be trained, by name, `server` or `fleet.GROUP`; see `answers_of`. prepare: called
    first in the process of each actor. The law: what it learns has the same bytes for every number of
    workers. While it is open, torch works with one thread. Raises BadInput before anything starts.
    """
    plan = checked_plan(with_availability(scenario, availability), models)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        backend = new_backend(workers, ray_address, prepare)
        try:
            yield Fleet(plan, backend, cache_folder(cache), progress or (lambda *_told: None), models)
        finally:
            backend.close()
    finally:
        torch.set_num_threads(threads)


def new_backend(workers: int, ray_address: str | None, prepare: Callable[[], None] | None = None) -> Backend:
    """Learners with `workers` shards on Ray, or one in this process if it is 0; not started yet."""
    if workers == 0:
        return InProcess()
    before_ray(ray_address)
    from agents.backends.actors import OnRay  # noqa: PLC0415  (Ray is imported only where it is asked for)

    return OnRay(workers, ray_address, prepare)


class Fleet:
    """Frozen clients, rejectors and the server's model: call `build`, `learn`, `decide`, in this order."""

    def __init__(
        self,
        plan: Plan,
        backend: Backend,
        cache: Path,
        progress: ProgressCallback,
        models: Mapping[str, OwnModel] | None = None,
    ) -> None:
        self._own_models = models or {}
        self._plan, self._backend, self._cache, self._progress = plan, backend, cache, progress
        self._frozen: dict[Variant, FrozenClient] = {}
        self._trajectory: Trajectory | None = None
        self._rounds: Rounds | None = None
        self._prototypes: PrototypeRounds | None = None
        self._heads: HeadRounds | None = None
        self._rejector_losses: dict[Block, NDArray[np.float64]] = {}
        self._warm_start: dict[str, list[object]] = {}

    def build(self) -> None:
        """Makes the views and the frozen clients, from the cache where it has them."""
        said = answers_of(self._plan, self._own_models)
        said |= peers_say(self._plan, said, self._cache) | fronts_say(self._plan, said, self._cache)
        if said:
            self._plan = replace(self._plan, said=said)
        self._plan.prepare()
        self._backend.start(self._plan)
        self._frozen = self._frozen_clients()
        weights = self._backend.share({variant: frozen.weights for variant, frozen in self._frozen.items()})
        shards = range(self._backend.shards)
        self._backend.ask_shards("adopt", [(self._models_of(shard), weights) for shard in shards])
        if self._plan.scenario.shares_prototypes:
            self._prototypes = PrototypeRounds(self._plan, self._frozen)

    def learn(self) -> None:
        """Pretrains: the server's whole course first, then every rejector along what was recorded of it.

        Stage 1 does not depend on rejectors, so this equals the paper's alternating algorithm exactly and
        needs one call per epoch of the server and one per shard. Raises RunFailed if a loss diverges.
        """
        epochs, tick = self._plan.scenario.training.pretrain.epochs, self._tick("server")
        if self._plan.scenario.training.specialise:
            self._backend.ask_server("specialise", wrong_of(self._plan, self._backend))
        if self._plan.scenario.training.warm_start:
            self._warm_start = warm_start(self._plan, self._backend)
        for epoch in range(epochs):
            self._trajectory = self._backend.ask_server("pretrain", 1)
            tick(epoch + 1, epochs)
        if self._trajectory is None:
            raise RuntimeError("learn() was called before")
        blocks = self._plan.blocks
        if not blocks:
            return
        if any(network.form == "released" for served in self._plan.served for network in served):
            log.warning(RELEASED)
        training = self._plan.scenario.training
        if training.feedback == "deferred_only" and training.exploration == 0:
            log.warning("training.exploration: 0, so what a rejector never sends it never learns about")
        correct = self._backend.share(self._trajectory.correct)
        calls = [(share, correct) for share in self._scatter(blocks)]
        self._rejector_losses = gather(
            blocks, self._backend.ask_shards("learn", calls, self._tick("rejectors"))
        )

    def decide(self) -> Learned:
        """The tables in force at t = 0, with the sample axis, and the curves of what was learned."""
        if self._trajectory is None:
            raise RuntimeError("decide() comes after learn()")
        answers = everything_asked(self._plan, self._backend)
        rounds = self._begin_rounds(answers)
        return Learned(
            samples=self._plan.samples,
            traffic=self._plan.phases,
            tables=tables_in_force(self._plan, answers),
            client_hashes=self._by_group({v: frozen.weight_hash for v, frozen in self._frozen.items()}),
            learning=learning_of(self._plan, self._frozen, self._trajectory, self._rejector_losses),
            deferral=deferral_of(self._plan, answers),
            study=study_of(self._plan, answers, self._rejector_losses),
            study_curves=study_curves_of(self._plan, answers),
            study_bounded=study_bounded_of(self._plan, answers),
            study_losses=study_losses_of(self._plan, self._rejector_losses),
            partitions=class_counts(self._plan),
            calibration=self._plan.calibration_phases,
            reliability=reliability_of(self._plan, answers),
            shared_numbers=rounds.shared_numbers(),
            warm_start=self._warm_start,
        )

    def go_on(self, learned: Learned) -> None:
        """In place of `decide`, after `restore`: what it gave of this state is known."""
        self._begin_rounds(answers_in(learned.tables, self._plan, self._backend))

    def train_round(self, training_round: TrainingRound) -> Update:
        """A round of training during the run; see `sim.ports`. Comes after `decide`.

        A killed actor is rebuilt from its last state by repeating the rounds since. Raises RunFailed if a
        loss diverges.
        """
        return self._during_run.train_round(training_round)

    def train_rejectors(self, training_round: TrainingRound) -> Update:
        """The same of clients that learn together."""
        return self._during_run.train_rejectors(training_round)

    def merge(self, merge: Merge) -> Update:
        """What comes of their merge."""
        return self._during_run.merge(merge)

    def state(self) -> State:
        """All that the rounds to come depend on besides their messages; comes after `learn`."""
        if self._trajectory is None:
            raise RuntimeError("state() comes after learn()")
        blocks, (loss, accuracy) = self._plan.blocks, (self._trajectory.loss, self._trajectory.accuracy)
        calls = [(share,) for share in self._scatter(blocks)]
        states = gather(blocks, self._backend.ask_shards("state", calls)) if blocks else {}
        return {
            "server": self._backend.ask_server("state"),
            "blocks": [states[block] for block in blocks],
            "curves": {"loss": loss, "accuracy": accuracy},
            "rejector_losses": [self._rejector_losses[block] for block in blocks],
            "warm_start": self._warm_start,
            "shared": shared.state() if (shared := self._prototypes or self._heads) else {},
        }

    def restore(self, state: State) -> None:
        """Goes on where `state` was taken, of the same scenario. After `build`, in place of `learn`."""
        blocks, curves = self._plan.blocks, state["curves"]
        self._backend.ask_server("restore", state["server"])
        scattered = zip(self._scatter(blocks), self._scatter(state["blocks"]), strict=True)
        if blocks:
            self._backend.ask_shards("restore", list(scattered))
        nothing = np.empty((0, 0, 0, 0), dtype=np.bool_)  # what rejectors learned along is not needed again
        self._trajectory = Trajectory(nothing, curves["loss"], curves["accuracy"])
        self._rejector_losses = dict(zip(blocks, state["rejector_losses"], strict=True))
        self._warm_start = dict(state["warm_start"])
        if (shared := self._prototypes or self._heads) is not None:
            shared.restore(state["shared"])
        if self._rounds is not None:
            self._rounds.restored()

    def server_to_run(self) -> Runnable:
        """The server's trained model, for who runs it in a process of its own; comes after `learn`."""
        return cast(Runnable, self._backend.ask_server("to_run"))

    def client_hashes(self) -> tuple[tuple[str, ...], ...]:
        """Per group and variant the hash of the live model's weights, as they are now.

        Raises RunFailed if two shards that host one model do not hold the same weights.
        """
        found = self._backend.ask_shards("hashes", [()] * self._backend.shards)
        return self._by_group(same_on_all(self._plan, found))

    @property
    def _during_run(self) -> Rounds:
        if self._rounds is None:
            raise RuntimeError("training during the run comes after decide()")
        return self._rounds

    def _frozen_clients(self) -> dict[Variant, FrozenClient]:
        """Every variant's frozen client. The cache is this process's business, so a cluster needs no disk."""
        plan, cache, own = self._plan, self._cache, untrained_clients(self._plan)
        sweep(cache)
        # A recipe holds pictures, so it is made anew where it is needed.
        trained = [variant for variant in plan.variants if variant not in own]
        known = {variant: load_client(recipe_for(plan, variant), cache) for variant in trained}
        missing = [variant for variant, frozen in known.items() if frozen is None]
        made: dict[Variant, FrozenClient] = {}
        if missing:
            calls = [(share,) for share in self._scatter(missing)]
            made = gather(
                missing, self._backend.ask_shards("train_clients", calls, self._tick("frozen clients"))
            )
        for variant, frozen in made.items():
            save_client(recipe_for(plan, variant), frozen, cache)
        return {variant: own.get(variant) or known[variant] or made[variant] for variant in plan.variants}

    def _begin_rounds(self, answers: Answers) -> Rounds:
        if self._plan.scenario.shares_heads:
            self._heads = HeadRounds(self._plan, self._backend.ask_server("last_layer"))
        self._rounds = Rounds(self._plan, self._backend, answers, self._prototypes or self._heads)
        return self._rounds

    def _models_of(self, shard: int) -> list[Variant]:
        """The frozen models that a shard needs: its share, and those that its blocks look at."""
        needed = set(self._scatter(self._plan.variants)[shard])
        for block in self._scatter(self._plan.blocks)[shard]:
            needed.update(self._plan.variants_of(block))
        return sorted(needed)

    def _scatter(self, items: Sequence[Item]) -> list[Sequence[Item]]:
        return scatter(items, self._backend.shards)

    def _by_group(self, found: Mapping[Variant, Item]) -> tuple[tuple[Item, ...], ...]:
        variants, places = self._plan.variants, range(len(self._plan.scenario.fleet))
        return tuple(tuple(found[v] for v in variants if v.group == place) for place in places)

    def _tick(self, what: str) -> Tick:
        return lambda done, total: self._progress(what, done, total)
