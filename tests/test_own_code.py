"""What researchers bring as code: every family once from a plugin, both clocks, kills and resumes, other
processes, and what is refused."""

from __future__ import annotations

import collections
import importlib
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from here import forget_what_was_brought

import l2h_fleet
from commands import main as command_line
from commands.plugins import loading
from commands.plugins.registering import ADOPTERS
from sim.registry import brought
from sim.registry.durations import DURATIONS
from sim.scenario import read
from sim.scenario.schema.values import Part

pytestmark = pytest.mark.usefixtures("plain_pictures")

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = Path(__file__).parent / "plugins"
TINY: dict[str, Any] = {
    "name": "tiny",
    "horizon_s": 100,
    "training": {"pretrain": {"epochs": 1}},
    "costs": {"c_e": 0.01},
    "fleet": [
        {
            "group": "devices",
            "clients": 6,
            "timeout_s": 0.5,
            "arrivals": {"process": {"kind": "poisson", "rate_hz": 1.0}},
            "policy": {"score": "plug_in", "price": {"kind": "doubling"}},
        }
    ],
    "server": {
        "service": {"kind": "affine", "base_s": 0.05},
        "queue_limit": 1,
        "when_down": "refuse",
        "outages": [{"when": {"kind": "intervals", "at": [[20, 40], [70, 75]]}}],
    },
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("L2H_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    forget_what_was_brought()
    yield tmp_path
    forget_what_was_brought()


def run_cli(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "run_sim.py"), *words],
        capture_output=True,
        text=True,
        check=False,
        **more,
    )


def with_price(kind: str) -> dict[str, Any]:
    group = TINY["fleet"][0] | {"policy": {"score": "plug_in", "price": {"kind": kind}}}
    return TINY | {"fleet": [group]}


def parts_of(run: l2h_fleet.Run) -> list[bytes]:
    return [path.read_bytes() for path in sorted((run.path / "requests").iterdir())]


def requests_of(run: l2h_fleet.Run) -> pd.DataFrame:
    return pd.read_parquet(run.path / "requests").drop(columns="threshold")


def ranked(here: Path, path: str, document: dict[str, Any]) -> pd.DataFrame:
    run = l2h_fleet.run(document, {"engine.path": path}, out=here / path)
    return pd.read_parquet(run.path / "requests")


def alike_on_both(here: Path, document: dict[str, Any]) -> pd.DataFrame:
    """What both clocks make of it, in the same bits."""
    simpy, compiled = (ranked(here, path, document) for path in ("simpy", "compiled"))
    pd.testing.assert_frame_equal(simpy, compiled)
    return simpy


@pytest.mark.slow
def test_a_discipline_of_ones_own_orders_the_queue_on_both_clocks(here: Path) -> None:
    """Six clients ask at one instant, and the one server takes one after the other."""
    l2h_fleet.load_plugin(PLUGINS / "every_family.py")
    group = TINY["fleet"][0] | {
        "arrivals": {"process": {"kind": "metronome", "beat_s": 10.0}},
        "policy": {"score": "plug_in", "price": {"kind": "always_remote"}},
        "timeout_s": None,
    }
    server = {"service": {"kind": "affine", "base_s": 0.05}, "discipline": "newest_client"}
    requests = alike_on_both(here, TINY | {"fleet": [group], "server": server})
    first = requests[requests["arrived_at_s"] == 10.0].sort_values("started_at_s")
    assert first["client_id"].tolist() == [0, 5, 4, 3, 2, 1]  # whoever comes first finds it idle


@pytest.mark.slow
def test_a_choice_of_ones_own_says_whom_clients_ask_on_both_clocks(here: Path) -> None:
    l2h_fleet.load_plugin(PLUGINS / "every_family.py")
    slow, fast = ({"service": {"kind": "affine", "base_s": base_s}} for base_s in (0.9, 0.05))
    group = TINY["fleet"][0] | {
        "arrivals": {"process": {"kind": "metronome", "beat_s": 1.0}},
        "policy": {"score": "confidence", "price": {"kind": "always_remote"}},
        "timeout_s": None,
        "choose": "last_first",
    }
    servers = [{"server": "fast", **fast}, {"server": "slow", **slow}]
    document = {name: value for name, value in TINY.items() if name != "server"}
    requests = alike_on_both(here, document | {"fleet": [group], "servers": servers})
    asked = requests.sort_values("arrived_at_s")["server"].tolist()
    assert asked[:6] == ["slow"] * 6  # nobody has had a word from it
    assert {"fast", "slow"} == set(asked[6:])


