"""Files that a user might bring, made up: answers of models, graded or not, and a router's benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import Tensor

CLASSES = 4
Columns = dict[str, Any]


def answers(count: int = 400, seed: int = 0) -> Columns:
    """A client that fails where the first feature is large, and a server that rarely does."""
    draw = np.random.default_rng(seed)
    label = draw.integers(0, CLASSES, count)
    looks = draw.normal(size=(count, 2))
    client = np.where(
        draw.random(count) < np.where(looks[:, 0] > 0.3, 0.3, 0.95), label, (label + 1) % CLASSES
    )
    server = np.where(draw.random(count) < 0.95, label, (label + 2) % CLASSES)
    probability = np.full((count, CLASSES), 0.1)
    probability[np.arange(count), client] = 0.7
    return {
        "label": label,
        "client_label.small": client,
        "server_label.large": server,
        **{f"probability.small.{one}": probability[:, one] for one in range(CLASSES)},
        **{f"features.{one}": looks[:, one] for one in range(2)},
    }


def graded(count: int = 400, seed: int = 0) -> Columns:
    """Two variants and two servers with qualities; the large one is dear and slow where answers are long."""
    draw = np.random.default_rng(seed)
    hard = draw.random(count)
    work = np.round(draw.gamma(3.0, 1 / 3, count), 3) + 0.01
    return {
        "client_quality.small": np.clip(1.1 - hard + 0.1 * draw.normal(size=count), 0, 1).round(3),
        "client_quality.tiny": np.clip(0.8 - hard + 0.1 * draw.normal(size=count), 0, 1).round(3),
        "server_quality.large/4.1": np.clip(1.2 - 0.5 * hard, 0, 1).round(3),
        "server_quality.medium": np.clip(1.1 - 0.8 * hard, 0, 1).round(3),
        "cost.large/4.1": np.round(0.2 * work, 4),
        "work.large/4.1": work,
        "features.hard": hard + 0.05 * draw.normal(size=count),
        "score.router": hard,
        "score.cheat.small": hard,
        "score.cheat.tiny": 1 - hard,
    }


def write(columns: Mapping[str, Any], path: Path) -> Path:
    """The columns in the format that the name of the file says."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table(dict(columns)), path)
    elif path.suffix == ".npz":
        np.savez(path, **columns)
    else:
        pd.DataFrame(columns).to_csv(path, index=False)
    return path


def features(path: Path, count: int = 300) -> Path:
    """Three classes that two features tell, and a note."""
    draw = np.random.default_rng(3)
    label = draw.integers(0, 3, count)
    looks = draw.normal(size=(count, 2)) + 2.0 * label[:, None]
    return write({"label": label, "a": looks[:, 0], "b": looks[:, 1], "note.who": ["x"] * count}, path)


def pictures(archive: Path, folder: Path, count: int = 240) -> NDArray[np.uint8]:
    """The same pictures of three classes, bright on another third each, in an archive and in folders."""
    draw = np.random.default_rng(4)
    label = np.arange(count) % 3
    shown = draw.integers(0, 80, (count, 12, 12)).astype(np.uint8)
    for one in range(3):
        shown[label == one, 4 * one : 4 * one + 4] += 150
    half = count // 2
    np.savez(
        archive,
        train_images=shown[:half],
        train_labels=label[:half, None],
        test_images=shown[half:],
        test_labels=label[half:, None],
    )
    for number, (picture, one) in enumerate(zip(shown, label, strict=True)):
        place = folder / ("bottom", "middle", "top")[one] / f"{number:03}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place)
    return shown


def eurosat(root: Path, count: int = 240) -> None:
    """A folder as torchvision leaves EuroSAT: colour pictures of ten classes."""
    draw = np.random.default_rng(6)
    for number in range(count):
        shown = draw.integers(0, 255, (8, 8, 3)).astype(np.uint8)
        place = root / "eurosat/2750" / f"class{number % 10}" / f"{number}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(shown).save(place)


def router_benchmark(path: Path, count: int = 300) -> Path:
    """A row per query and, for each model, its quality, its answer and its cost, as RouterBench has them."""
    draw = np.random.default_rng(5)
    long = draw.integers(20, 400, count)
    rows: Columns = {
        "sample_id": [f"mmlu.{one}" for one in range(count)],
        "prompt": ["x" * int(one) + "7" * int(one % 7) for one in long],
        "eval_name": np.where(long > 200, "gsm8k", "mmlu"),
    }
    for model, skill, dollars in (
        ("mistralai/mistral-7b-chat", 0.9, 1e-4),
        ("gpt-4-1106-preview", 0.99, 1e-2),
    ):
        rows[model] = (draw.random(count) < skill - (long / 500 if dollars < 1e-3 else 0)).astype(float)
        rows[f"{model}|model_response"] = ["y" * int(one) for one in draw.integers(4, 800, count)]
        rows[f"{model}|total_cost"] = dollars * draw.gamma(4.0, 0.25, count)
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def linear_onnx(path: Path, state: Mapping[str, Tensor], flat: bool = True) -> Path:
    """The linear family as a graph, on numbers or on images of 1x8x8; its input is a second output."""
    shape = ["n", 64] if flat else ["n", 1, 8, 8]
    nodes = [] if flat else [helper.make_node("Flatten", ["x"], ["flat"])]
    seen = "x" if flat else "flat"
    nodes += [helper.make_node("Gemm", [seen, "w", "b"], ["logits"], transB=1)]
    nodes += [helper.make_node("Identity", [seen], ["features"])]
    numbers = [
        numpy_helper.from_array(state[f"head.{name}"].numpy(), short)
        for name, short in (("weight", "w"), ("bias", "b"))
    ]
    outputs = [("logits", len(state["head.bias"])), ("features", 64)]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width]) for name, width in outputs],
        numbers,
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path
