"""What the learners hand to the simulation: frozen dataclasses of NumPy arrays, no Python object per request.
Built by `agents`, read by `sim.engine.run`; the sample axis is shared by every table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUMBER_BYTES = 4  # of a parameter, a score or a feature that devices and servers send, as float32


@dataclass(frozen=True)
class Samples:
    """The sample axis, n rows: calibration and traffic samples, clean and as the groups see them.

    sample_id, base_id, view: int32 (n,); label: int16 (n,); pool: int8 (n,), an index into `POOLS`;
    held_out: bool (n,), true for the half of the traffic samples whose labels train nothing. c_e: what a
    charged send of each costs, work: what its service time is multiplied by, float64 (n,), of several models
    (models, n); None where all are alike.
    """

    sample_id: NDArray[np.int32]
    base_id: NDArray[np.int32]
    view: NDArray[np.int32]
    label: NDArray[np.int16]
    pool: NDArray[np.int8]
    held_out: NDArray[np.bool_]
    c_e: NDArray[np.float64] | None = None
    work: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class GroupTables:
    """One group's look-ups, columns along the sample axis.

    client_label: int16 (variants, n), the frozen models' answers; quality: float32 (variants, n) in [0, 1]
    where they are graded instead, and labels are -1.
    score: float32 (rows, n), larger means "send"; a row per client or, where the score does not differ
    between clients that share a model, per variant. (rows, options, n) where each option has one of its own.
    None where the score is drawn per request (`random`).
    """

    client_label: NDArray[np.int16]
    score: NDArray[np.float32] | None
    quality: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Tables:
    """The tables in force: what a request needs to know of all models, looked up and never computed.

    groups: in the scenario's order; server_label: int16 (n,), the server model's answers, of several models
    (models, n); server_quality: float32 so where they are graded. This is version 0, after pretraining; what
    training during the run adds comes as `Update`s.
    """

    groups: tuple[GroupTables, ...]
    server_label: NDArray[np.int16]
    server_quality: NDArray[np.float32] | None = None


def hash_of(tables: Tables) -> str:
    """sha256 over types, shapes and bytes, hexadecimal."""
    content = sha256()
    of_groups = (array for g in tables.groups for array in (g.client_label, g.score, g.quality))
    for array in (tables.server_label, *of_groups, tables.server_quality):
        if array is not None:
            content.update(f"{array.dtype.str}:{array.shape};".encode())
            content.update(array.tobytes())
    return content.hexdigest()


@dataclass(frozen=True)
class Phase:
    """What a group's clients are sent from `at_s` on, until its next phase: samples in strata.

    positions: places on the sample axis, int32 (m,), stratum after stratum. first: int64 (strata + 1,),
    stratum s is positions[first[s]:first[s + 1]]. upto: float64 (rows, strata), the cumulative shares of the
    strata, ending in 1, one row for all clients or a row for each; a stratum with a share is not empty.
    Within a stratum samples are equally likely.
    """

    at_s: float
    positions: NDArray[np.int32]
    first: NDArray[np.int64]
    upto: NDArray[np.float64]


@dataclass(frozen=True)
class Learned:
    """All that the learners give a run before t = 0.

    traffic: per group its phases, the first at 0 s. calibration: per group the calibration pool as its
    requests show it before any drift; may be left out if no price asks for it. shared_numbers: per group how
    many numbers a client shares where clients learn together, else empty. client_hashes: per group and
    variant, of the frozen weights. learning, deferral, partitions, study, study_curves, study_bounded,
    study_losses, reliability, warm_start: columns of the tables of those names in `sim.results.columns`.
    """

    samples: Samples
    traffic: tuple[tuple[Phase, ...], ...]
    tables: Tables
    client_hashes: tuple[tuple[str, ...], ...]
    learning: dict[str, list[object]]
    deferral: dict[str, list[object]]
    partitions: dict[str, list[object]]
    study: dict[str, list[object]] = field(default_factory=dict)
    study_curves: dict[str, list[object]] = field(default_factory=dict)
    study_bounded: dict[str, list[object]] = field(default_factory=dict)
    study_losses: dict[str, list[object]] = field(default_factory=dict)
    reliability: dict[str, list[object]] = field(default_factory=dict)
    calibration: tuple[Phase, ...] = ()
    shared_numbers: tuple[int, ...] = ()
    warm_start: dict[str, list[object]] = field(default_factory=dict)


def learned_of(kept: Mapping[str, Any]) -> Learned:
    """What was packed as a mapping of its fields. Raises TypeError or KeyError for anything else."""
    tables = kept["tables"]
    groups = tuple(GroupTables(**group) for group in tables["groups"])
    again = {
        "samples": Samples(**kept["samples"]),
        "traffic": tuple(tuple(Phase(**phase) for phase in phases) for phases in kept["traffic"]),
        "tables": Tables(groups, tables["server_label"], tables["server_quality"]),
        "client_hashes": tuple(tuple(hashes) for hashes in kept["client_hashes"]),
        "calibration": tuple(Phase(**phase) for phase in kept["calibration"]),
        "shared_numbers": tuple(kept["shared_numbers"]),
    }
    return Learned(**(dict(kept) | again))


@dataclass(frozen=True)
class Deferred:
    """Samples that reached a server and whose labels have come, by (finished_at_s, request), (d,) each.

    client int32; sample: place on the sample axis, int32, never a held-out one; finished_at_s float64. model:
    of several that train who learns from it, int16, all of one before those of the next; None: there is one.
    """

    client: NDArray[np.int32]
    sample: NDArray[np.int32]
    finished_at_s: NDArray[np.float64]
    model: NDArray[np.int16] | None = None

    def of(self, model: int) -> Deferred:
        """What one of the servers' models learns from."""
        if self.model is None:
            return self
        mine = self.model == model
        return Deferred(self.client[mine], self.sample[mine], self.finished_at_s[mine])