@pytest.mark.slow
def test_a_choice_may_rank_by_large_numbers_and_a_retry_still_asks_another(here: Path) -> None:
    @l2h_fleet.register("choice", "far_apart")
    def far_apart(one: Any) -> float:
        return 1e12 * one.option

    servers = [
        {"server": "first", "service": {"kind": "affine", "base_s": 0.05}, "when_down": "refuse"},
        {"server": "second", "service": {"kind": "affine", "base_s": 0.05}},
    ]
    servers[0]["outages"] = [{"when": {"kind": "intervals", "at": [[0, 100]]}}]
    group = asks_always() | {
        "policy": {"score": "confidence", "price": {"kind": "always_remote"}},
        "choose": "far_apart",
        "retry": {"attempts": 2, "backoff_s": 0.01, "next": "other", "allowance": None},
        "timeout_s": 5.0,
    }
    document = {name: value for name, value in TINY.items() if name != "server"}
    requests = alike_on_both(here, document | {"fleet": [group], "servers": servers})
    assert set(requests["outcome"]) <= {"remote", "in_flight"}


@pytest.mark.parametrize(
    ("family", "made", "line"),
    [
        ("discipline", max, "must be a function of an attempt that waits"),
        ("choice", object(), "must be a function of an option that gives a number"),
        ("discipline", lambda waiting: str(waiting.client), "must give a number, not '0'"),
        ("choice", lambda one: float("nan") * one.option, "must give a number, not nan"),
        ("discipline", lambda waiting: float(str(waiting.client)), "plays on SimPy's clock alone"),
        ("choice", lambda one: 1.0 / one.option, "ZeroDivisionError"),
    ],
)
def test_what_ranks_is_a_function_that_gives_numbers(family: str, made: Any, line: str) -> None:
    with pytest.raises(l2h_fleet.BadInput, match=line) as refusal:
        l2h_fleet.check(family, made)
    assert "\n" not in str(refusal.value)


def test_a_discipline_that_raises_ends_the_run_in_one_line() -> None:
    @l2h_fleet.register("discipline", "breaks")
    def breaks(waiting: Any) -> float:
        return 1.0 / (waiting.client - waiting.client)

    with pytest.raises(l2h_fleet.RunFailed, match=r"breaks broke: ZeroDivisionError: .*py:\d+\)"):
        l2h_fleet.run(
            TINY | {"server": TINY["server"] | {"discipline": "breaks"}, "fleet": [asks_always()]},
            {"engine.path": "simpy"},
        )


def asks_always() -> dict[str, Any]:
    return TINY["fleet"][0] | {"policy": {"score": "plug_in", "price": {"kind": "always_remote"}}}


@pytest.mark.slow
def test_a_price_plays_on_both_clocks_and_a_policy_in_python_decides_the_same(here: Path) -> None:
    l2h_fleet.load_plugin(PLUGINS / "backoff.py")
    simpy = l2h_fleet.run(TINY, {"engine.path": "simpy"}, out=here / "simpy")
    compiled = l2h_fleet.run(TINY, {"engine.path": "compiled"}, out=here / "compiled")
    python = l2h_fleet.run(with_price("doubling_in_python"), out=here / "python")
    assert parts_of(simpy) == parts_of(compiled)
    pd.testing.assert_frame_equal(requests_of(simpy), requests_of(python))
    threshold = pd.read_parquet(simpy.path / "requests")["threshold"]
    assert set(threshold.round(6)) == {0.01, 0.02, 0.04, 0.08}
    timing = json.loads((python.path / "timing.json").read_text())
    assert timing["path"]["name"] == "simpy"
    told = json.loads((simpy.path / "versions.json").read_text())
    assert len(told["price doubling"]) == 20


