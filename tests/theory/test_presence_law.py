"""The law of clients that come and go, against runs; and that no law counts on clients who may be away."""

from __future__ import annotations

import pytest
from predicted_runs import predict_run


@pytest.mark.parametrize(
    ("stay", "clients"),
    [("{kind: exponential, mean_s: 50}", 400), ("{kind: lognormal, mean_s: 50, cv: 1.5}", 400), ("50", 12)],
    ids=["many", "of heavy stays", "few"],
)
def test_the_number_there_agrees(stay, clients, tmp_path):
    change = f"fleet.phones.presence={{join_hz: 0.2, stay: {stay}}}", f"fleet.phones.clients={clients}"
    laws = predict_run(tmp_path, "churn", *change, "fleet.phones.arrivals.process.rate_hz=0.02")
    found = laws.one("presence", "clients there", "phones")
    assert found.predicted == pytest.approx(10.0 if clients > 100 else 8.8, abs=0.1)
    laws.assert_agree("presence")
    assert laws.by_law.keys() == {"presence"}
