"""Each law against the simulation, on both sides of its threshold, through the shipped scenarios made small.
The tolerance is the simulation's own 95% interval made twice as wide, and the formula's stated error."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import pytest
from predicted_runs import predict_run

STORM = ("horizon_s=170", "fleet.devices.arrivals.shape={kind: constant}")  # nobody sheds load


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cure", "ends"),
    [
        ("fleet.devices.retry.allowance=null", False),  # 3 sends each: 3·48/s > 76/s
        ("fleet.devices.retry.allowance=1.0", False),  # 2·48/s > 76/s
        ("fleet.devices.retry.allowance=0.2", True),  # 1.2·48/s < 76/s
        ("fleet.devices.retry.jitter=none", False),
        ("server.queue_survives=false", False),  # the retries under way at 70 s are enough
        ("fleet.devices.retry=null", True),
        ("fleet.devices.breaker={failures: 3, cooldown_s: 5}", True),
        ("server.queue_limit=12", True),  # a wait of 0.16 s is in time
        ("server.replicas=6", True),  # 3·48/s < 228/s
        ("fleet.devices.arrivals.process.rate_hz=0.4", True),  # 3·19/s < 76/s
    ],
)
def test_a_storm_outlives_its_trigger_iff_sends_times_amplification_exceed_capacity(cure, ends, tmp_path):
    laws = predict_run(tmp_path, "retry_storm", *STORM, cure)
    if cure.startswith("server.queue_limit"):
        assert "backlog" not in laws.by_law  # neither predicted nor seen
        return
    gone = laws.one("backlog", "backlog gone after")
    assert (gone.predicted < inf) == ends
    assert (gone.simulated.value < inf) == ends
    laws.assert_agree("backlog")


def test_a_storm_ends_when_less_is_asked_and_stays_away_when_the_traffic_is_back(tmp_path):
    laws = predict_run(tmp_path, "retry_storm")
    gone = laws.one("backlog", "backlog gone after")
    assert 130 < gone.predicted < 150  # in the twenty seconds after 200 s, 130 s after the outage
    laws.assert_agree("backlog")
    assert laws.one("backlog", "sends answered at the end").simulated.value > 0.95


@pytest.mark.parametrize("rate_hz", [0.3, 0.5, 0.65])
def test_the_backlog_of_an_outage_lasts_as_long_as_the_spare_capacity_needs(rate_hz, tmp_path):
    laws = predict_run(
        tmp_path,
        "outage",
        "horizon_s=520",
        "training.online=null",
        "fleet.cameras.traffic={mix: own}",
        f"fleet.*.arrivals.process.rate_hz={rate_hz}",
        "server.outages=[{when: {kind: intervals, at: [[300, 420]]}}]",
    )
    laws.assert_agree("backlog")
    laws.assert_agree("cut_off")


@pytest.mark.parametrize("discipline", ["fifo", "fair"])
@pytest.mark.parametrize("factor", [2.0, 8.0, 14.0])
def test_a_burst_starves_the_others_first_come_first_served_and_not_by_max_min_shares(
    discipline, factor, tmp_path
):
    laws = predict_run(
        tmp_path,
        "unfair",
        "horizon_s=200",
        "fleet.*.model.variants=2",
        f"server.discipline={discipline}",
        f"fleet.busy.arrivals.shape.factor={factor}",
    )
    if factor == 2.0:
        assert "sharing" not in laws.by_law  # 0.48·80/s is less than 76/s: nobody has to share
        return
    laws.assert_agree("sharing")
    in_time = laws.one("sharing", "sends answered in time", "quiet").simulated.value
    assert in_time > 0.97 if discipline == "fair" else in_time < 0.4


@pytest.mark.parametrize("is_cut", [True, False])
def test_a_region_cut_off_is_as_good_as_its_models_and_leaves_the_server_to_the_others(is_cut, tmp_path):
    laws = predict_run(tmp_path, "partition", *([] if is_cut else ["server.outages=[]"]), right=(0.7, 0.95))
    laws.assert_agree("waiting")
    waits = laws.of("waiting", "mean wait")
    if not is_cut:
        assert len(waits) == 1
        assert "cut_off" not in laws.by_law
        return
    laws.assert_agree("cut_off")
    before, during, after = (one.simulated.value for one in waits)
    assert during < before / 3
    assert during < after / 3


@pytest.mark.parametrize(
    "changes",
    [
        ("fleet.devices.policy.price.rate=0.1",),
        ("fleet.devices.policy.price.rate=0.25",),
        ("fleet.devices.policy={score: random, price: {kind: threshold, at: 0.7}}",),
        ("fleet.devices.policy.price={kind: rate_controller, rate: 0.25, gain: 0.05}",),
        (
            "fleet.devices.policy.price={kind: rate_controller, rate: 0.25, gain: 0.2}",
            "training.exploration=0.1",
        ),
        ("server.replicas=2", "server.service.base_s=0.02"),
        ("server.service.cv=1.0", "server.queue_limit=3"),
        ("server.queue_limit=0", "server.replicas=2", "server.service.base_s=0.04"),
        ("server.max_batch=4", "server.service={kind: affine, base_s: 0.015, per_item_s: 0.004, cv: 0.5}"),
    ],
)
def test_load_and_wait_follow_from_the_rate_alone(changes, tmp_path):
    laws = predict_run(tmp_path, "bounded_rate", "horizon_s=200", *changes)
    laws.assert_agree("waiting")


def test_beyond_the_capacity_there_is_no_steady_state_to_predict(tmp_path):
    laws = predict_run(tmp_path, "bounded_rate", "horizon_s=100", "fleet.devices.policy.price.rate=0.45")
    assert "waiting" not in laws.by_law


def test_a_slow_device_decides_after_the_outage_what_it_was_asked_in_it(tmp_path):
    """What arrives up to 8.5 s before the end may be answered by the server, which is always right here."""
    laws = predict_run(
        tmp_path,
        "partition",
        *(
            "horizon_s=180",
            "server.replicas=4",
            "server.when_down=refuse",
            "server.outages.0.target={kind: server}",
        ),
        "server.outages.0.when.at=[[100, 160]]",
        *("fleet.*.clients=600", "fleet.*.arrivals.process.rate_hz=0.03", "fleet.*.policy.price.at=-9"),
        *("fleet.*.device.inference_s=8", "fleet.*.deadline_s=null", "fleet.*.timeout_s=0.5"),
        right=(0.3, 1.0),
    )
    laws.assert_agree("cut_off")


@pytest.mark.parametrize(
    "change",
    [
        "fleet.*.deadline_s=0.07",
        "server.admission={kind: token_bucket, rate_hz: 10, burst: 1}",
    ],
)
def test_the_tables_promise_no_risk_where_others_decide_who_is_answered(change, tmp_path):
    laws = predict_run(tmp_path, "pay_per_request", "horizon_s=60", change, right=(0.6, 0.95))
    assert {one.quantity for one in laws.by_law["deciding"]} == {"deferral rate"}


@pytest.mark.parametrize(("horizon_s", "bursts_at_s"), [(30.05, 30.02), (0.05, 0.04)])
def test_a_burst_in_the_last_step_of_the_fluid_breaks_no_report(horizon_s, bursts_at_s, tmp_path):
    crowd = f"fleet.devices.arrivals.shape={{kind: flash_crowd, factor: 500, at_s: {bursts_at_s}, for_s: 9}}"
    laws = predict_run(
        tmp_path, "retry_storm", f"horizon_s={horizon_s}", "warm_up_s=0", "server.outages=[]", crowd
    )
    assert laws.by_law.get("backlog", []) == []


@pytest.mark.parametrize("availability", [0.5, 0.8, 0.95])
def test_risk_falls_along_a_line_with_the_availability(availability, tmp_path):
    laws = predict_run(
        tmp_path,
        "intermittent",
        "horizon_s=1200",
        f"server.outages.0.when={{kind: intermittent, availability: {availability}, mean_cycle_s: 10}}",
        right=(0.6, 0.95),
    )
    laws.assert_agree("deciding")
    assert laws.one("deciding", "risk").at == pytest.approx(availability, abs=0.01)


@pytest.mark.parametrize("charge_on", ["send", "accept"])
def test_what_is_not_answered_costs_only_where_a_send_is_charged(charge_on, tmp_path):
    changes = ("horizon_s=1200", f"costs.charge_on={charge_on}", "server.outages.0.when.mean_cycle_s=10")
    laws = predict_run(tmp_path, "intermittent", *changes, right=(0.6, 0.95))
    laws.assert_agree("deciding")


def test_the_share_sent_falls_and_the_risk_rises_with_the_price(tmp_path):
    laws = predict_run(tmp_path, "pay_per_request", "horizon_s=300", right=(0.6, 0.95))
    laws.assert_agree("deciding")
    for quantity, direction in (("deferral rate", -1), ("risk had deferring cost this", 1)):
        along = sorted(laws.of("deciding", quantity), key=lambda one: one.at)
        steps = [b.simulated.value - a.simulated.value for a, b in pairwise(along)]
        assert all(direction * step > 0 for step in steps), (quantity, steps)


@pytest.mark.slow
@pytest.mark.parametrize("every_s", [30, 60, 120])
@pytest.mark.parametrize("outages", ["[]", "[{when: {kind: intervals, at: [[400, 540]]}}]"])
def test_what_was_learned_ages_by_the_timetable(every_s, outages, tmp_path):
    laws = predict_run(
        tmp_path,
        "stale_copy",
        "horizon_s=700",
        f"training.online.every_s={every_s}",
        "fleet.*.traffic={mix: own, drift: [{at_s: 250, classes: [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]}]}",
        f"server.outages={outages}",
    )
    laws.assert_agree("staleness")