@pytest.mark.slow
def test_one_of_every_family_is_read_drawn_played_and_told(here: Path) -> None:
    l2h_fleet.load_plugin(PLUGINS / "every_family.py")
    group = TINY["fleet"][0] | {
        "arrivals": {"process": {"kind": "metronome", "beat_s": 1.0}, "shape": {"kind": "half"}},
        "policy": {"score": "gini", "price": {"kind": "bounded_rate", "rate": 0.5}},
        "link": {"latency": {"kind": "triangle", "most_s": 0.03}},
    }
    server = {
        "service": {"kind": "root", "base_s": 0.02},
        "max_batch": 4,
        "outages": [{"when": {"kind": "last_tenth"}}],
    }
    asked = TINY | {"fleet": [group], "server": server}
    runs = [l2h_fleet.run(asked, {"seed": seed}, out=here / str(seed)) for seed in (1, 2)]
    requests = pd.read_parquet(runs[0].path / "requests")
    assert sorted(requests["arrived_at_s"]) == sorted(6 * np.arange(0.0, 100.0, 2.0).tolist())
    assert 0.3 < requests["deferred"].mean() < 0.7
    uplink = (requests["reached_at_s"] - requests["sent_at_s"]).dropna()
    assert 0.0 < uplink.min() < uplink.max() <= 0.03
    served = requests["finished_at_s"] - requests["started_at_s"]
    assert set((served.dropna() / 0.02).round(9)) <= {1.0, round(2**0.5, 9), round(3**0.5, 9), 2.0}
    assert runs[0].summary["outages"]["each"][0]["from_s"] == 90.0
    assert runs[0].summary["asked_twice"] == {"requests": 600}
    (law,) = [law for law in runs[0].summary["predictions"] if law["law"] == "beats"]
    assert law["values"][0]["predicted"] == 300
    assert (runs[0].path / "figures" / "dots.svg").exists()
    report = (runs[0].path / "report.html").read_text()
    assert "Requests as dots" in report
    assert "Requests, doubled (count)." in report
    compared = l2h_fleet.compare(runs, out=here / "compared", unpaired=True)
    assert "kept" in json.dumps(compared)


@pytest.mark.parametrize(
    ("family", "name"),
    [("price", "Doubling"), ("policy", "DoublingInPython")],
)
def test_what_the_plugins_hold_keeps_its_contract(family: str, name: str) -> None:
    l2h_fleet.load_plugin(PLUGINS / "backoff.py")
    l2h_fleet.check(family, getattr(sys.modules["plugin_backoff"], name))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "name", "keys"),
    [
        ("score", "gini", {}),
        ("loss", "squared", {}),
        ("discipline", "newest_client", {}),
        ("choice", "last_first", {}),
        ("arrivals", "Metronome", {}),
        ("duration", "Triangle", {"most_s": 2.0}),
        ("service", "Root", {"base_s": 1.0}),
        ("shape", "Half", {}),
        ("outage", "LastTenth", {}),
        ("metric", "asked_twice", {}),
        ("figure", "dots", {}),
    ],
)
def test_so_does_one_of_every_family(family: str, name: str, keys: dict[str, Any]) -> None:
    l2h_fleet.load_plugin(PLUGINS / "every_family.py")
    before = len(brought.BROUGHT)
    l2h_fleet.check(family, getattr(sys.modules["plugin_every_family"], name), **keys)
    assert len(brought.BROUGHT) == before


@pytest.mark.slow
def test_a_scenario_alone_imports_nothing(here: Path) -> None:
    (here / "mine.py").write_text((PLUGINS / "backoff.py").read_text() + "\nopen('ran', 'w')\n")
    (here / "mine.yaml").write_text(json.dumps(TINY))
    for kind in ("doubling", "mine.Doubling", "mine:Doubling", "mine.py", str(here / "mine.py")):
        (here / "asked.yaml").write_text(json.dumps(with_price(kind)))
        told = run_cli("run", "asked.yaml", "--local", cwd=here)
        assert told.returncode == 2
        assert len(told.stderr.splitlines()) == 1
        assert "one of your own needs --plugin FILE" in told.stderr
    assert not (here / "ran").exists()
    for words in (("--plugin", "mine.py", "check", "mine.yaml"), ("check", "mine.yaml", "--plugin=mine.py")):
        told = run_cli(*words, cwd=here)
        assert (told.returncode, told.stderr) == (0, "")
    assert (here / "ran").exists()


