"""Tables of answers: what given models say of samples, with or without what a rejector may look at.
`data.set: table` reads one; rules ask here for its classes and size, `agents` for all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.scenario.files.answer_columns import Read, read_columns
from sim.scenario.files.rows import BadFile, identity
from sim.scenario.text.wording import show

MOST_CLASSES = 2**15 - 1
SUMS_TO_ONE = 1e-3  # how far probabilities may lie from it: some are written with three digits
LEAST_PROBABILITY = 1e-12  # of which a logarithm is taken


@dataclass(frozen=True)
class GivenModel:
    """What a model answers on n samples.

    label: int16 (n,), or quality: float32 (n,) in [0, 1], never both; logits: float32 (n, classes), None
    where the file has none. Of a server also cost, its own c_e a sample, and work, float64 (n,), or None.
    """

    label: NDArray[np.int16] | None = None
    quality: NDArray[np.float32] | None = None
    logits: NDArray[np.float32] | None = None
    cost: NDArray[np.float64] | None = None
    work: NDArray[np.float64] | None = None

    @property
    def has_logits(self) -> bool:
        """Whether it has logits that are more than logarithms of probabilities."""
        return self.logits is not None and not are_probabilities(np.logaddexp.reduce(self.logits, axis=1))


def are_probabilities(log_partition: NDArray[np.floating]) -> bool:
    """Whether logits are logarithms of probabilities: log sum_y exp z_y of each is 0."""
    return bool(np.abs(log_partition).max(initial=0.0) <= SUMS_TO_ONE)


@dataclass(frozen=True)
class AnswerTable:
    """A file of answers, n samples; arrays are read-only.

    label: int16 (n,), the true class or, where answers are graded, a kind of sample; 0 where the file has
    none. features: float32 (n, width). scores: by name and variant ("" for all), float32 (n,). pool:
    int8 (n,), an index into `POOLS`, held_out: bool (n,); None where they are drawn.
    """

    classes: int
    is_graded: bool
    label: NDArray[np.int16]
    clients: Mapping[str, GivenModel]
    servers: Mapping[str, GivenModel]
    features: NDArray[np.float32]
    scores: Mapping[tuple[str, str], NDArray[np.float32]]
    pool: NDArray[np.int8] | None
    held_out: NDArray[np.bool_] | None

    @property
    def size(self) -> int:
        return len(self.label)

    def take(self, which: NDArray[np.integer]) -> AnswerTable:
        """Some of its samples."""
        taken = {field.name: _taken(getattr(self, field.name), which) for field in fields(self)}
        return replace(self, **taken)


def _taken(value: Any, which: NDArray[np.integer]) -> Any:
    if isinstance(value, np.ndarray):
        return value[which]
    if isinstance(value, Mapping):
        return {name: _taken(one, which) for name, one in value.items()}
    if isinstance(value, GivenModel):
        return GivenModel(
            **{field.name: _taken(getattr(value, field.name), which) for field in fields(value)}
        )
    return value


def answer_table(path: str) -> AnswerTable:
    """The table in a file, remembered while that stays the same. Raises BadFile for what is wrong with it."""
    return _table(*identity(path))


@lru_cache(maxsize=4)
def _table(path: str, _changed_ns: int, _bytes: int) -> AnswerTable:
    read = read_columns(path)
    is_graded = _is_graded(read)
    answers = {
        side: {name: _model(read, side, name, is_graded) for name in read.named(side)}
        for side in ("client", "server")
    }
    for side, models in answers.items():
        if not models:
            one = f"{side}_quality" if is_graded else f"{side}_label"
            raise BadFile(f"has no answers of a {side}: no column {one}.NAME")
    _require_owners(read, answers)
    classes = _classes(read, answers, is_graded)
    return AnswerTable(
        classes=classes,
        is_graded=is_graded,
        label=_label(read),
        clients=answers["client"],
        servers=answers["server"],
        features=read.features(),
        scores=_scores(read, list(answers["client"])),
        pool=read.pool,
        held_out=read.held_out,
    )


def _is_graded(read: Read) -> bool:
    """Whether answers are graded; a file grades all of them or none."""
    graded = [*read.of("client_quality"), *read.of("server_quality")]
    named = [*read.of("client_label"), *read.of("server_label")]
    if graded and named:
        raise BadFile(f"{graded[0]} is graded and {named[0]} is not: either all answers are graded or none")
    if not graded and "label" not in read.columns:
        raise BadFile("has no column label, the true class, nor graded answers (client_quality.NAME)")
    return bool(graded)


def _model(read: Read, side: str, name: str, is_graded: bool) -> GivenModel:
    columns, logits = read.columns, _logits(read, name)
    label, quality = columns.get(f"{side}_label.{name}"), columns.get(f"{side}_quality.{name}")
    if is_graded and quality is None:
        raise BadFile(f"answers are graded, and {show(name)} has no {side}_quality.{name}")
    if label is None and quality is None:
        assert logits is not None
        label = logits.argmax(axis=1).astype(np.int16)
        label.setflags(write=False)
    if side == "client":
        return GivenModel(label, quality, logits)
    return GivenModel(label, quality, logits, columns.get(f"cost.{name}"), columns.get(f"work.{name}"))


def _logits(read: Read, name: str) -> NDArray[np.float32] | None:
    """As given, or logarithms of probabilities, which must sum to one."""
    if (logits := read.vectors("logits", name)) is not None:
        return logits
    if (given := read.vectors("probability", name)) is None:
        return None
    sums = given.sum(axis=1, dtype=np.float64)
    wrong = np.flatnonzero(np.abs(sums - 1.0) > SUMS_TO_ONE)
    if len(wrong):
        row = int(wrong[0])
        raise BadFile(f"{read.place(row)}: probability.{name} sums to {sums[row]:.6g}: must sum to 1")
    logs: NDArray[np.float32] = np.log(np.maximum(given, np.float32(LEAST_PROBABILITY)))
    logs.setflags(write=False)
    return logs


def _require_owners(read: Read, answers: Mapping[str, Mapping[str, GivenModel]]) -> None:
    """Raises BadFile for a column about a model that the file has no answers of."""
    owners = {"cost": answers["server"], "work": answers["server"]}
    every = {**answers["client"], **answers["server"]}
    for kind in ("cost", "work", "probability", "logits"):
        known = owners.get(kind, every)
        for column in read.of(kind):
            name = read.owner(column)
            if name not in known:
                raise BadFile(f"{column}: there is no model {show(name)} ({', '.join(known)})")


def _classes(read: Read, answers: Mapping[str, Mapping[str, GivenModel]], is_graded: bool) -> int:
    """Number of classes: those of the labels, or of the probabilities where the file has any. Raises BadFile
    for an answer that is none of them."""
    label = _label(read)
    known = int(label.max(initial=0)) + 1
    models = [(f"{side}_label.{name}", model) for side, of in answers.items() for name, model in of.items()]
    widths = {name: int(model.logits.shape[1]) for name, model in models if model.logits is not None}
    if not is_graded and widths:
        if len(set(widths.values())) > 1:
            told = ", ".join(f"{width} of {name.partition('.')[2]}" for name, width in widths.items())
            raise BadFile(f"models differ in the number of their classes: {told}")
        classes = next(iter(widths.values()))
    else:
        classes = known
    for name, values in [("label", label), *((name, model.label) for name, model in models)]:
        if values is not None and int(values.max(initial=0)) >= classes:
            row = int(np.argmax(values >= classes))
            rule = f"must be a class from 0 to {classes - 1}"
            raise BadFile(f"{read.place(row)}: {name} is {values[row]}: {rule}")
    return classes


def _label(read: Read) -> NDArray[np.int16]:
    label: NDArray[np.int16] | None = read.columns.get("label")
    return np.zeros(read.size, dtype=np.int16) if label is None else label


def _scores(read: Read, variants: list[str]) -> dict[tuple[str, str], NDArray[np.float32]]:
    """By name and variant; a column without a variant behind its name is for all of them."""
    found: dict[tuple[str, str], NDArray[np.float32]] = {}
    for column in read.of("score"):
        name, variant = column.partition(".")[2], ""
        for one in variants:
            if name.endswith(f".{one}"):
                name, variant = name.removesuffix(f".{one}"), one
        found[name, variant] = read.columns[column]
    return found
