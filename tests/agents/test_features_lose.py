"""What features threw away nobody restores: on `gaussian_mixture`, whose densities are known, the Bayes risk
from features is at least that from inputs, and no head that learns from features is below it.

Features are a projection of points in the plane onto a line, under which a mixture of Gaussians of unit
covariance is one again; risks are integrals over grids that miss less than 1e-9 of the mass.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from agents.data.mixtures import GaussianMixture
from agents.models.families import Classifier, new_model
from agents.models.training import classifier_step

STEP = 0.05
AXIS = np.arange(-12.0, 12.0, STEP)
CLASSES = 3


def mixture(seed: int) -> GaussianMixture:
    """Three classes of two components in the plane."""
    return GaussianMixture(1.8 * np.random.default_rng(seed).normal(size=(CLASSES, 2, 2)))


def joint(of: GaussianMixture, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(y)·p(x|y) at points (n, dimensions), (n, classes)."""
    dimensions = of.means.shape[-1]
    squares = np.square(points[:, None, None, :] - of.means).sum(axis=-1)
    each = np.exp(-0.5 * squares).mean(axis=-1) / (2 * np.pi) ** (dimensions / 2)
    return np.asarray(each / len(of.means))


def bayes_risk(density: NDArray[np.float64], dimensions: int) -> float:
    """1 − ∫ max_y P(y)·p(x|y) dx over a grid."""
    return 1.0 - float(density.max(axis=1).sum()) * STEP**dimensions


def head(features: NDArray[np.float32], labels: NDArray[np.int16], family: str) -> Classifier:
    """Learned as servers' models are, from features in place of pictures."""
    model = new_model(family, (1, 1, features.shape[1]), CLASSES, 1)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    pictures, answers = torch.tensor(features)[:, None, None, :], torch.tensor(labels, dtype=torch.int64)
    generator = torch.Generator().manual_seed(1)
    for _ in range(400):
        chosen = torch.randint(0, len(pictures), (128,), generator=generator)
        classifier_step(model, optimiser, pictures[chosen], answers[chosen])
    return model


@pytest.mark.parametrize("seed", [1, 2])
def test_no_head_is_better_than_features_allow_and_they_allow_less_than_inputs(seed):
    """Inputs allow an error of .417 and of .225, the projections .50 to .55 and .25 to .44. A head that is
    learned comes within .012 of what its features allow, a straight one within .07, and none is below."""
    plane = mixture(seed)
    density = joint(plane, np.stack(np.meshgrid(AXIS, AXIS), axis=-1).reshape(-1, 2))
    assert density.sum() * STEP**2 == pytest.approx(1.0, abs=1e-9)
    of_angles = []
    for angle in (0.0, 1.6, 0.8):
        onto = np.array([[np.cos(angle)], [np.sin(angle)]])
        of_line = joint(GaussianMixture(plane.means @ onto), AXIS[:, None])
        of_angles.append(bayes_risk(of_line, 1))
    assert min(of_angles) >= bayes_risk(density, 2) + 0.02
    points, labels = plane.draw(4_000, seed)
    for family, near in (("mlp", 0.02), ("linear", 0.1)):
        model = head((points @ onto).astype(np.float32), labels, family)
        with torch.no_grad():
            said = model(torch.tensor(AXIS, dtype=torch.float32)[:, None, None, None])[0].argmax(dim=1)
        risk = 1.0 - of_line[np.arange(len(AXIS)), said.numpy()].sum() * STEP
        assert of_angles[-1] - 1e-9 <= risk <= of_angles[-1] + near


@pytest.mark.parametrize("turn", [0.0, 1.1])
def test_features_that_keep_all_lose_nothing(turn):
    """A turn of the plane."""
    plane = mixture(1)
    by = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    grid = np.stack(np.meshgrid(AXIS, AXIS), axis=-1).reshape(-1, 2)
    risks = [bayes_risk(joint(one, grid), 2) for one in (plane, GaussianMixture(plane.means @ by))]
    assert risks[0] == pytest.approx(risks[1], abs=1e-4)
