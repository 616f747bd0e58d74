"""Whether an own kind keeps its contract: tried out alone, before any run, with one line for what it misses.
As Gymnasium's and scikit-learn's checkers; `register` looks at the form, this at what the object does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from math import inf, isnan
from typing import Any

import numpy as np

from commands.plugins import registering
from commands.plugins.parts import arguments
from sim.errors import BadInput, RunFailed
from sim.policy.outcomes import Outcome, Request
from sim.policy.own import Player, PythonPolicy, completed, ending_calls_that_last
from sim.registry import brought
from sim.registry.arrivals import PROCESSES
from sim.registry.choices import Candidate
from sim.registry.disciplines import Waiting
from sim.registry.durations import DURATIONS
from sim.registry.outages import WHEN
from sim.registry.prices import PRICES
from sim.registry.registry import PartFamily, nearest_of, rebuild
from sim.registry.service import SERVICES
from sim.registry.shapes import SHAPES
from sim.results.columns import OUTCOMES
from sim.results.packing import pack, unpack
from sim.scenario.schema.server import Outage
from sim.scenario.schema.training import Costs
from sim.scenario.schema.values import CHUNK_S
from sim.world.arrivals.by_minute import ByMinute
from sim.world.outages.drawn import Hit

TRIED = "(tried)"  # the name under which a kind is registered while it is tried; no user can have it
HOUR_S = 3_600.0
UNIFORM = (np.arange(1_000) + 0.5) / 1_000


def check(family: str, made: Any, /, *, options: int = 1, **keys: Any) -> None:
    """Tries an object of a family that `register` takes. keys: as a scenario would write them; those that
    have defaults may be left out. options: of a policy, among how many it is to choose.

    Raises BadInput, in one line, for what it misses.
    """
    if family not in registering.ADOPTERS:
        raise BadInput(f"'{family}' is no family of kinds: {nearest_of(family, registering.ADOPTERS)}")
    with _registered(family, made):
        try:
            if family == "policy":
                _policy(made, keys, options)
            elif family in CHECKS:
                CHECKS[family](made, keys)
        except BadInput:
            raise
        except Exception as error:
            why = " ".join(str(error).split())
            raise BadInput(f"{getattr(made, '__name__', made)}: {type(error).__name__}: {why}") from error


@contextmanager
def _registered(family: str, made: Any) -> Iterator[None]:
    registering.adopt(family, TRIED, made)
    try:
        yield
    finally:
        brought.BROUGHT.pop().take_back()
        rebuild()


def _price(made: Any, keys: dict[str, Any]) -> None:
    part: Any = PRICES[TRIED].model_validate({"kind": TRIED, **keys})
    whole = completed(made)(**arguments(made, part, Costs()))
    p, begin = np.array(whole.parameters(), dtype=float), np.array(whole.begin(), dtype=float)
    told = _lives(whole, p.data, begin.copy().data)  # as SimPy's clock hands them
    _require(not any(map(isnan, told)), made, "threshold gave NaN")
    _require(
        told == _lives(whole, p, begin.copy()), made, "says something else to the same client the second time"
    )
    _compiled_alone(made, "compiled_price", type(whole))


def _lives(price: Any, p: Any, m: Any) -> list[float]:
    """The thresholds that a client sees that asks, sends and hears of every outcome, or what it decides."""
    told = []
    for number in range(30):
        now = 0.7 * number
        told.append(float(price.threshold(p, m, now, _asked(number, now))))
        if isinstance(price, Player):
            told.append(m[0])  # the option that it names
        price.on_decision(p, m, now, number % 2 == 0)
        price.on_outcome(p, m, now + 0.3, _ended(number, now))
    return told


def _compiled_alone(made: Any, compiler: str, what: Any) -> None:
    """Tries `compiler` of `sim.engine.compiled_functions` on what is to be compiled."""
    if find_spec("numba"):
        from sim.engine import compiled_functions  # noqa: PLC0415

        try:
            getattr(compiled_functions, compiler)(what)
        except TypeError as error:
            raise BadInput(f"{made.__name__}: plays on SimPy's clock alone: {error}") from None


def _policy(made: Any, keys: dict[str, Any], options: int) -> None:
    part: Any = PRICES[TRIED].model_validate({"kind": TRIED, **keys})
    policy = PythonPolicy(made.__name__, lambda: made(**arguments(made, part, Costs())), options)
    _require(hasattr(policy.make(), "__dict__"), made, "has no attributes: a checkpoint could not hold it")
    first, player, again = (policy.player() for _ in range(3))
    try:
        with ending_calls_that_last([first, player, again]):
            told = [_lives(one, None, list(policy.begin())) for one in (first, player)]
            again.restore(unpack(pack(player.kept())))
            went_on = [_lives(one, None, list(policy.begin())) for one in (player, again)]
    except RunFailed as error:
        raise BadInput(error.why) from None
    _require(
        told[0] == told[1], made, "decides otherwise the second time: it draws, or shares what it remembers"
    )
    _require(went_on[0] == went_on[1], made, "decides otherwise after a checkpoint")


def _asked(number: int, now: float) -> Request:
    return Request(number, 1, (7 * number % 10) / 10, now, now + 1.0 if number % 3 else inf, number % 4, 0.5)


def _ended(number: int, now: float) -> Outcome:
    outcome = ("remote", "refused", "timed_out")[number % 3]
    label = 1 if outcome == "remote" else -1
    backlog = -1 if outcome == "timed_out" else number
    return Outcome(number, 1, 0.3, 0, now, OUTCOMES.index(outcome), backlog, label, number % 4)


def _score(made: Any, _keys: dict[str, Any]) -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(5), 200)
    try:
        found = registering.checked_scores(TRIED, made, np.log(p))
        one = registering.checked_scores(TRIED, made, np.log(p[:1]))
    except RunFailed as error:
        raise BadInput(error.why) from None
    _require(bool(np.isclose(found[0], one[0])), made, "scores a sample otherwise when others are beside it")


def _loss(made: Any, _keys: dict[str, Any]) -> None:
    from agents.rejectors.own_loss_check import check_loss  # noqa: PLC0415

    check_loss(made)


def _discipline(made: Any, _keys: dict[str, Any]) -> None:
    waits = [
        Waiting(
            n % 4, 1 + n % 2, 0.1 * n, 0.1 * n + 0.05, inf if n % 3 else n + 1.0, n % 3 * 1.0, 0.5 + n % 5
        )
        for n in range(30)
    ]
    _ranks_well(made, waits, "compiled_discipline")


def _choice(made: Any, _keys: dict[str, Any]) -> None:
    asked = [Candidate(n, n, 1, n % 3, 3, n % 7 / 7, 0.1, n % 5, n % 2, n % 2 == 0, n / 7) for n in range(30)]
    _ranks_well(made, asked, "compiled_choice")


def _ranks_well(made: Any, told: list[Any], compiler: str) -> None:
    ranks = [made(one) for one in told]
    numbers = [isinstance(rank, int | float | np.number) and not isnan(rank) for rank in ranks]
    _require(
        all(numbers),
        made,
        f"must give a number, not {ranks[numbers.index(False)] if not all(numbers) else ''!r}",
    )
    _require(ranks == [made(one) for one in told], made, "ranks the same otherwise the second time")
    _compiled_alone(made, compiler, made)


def _arrivals(made: Any, keys: dict[str, Any]) -> None:
    process: Any = _part_of("arrivals", keys)
    if not hasattr(process, "instants"):
        return  # its `source` is its own
    found = ByMinute(7, process.instants, SHAPES["constant"](kind="constant"), 0, 3)
    try:
        whole, pieces = found.draw(0.0, HOUR_S), [found.draw(60.0 * k, 60.0 * k + 60.0) for k in range(60)]
    except RunFailed as error:
        raise BadInput(f"{made.__name__}: {error.why}") from None
    told = sorted(np.concatenate([piece.at_s for piece in pieces]))
    _require(
        sorted(whole.at_s) == told, made, "gives other instants when the same minutes are drawn one by one"
    )
    expected, counts = 3 * HOUR_S * process.steady_rate_hz(), [len(piece.at_s) for piece in pieces]
    spread = 6.0 * (60.0 * float(np.var(counts)) + expected) ** 0.5 + 3.0
    _require(
        abs(sum(counts) - expected) <= spread,
        made,
        f"steady_rate_hz promises {expected:.4g} requests of three clients in an hour, "
        f"and there were {sum(counts)}",
    )


def _duration(made: Any, keys: dict[str, Any]) -> None:
    _quantile(made, _part_of("duration", keys).quantile(), "quantile", _part_of("duration", keys).mean())


def _service(made: Any, keys: dict[str, Any]) -> None:
    part: Any = _part_of("service", keys)
    _require(
        part.scale_s(1) > 0 and part.scale_s(2) >= part.scale_s(1), made, "scale_s must be positive and grow"
    )
    if part.constant() is None:
        _quantile(made, part.factor(), "factor", part.mean_factor())


def _quantile(made: Any, quantile: Callable[[Any], Any], name: str, mean: float) -> None:
    found = np.asarray(quantile(UNIFORM), dtype=float)
    _require(found.shape == UNIFORM.shape, made, f"{name} must give a number for each of the uniform draws")
    _require(
        bool(np.all(found >= 0) and np.all(np.diff(found) >= 0)),
        made,
        f"{name} must be positive and never fall",
    )
    _require(
        found[7] == np.asarray(quantile(UNIFORM[7:8]))[0], made, f"{name} depends on what is drawn beside"
    )
    _require(
        abs(found.mean() - mean) <= 0.1 * mean,
        made,
        f"{name} is {found.mean():.4g} on average, not {mean:.4g}",
    )


def _shape(made: Any, keys: dict[str, Any]) -> None:
    shape: Any = _part_of("shape", keys)
    at = np.linspace(0.0, HOUR_S, 500)
    upto = np.array([shape.operational_s(one) for one in at.tolist()])
    _require(
        upto[0] == 0.0 and bool(np.all(np.diff(upto) >= 0)),
        made,
        "operational_s must begin at 0 and never fall",
    )
    back = np.asarray(shape.inverse()(upto))
    again = np.array([shape.operational_s(one) for one in back.tolist()])
    _require(
        bool(np.allclose(again, upto, rtol=1e-6, atol=1e-6)), made, "inverse is not that of operational_s"
    )
    steepest = float((np.diff(upto) / np.diff(at)).max())
    _require(
        steepest <= shape.peak() * (1 + 1e-6),
        made,
        f"peak is {shape.peak():g}, and the rate reaches {steepest:.4g}",
    )


def _outage(made: Any, keys: dict[str, Any]) -> None:
    part: Any = _part_of("outage", keys)
    nobody = np.zeros(0, dtype=np.int64)
    hits = (
        Hit(7, 0, until_s, Outage.model_construct(when=part), "server", nobody, 3, is_each=False)
        for until_s in (CHUNK_S, HOUR_S)
    )
    short, long = (part.times(hit)[0] for hit in hits)
    before, told = (
        [(a, min(b, CHUNK_S)) for a, b in zip(line.from_s, line.until_s, strict=True) if a < CHUNK_S]
        for line in (long, short)
    )
    _require(told == before, made, "a longer horizon changes what happens before")


def _part_of(family: str, keys: dict[str, Any]) -> Any:
    families: dict[str, PartFamily[Any]] = {
        "arrivals": PROCESSES,
        "duration": DURATIONS,
        "service": SERVICES,
        "shape": SHAPES,
        "outage": WHEN,
    }
    found = families[family]
    return found[TRIED].model_validate({found.tag: TRIED, **keys})


def _require(holds: bool, made: Any, otherwise: str) -> None:
    if not holds:
        raise BadInput(f"{getattr(made, '__name__', made)}: {otherwise}")


CHECKS: dict[str, Callable[[Any, dict[str, Any]], None]] = {
    "price": _price,
    "score": _score,
    "loss": _loss,
    "discipline": _discipline,
    "choice": _choice,
    "arrivals": _arrivals,
    "duration": _duration,
    "service": _service,
    "shape": _shape,
    "outage": _outage,
}
