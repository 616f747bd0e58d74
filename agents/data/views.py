"""Views: the data set as a group's sensors see it, rotated, blurred or noisy.
View 0 is the clean one; a corrupted view is as fixed as a data set, and is what the server receives."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agents.data.datasets import DataSet
from sim.registry.partitions import DomainShift
from sim.scenario import Group, Scenario
from sim.streams import stream


@dataclass(frozen=True)
class Shift:
    """A corruption: noise, standard deviation on pixels in [0, 1] (of a mixture: on its values as they are);
    blur, sigma in pixels; rotate, degrees."""

    noise: float = 0.0
    blur: float = 0.0
    rotate: float = 0.0


CLEAN = Shift()


def shift_of(group: Group) -> Shift:
    """How a group sees samples; `CLEAN` unless its partition is a domain shift."""
    partition = group.partition
    if not isinstance(partition, DomainShift):
        return CLEAN
    return Shift(partition.noise, partition.blur, partition.rotate)


def traffic_shift(group: Group) -> Shift:
    """How a group's requests come before any drift: as it sees samples under mix `own`, else clean."""
    return shift_of(group) if group.traffic.mix == "own" else CLEAN


def drifted_shifts(group: Group) -> list[Shift]:
    """How its requests come after each drift."""
    shift, results = traffic_shift(group), []
    for drift in group.traffic.drift:
        shift = shift if drift.noise is None else replace(shift, noise=drift.noise)
        results.append(shift)
    return results


def views_of(scenario: Scenario) -> tuple[tuple[Shift, ...], tuple[int, ...]]:
    """The distinct shifts of a fleet and each group's view: the clean one first, then those of the groups,
    then those that traffic drifts to, each by first use.
    """
    wanted = [shift_of(group) for group in scenario.fleet]
    wanted += [shift for group in scenario.fleet for shift in drifted_shifts(group)]
    shifts = list(dict.fromkeys([CLEAN, *wanted]))
    return tuple(shifts), tuple(shifts.index(shift_of(group)) for group in scenario.fleet)


@dataclass(frozen=True)
class Images:
    """All images in all views. `images[sample_ids]` gives some of them, float32 (m, channels, height, width).

    The clean view stays as the data set stores it, for pictures a byte a pixel; shifted: the other views,
    float32 (N, channels, height, width) each.
    """

    data: DataSet
    shifted: tuple[NDArray[np.float32], ...]

    def __len__(self) -> int:
        return (1 + len(self.shifted)) * self.data.size

    def __getitem__(self, sample_ids: NDArray[np.integer]) -> NDArray[np.float32]:
        if not self.shifted:
            return self.data.look(sample_ids)
        view, index = np.divmod(sample_ids, self.data.size)
        chosen = np.empty((len(sample_ids), *self.data.image_shape), dtype=np.float32)
        for number in np.unique(view):
            here = view == number
            part = index[here]
            chosen[here] = self.shifted[number - 1][part] if number else self.data.look(part)
        return chosen


def seen(data: DataSet, shifts: tuple[Shift, ...], seed: int) -> Images:
    """The data set in all views; the first of `shifts` is the clean one."""
    bounds = None if data.levels is None else (0.0, 1.0)
    return Images(data, tuple(corrupt(data.images, shift, seed, bounds) for shift in shifts[1:]))


def corrupt(
    images: NDArray[np.float32],
    shift: Shift,
    seed: int,
    bounds: tuple[float, float] | None = (0.0, 1.0),
) -> NDArray[np.float32]:
    """`images`, all of a data set in its order, rotated, then blurred, then with noise, clipped to `bounds`
    (None where values have none: points of a mixture).

    Noise is keyed by (seed, sample) and scaled by `noise`: whoever asks gets the same picture, and two
    strengths differ in nothing else.
    """
    if shift == CLEAN:
        return images
    from scipy import ndimage  # noqa: PLC0415  (only shifted fleets need it)

    changed: NDArray[np.floating] = images
    if shift.rotate:
        changed = ndimage.rotate(changed, shift.rotate, axes=(2, 3), reshape=False, order=1)
    if shift.blur:
        changed = ndimage.gaussian_filter(changed, sigma=(0, 0, shift.blur, shift.blur))
    if shift.noise:
        shape = images.shape[1:]
        noise = (stream(seed, "view noise", i).normal(size=shape) for i in range(len(images)))
        changed = changed + shift.noise * np.stack(list(noise))
    if bounds is not None:
        changed = np.clip(changed, *bounds)
    return changed.astype(np.float32)
