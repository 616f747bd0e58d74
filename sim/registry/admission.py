"""Admission: whom the server lets in, a place in its queue given.
The code that admits stands in `sim.engine`, by `code`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from sim.registry.allotments import Bucket
from sim.registry.registry import Examples, Kind, PartFamily
from sim.scenario.schema.values import MOST_TOKENS, Positive


class AdmissionRule(Kind):
    """What is known of a kind of admission.

    code: how the engine's compiled functions know it. refuses: whether somebody may be refused by it.
    needs_deadline: whether it looks at deadlines.
    """

    kind: str
    code: ClassVar[int]
    refuses: ClassVar[bool] = True
    needs_deadline: ClassVar[bool] = False

    def bucket(self) -> Bucket | None:
        """The account that a server draws on for each that it lets in, if it keeps one."""
        return None


ADMISSIONS: PartFamily[AdmissionRule] = PartFamily("admission", "rule of admission")


@ADMISSIONS.part
class NoAdmission(AdmissionRule):
    """Whoever finds a place is let in."""

    kind: Literal["none"] = "none"
    code: ClassVar[int] = 0
    refuses: ClassVar[bool] = False


@ADMISSIONS.part
class DeadlineFeasible(AdmissionRule):
    """Refuses who would be finished after the deadline, by an estimate from the queue."""

    kind: Literal["deadline_feasible"]
    code: ClassVar[int] = 1
    needs_deadline: ClassVar[bool] = True


@ADMISSIONS.part
class TokenBucketAdmission(AdmissionRule):
    """Lets in by a bucket of tokens that begins full."""

    kind: Literal["token_bucket"]
    examples: ClassVar[Examples] = {"token_bucket": {"rate_hz": 5.0, "burst": 3.0}}
    code: ClassVar[int] = 2
    rate_hz: Positive
    """Tokens per second."""
    burst: Annotated[float, Field(ge=1, le=MOST_TOKENS)]
    """Tokens that it holds at most."""

    def bucket(self) -> Bucket:
        return Bucket(self.rate_hz, self.burst)


if TYPE_CHECKING:
    Admission = AdmissionRule
else:
    Admission = ADMISSIONS.union()
