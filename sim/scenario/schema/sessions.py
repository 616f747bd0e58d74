"""What a scenario says about sessions: items that a client answers itself first, and a server verifies."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sim.scenario.schema.values import Part, Span


class Session(Part):
    """A client works through items: it answers some itself (drafts), shows them, and sends them in one block;
    the server answers all of them and one more. They are final up to the first on which both differ, with the
    server's answer there."""

    items: Annotated[int, Field(ge=1, le=100_000)]
    """Items of a session; once all are final its client thinks, as `closed_loop` says, and begins anew."""
    draft: Annotated[int, Field(ge=0, le=100)] = 4
    """Items that a client drafts before it sends a block; 0: the server is asked for each item."""
    backlog: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Drafts that may wait for the server at most, as its client goes on alone; null: as many as `draft`."""
    again_s: Span = 1.0
    """How long a client that is cut off, and may draft no more, waits before it asks again."""

    @property
    def most_items(self) -> int:
        """Items that a server answers of a block at most."""
        return min(self.draft + 1, self.items)

    def most_blocks(self, is_sent: bool) -> tuple[int, int]:
        """The blocks of a session at most, and the drafts of all of them: each comes to one item where it is
        sent and a client is never cut off, and else to all that it drafts."""
        if not is_sent:
            return -(-self.items // max(1, self.draft)), self.items
        last = min(self.draft, self.items)  # blocks that the session's end leaves less to draft
        return self.items, last * (last + 1) // 2 + (self.items - last) * self.draft

    @property
    def most_drafts(self) -> int:
        """Drafts that may wait for the server."""
        return self.draft if self.backlog is None else self.backlog
