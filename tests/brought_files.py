"""Files that a user might bring, made up: answers of models, graded or not, and a router's benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

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
