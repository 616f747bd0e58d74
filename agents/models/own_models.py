"""Models that a user brings: by a file of weights, an ONNX file, or as an object of Python's.
Each is asked once about every sample that anybody will look at; what it said is then as frozen as a table, so
it is hashed, travels to every worker, and cannot change the run any more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agents.brought_names import files_of, fronts_in, name_of, server_names
from agents.models.frozen import Weights, hash_of
from agents.models.model_files import Said, read_model
from agents.models.outputs import ModelOutput
from agents.models.training import CHUNK, to_tensor
from agents.plan import Plan, make_plan
from sim.errors import BadInput
from sim.scenario import Scenario

Images = NDArray[np.float32]
OwnModel = Any  # a callable of images, or an object with `predict_proba`; see `answers_of`
SUMS_TO_ONE = 1e-3
LEAST = 1e-12  # of which a logarithm is taken


class SaidOnce:
    """A frozen model that answers what it said when it was asked about these samples.

    weights: sample_id ascending, int32 (m,); logits float32 (m, classes); features float32 (m, width).
    """

    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    def output(self, plan: Plan, sample_ids: NDArray[np.int32]) -> ModelOutput:
        """What it said of samples."""
        at = np.searchsorted(self.weights["sample_id"], sample_ids)
        logits, features = (to_tensor(self.weights[name][at]) for name in ("logits", "features"))
        answer = logits.argmax(dim=1)
        return ModelOutput(logits, features, answer, answer == to_tensor(plan.labels(sample_ids)))


def names_of(plan: Plan) -> dict[str, str | None]:
    """The models of a plan that are brought, `server` or `fleet.GROUP`, and their files; None: an object."""
    files = files_of(plan.scenario)
    return {name: files.get(name) for name in sorted(plan.untrained)}


def require_own(plan: Plan, models: Mapping[str, OwnModel]) -> None:
    """Raises BadInput, one line, for a model that cannot be read, or does not answer as it should when it is
    asked about one sample; and for an object that belongs to no group."""
    known = [*server_names(plan.scenario), *map(name_of, plan.scenario.fleet)]
    for name in models:
        if name not in known:
            raise BadInput(f"models: '{name}' is neither of {', '.join(known)}")
    one = plan.samples.sample_id[:1]
    for name in names_of(plan):
        _said(plan, name, models, one)


def answers_of(plan: Plan, models: Mapping[str, OwnModel]) -> dict[str, Weights]:
    """What each brought model says of all samples that a run looks at, by `names_of`.

    models: objects by name. An object with `predict_proba` is given numbers, float32 (n, numbers), as
    scikit-learn's are, and gives probabilities (n, classes); its `classes_`, where it has them, say of which.
    Any other is called with images, float32 (n, channels, height, width), n at most 1,024, and gives (n,
    classes): probabilities, or else logits; or a pair of these and features, (n, width), for rejectors.
    Raises BadInput for numbers that are neither.
    """
    asked = samples_asked(plan)
    return {name: _said(plan, name, models, asked) for name in names_of(plan)}


def samples_asked(plan: Plan) -> NDArray[np.int32]:
    """All samples that a run looks at, ascending."""
    training, base = plan.scenario.training, [plan.rejector_pool]
    if training.specialise or training.warm_start or fronts_in(plan.scenario):
        base.append(plan.server_pool)
    pool = np.concatenate([plan.in_view(one, view) for one in base for view in range(len(plan.shifts))])
    return np.unique(np.concatenate([pool, plan.samples.sample_id])).astype(np.int32)


def digests_of(models: Mapping[str, OwnModel], scenario: Scenario) -> dict[str, str]:
    """By `model NAME` a digest of what each object says, so that another one is never taken for it. Raises
    BadInput as `checked_plan` does."""
    plan = make_plan(scenario, models)
    require_own(plan, models)
    said = answers_of(plan, models)
    return {f"model {name}": hash_of(said[name]) for name in models}


def _said(plan: Plan, name: str, models: Mapping[str, OwnModel], asked: NDArray[np.int32]) -> Weights:
    file, classes = names_of(plan)[name], plan.data.classes
    path = f"models: {name}" if file is None else f"{name}.model.file: {file}"
    ask: Callable[[Images], Said] = (
        _of_object(models[name], classes, path) if file is None else read_model(plan, name, file, path)
    )
    said, features = [], []
    for start in range(0, len(asked), CHUNK):
        images = plan.images[asked[start : start + CHUNK]]
        numbers, more = ask(images)
        said.append(_numbers(numbers, len(images), classes, path))
        features.append(_features(more, len(images), path))
    logits = _logits(np.concatenate(said))
    return {"sample_id": asked, "logits": logits, "features": np.concatenate(features)}


def _of_object(model: OwnModel, classes: int, path: str) -> Callable[[Images], Said]:
    if hasattr(model, "predict_proba"):
        return lambda images: (_by_class(model, images, classes, path), None)
    if not callable(model):
        raise BadInput(f"{path}: a {type(model).__name__} is neither callable nor has it predict_proba")

    def ask(images: Images) -> Said:
        said = model(images)
        return said if isinstance(said, tuple) else (said, None)

    return ask


def _by_class(model: OwnModel, images: Images, classes: int, path: str) -> NDArray[Any]:
    """Probabilities of all classes, where a model may know some of them alone."""
    said = np.asarray(model.predict_proba(images.reshape(len(images), -1)), dtype=np.float64)
    if said.ndim == 2 and (abs(said.sum(axis=1) - 1.0) > SUMS_TO_ONE).any():
        raise BadInput(f"{path}: predict_proba gives probabilities that do not sum to one")
    known = np.asarray(getattr(model, "classes_", np.arange(said.shape[-1])))
    if known.dtype.kind not in "iu" or said.shape != (len(images), len(known)) or known.max() >= classes:
        raise BadInput(f"{path}: its classes are {known.tolist()[:20]}: must be among 0 to {classes - 1}")
    whole = np.zeros((len(images), classes))
    whole[:, known] = said
    return whole


def _numbers(numbers: Any, count: int, classes: int, path: str) -> NDArray[Any]:
    found: NDArray[Any] = (
        numbers.detach().numpy() if isinstance(numbers, torch.Tensor) else np.asarray(numbers)
    )
    if found.shape != (count, classes) or found.dtype.kind not in "fiu":
        told = f"{found.dtype} {found.shape}"
        raise BadInput(f"{path}: gives {told} for {count} samples: must be numbers, {(count, classes)}")
    if not _is_finite(found):
        raise BadInput(f"{path}: an answer is not a finite number")
    return found


def _logits(said: NDArray[Any]) -> NDArray[np.float32]:
    """Of what was said of all samples, for chunks of them might look like probabilities by chance."""
    sums = said.sum(axis=1, dtype=np.float64)
    if (said >= 0).all() and (np.abs(sums - 1.0) <= SUMS_TO_ONE).all():
        said = np.log(np.maximum(said, LEAST))
    logits: NDArray[np.float32] = said.astype(np.float32)
    return logits


def _is_finite(numbers: NDArray[Any]) -> bool:
    """As it will be kept: what 32 bits cannot hold is infinite."""
    with np.errstate(over="ignore"):
        return bool(np.isfinite(numbers.astype(np.float32)).all())


def _features(features: Any, count: int, path: str) -> NDArray[np.float32]:
    if features is None:
        return np.empty((count, 0), dtype=np.float32)
    numbers = features.detach().numpy() if isinstance(features, torch.Tensor) else np.asarray(features)
    is_right = numbers.ndim == 2 and len(numbers) == count and numbers.dtype.kind in "fiub"
    if not is_right or not _is_finite(numbers):
        raise BadInput(f"{path}: its features must be finite numbers, ({count}, width)")
    return numbers.astype(np.float32)
