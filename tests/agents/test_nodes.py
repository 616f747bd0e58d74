"""Two Ray nodes on one machine: whole runs of the same bytes as here, also after one of them was killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from here import results_of, run_here
from ray._private.utils import get_ray_address_file
from ray.cluster_utils import Cluster

from agents.backends import cluster
from agents.backends.actors import Call, Member
from sim.another_process import python_path

pytestmark = [pytest.mark.ray, pytest.mark.slow]
HERE = {"node_ip_address": "127.0.0.1", "include_dashboard": False}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """A head with one CPU and a node with two, which can import the learners; runs join them."""
    with pytest.MonkeyPatch.context() as patch, cluster.private_folder() as folder:
        patch.setenv("PYTHONPATH", python_path())
        place = HERE | {"temp_dir": str(folder)}
        Path(get_ray_address_file(None)).parent.mkdir(parents=True, exist_ok=True)  # Ray notes the head there
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **place})
        made.add_node(num_cpus=2, **place)
        yield made
        made.shutdown()


@pytest.mark.slow
def test_two_nodes_give_the_same_run_and_the_death_of_one_changes_nothing(
    nodes: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third node takes its place, as a cluster's own scaling would have it."""
    assert run_here(tmp_path, "--local", "--out", "local") == (0, "")
    expected = results_of(tmp_path / "local")
    assert len([name for name in expected if name.startswith("requests/")]) == 5
    spread = ("--workers", "2", "--ray-address", nodes.address)
    assert run_here(tmp_path, *spread, "--out", "spread") == (0, "")
    assert results_of(tmp_path / "spread") == expected

    (lost,) = nodes.worker_nodes
    submit, dead = Member.submit, list[str]()

    def submit_and_kill_the_node(self: Member, call: Call) -> Any:
        reference = submit(self, call)
        if call[0] == "learn" and self.name == "shard 1" and not dead:
            nodes.add_node(num_cpus=2, **HERE)
            kill_the_processes_of(lost)
            dead.append(self.name)
        return reference

    monkeypatch.setattr(Member, "submit", submit_and_kill_the_node)
    assert run_here(tmp_path, *spread, "--out", "shaken") == (0, "")
    assert dead == ["shard 1"]
    assert results_of(tmp_path / "shaken") == expected


def kill_the_processes_of(node: Any) -> None:
    """As when its power fails."""
    for known in node.all_processes.values():
        for info in known:
            os.kill(info.process.pid, signal.SIGKILL)
