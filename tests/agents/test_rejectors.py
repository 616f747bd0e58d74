"""What rejectors take in: pictures and features, per row, standardised over a pool."""

from __future__ import annotations

import torch

from agents.models.training import Seen
from agents.rejectors.client_predictions import TOP, features
from agents.rejectors.inputs import RejectorInput, scale_of

PIXELS = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
OUTPUT = Seen(
    logits=torch.randn(6, 10, generator=torch.Generator().manual_seed(2)),
    features=torch.randn(6, 32, generator=torch.Generator().manual_seed(3)),
)


def test_features_are_hidden_layer_log_probabilities_and_largest_probabilities() -> None:
    told = features(OUTPUT)
    probabilities = torch.softmax(OUTPUT.logits, dim=1)
    assert torch.equal(told[:, :32], OUTPUT.features)
    torch.testing.assert_close(told[:, 32:42].exp(), probabilities)
    torch.testing.assert_close(told[:, 42:], probabilities.sort(dim=1, descending=True).values[:, :TOP])


def test_two_classes_have_two_probabilities_to_tell() -> None:
    assert features(Seen(OUTPUT.logits[:, :2], OUTPUT.features)).shape == (6, 32 + 4)


def test_rows_look_at_one_picture_and_at_the_features_of_their_own_model() -> None:
    of_models = torch.stack([features(OUTPUT), -features(OUTPUT)])
    inputs = RejectorInput(PIXELS, of_models).of(torch.tensor([4, 2])).for_rows(torch.tensor([1, 0, 1]))
    assert torch.equal(inputs.pixels, PIXELS[[4, 2]])
    assert torch.equal(inputs.features[0], -features(OUTPUT)[[4, 2]])
    assert torch.equal(inputs.features[1], features(OUTPUT)[[4, 2]])
    assert inputs.widths == ((1, 8, 8), 32 + 10 + TOP)


def test_a_look_is_standardised_over_the_pool() -> None:
    """Models apart; what never changes is only shifted."""
    pixels = PIXELS.clone()
    pixels[:, 0, 0, 0] = 0.5
    pool = RejectorInput(pixels, torch.stack([features(OUTPUT), 3.0 * features(OUTPUT) + 1.0]))
    scaled = scale_of(pool).apply(pool)
    for numbers, samples in ((scaled.pixels, 0), (scaled.features, 1)):
        mean, spread = numbers.mean(dim=samples), numbers.std(dim=samples, correction=0)
        torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-5, rtol=0)
        assert (((spread - 1.0).abs() < 1e-4) | (spread == 0.0)).all()
    torch.testing.assert_close(scaled.features[0], scaled.features[1])


def test_a_flat_picture_weighs_as_much_as_one_feature() -> None:
    """Beside features only, and not where convolutions look at it."""
    pool = RejectorInput(PIXELS, features(OUTPUT)[None])
    small, plain = (scale_of(pool, flat).apply(pool) for flat in (True, False))
    torch.testing.assert_close(small.pixels * 8.0, plain.pixels)
    assert torch.equal(small.features, plain.features)
    alone = RejectorInput(PIXELS, None)
    assert torch.equal(scale_of(alone, True).apply(alone).pixels, plain.pixels)


def test_a_rejector_may_see_pictures_or_features_alone() -> None:
    every = torch.tensor([0])
    for inputs in (RejectorInput(PIXELS, None), RejectorInput(None, features(OUTPUT)[None])):
        seen = scale_of(inputs).apply(inputs).of(torch.tensor([1])).for_rows(every)
        assert (seen.pixels is None) == (inputs.pixels is None)
        assert (seen.features is None) == (inputs.features is None)
