"""Where a network may be cut in two, so that a device computes its front and a server the rest.
Told by the command `split-points`: shapes alone, on torch's meta device, without weights or data."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from agents.models.classifiers import Headed
from agents.models.families import ImageShape, outline, size_of
from sim.errors import BadInput
from sim.scenario.schema.client_data import ClientModel
from sim.scenario.schema.server import ServerModel


class SplitPoint(NamedTuple):
    """after: the layer behind which it lies, "" is before all; share: of the work that the front does; bytes:
    of what is sent then."""

    after: str
    share: float
    bytes: int


def split_points(
    family: str, shape: ImageShape, classes: int, image_size: int | None = None, bits: int = 32
) -> list[SplitPoint]:
    """The points of a family on pictures of a shape, front to back; of layers that work nothing the one that
    leaves the least to send. bits: of each number that is sent.

    Work is counted in multiplications and additions. Raises ValueError for a network whose layers do not
    stand in a row.
    """
    model = outline(family, shape, classes, image_size)
    if not isinstance(model, Headed) or not isinstance(model.body, nn.Sequential):
        raise ValueError("its layers do not stand in a row")
    values = model.resized(torch.empty((1, *shape), device="meta"))
    layers = [*model.body.named_children(), ("head", model.head)]
    done, found = [0], [("", values.numel())]
    for name, layer in layers:
        with FlopCounterMode(display=False) as counted:
            values = layer(values)
        done.append(done[-1] + counted.get_total_flops())
        found.append((f"{name} {type(layer).__name__}", values.numel()))
    points: dict[int, SplitPoint] = {}
    for work, (name, numbers) in zip(done[:-1], found[:-1], strict=True):
        point = SplitPoint(name, work / done[-1], -(-numbers * bits // 8))
        if work not in points or point.bytes < points[work].bytes:
            points[work] = point
    return list(points.values())


def points_of(
    name: str, model: ServerModel | ClientModel, shape: ImageShape, classes: int, bits: int
) -> list[SplitPoint]:
    """Those of a scenario's model. Raises BadInput for one whose layers do not stand in a row."""
    try:
        return split_points(model.family, shape, classes, size_of(model.family, model.image_size), bits)
    except ValueError as error:
        raise BadInput(f"models.{name}.family: {model.family} cannot be cut: {error}") from None
