"""Switches: which of its models a server answers a batch with, chosen as the batch starts.
The code that chooses stands in `sim.engine.handlers.switching`, by `code`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from sim.registry.registry import Examples, Kind, PartFamily
from sim.scenario.schema.values import Beat, Share


class SwitchRule(Kind):
    """What is known of a kind of switch.

    code: how the engine's compiled functions know it. needs_deadline: whether it looks at deadlines.
    """

    kind: str
    code: ClassVar[int]
    needs_deadline: ClassVar[bool] = False
    shares: Annotated[tuple[Share, ...], Field(min_length=2)] | None = None
    """What share of the answers each model is expected to give, in order, for rejectors to learn by; null:
    the last gives all."""

    def numbers(self) -> dict[str, Any]:
        """What the engine reads of it."""
        return {"switch": self.code}


SWITCHES: PartFamily[SwitchRule] = PartFamily("switch", "switch between a server's models")


@SWITCHES.part
class BacklogSwitch(SwitchRule):
    """One model down where many wait behind the batch, one up where few do."""

    kind: Literal["backlog"]
    examples: ClassVar[Examples] = {"backlog": {"above": 4, "below": 1}}
    code: ClassVar[int] = 1
    above: Annotated[int, Field(ge=1, le=2**31 - 1)]
    """Requests that wait behind it, at least, for the model before this one."""
    below: Annotated[int, Field(ge=0, le=2**31 - 1)]
    """Requests that wait behind it, at most, for the model after this one."""

    def numbers(self) -> dict[str, Any]:
        return {"switch": self.code, "above": self.above, "below": self.below}


@SWITCHES.part
class DeadlineSwitch(SwitchRule):
    """The last model that is done by the first deadline of the batch, by its mean time; else the first."""

    kind: Literal["deadline"]
    examples: ClassVar[Examples] = {"deadline": {}}
    code: ClassVar[int] = 2
    needs_deadline: ClassVar[bool] = True


@SWITCHES.part
class GearSwitch(SwitchRule):
    """The last model with which full batches would serve what came in the last interval; else the first."""

    kind: Literal["gear"]
    examples: ClassVar[Examples] = {"gear": {"every_s": 2.0}}
    code: ClassVar[int] = 3
    every_s: Beat
    """Length of the intervals in which it counts who comes."""
    most_load: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of the time for which replicas may then be busy."""

    def numbers(self) -> dict[str, Any]:
        return {"switch": self.code, "every_s": self.every_s, "most_load": self.most_load}


if TYPE_CHECKING:
    Switch = SwitchRule
else:
    Switch = SWITCHES.union()