def with_loss(form: str) -> dict[str, Any]:
    group = TINY["fleet"][0] | {"policy": {"score": "l2h"}}
    online = {"every_s": 20, "steps": 2, "step_s": 0.1, "rejector_steps": 3, "rejector_step_s": 0.1}
    training = {"form": form, "online": online}
    return TINY | {"fleet": [group], "training": TINY["training"] | training}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plugin", "document", "what"),
    [
        ("backoff.py", with_price("doubling_in_python"), "policy doubling_in_python"),
        ("softmax_costs.py", with_loss("softmax_costs"), "loss softmax_costs"),
    ],
)
def test_a_run_goes_on_with_the_code_that_it_began_with_and_no_other(
    plugin: str, document: dict[str, Any], what: str, here: Path
) -> None:
    text = (PLUGINS / plugin).read_text()
    (here / "mine.py").write_text(text)
    (here / "asked.yaml").write_text(json.dumps(document))
    words = ("run", "asked.yaml", "--local", "--plugin", "mine.py", "--quiet", "--checkpoint-every", "0")
    whole = run_cli(*words, "--out", "whole", cwd=here)
    assert whole.returncode == 0, whole.stderr
    broken = {**os.environ, "L2H_CACHE": str(here / "cache")}
    code = textwrap.dedent(
        """
        import sys
        from commands import main as command_line
        import sim.engine.run as engine
        from sim.world.windows import EvenWindows
        engine.WindowsByWork = lambda _world: EvenWindows(30.0)
        if "--resume" not in sys.argv:
            advance = engine.Run.advance
            def dies(self):
                if self.at_s > 40.0:
                    raise KeyboardInterrupt
                return advance(self)
            engine.Run.advance = dies
        sys.exit(command_line.main())
        """
    )
    again = [sys.executable, "-c", code, *words, "--out", "broken"]
    environment = broken | {"PYTHONPATH": str(ROOT)}
    first = subprocess.run(again, cwd=here, env=environment, capture_output=True, text=True, check=False)
    assert first.returncode == 130, first.stderr
    (here / "mine.py").write_text(text + "\n# another\n")
    refused = subprocess.run(
        [*again, "--resume"], cwd=here, env=environment, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert what in refused.stderr
    (here / "mine.py").write_text(text)
    done = subprocess.run(
        [*again, "--resume"], cwd=here, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = [pd.read_parquet(here / name / "requests") for name in ("whole", "broken")]
    pd.testing.assert_frame_equal(*(one.sort_values("request_id", ignore_index=True) for one in found))


BAD: list[tuple[str, str]] = [
    ("x =", r"--plugin .*:1: invalid syntax"),
    ("import nothing_of_that_name", r":1: ModuleNotFoundError: No module named 'nothing_of_that_name'"),
    ("x = 1", "registers nothing; see l2h_fleet.register"),
    ("raise SystemExit(3)", ":1: SystemExit: 3"),
    (
        "import l2h_fleet\nl2h_fleet.register('prize', 'x', int)",
        r"'prize' is no family of kinds: did you mean",
    ),
    ("import l2h_fleet\nl2h_fleet.register('price', 'a b', int)", "'a b': must be a name"),
    (
        "import l2h_fleet\nl2h_fleet.register('price', 'mine', int)",
        "int is no price: it lacks threshold",
    ),
    (
        "import l2h_fleet\n@l2h_fleet.register('price', 'threshold')\nclass P:\n"
        "    @staticmethod\n    def threshold(p, m, now, request): return 0.0",
        "there is a price 'threshold' already",
    ),
    (
        "import l2h_fleet\n@l2h_fleet.register('price', 'x')\nclass P:\n"
        "    @staticmethod\n    def threshold(p, m, now): return 0.0",
        r"P.threshold: must take \(p, m, now, request\), not \(p, m, now\)",
    ),
    (
        "import l2h_fleet\n@l2h_fleet.register('policy', 'x')\nclass P:\n"
        "    def __init__(self, rate): pass\n    def decide(self, request, now): return 0",
        "P: rate: the constructor's argument needs a type",
    ),
    (
        "import l2h_fleet\n@l2h_fleet.register('duration', 'x')\nclass P: pass",
        "duration 'x': must be a subclass of RandomDuration",
    ),
    (
        "import l2h_fleet\n@l2h_fleet.register('arrivals', 'x')\nclass P(l2h_fleet.Arrivals): pass",
        "arrival process 'x': P lacks steady_rate_hz",
    ),
    ("import l2h_fleet\nl2h_fleet.register('law', 'x', 3)", "law 'x': must be a Law, not a int"),
    ("import l2h_fleet\nl2h_fleet.register('metric', 'run', len)", "there is a metric 'run' already"),
    ("import l2h_fleet\nl2h_fleet.register('figure', 'x', 3)", "must be a function of the run's traffic"),
]


def test_a_type_that_the_default_tells_may_be_left_out(here: Path) -> None:
    text = (
        "import l2h_fleet\n@l2h_fleet.register('policy', 'untyped')\nclass P:\n"
        "    def __init__(self, above=0.2, tries=3, how='now'): pass\n"
        "    def decide(self, request, now): return 0"
    )
    (here / "untyped.py").write_text(text)
    l2h_fleet.load_plugin(here / "untyped.py")
    price = "fleet.*.policy={score: confidence, price: {kind: untyped, %s}}"
    read("smoke", [price % "above: 1, tries: 0.5"])
    for keys, said in (("tries: none", "must be a"), ("how: 3", "must be text")):
        with pytest.raises(l2h_fleet.BadInput, match=said):
            read("smoke", [price % keys])


@pytest.mark.parametrize(("text", "line"), BAD, ids=[line for _, line in BAD])
def test_a_bad_plugin_is_one_line(here: Path, text: str, line: str) -> None:
    (here / "bad.py").write_text(text)
    with pytest.raises(l2h_fleet.BadInput, match=line) as refusal:
        l2h_fleet.load_plugin(here / "bad.py")
    assert "\n" not in str(refusal.value)
    assert brought.BROUGHT == []
    with pytest.raises(l2h_fleet.BadInput, match="cannot be read: No such file"):
        l2h_fleet.load_plugin(here / "none.py")


def test_a_file_registers_all_or_nothing(here: Path) -> None:
    good = "import l2h_fleet\n@l2h_fleet.register('policy', 'one')\n" + CELL.format("-1")
    (here / "mine.py").write_text(good + "1 / 0\n")
    with pytest.raises(l2h_fleet.BadInput, match=r"mine.py:6: ZeroDivisionError"):
        l2h_fleet.load_plugin(here / "mine.py")
    assert brought.BROUGHT == []
    (here / "mine.py").write_text(good)
    l2h_fleet.load_plugin(here / "mine.py")
    (here / "mine.py").write_text("x = 1\n")
    with pytest.raises(l2h_fleet.BadInput, match="registers nothing"):
        l2h_fleet.load_plugin(here / "mine.py")
    assert brought.BROUGHT == []


def test_what_was_registered_stays_if_the_new_object_will_not_do() -> None:
    class Good:
        def decide(self, _request: Any, _now: float) -> int:
            return -1

    l2h_fleet.register("policy", "mine", Good)
    with pytest.raises(l2h_fleet.BadInput, match="it lacks decide"):
        l2h_fleet.register("policy", "mine", type("Bad", (), {}))
    assert [one.made for one in brought.BROUGHT] == [Good]
    kept = l2h_fleet.Scenario(with_price("mine")).document.fleet[0].policy.price
    assert kept.kind == "mine"
    parts = len(Part.in_order)
    for _ in range(3):
        l2h_fleet.register("policy", "mine", Good)
        l2h_fleet.check("policy", Good)
    assert len(Part.in_order) == parts


def made_of(source: str, **names: Any) -> Any:
    """What a cell of a notebook leaves as `made`: no file has its source."""
    scope: dict[str, Any] = {"__name__": "__main__", **names}
    exec(compile(source, "<cell>", "exec", dont_inherit=True), scope)
    return scope["made"]


CELL = "class made:\n    def decide(self, request, now):\n        return {}\n"
FACTORY = """
def factory(a):
    class P:
        def decide(self, request, now):
            return a
    return P
made = factory({})"""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (made_of(CELL.format("0")), made_of(CELL.format("-1"))),
        (made_of(CELL.format("K"), K=0), made_of(CELL.format("K"), K=-1)),
        (made_of(FACTORY.format("0")), made_of(FACTORY.format("-1"))),
        (made_of("made = lambda x: x + 1"), made_of("made = lambda x: x + 2")),
        (
            made_of("from functools import partial\nmade = partial(max, 1)"),
            made_of("from functools import partial\nmade = partial(max, 2)"),
        ),
        (
            l2h_fleet.Ratio("a", "share", made_of("made = lambda t: t.a")),
            l2h_fleet.Ratio("a", "share", made_of("made = lambda t: t.b")),
        ),
    ],
    ids=["function", "global", "closure", "lambda", "partial", "ratio"],
)
def test_a_digest_tells_other_code_from_the_same(one: Any, other: Any) -> None:
    assert brought.code_of(one) == brought.code_of(one)
    assert brought.code_of(one) != brought.code_of(other)


