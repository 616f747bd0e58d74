"""What the learners hand to the simulation: frozen dataclasses of NumPy arrays, no Python object per request.
Built by `agents`, read by `sim.engine`; the sample axis is shared by every table."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Samples:
    """The sample axis, n rows: calibration and traffic samples, clean and as the groups see them.

    sample_id, base_id, view: int32 (n,); label: int16 (n,); pool: int8 (n,), an index into `POOLS`;
    held_out: bool (n,), true for the half of the traffic samples whose labels train nothing.
    """

    sample_id: NDArray[np.int32]
    base_id: NDArray[np.int32]
    view: NDArray[np.int32]
    label: NDArray[np.int16]
    pool: NDArray[np.int8]
    held_out: NDArray[np.bool_]


@dataclass(frozen=True)
class GroupTables:
    """One group's look-ups, columns along the sample axis.

    client_label: int16 (variants, n), the frozen models' answers.
    score: float32 (rows, n), larger means "send"; a row per client or, where the score does not differ
    between clients that share a model, per variant. None where the score is drawn per request (`random`).
    """

    client_label: NDArray[np.int16]
    score: NDArray[np.float32] | None


@dataclass(frozen=True)
class Tables:
    """The tables in force: what a request needs to know of all models, looked up and never computed.

    groups: in the scenario's order; server_label: int16 (n,), the server model's answers.
    Versions count from 0 = after pretraining.
    """

    groups: tuple[GroupTables, ...]
    server_label: NDArray[np.int16]
    server_version: int = 0
    copy_version: int = 0
    rejector_version: int = 0


@dataclass(frozen=True)
class Learned:
    """All that the learners give a run before t = 0.

    traffic: per group the positions on the sample axis that its clients' requests are drawn from,
    int32 (m,), ascending. client_hashes: per group and variant, of the frozen weights.
    learning, deferral, partitions, study, study_curves, study_bounded, study_losses: columns of the
    tables of those names in `sim.columns`.
    """

    samples: Samples
    traffic: tuple[NDArray[np.int32], ...]
    tables: Tables
    client_hashes: tuple[tuple[str, ...], ...]
    learning: dict[str, list[object]]
    deferral: dict[str, list[object]]
    partitions: dict[str, list[object]]
    study: dict[str, list[object]] = field(default_factory=dict)
    study_curves: dict[str, list[object]] = field(default_factory=dict)
    study_bounded: dict[str, list[object]] = field(default_factory=dict)
    study_losses: dict[str, list[object]] = field(default_factory=dict)
