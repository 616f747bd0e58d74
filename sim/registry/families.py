"""Families of networks: of classifiers, on clients and server, and of rejectors; here their sizes and steps.
Classifiers are built by `agents.models`; a rejector's layers follow from its entry alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sim.registry.registry import Family


class ModelFamily(NamedTuple):
    """learning_rate: Adam's, of clients. resizes_to: pixels a side where `image_size` is null; None: none.

    least_side: pixels a side from which it can surely learn, in batches of any size; None: ask the network.
    model_bytes, features: about what one takes, and how many numbers it gives to a rejector. takes_name:
    whether the name of a network follows behind a colon. has_widths: whether its first hidden units are a
    network of their own (`models.*.nested_in`).
    """

    name: str
    learning_rate: float = 0.01
    resizes_to: int | None = None
    least_side: int | None = None
    model_bytes: int = 256 * 1024
    features: int = 100
    takes_name: bool = False
    has_widths: bool = False

    @property
    def written(self) -> str:
        """How a scenario names it."""
        return f"{self.name}:NAME" if self.takes_name else self.name

    def size_of(self, image_size: int | None) -> int | None:
        """Pixels a side that pictures are resized to: as asked, else as the family does; None: not at all."""
        return self.resizes_to if image_size is None else image_size

    def surely_fits(self, height: int, width: int, image_size: int | None) -> bool:
        """Whether such pictures are known to be large enough; else only the network itself can tell."""
        side = self.size_of(image_size) or min(height, width)
        return self.least_side is not None and side >= self.least_side


MODEL_FAMILIES: Family[ModelFamily] = Family(
    "model_family",
    "model family",
    ModelFamily("linear", least_side=1),
    ModelFamily("mlp", least_side=1, has_widths=True),
    ModelFamily("small_cnn", least_side=2, has_widths=True),
    ModelFamily("lenet5", learning_rate=1e-3, least_side=12, has_widths=True),
    ModelFamily(
        "alexnet", learning_rate=1e-4, resizes_to=64, least_side=63, model_bytes=230 * 2**20, features=4_096
    ),
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

    def fits(self, height: int, width: int) -> bool:
        """Whether pictures of this size leave something behind every convolution."""
        side = min(height, width)
        for _, kernel in self.convolutions:
            side = (side - kernel + 1) // 2
        return side >= 1


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