def test_a_digest_is_the_same_in_every_process() -> None:
    code = CELL.format("{3, 1, 2} and request in ('a', 'b')")
    script = (
        f"from sim.registry import brought\nscope = {{'__name__': '__main__'}}\nexec({code!r}, scope)\n"
        "print(brought.code_of(scope['made']))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


def test_a_digest_covers_the_modules_that_a_plugin_loads(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(here))
    text = "import l2h_fleet, beside_it\nl2h_fleet.register('metric', 'mine', beside_it.number)\n"
    found = set()
    for number in (1, 2):
        (here / "beside_it.py").write_text(f"def number(traffic):\n    return {number}\n")
        (here / f"mine{number}.py").write_text(text)
        sys.modules.pop("beside_it", None)
        importlib.invalidate_caches()
        l2h_fleet.load_plugin(here / f"mine{number}.py")
        found.add(brought.digests()["metric mine"])
    sys.modules.pop("beside_it", None)
    assert len(found) == 2


def test_a_package_of_a_like_name_counts() -> None:
    made = type("Mine", (), {"decide": lambda _self, _request, _now: -1, "__module__": "l2h_fleet_mine"})
    l2h_fleet.register("policy", "mine", made)
    assert "policy mine" in brought.digests()


REMEMBERED = ["collections.Counter()", "numpy.float32(1)", "{1, 2}", "[[]] * 2", "[2**70]", "request"]


@pytest.mark.parametrize("what", REMEMBERED)
def test_what_would_come_back_otherwise_is_refused(what: str) -> None:
    cell = "class made:\n    def decide(self, request, now):\n        self.x = {}\n        return -1\n"
    with pytest.raises(l2h_fleet.BadInput, match="remembers what no checkpoint can hold"):
        l2h_fleet.check("policy", made_of(cell.format(what), collections=collections, numpy=np))


ODD: list[tuple[str, str, str]] = [
    ("policy", "class made:\n    def __init__(self, kind: str): ...", "kind: is the key that names the kind"),
    (
        "policy",
        "class made:\n    def __init__(self, a: int, /): ...",
        "keys are given by name",
    ),
    ("policy", "class made:\n    __slots__ = ()", "made: has no attributes: a checkpoint could not hold it"),
    (
        "price",
        "class made:\n    def begin(self): return (1 / 0,)",
        "made: ZeroDivisionError: division",
    ),
    ("price", "class made:\n    def begin(self): return 'ab'", "made: ValueError: could not convert string"),
]


@pytest.mark.parametrize(("family", "cell", "line"), ODD, ids=[line for *_, line in ODD])
def test_an_odd_object_is_one_line(family: str, cell: str, line: str) -> None:
    needs = {
        "policy": "\n    def decide(self, request, now): return -1\n",
        "price": "\n    @staticmethod\n    def threshold(p, m, now, request): return m[0]\n",
    }
    with pytest.raises(l2h_fleet.BadInput, match=line) as refusal:
        l2h_fleet.check(family, made_of(cell + needs[family]))
    assert "\n" not in str(refusal.value)


def test_a_price_is_tried_before_anything_is_learned() -> None:
    cell = "class made:\n    def __init__(self, rate: float = 1.0): self.other = rate\n"
    cell += "    @staticmethod\n    def threshold(p, m, now, request): return p[0]\n"
    l2h_fleet.register("price", "lost", made_of(cell))
    with pytest.raises(l2h_fleet.BadInput, match="cannot be made: AttributeError"):
        l2h_fleet.Scenario(with_price("lost")).check()


def test_a_price_may_not_count_on_arrays() -> None:
    cell = "class made:\n    def begin(self): return (0.0,)\n"
    cell += "    @staticmethod\n    def threshold(p, m, now, request): return m.max()\n"
    with pytest.raises(l2h_fleet.BadInput, match="made: AttributeError"):
        l2h_fleet.check("price", made_of(cell))


def test_a_list_as_a_key_has_a_default_of_its_own() -> None:
    cell = "from dataclasses import dataclass, field\n@dataclass\nclass made:\n"
    cell += "    at: tuple[float, ...] = field(default_factory=lambda: (1.0, 2.0))\n"
    cell += "    def decide(self, request, now): return -1\n"
    l2h_fleet.register("policy", "listed", made_of(cell))
    scenario = l2h_fleet.Scenario(with_price("listed"))
    assert scenario.document.fleet[0].policy.price.at == (1.0, 2.0)
    again = scenario.set("fleet.devices.policy.price.at", [3.0])
    assert again.document.fleet[0].policy.price.at == (3.0,)


def test_a_metric_may_not_overwrite_the_verdict() -> None:
    for name in ("valid", "invalid_because", "risk"):
        with pytest.raises(l2h_fleet.BadInput, match=f"there is a metric '{name}' already"):
            l2h_fleet.register("metric", name, len)


def test_plugin_needs_a_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "check", "smoke", "--plugin"])
    assert command_line.main() == 2
    assert capsys.readouterr().err == "--plugin: needs a file\n"


