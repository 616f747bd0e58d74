"""The two ways in which L2H Fleet refuses to go on, both safe to pickle.
Raised anywhere; caught only by the command line, which turns them into lines and an exit code."""

from __future__ import annotations

from typing import Literal

Stage = Literal["load", "build", "learn", "decide", "run", "report"]


class BadInput(Exception):
    """What the user gave cannot be used: a line for each mistake, naming the place, the value and the rule
    (exit code 2). Its arguments are these lines, mostly one."""

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))

    def told(self, before: str = "", after: str = "") -> BadInput:
        """The same with words before and behind each line."""
        return BadInput(*(f"{before}{line}{after}" for line in self.args))


class RunFailed(Exception):
    """A run broke in a named stage (exit code 1).

    Keeps its arguments as `args`, so that pickling and `type(e)(*e.args)` rebuild it.
    """

    def __init__(self, stage: Stage, why: str) -> None:
        super().__init__(stage, why)
        self.stage = stage
        self.why = why

    def __str__(self) -> str:
        return f"failed in stage '{self.stage}': {self.why}"
