"""Where the learners live: one interface to the server model and the shards, here without any Ray.
`agents.backends.actors` offers the same on a cluster; `agents.fleet` cannot tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from agents.backends.client_shard import ClientShard
from agents.models.training import Tick
from agents.plan import Plan
from agents.server.several import server_kind

Arguments = tuple[Any, ...]


class Backend(Protocol):
    """A server model and `shards` client shards, asked by the name of a method.

    Laws: results come in shard order, whichever shard is done first; an argument that was shared is seen
    by the method as the value itself; an error of the method reaches the caller as it was raised.
    """

    shards: int

    def start(self, plan: Plan) -> None:
        """Creates the learners of a planned fleet."""

    def share(self, value: Any) -> Any:
        """A stand-in for a large value that goes to several shards, moved once."""

    def ask_server(self, method: str, *arguments: Any) -> Any:
        """The server model's result of `method`."""

    def ask_shards(self, method: str, calls: Sequence[Arguments], tick: Tick | None = None) -> list[Any]:
        """Each shard's result of `method`, called with its entry of `calls`. `tick` is told of progress."""

    def close(self) -> None:
        """Ends the learners."""


class InProcess:
    """All in the calling process, one shard."""

    shards = 1

    def start(self, plan: Plan) -> None:
        self._server = server_kind(plan)(plan)
        self._shard = ClientShard(plan)

    def share(self, value: Any) -> Any:
        return value

    def ask_server(self, method: str, *arguments: Any) -> Any:
        return getattr(self._server, method)(*arguments)

    def ask_shards(self, method: str, calls: Sequence[Arguments], tick: Tick | None = None) -> list[Any]:
        (arguments,) = calls
        return [getattr(self._shard, method)(*arguments, *([tick] if tick else []))]

    def close(self) -> None:
        """Nothing to end: the learners go with this object."""