POLICIES: list[tuple[str, str]] = [
    ("return 7", r"the policy '[oO]dd' gave 7 for request \d+ of client \d at .* s: must be LOCAL"),
    ("return None", "gave None for request"),
    (
        "return 1 / 0",
        r"the policy '[oO]dd' broke at .* s in decide: ZeroDivisionError: division by zero \(.*py:\d+\)",
    ),
    ("self.seen = {1, 2}; return -1", "remembers what no checkpoint can hold"),
    ("\n        while True: pass", "a policy's call took more than"),
    (
        "\n        while True:\n            try: 1 / 0\n            except Exception: pass",
        "a policy's call took more than",
    ),
    ("raise SystemExit(0)", "broke at .* s in decide: SystemExit: 0"),
]


@pytest.mark.parametrize(("body", "line"), POLICIES, ids=[line[:30] for _, line in POLICIES])
def test_a_policy_that_misbehaves_ends_the_run_with_one_line(
    here: Path, monkeypatch: pytest.MonkeyPatch, body: str, line: str
) -> None:
    monkeypatch.setattr("sim.policy.own.LIMIT_S", 0.4)
    (here / "odd.py").write_text(
        "import l2h_fleet\n@l2h_fleet.register('policy', 'odd')\nclass Odd:\n"
        f"    def decide(self, request, now): {body}\n"
    )
    l2h_fleet.load_plugin(here / "odd.py")
    if "checkpoint" not in line:
        with pytest.raises(l2h_fleet.RunFailed, match=line) as failure:
            l2h_fleet.run(with_price("odd"), out=here / "run")
        assert "\n" not in str(failure.value)
    with pytest.raises(l2h_fleet.BadInput, match=line):
        l2h_fleet.check("policy", sys.modules["plugin_odd"].Odd)


