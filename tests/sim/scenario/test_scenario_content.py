"""The digest of a scenario: the same for the same question however it was written, else another."""

from __future__ import annotations

import pytest

from sim.errors import BadInput
from sim.scenario import read
from sim.scenario.text.content import content_digest

ONE = """\
name: small
horizon_s: 60
fleet:
  - group: a
    clients: 2
    arrivals: {process: {kind: poisson, rate_hz: 1.0}}
    link: {latency: 0.02}
server:
  replicas: 2
  service: {kind: affine, base_s: 0.05, per_item_s: 0.02}
"""
REWRITTEN = """\
# Another question above the same scenario?
server: {service: {per_item_s: 2.0e-2, base_s: 5e-2, kind: affine}, replicas: 2, discipline: fifo}
fleet:
- {link: {latency: 0.020}, arrivals: {process: {rate_hz: 1, kind: poisson}}, group: "a", clients: 0x2}
horizon_s: 60.0
seed: 0
name: small
"""


def digest(tmp_path, text: str, *changes: str, **beside: str) -> str:
    path = tmp_path / "one.yaml"
    path.write_text(text)
    return content_digest(read(path, changes), beside)


def test_order_format_and_spelled_out_defaults_do_not_matter(tmp_path):
    assert digest(tmp_path, ONE) == digest(tmp_path, REWRITTEN)
    assert digest(tmp_path, ONE, numpy="2", torch="1") == digest(tmp_path, ONE, torch="1", numpy="2")


@pytest.mark.parametrize(
    "change",
    [
        "seed=1",
        "name=other",
        "horizon_s=60.5",
        "server.replicas=3",
        "server.service.cv=0.1",
        "fleet.a.group=b",
        "fleet.a.policy.score=confidence",
        "fleet.a.policy.price.standard_errors=1",
        "costs.c_e=0.2",
        "training.pretrain.epochs=61",
        "fleet.a.fallback=none",
    ],
)
def test_whatever_matters_makes_another(change, tmp_path):
    assert digest(tmp_path, ONE) != digest(tmp_path, ONE, change)


def test_versions_make_another(tmp_path):
    assert (
        len({digest(tmp_path, ONE), digest(tmp_path, ONE, torch="1"), digest(tmp_path, ONE, torch="2")}) == 3
    )


def test_a_file_counts_by_its_content(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    first, moved, other = (tmp_path / name for name in ("t.csv", "elsewhere/u.csv", "v.csv"))
    for path, text in ((first, "seconds\n0.1\n"), (moved, "seconds\n0.1\n"), (other, "seconds\n0.2\n")):
        path.write_text(text)
    made = [
        digest(tmp_path, ONE, f"fleet.a.link.latency={{kind: empirical, file: {path}}}")
        for path in (first, moved, other)
    ]
    assert made[0] == made[1] != made[2]
    scenario = read(tmp_path / "one.yaml", [f"fleet.a.link.latency={{kind: empirical, file: {first}}}"])
    first.unlink()
    with pytest.raises(BadInput, match=r"t\.csv: cannot be read"):
        content_digest(scenario, {})
