"""Model families: networks that give class logits and the features a rejector may look at.
The code of the kinds in `sim.registry.families`; clients and the server choose from the same table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from agents.models import library_models
from agents.models.classifiers import Classifier, Headed
from agents.models.library_models import library_of
from sim.errors import BadInput
from sim.registry.families import MODEL_FAMILIES, model_family
from sim.registry.registry import Code

__all__ = [
    "FAMILIES",
    "Classifier",
    "empty_model",
    "initialise",
    "model_of",
    "new_model",
    "outline",
    "require_fit",
    "require_known",
]

ImageShape = tuple[int, int, int]
FAMILIES: Code[Callable[[ImageShape, int], Classifier]] = Code(MODEL_FAMILIES)


@FAMILIES.of("linear")
def linear(shape: ImageShape, classes: int) -> Headed:
    """Multinomial logistic regression on pixels."""
    channels, height, width = shape
    return Headed(nn.Flatten(), nn.Linear(channels * height * width, classes), tells_logits=True)


@FAMILIES.of("mlp")
def mlp(shape: ImageShape, classes: int) -> Headed:
    """One hidden layer of 64."""
    channels, height, width = shape
    body = nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, 64), nn.ReLU())
    return Headed(body, nn.Linear(64, classes))


@FAMILIES.of("small_cnn")
def small_cnn(shape: ImageShape, classes: int) -> Headed:
    """Three 3x3 convolutions, pooled to 4x4 whatever the picture's size, and a hidden layer of 128."""
    is_pooled = shape[1] // 2 == shape[2] // 2 == 4  # on which pooling to 4x4 would only spend time
    body = nn.Sequential(
        nn.Conv2d(shape[0], 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 64, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Identity() if is_pooled else nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 128),
        nn.ReLU(),
    )
    return Headed(body, nn.Linear(128, classes))


@FAMILIES.of("lenet5")
def lenet5(shape: ImageShape, classes: int) -> Headed:
    """LeNet-5 (LeCun et al. 1998) in the variant of arXiv 2501.13810: ReLU, max pooling, dense connections.

    It was made for 32x32 pixels; smaller pictures are padded by 2 a side, as MNIST was. Raises ValueError
    below 12 pixels.
    """
    channels, height, width = shape
    if min(height, width) < 12:
        raise ValueError("it needs 12 pixels a side")
    padding = 2 if min(height, width) < 32 else 0
    left = [((side + 2 * padding - 4) // 2 - 4) // 2 for side in (height, width)]
    body = nn.Sequential(
        nn.Conv2d(channels, 6, kernel_size=5, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, kernel_size=5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * left[0] * left[1], 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
    )
    return Headed(body, nn.Linear(84, classes))


@FAMILIES.of("alexnet")
def alexnet(shape: ImageShape, classes: int) -> Headed:
    """AlexNet with one tower (Krizhevsky 2014), 57 million weights, as in arXiv 2501.13810: the first layer
    takes the picture's channels, and pictures are resized to 64x64 unless `image_size` says otherwise."""
    body = nn.Sequential(
        nn.Conv2d(shape[0], 64, kernel_size=11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(64, 192, kernel_size=5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(192, 384, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.AdaptiveAvgPool2d(6),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(256 * 6 * 6, 4096),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(4096, 4096),
        nn.ReLU(),
    )
    return Headed(body, nn.Linear(4096, classes), draws=True)


def size_of(family: str, image_size: int | None) -> int | None:
    """Pixels a side that pictures are resized to: as asked, else as the family does; None: not at all."""
    known = model_family(family)
    return known.size_of(image_size) if known else image_size


def require_known(family: str, path: str) -> None:
    """Raises BadInput, one line naming `path`, for a family that does not exist."""
    if library_of(family):
        library_models.require_known(family, path)
    else:
        FAMILIES.choose(family, path)


def require_fit(
    family: str, shape: ImageShape, classes: int, *, image_size: int | None, batch: int, path: str
) -> None:
    """Raises BadInput, naming `path`, unless a model can be trained on batches of such images.

    Found out on torch's meta device: shapes only, no memory and no arithmetic.
    """
    size = size_of(family, image_size)
    try:
        outline(family, shape, classes, image_size)(torch.empty((batch, *shape), device="meta"))
    except (RuntimeError, ValueError, AssertionError) as error:
        why = str(error).partition("\n")[0].rstrip(".")
        seen = "" if size is None else f", resized to {size}x{size}"
        raise BadInput(
            f"{path}.family: {family} cannot learn from batches of {batch} images of "
            f"{'x'.join(map(str, shape))}{seen} ({why}); {path}.image_size sets the pixels a side"
        ) from None


def new_model(
    family: str, shape: ImageShape, classes: int, seed: int, image_size: int | None = None
) -> Classifier:
    """A model of a family with weights drawn from `seed` alone; torch's global generator is not touched."""
    if library_of(family):
        return _ready(library_models.drawn(family, classes, seed), image_size)
    model = empty_model(family, shape, classes, image_size)
    initialise(model, seed)
    return model


def empty_model(family: str, shape: ImageShape, classes: int, image_size: int | None = None) -> Classifier:
    """A model of a family whose weights are whatever memory held: for those who fill them in themselves."""
    weights = outline(family, shape, classes, image_size).state_dict()
    hollow = {name: torch.empty(one.shape, dtype=one.dtype) for name, one in weights.items()}
    return model_of(family, shape, classes, hollow, image_size)


def model_of(
    family: str, shape: ImageShape, classes: int, state: Mapping[str, Tensor], image_size: int | None = None
) -> Classifier:
    """A model of a family that takes over these tensors as its weights."""
    model = outline(family, shape, classes, image_size)
    model.load_state_dict(state, assign=True)
    return _ready(model, model.image_size)


def outline(family: str, shape: ImageShape, classes: int, image_size: int | None = None) -> Classifier:
    """A model of a family without any memory for weights: names, shapes and types only, and no draws.

    image_size: pixels a side that images are resized to; None: the family's own choice.
    """
    size = size_of(family, image_size)
    if library_of(family):
        model: Classifier = library_models.outline(family, classes)
    else:
        with torch.device("meta"):
            model = FAMILIES[family](shape if size is None else (shape[0], size, size), classes)
    model.image_size = size
    return model


def _ready(model: Classifier, image_size: int | None) -> Classifier:
    model.image_size = image_size
    # Pooling and convolution of few channels run two to three times as fast in this layout on a CPU.
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def initialise(model: nn.Module, seed: int) -> None:
    """Draws all weights as torch does by default, U(-1, 1) / sqrt(fan_in), from a generator of `seed`.

    Raises TypeError for a layer whose parameters or buffers it knows no draw for.
    """
    generator = torch.Generator().manual_seed(seed)
    for layer in model.modules():
        own = [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]
        if isinstance(layer, nn.Linear | nn.Conv2d):
            bound = float(layer.weight[0].numel()) ** -0.5
            for tensor in own:  # drawn beside it, since the order of draws must not follow its layout
                tensor.data.copy_(torch.empty(tensor.shape).uniform_(-bound, bound, generator=generator))
        elif isinstance(layer, Classifier):
            layer.seed_draws(seed)
        elif own:
            raise TypeError(
                f"{type(layer).__name__}: a layer with weights or buffers but no keyed draw for them"
            )