@pytest.mark.slow
def test_a_notebook_may_register_again(here: Path) -> None:
    for rate in (2.0, 4.0):

        @l2h_fleet.register("arrivals", "mine")
        class Mine(l2h_fleet.Arrivals):
            """A request a beat."""

            hz: float = rate

            def instants(self, _draw: Any, _client: int, from_s: float, until_s: float) -> Any:
                return np.arange(np.ceil(from_s * self.hz), np.ceil(until_s * self.hz)) / self.hz

            def steady_rate_hz(self) -> float:
                return self.hz

            def decide(self, _request: Any, _now: float) -> int:
                return l2h_fleet.LOCAL

        group = TINY["fleet"][0] | {
            "arrivals": {"process": {"kind": "mine"}},
            "policy": {"score": "confidence", "price": {"kind": "always_local"}},
        }
        run = l2h_fleet.run(TINY | {"fleet": [group]}, out=here / str(rate))
        assert len(pd.read_parquet(run.path / "requests")) == 600 * rate
    assert [(one.family, one.name) for one in brought.BROUGHT] == [("arrivals", "mine")]
    with pytest.raises(l2h_fleet.BadInput, match="there is a price 'threshold' already"):
        l2h_fleet.register("policy", "threshold", Mine)


@pytest.mark.slow
def test_processes_of_ray_know_the_same_kinds(here: Path) -> None:
    """Actors of one run, and runs side by side."""
    l2h_fleet.load_plugin(PLUGINS / "every_family.py")
    l2h_fleet.load_plugin(PLUGINS / "backoff.py")
    price = {"kind": "doubling_in_python", "most": 4.0}
    group = TINY["fleet"][0] | {"policy": {"score": "gini", "price": {"kind": "threshold", "at": 0.3}}}
    more = group | {"group": "more", "policy": {"score": "plug_in", "price": price}}
    asked = TINY | {"fleet": [group, more]}
    alone = l2h_fleet.run(asked, out=here / "alone")
    spread = l2h_fleet.run(asked, out=here / "spread", workers=2)
    assert parts_of(alone) == parts_of(spread)
    found = l2h_fleet.sweep(asked, {"server.replicas": [1, 2]}, jobs=2)
    assert found["valid"].notna().tolist() == [True, True]


