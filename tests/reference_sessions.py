"""A client's session told in plain words, beside `reference_loop`: items drafted, verified, taken back.

A block is one request. Items have numbers from 0 on, from the client's first session to its last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sim.scenario.schema.sessions import Session


@dataclass
class Progress:
    """Where a client is. `agree` tells whether client and server answer an item alike."""

    rule: Session
    agree: Callable[[int], bool]
    final: int = 0  # items that are
    waiting: list[int] = field(default_factory=list)  # drafts that are not verified
    is_cut_off: bool = False

    @property
    def left(self) -> list[int]:
        """The items of this session that are not final."""
        sessions = self.final // self.rule.items
        return list(range(self.final, (sessions + 1) * self.rule.items))

    def to_draft(self) -> list[int]:
        """The items that the next block drafts."""
        behind = [item for item in self.left if item not in self.waiting]
        if self.is_cut_off:
            backlog = self.rule.draft if self.rule.backlog is None else self.rule.backlog
            return behind[: min(self.rule.draft, backlog - len(self.waiting))]
        return behind[: max(0, self.rule.draft - len(self.waiting))]

    def begin(self, request: Any) -> None:
        drafted = self.to_draft()
        self.waiting += drafted
        request.first_item, request.drafts = self.final, len(drafted)
        request.items = len(self.left[: self.rule.draft + 1])

    def end(self, request: Any) -> None:
        """The last word on a block."""
        self.is_cut_off = request.outcome not in ("remote", "local")
        if request.outcome == "local":
            self.final, self.waiting = self.final + len(self.waiting), []
        if request.outcome != "remote":
            return
        for item in self.left[: request.items]:
            self.final += 1
            if item in self.waiting:
                self.waiting.remove(item)
            if not self.agree(item):
                self.waiting = []
                return

    def pause_s(self, think_s: float) -> float:
        """From that word to the next block."""
        if self.is_cut_off:
            return 0.0 if self.to_draft() else self.rule.again_s
        return 0.0 if self.final % self.rule.items else think_s
