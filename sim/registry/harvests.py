"""What batteries harvest where that changes: what may be written of each kind, and what it comes to.
`sim.world.energy` adds it up; a constant harvest is a number of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from sim.registry.registry import Examples, Kind, PartFamily
from sim.scenario.files.power import Pieces, power_of
from sim.scenario.schema.values import Span, Watts


class ChangingHarvest(Kind):
    """What a kind of harvest gives."""

    kind: str

    def pieces(self) -> Pieces:
        """Watts over a period that comes again and again. Raises BadFile where a file is not sound."""
        raise NotImplementedError


HARVESTS: PartFamily[ChangingHarvest] = PartFamily("harvest", "harvest")


@HARVESTS.part
class HarvestProfile(ChangingHarvest):
    """So many watts one after the other, and again from the first: the hours of a day."""

    kind: Literal["profile"]
    examples: ClassVar[Examples] = {"profile": {"watts": (0.0, 0.5, 2.0, 0.25), "each_s": 3.0}}
    watts: Annotated[tuple[Watts, ...], Field(min_length=1, max_length=10_000)]
    """What is harvested in each piece, from t = 0."""
    each_s: Span = 3_600.0
    """Length of a piece; an hour, so that 24 make a day."""

    def pieces(self) -> Pieces:
        at_s = np.arange(len(self.watts), dtype=np.float64) * self.each_s
        return Pieces(at_s, np.array(self.watts, dtype=np.float64), self.each_s * len(self.watts))


@HARVESTS.part
class HarvestTrace(ChangingHarvest):
    """Watts as a file has them, over and over again."""

    kind: Literal["trace"]
    examples: ClassVar[Examples] = {"trace": {"file": "sun.csv"}}
    file: str
    """Lines of a time in seconds and the watts since the line before; where relative, it begins in the
    scenario's folder."""

    def pieces(self) -> Pieces:
        return power_of(self.file)


if TYPE_CHECKING:
    HarvestInTime = ChangingHarvest
else:
    HarvestInTime = HARVESTS.union()
