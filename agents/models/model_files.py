"""Files of models: weights of a family (safetensors, or .pt loaded as weights alone) and ONNX graphs.
Read by `agents.models.own_models`; nothing is unpickled, and what is too large is refused unread."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from agents.brought_names import name_of, server_names
from agents.models.families import Classifier, model_of, outline
from agents.models.library_models import library_of
from agents.models.training import read
from agents.plan import Plan
from sim.errors import BadInput
from sim.scenario.files.machine import gib, installed_bytes
from sim.scenario.schema.client_data import ClientModel, Scaling
from sim.scenario.schema.server import ServerModel

Said = tuple[Any, Any]  # logits or probabilities (n, classes), and features (n, width) or None
COPIES = 3  # of a file's weights: as read, as tensors, as they work
NESTED = ("state_dict", "model_state_dict", "model")  # where checkpoints keep the weights
NETWORK = "network."  # what our wrapping puts before the names of a library's network
KEY = "draw_key"  # the only buffer that is ours


def read_model(plan: Plan, name: str, file: str, path: str) -> Callable[[NDArray[np.float32]], Said]:
    """What asks the model of a file. path: how messages begin. Raises BadInput for what it cannot be."""
    _require_room(file, path)
    scenario = plan.scenario
    owners: dict[str, ClientModel | ServerModel] = {name_of(group): group.model for group in scenario.fleet}
    asked = (owners | dict(zip(server_names(scenario), scenario.server_models.values(), strict=True)))[name]
    ask = _onnx(file, plan, path) if file.endswith(".onnx") else _weights(file, plan, asked, path)
    scaling = asked.scaling
    return ask if scaling is None else lambda images: ask(_scaled(images, scaling, path))


def _require_room(file: str, path: str) -> None:
    try:
        needs, has = COPIES * os.path.getsize(file), installed_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    if needs > has:
        raise BadInput(f"{path}: needs about {gib(needs)} of memory: this machine has {gib(has)}")


def _scaled(images: NDArray[np.float32], scaling: Scaling, path: str) -> NDArray[np.float32]:
    mean, std = (np.array(part, dtype=np.float32)[:, None, None] for part in (scaling.mean, scaling.std))
    if len(mean) not in (1, images.shape[1]) and images.shape[1] != 1:
        raise BadInput(f"{path}: scaling has {len(mean)} channels, and images have {images.shape[1]}")
    scaled: NDArray[np.float32] = (images - mean) / std
    return scaled


def _weights(file: str, plan: Plan, asked: Any, path: str) -> Callable[[NDArray[np.float32]], Said]:
    shape, classes = plan.data.image_shape, plan.data.classes
    if library_of(asked.family) and shape[0] == 1 and asked.scaling is not None:
        shape = (len(asked.scaling.mean), *shape[1:])  # a grey picture, scaled by channels
    network = outline(asked.family, shape, classes, asked.image_size).state_dict()
    state = _named_as(network, _state(file, path))
    state = _fitting(state, network, asked.family, path)
    model: Classifier = model_of(asked.family, shape, classes, state, asked.image_size)

    def ask(images: NDArray[np.float32]) -> Said:
        seen = read(model, images)
        return seen.logits, seen.features

    return ask


def _state(file: str, path: str) -> dict[str, Tensor]:
    """The tensors of a file by name."""
    try:
        if file.endswith(".safetensors"):
            return load_file(file)
        told = torch.load(file, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise BadInput(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    except Exception as error:  # whatever a foreign file makes of its reader
        if "weights_only" in str(error) or "Unsupported" in str(error):
            why = "only unpickling could read it, which could run anything: save the model's state_dict()"
            raise BadInput(f"{path}: {why}") from None
        raise BadInput(f"{path}: cannot be read: {' '.join(str(error).split())[:200]}") from None
    for key in NESTED:
        if isinstance(told, Mapping) and isinstance(told.get(key), Mapping):
            told = told[key]
    if not isinstance(told, Mapping) or not all(isinstance(one, Tensor) for one in told.values()):
        raise BadInput(f"{path}: holds no state_dict, a tensor for each name")
    return dict(told)


def _named_as(network: Mapping[str, Tensor], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names of a library's own network as ours; its key of draws is 0, as nothing is drawn."""
    if any(name.startswith(NETWORK) for name in network) and not any(n.startswith(NETWORK) for n in state):
        state = {NETWORK + name: tensor for name, tensor in state.items()}
    if KEY in network:
        state.setdefault(KEY, torch.zeros((), dtype=torch.int64))
    return state


def _fitting(
    state: Mapping[str, Tensor], network: Mapping[str, Tensor], family: str, path: str
) -> dict[str, Tensor]:
    """The weights as the network keeps them, floats with 32 bits. Raises BadInput for what does not fit."""
    fitting = {}
    for name, tensor in network.items():
        if name not in state:
            raise BadInput(f"{path}: has no '{name}', which {family} needs")
        if state[name].shape != tensor.shape:
            told = f"{tuple(state[name].shape)}, and {family} for these data needs {tuple(tensor.shape)}"
            raise BadInput(f"{path}: '{name}' is {told}")
        is_float = tensor.is_floating_point()
        if state[name].is_floating_point() != is_float or not (is_float or state[name].dtype == tensor.dtype):
            told = f"{state[name].dtype}".removeprefix("torch.")
            needed = "floats" if is_float else f"{tensor.dtype}".removeprefix("torch.")
            raise BadInput(f"{path}: '{name}' holds {told}, and {family} needs {needed}")
        fitting[name] = state[name].to(tensor.dtype)
        if not torch.isfinite(fitting[name]).all():
            raise BadInput(f"{path}: '{name}' has a weight that is not a finite number")
    strangers = sorted(state.keys() - network.keys())
    if strangers:
        raise BadInput(f"{path}: '{strangers[0]}' is no weight of {family}")
    return fitting


def _onnx(file: str, plan: Plan, path: str) -> Callable[[NDArray[np.float32]], Said]:
    try:
        import onnxruntime  # noqa: PLC0415  (an extra, for these files alone)
    except ImportError:
        raise BadInput(f"{path}: needs onnxruntime: pip install 'l2h-fleet[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        content = Path(file).read_bytes()  # so that no data beside the file is read
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class of error for every way of being broken
        raise BadInput(f"{path}: cannot be read: {' '.join(str(error).split())[:200]}") from None
    inputs, classes = session.get_inputs(), plan.data.classes
    if len(inputs) != 1:
        raise BadInput(f"{path}: takes {len(inputs)} inputs: must be one, the images")
    flat, one_by_one = len(inputs[0].shape) == 2, inputs[0].shape[:1] == [1]

    def run(images: NDArray[np.float32]) -> Said:
        given = images.reshape(len(images), -1) if flat else images
        parts = [given[at : at + 1] for at in range(len(given))] if one_by_one else [given]
        try:
            said = [session.run(None, {inputs[0].name: part}) for part in parts]
        except Exception as error:
            raise BadInput(f"{path}: cannot answer: {' '.join(str(error).split())[:200]}") from None
        outputs = [
            np.concatenate(each) for each in zip(*said, strict=True) if isinstance(each[0], np.ndarray)
        ]
        wide = [output for output in outputs if output.ndim == 2 and output.dtype.kind == "f"]
        logits = [output for output in wide if output.shape[1] == classes]
        if not logits:
            shapes = ", ".join(str(output.shape) for output in outputs)
            raise BadInput(f"{path}: gives {shapes}: none is (samples, {classes})")
        others = [output for output in wide if output is not logits[0]]
        return logits[0], others[0] if others else None

    return run
