"""Shared links: exact stories, traces of bandwidth, and the laws of the queue and of processor sharing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from stories import Story, devices, retries
from worlds import WrittenArrivals, made_up, poisson, product, scenario_of

from sim.engine.run import chunks
from sim.results.columns_by_run import LINKS
from sim.results.run_folder import table_of
from sim.scenario import read
from sim.scenario.files.bandwidth import bandwidth_of
from sim.scenario.files.rows import BadFile
from sim.simulation import simulate
from sim.world.network import bits_by, network, passed_at
from sim.world.world import World

SECOND = 1000  # bytes that a link of 8000 bit/s lets pass in a second


def link(discipline: str = "fifo", bps: float = 8000.0, **parts: Any) -> dict[str, Any]:
    return {"link": "cell", "bandwidth_bps": bps, "discipline": discipline} | parts


def over(payload: int = SECOND, *names: str, **parts: Any) -> dict[str, Any]:
    own = {"payload_bytes": payload, "over": names or ("cell",), "latency": parts.pop("latency", 0.0)}
    return devices(**({"clients": 3} | parts)) | {"link": own}


def story(*arrivals: tuple[float, int], links: Any = None, **parts: Any) -> Story:
    server = {"replicas": 9, "service": {"kind": "affine", "base_s": 0.5}}
    fleet = parts.pop("fleet", over())
    return Story(*arrivals, fleet=fleet, server=server, network=links or (link(),), **parts)


def test_a_queue_passes_one_payload_after_the_other():
    told = story((0.0, 0), (0.5, 1), (4.0, 2))
    assert told["reached_at_s"] == [1.0, 2.0, 5.0]


def test_payloads_that_share_a_link_have_equal_parts_of_it():
    """Alone for half a second; then two at half the speed: the first has 0.5 s left, so passes at 1.5."""
    told = story((0.0, 0), (0.5, 1), links=(link("ps"),))
    assert told["reached_at_s"] == [1.5, 2.0]


@pytest.mark.parametrize("discipline", ["fifo", "ps"])
def test_a_payload_that_is_alone_goes_on_in_the_next_window(discipline):
    scenario = scenario_of(fleet=(over(clients=1),), network=(link(discipline),))
    requests, _ = product(scenario, made_up(scenario), WrittenArrivals(((1.5, 0),)), 2.0)
    assert requests["reached_at_s"].tolist() == [2.5]


def test_a_message_passes_one_link_after_the_other():
    links = (link(), link(bps=4000.0, link="backbone"))
    told = story((0.0, 0), (0.0, 1), links=links, fleet=over(SECOND, "cell", "backbone"))
    assert told["reached_at_s"] == [3.0, 5.0]


def test_latencies_come_first_each_way():
    told = story((0.0, 0), links=(link(latency=0.25),), fleet=over(latency=0.5))
    assert told["reached_at_s"] == [1.75]
    assert told["answered_at_s"] == [1.75 + 0.5 + 0.75]


def test_what_its_client_gave_up_still_takes_its_place_on_the_link():
    """Three attempts a second long on a link that takes a second: each comes behind the one before."""
    told = story((0.0, 0), fleet=over(timeout_s=0.5, retry=retries(3, 0.0)))
    assert told["outcome"] == ["timed_out"]
    assert told.sends("sent_at_s") == [0.0, 0.5, 1.0]
    assert told.sends("reached_at_s") == [1.0, 2.0, 3.0]


def test_a_cut_swallows_what_is_on_a_shared_link_once_it_has_passed():
    cut = {
        "when": {"kind": "intervals", "at": ((0.25, 0.5),)},
        "target": {"kind": "links", "groups": ("devices",), "share": 1.0},
    }
    server = {"replicas": 9, "service": {"kind": "affine", "base_s": 0.5}, "outages": (cut,)}
    told = Story((0.0, 0), (0.75, 1), fleet=over(), server=server, network=(link(),))
    assert told["reached_at_s"] == [None, 2.0]
    assert told["server_cause"] == ["lost", "none"]


def test_options_say_over_which_links_they_lead():
    group = devices(clients=2) | {
        "link": {"payload_bytes": SECOND},
        "options": (
            {"option": "wired", "server": "server"},
            {"option": "radio", "server": "server", "over": ("cell",)},
        ),
        "choose": "home",
    }
    told = story((0.0, 0), (0.0, 1), fleet=group)
    assert told["reached_at_s"] == [0.0, 1.0]


@pytest.mark.parametrize("kind", ["mahimahi", "pensieve"])
def test_a_trace_lets_pass_what_it_says_over_and_over_again(tmp_path, kind):
    file = tmp_path / "trace"
    file.write_text({"mahimahi": "100\n100\n200\n400\n", "pensieve": "5 9\n6 1.2\n8 0\n9 3\n"}[kind])
    trace = {"kind": "trace", "file": str(file), "format": kind}
    lines = network(scenario_of(network=(link(bps=None, bandwidth=trace),), fleet=(over(),))).lines
    found = [bits_by(lines, 0, t) for t in (0.0, 0.1, 0.2, 0.4, 1.0, 2.0, 3.5, 4.0, 8.0)]
    packets = {
        "mahimahi": [0, 2, 3, 4, 2 * 4 + 3, 5 * 4, 8 * 4 + 3, 10 * 4, 20 * 4],
        "pensieve": [0, 10, 20, 40, 100, 100, 225, 350, 700],
    }
    assert found == pytest.approx([12_000.0 * n for n in packets[kind]])
    assert passed_at(lines, 0, found[-1]) == pytest.approx(8.0)
    passing = 12_000.0 * {"mahimahi": 4, "pensieve": 101}[kind]
    assert passed_at(lines, 0, passing) == pytest.approx({"mahimahi": 0.4, "pensieve": 3.004}[kind])


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("mahimahi", "", "has no lines"),
        ("mahimahi", "1\nx\n", 'line 2: "x" is not one number'),
        ("mahimahi", "5\n3\n", "line 2: the times fall"),
        ("mahimahi", "0\n", "ends at 0 ms"),
        ("pensieve", "0 1\n", "needs two lines"),
        ("pensieve", "0 1\n1 -2\n", "line 2: a bandwidth of -2"),
        ("pensieve", "0 0\n1 0\n", "lets nothing pass"),
        ("pensieve", "0\n", "is not a time and a bandwidth"),
    ],
)
def test_a_file_of_bandwidths_that_is_not_sound(tmp_path, kind, text, why):
    file = tmp_path / "trace"
    file.write_text(text)
    with pytest.raises(BadFile, match=why):
        bandwidth_of(str(file), kind)


# Laws. A server that takes no time stands behind the link, so what a request waits for is the link.


def times_on_the_link(discipline: str, sizes: dict[int, float], load: float, seed: int) -> dict[int, Any]:
    """Seconds on the link by the size of the payload, of Poisson arrivals without the first tenth.

    sizes: bytes, and the share of the payloads that have it; a link of 8 kbit/s, a second for 1000 bytes.
    """
    mean_s = sum(size * share for size, share in sizes.items()) / SECOND
    fleet = tuple(
        over(
            size,
            group=f"g{size}",
            clients=20,
            arrivals={"process": {"kind": "poisson", "rate_hz": load / mean_s * share / 20}},
        )
        for size, share in sizes.items()
    )
    server = {"replicas": 4, "service": {"kind": "affine", "base_s": 1e-6}}
    scenario = scenario_of(
        seed=seed, horizon_s=4_000.0, fleet=fleet, server=server, network=(link(discipline),)
    )
    requests, _ = product(scenario, made_up(scenario), poisson(scenario, 60.0), 1_000.0)
    late = requests[(requests["arrived_at_s"] > 400) & ~requests["reached_at_s"].isna()]
    takes = late["reached_at_s"] - late["sent_at_s"]
    return {size: takes[late["group"] == f"g{size}"].to_numpy() for size in sizes}


def mean_of_seeds(seeds: int, **world: Any) -> dict[int, tuple[float, float]]:
    """Mean and its standard error by size, over independent runs."""
    runs = [
        {size: times.mean() for size, times in times_on_the_link(seed=seed, **world).items()}
        for seed in range(seeds)
    ]
    return {
        size: (
            float(np.mean([run[size] for run in runs])),
            float(np.std([run[size] for run in runs], ddof=1) / seeds**0.5),
        )
        for size in runs[0]
    }


def test_a_queue_of_equal_payloads_waits_as_m_d_1():
    """Pollaczek and Khinchine: the mean wait is ρ/(2(1 − ρ)) times a payload. Four standard errors of twelve
    runs: a false alarm in about five hundred (Student's t, 11 degrees of freedom)."""
    load = 0.6
    (found, error) = mean_of_seeds(12, discipline="fifo", sizes={SECOND: 1.0}, load=load)[SECOND]
    assert found == pytest.approx(1 + load / (2 * (1 - load)), abs=4 * error)
    assert error < 0.03


@pytest.mark.slow
@pytest.mark.parametrize(
    "sizes", [{500: 1.0}, {250: 0.8, 1500: 0.2}, {100: 0.5, 400: 0.3, 1650: 0.2}], ids=["one", "two", "three"]
)
def test_shared_links_do_not_heed_the_law_of_sizes(sizes):
    """M/G/1-PS: a payload of x seconds takes x/(1 − ρ), whatever the others are. Four standard errors of
    twelve runs, for each size."""
    load = 0.6
    for size, (found, error) in mean_of_seeds(12, discipline="ps", sizes=sizes, load=load).items():
        assert found == pytest.approx(size / SECOND / (1 - load), abs=4 * error), size
        assert error < 0.1 * found


@pytest.mark.parametrize("discipline", ["fifo", "ps"])
def test_the_table_of_links_is_the_same_in_windows_of_any_length(discipline):
    links = (link(discipline), link(bps=6000.0, link="backbone"))
    fleet = over(700, "cell", "backbone", clients=20, timeout_s=1.0, retry=retries(3, 0.0))
    fleet |= {"arrivals": {"process": {"kind": "poisson", "rate_hz": 0.04}}}
    scenario = scenario_of(horizon_s=60.0, fleet=(fleet,), network=links)

    def table(chunk_s: float) -> pa.Table:
        run = chunks(World(scenario), made_up(scenario), poisson(scenario, chunk_s), chunk_s)
        return pa.concat_tables([table_of(chunk.of_links, LINKS) for chunk in run])

    whole = table(60.0)
    assert [table(length).equals(whole) for length in (1.0, 7.0)] == [True, True]
    columns = whole.to_pandas()
    assert len(columns) == 120
    assert columns["payloads"].max() > 3
    assert (columns["passed_bytes"] % 700 == 0).all()
    cell = columns[columns["link"] == "cell"]
    assert cell["passed_bytes"].sum() <= 8000 / 8 * cell["busy_mean"].sum() + 1e-6


def test_a_storm_of_retries_stays_on_the_uplink_while_the_server_idles(tmp_path):
    """The shipped scenario, with made-up models: while everybody asks three times the queue grows by what
    that is more than the uplink lets pass; at a quarter of the traffic it drains, and all is as before."""
    scenario = read("uplink")
    simulate(World(scenario), made_up(scenario), tmp_path)
    links, seconds = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("links", "timeline"))
    asked = seconds["first_sends"] + seconds["retries"]
    passes_hz = 6.1e6 / 80_000
    assert links["payloads"][100] == pytest.approx((asked[60:100] - passes_hz).sum(), rel=0.05)
    assert asked[75:100].mean() > 1.3 * passes_hz
    assert links["busy_mean"][75:100].min() == 1.0
    assert seconds["waiting_max"][72:100].max() <= 4  # the server has next to nothing to do
    drained = int(np.flatnonzero(links["payloads"][100:] == 0)[0])
    came = links["payloads"][100] + asked[100 : 100 + drained].sum()
    assert came == pytest.approx(passes_hz * drained, rel=0.05)
    assert links["payloads_mean"][202:].mean() == pytest.approx(links["payloads_mean"][20:60].mean(), rel=0.5)