def test_installed_packages_register_by_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name, value = "mine", "mine:register"

        @staticmethod
        def load() -> Any:
            return lambda: l2h_fleet.load_plugin(PLUGINS / "backoff.py")

    monkeypatch.setattr(loading, "entry_points", lambda group: [Point] if group == "l2h_fleet" else [])
    loading.load_installed.cache_clear()
    assert l2h_fleet.Scenario(TINY).document.fleet[0].policy.price.kind == "doubling"
    loading.load_installed.cache_clear()
    monkeypatch.setattr(Point, "load", staticmethod(lambda: 1 / 0))
    with pytest.raises(l2h_fleet.BadInput, match=r"the installed plugin 'mine' \(mine:register\) broke"):
        _ = l2h_fleet.Scenario(TINY).document
    loading.load_installed.cache_clear()


def run_blocks(page: Path) -> tuple[str, dict[str, Any]]:
    """The text of a page whose blocks of Python ran one after another, and the names that they left."""
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 3
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks:
        exec(compile(block, str(page), "exec", dont_inherit=True), names)
    return page.read_text(), names


@pytest.mark.slow
def test_the_page_on_tuning_runs() -> None:
    _, names = run_blocks(ROOT / "docs/tuning.md")
    assert len(names["study"].trials) == 4
    assert names["risk"] > 0
    assert callable(names["tuned"])
    assert [one.name for one in brought.BROUGHT if one.family == "hook"] == ["tracking"]


def test_the_page_runs() -> None:
    page, _ = run_blocks(ROOT / "docs/own_code.md")
    told = {(one.family, one.name) for one in brought.BROUGHT}
    assert told == {
        ("policy", "patient"),
        ("price", "doubling"),
        ("arrivals", "metronome"),
        ("score", "gini"),
        ("loss", "squared_hinge"),
        ("discipline", "oldest_request"),
        ("choice", "cheap_unless_busy"),
    }
    for family in ADOPTERS:
        assert f"`{family}`" in page or family in ("price", "policy")


def test_hooks_hear_of_finished_runs_and_cost_no_run(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[tuple[str, float]] = []

    @l2h_fleet.register("hook", "notes")
    def notes(run: l2h_fleet.Run) -> None:
        heard.append((run.path.name, run.summary["run"]["horizon_s"]))

    @l2h_fleet.register("hook", "broken")
    def broken(run: l2h_fleet.Run) -> None:
        raise ValueError(run.path.name)

    group = TINY["fleet"][0] | {"policy": {"score": "confidence", "price": {"kind": "always_local"}}}
    run = l2h_fleet.run(TINY | {"fleet": [group]}, out=here / "one")
    assert heard == [("one", 100.0)]
    assert "the hook 'broken' broke: ValueError: one" in caplog.text
    assert "hook notes" not in json.loads((run.path / "versions.json").read_text())


def test_an_own_duration_may_be_a_think_time() -> None:
    """Met at a random instant a triangle's density grows as x squared, so its quantile is the cube root."""
    l2h_fleet.load_plugin(PLUGINS / "every_family.py")
    made = DURATIONS["triangle"].model_validate({"kind": "triangle", "most_s": 2.0})
    u = np.linspace(0.01, 0.99, 99)
    np.testing.assert_allclose(made.length_biased()(u), 2.0 * u ** (1 / 3), rtol=1e-3)
