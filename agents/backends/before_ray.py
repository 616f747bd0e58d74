"""What Ray must be told before it is imported for the first time; imports nothing of it."""

from __future__ import annotations

import os


def before_ray(address: str | None) -> None:
    """To be called before Ray is imported for the first time, with the cluster to join if any."""
    # Whoever is late, such as a request that is cancelled as its cluster ends, would start another one.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    # gRPC would prepare each fork of this process for a child that goes on with gRPC. Beside the threads that
    # Ray Serve leaves, such a child aborts now and then before it is Ray's program, and Ray waits in vain.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    if address is None:
        # Ray takes a loopback address for a mistake and listens on every interface instead, unless it may not
        # form clusters of several machines. It reads this once, when it is first imported.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