@dataclass(frozen=True)
class Feedback:
    """What clients learned from answers, by (answered_at_s, request), (f,) each; no held-out sample.

    client int32; sample: place on the sample axis, int32; server_correct bool, 1[e(x)=y] of the version that
    answered; propensity float32, P(sent); answered_at_s float64. decided: int64, per client of the fleet how
    many requests of samples that are not held out it has decided since the last
    round, sent or not.
    """

    client: NDArray[np.int32]
    sample: NDArray[np.int32]
    server_correct: NDArray[np.bool_]
    propensity: NDArray[np.float32]
    answered_at_s: NDArray[np.float64]
    decided: NDArray[np.int64]

    @staticmethod
    def nothing(clients: int) -> Feedback:
        """No client of the fleet decided anything or got an answer."""
        return Feedback(
            client=np.empty(0, np.int32),
            sample=np.empty(0, np.int32),
            server_correct=np.empty(0, np.bool_),
            propensity=np.empty(0, np.float32),
            answered_at_s=np.empty(0, np.float64),
            decided=np.zeros(clients, np.int64),
        )


@dataclass(frozen=True)
class HandedOver:
    """Labelled samples that came from neighbours, (h,) each, by when, whom to and sample.

    client int32, who got it; sample, server_correct, propensity as in `Feedback`, propensity times the chance
    that a sample of its class was handed over rather than condensed; stands_for float64: how many requests
    that its giver decided it stands for.
    """

    client: NDArray[np.int32]
    sample: NDArray[np.int32]
    server_correct: NDArray[np.bool_]
    propensity: NDArray[np.float32]
    stands_for: NDArray[np.float64]

    @staticmethod
    def nothing() -> HandedOver:
        """Nobody got anything."""
        ids, chances = np.empty(0, np.int32), np.empty(0, np.float32)
        return HandedOver(ids, ids, np.empty(0, np.bool_), chances, np.empty(0, np.float64))


@dataclass(frozen=True)
class TrainingRound:
    """A round of training that begins at `at_s` and makes `version`, in force at `in_force_at_s`; where
    clients learn together `version` is the number of their round.

    deferred, feedback: what became known since the last round, each request once; empty where the
    scenario has no use for it (`source: pool`, `feedback: full`). trains: the clients whose rejectors will
    learn against this version, ascending, int32; the others never see it. makes: of several models of the
    servers those that train, by place, and which version of its own each makes; empty: the one there is.
    handed: what came from neighbours since the last round. steps: of each of `trains`, int32; empty: as many
    as the scenario says.
    """

    version: int
    at_s: float
    in_force_at_s: float
    deferred: Deferred
    feedback: Feedback
    trains: NDArray[np.int32]
    makes: tuple[tuple[int, int], ...] = ()
    handed: HandedOver = field(default_factory=HandedOver.nothing)
    steps: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, dtype=np.int32))


@dataclass(frozen=True)
class Merge:
    """What the server merges in a round: what `uploads` have learned; `receives` get what comes of them.
    broken: those of `uploads` that are wrong. Clients of the fleet, ascending, int32. clusters: which of
    `uploads` came as one, each named by the first client of its cluster, int32; empty: each by itself."""

    number: int
    uploads: NDArray[np.int32]
    receives: NDArray[np.int32]
    broken: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    clusters: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, dtype=np.int32))


@dataclass(frozen=True)
class Update:
    """What a round made.

    server_label: int16 (n,), the new version's answers, of several models (models, n), None where the server
    learns nothing. score: per
    group float32 (rows, n), rows as in `GroupTables`, or None where nothing changed; rows of clients that do
    not train are not looked at. learning: columns of the table of that name, to be appended, but `staleness`,
    which the run knows better. nearest: where prototypes were merged, per group int16 (variants, n), the
    class of the nearest, -1 where a model has none; None of a group that has none at all. prototypes: columns
    of the table of that name, to be appended. heads: where heads learned, per group what each client's says,
    int16 (clients, n), None of a group without; rows of clients whose head is as before are not looked at.
    head_rows: columns of the table `heads`, to be appended.
    """

    server_label: NDArray[np.int16] | None
    score: tuple[NDArray[np.float32] | None, ...]
    learning: dict[str, list[object]]
    nearest: tuple[NDArray[np.int16] | None, ...] = ()
    prototypes: dict[str, list[object]] = field(default_factory=dict)
    heads: tuple[NDArray[np.int16] | None, ...] = ()
    head_rows: dict[str, list[object]] = field(default_factory=dict)
