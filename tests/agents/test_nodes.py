"""Two Ray nodes on one machine: the same bytes as in one process, also after one of them was killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from whole_lives import whole_life

from agents import cluster
from agents.actors import Call, Member

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """A head with one CPU, where the driver is, and a node with two; fleets join them."""
    with cluster.private_folder() as folder:
        here = {"node_ip_address": "127.0.0.1", "temp_dir": str(folder), "include_dashboard": False}
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **here})
        made.add_node(num_cpus=2, **here)
        ray.init(made.address, namespace="nodes", runtime_env={"env_vars": paths()}, **cluster.QUIET)
        yield made
        ray.shutdown()
        made.shutdown()


def paths() -> dict[str, str]:
    return {"PYTHONPATH": str(cluster.ROOT)}


@pytest.fixture(scope="module")
def undisturbed(cache: Path) -> list[str]:
    return whole_life(cache, workers=0)


def seats_of(member: Member) -> str:
    return ray.get(member.actor.__ray_call__.remote(lambda _: ray.get_runtime_context().get_node_id()))


def test_two_nodes_give_the_same_bytes_and_the_death_of_one_changes_nothing(
    nodes: Cluster, cache: Path, undisturbed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third node takes its place, as a cluster's own scaling would have it."""
    assert whole_life(cache, workers=2) == undisturbed
    (lost,) = nodes.worker_nodes
    submit, dead = Member.submit, list[str]()

    def submit_and_kill_the_node(self: Member, call: Call) -> Any:
        reference = submit(self, call)
        if call[0] == "learn" and self.name == "shard 1" and not dead:
            nodes.add_node(num_cpus=2, node_ip_address="127.0.0.1")
            kill_the_processes_of(lost)
            dead.append(self.name)
        return reference

    monkeypatch.setattr(Member, "submit", submit_and_kill_the_node)
    assert whole_life(cache, workers=2) == undisturbed
    assert dead == ["shard 1"]


def kill_the_processes_of(node: Any) -> None:
    """As when its power fails."""
    for known in node.all_processes.values():
        for info in known:
            os.kill(info.process.pid, signal.SIGKILL)
