"""Families of networks: of classifiers, on clients and server, and of rejectors; here their sizes and steps.
Classifiers are built by `agents.models`; a rejector's layers follow from its entry alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sim.registry.registry import Family


class ModelFamily(NamedTuple):
    """learning_rate: Adam's, of clients. resizes_to: pixels a side where `image_size` is null; None: none.

    model_bytes, features: about what one takes, and how many numbers it gives to a rejector. takes_name:
    whether the name of a network follows behind a colon.
    """

    name: str
    learning_rate: float = 0.01
    resizes_to: int | None = None
    model_bytes: int = 256 * 1024
    features: int = 100
    takes_name: bool = False

    @property
    def written(self) -> str:
        """How a scenario names it."""
        return f"{self.name}:NAME" if self.takes_name else self.name


MODEL_FAMILIES: Family[ModelFamily] = Family(
    "model_family",
    "model family",
    ModelFamily("linear"),
    ModelFamily("mlp"),
    ModelFamily("small_cnn"),
    ModelFamily("lenet5", learning_rate=1e-3),
    ModelFamily("alexnet", learning_rate=1e-4, resizes_to=64, model_bytes=230 * 2**20, features=4_096),
    ModelFamily("torchvision", learning_rate=1e-3, model_bytes=100 * 2**20, features=2_048, takes_name=True),
    ModelFamily("timm", learning_rate=1e-3, model_bytes=100 * 2**20, features=2_048, takes_name=True),
)


def model_family(written: str) -> ModelFamily | None:
    """The family that a scenario names, None if there is none of that name."""
    name, colon, network = written.partition(":")
    family = MODEL_FAMILIES.get(name)
    return family if family and family.takes_name == bool(colon) == bool(network) else None


class RejectorFamily(NamedTuple):
    """Convolutions of a picture, (channels, kernel) each, followed by 2x2 pooling; then hidden widths.

    Features join the picture before the hidden layers.
    """

    name: str
    convolutions: tuple[tuple[int, int], ...] = ()
    hidden: tuple[int, ...] = ()


REJECTOR_FAMILIES: Family[RejectorFamily] = Family(
    "rejector_family",
    "rejector family",
    RejectorFamily("linear"),
    RejectorFamily("mlp", hidden=(32,)),
    RejectorFamily("lenet5", convolutions=((6, 5), (16, 5)), hidden=(120, 84)),
)

if TYPE_CHECKING:
    RejectorName = str
else:
    RejectorName = REJECTOR_FAMILIES.literal()
