"""From the parameters of a run to the plain arrays that the handlers read.
Made once per run; what depends on the stretch that is played is put beside it by `context`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.arrays.columns_of import together_of
from sim.engine.arrays.layout import Clients
from sim.engine.arrays.parameters import (
    Accounts,
    Constants,
    Downtimes,
    Groups,
    Options,
    Slowdowns,
    Widths,
)
from sim.engine.arrays.requests_ahead import KeptAhead
from sim.engine.decisions import scores_of
from sim.engine.events import place_bits
from sim.engine.state import ALLOWANCE_CAP, State
from sim.policy.controllers import Price
from sim.policy.own import PythonPolicy
from sim.policy.prices import explored
from sim.registry.allotments import Allotment, Bucket
from sim.registry.choices import Candidate
from sim.registry.disciplines import DISCIPLINES, Waiting
from sim.streams import Draws
from sim.world.budgets import full
from sim.world.outages.capacity import EVERY_REPLICA, Slowness
from sim.world.outages.downtime import Downtime
from sim.world.parameters import Parameters

OPTION_TYPES: dict[str, Any] = dict.fromkeys(Options._fields[:-2], np.float64)
OPTION_TYPES |= {"server": np.int64, "model": np.int64, "device": np.int64}
SlowSpan = tuple[Downtime, int, float]


class Lines:
    """Collects time lines; those that several share are kept once."""

    def __init__(self) -> None:
        self._number: dict[int, int] = {}
        self._lines: list[Downtime] = []

    def add(self, line: Downtime) -> int:
        """Its number; -1 if it is never down."""
        if not len(line):
            return -1
        if id(line) not in self._number:
            self._number[id(line)] = len(self._lines)
            self._lines.append(line)
        return self._number[id(line)]

    def arrays(self) -> Downtimes:
        sizes = [len(line) for line in self._lines]
        from_s, until_s = (
            np.concatenate([np.zeros(0), *(np.array(getattr(line, name)) for line in self._lines)])
            for name in ("from_s", "until_s")
        )
        return Downtimes(np.append(0, np.cumsum(sizes, dtype=np.int64)), from_s, until_s)


def slowdowns(owners: int, of: Iterable[tuple[int, Sequence[SlowSpan]]]) -> Slowdowns:
    """The spans of each owner, in their order, `of` those who have some; what never comes is left out."""
    sizes, found, lines = np.zeros(owners + 1, dtype=np.int64), [], Lines()
    for owner, spans in of:
        come = [(lines.add(when), count, factor) for when, count, factor in spans if len(when)]
        found += come
        sizes[owner + 1] = len(come)
    line, hits, factor = (list(column) for column in zip(*found, strict=True)) if found else ([], [], [])
    return Slowdowns(
        first=np.cumsum(sizes),
        line=np.array(line, dtype=np.int64),
        hits=np.array(hits, dtype=np.int64),
        factor=np.array(factor, dtype=np.float64),
        lines=lines.arrays(),
    )


def within(slow: Slowness, begin: float, end: float) -> list[SlowSpan]:
    """The spans of which some part lies in [begin, end], in their order."""
    return [span for span in slow.spans if not span[0].is_up_through(begin, end)]


def accounts(allotments: Sequence[Allotment]) -> Accounts:
    """Allotments, full."""
    buckets = [one if isinstance(one, Bucket) else None for one in allotments]
    return Accounts(
        is_bucket=np.array([bucket is not None for bucket in buckets], dtype=bool),
        rate_hz=np.array([bucket.rate_hz if bucket else 0.0 for bucket in buckets], dtype=np.float64),
        per_s=np.array([getattr(one, "per_s", 1.0) for one in allotments], dtype=np.float64),
        full=np.array([one.full for one in allotments], dtype=np.int64),
        **full(allotments),
    )


@dataclass(frozen=True)
class Fixed:
    """What stays the same for a whole run, what was drawn `ahead`, too; accounts are those of t = 0, whose
    columns the state replaces."""

    parameters: Parameters
    groups: Groups
    link: NDArray[np.int64]
    most_allowed: NDArray[np.int64]
    cuts: Downtimes
    slow_links: Slowdowns
    budgets: Accounts
    door: Accounts
    options: Options
    ahead: KeptAhead = field(default_factory=KeptAhead)

    def clients(self, state: State) -> Clients:
        """Beside the rules what clients remember: the state's own columns, which handlers write to."""
        parameters = self.parameters
        return Clients(
            group=parameters.clients.group,
            has_obstacles=parameters.has_obstacles,
            heeds_answers=parameters.heeds_answers,
            link=self.link,
            account=parameters.accounts.of_client,
            wallet=parameters.allowances.of_client,
            allowance=state.allowance,
            most_allowed=self.most_allowed,
            **state.breakers,
            backlog=state.backlog,
            home=parameters.homes,
            turn=state.turn,
            memory=state.memory.reshape(-1),
            last_started=state.last_started,
            next_k=state.next_k,
            next_at=state.next_at,
            device_free=state.device_free,
            **together_of(parameters),
        )

    def constants(self, end: float, state: State, drawn: tuple[int, int, int], samples: int) -> Constants:
        """What holds for the fleet until `end`. drawn: requests per member, cases per phase, members."""
        parameters = self.parameters
        return Constants(
            end=end,
            max_batch=max(one.max_batch for one in parameters.stations),
            servers=len(parameters.stations),
            models=1 + max(option.model for options in parameters.options for option in options),
            options=parameters.most_options,
            ways=parameters.most_ways,
            cells=parameters.cells.most,
            anyone_has_obstacles=bool(parameters.has_obstacles.any()),
            answers_take_time=any(option.reply_s > 0 for of in parameters.options for option in of),
            is_held=parameters.charge_on != "send",
            backoff_root=np.uint64(parameters.patience[0].backoff.draws.root),
            policy_root=np.uint64(Draws(parameters.seed, "policy").root),
            choice_root=np.uint64(Draws(parameters.seed, "choice").root),
            tells_backlog=bool(parameters.uses_feedback.any()) or parameters.looks_at_backlogs,
            cancels=any(p.cancels for p in parameters.patience),
            has_own_work=parameters.has_own_work,
            computes=bool(parameters.computes.any()),
            batch=parameters.most_batched,
            at_once=parameters.most_at_once,
            adds_rows=parameters.has_closed_loops,
            place_bits=place_bits(parameters.clients.size),
            requests=drawn[0],
            cases=drawn[1],
            members=drawn[2],
            samples=samples,
            memory=state.memory.shape[1],
            parameters=len(self.groups.parameters) // len(parameters.policies),
        )


def fixed(parameters: Parameters) -> Fixed:
    """Lays out the rules."""
    lines, links, clients = Lines(), parameters.links, parameters.clients.size
    hit, link = np.flatnonzero(links.hit(clients)).tolist(), np.full(clients, -1, dtype=np.int64)
    link[hit] = [lines.add(links.downtime(client)) for client in hit]
    slow = ((client, [(when, EVERY_REPLICA, by) for when, by in links.slowdowns(client)]) for client in hit)
    return Fixed(
        parameters=parameters,
        groups=_groups(parameters),
        link=link,
        most_allowed=ALLOWANCE_CAP * parameters.allowances.members,
        cuts=lines.arrays(),
        slow_links=slowdowns(clients, slow),
        budgets=accounts(parameters.accounts.allotments),
        door=accounts(parameters.doors),
        options=Options(
            **{
                name: np.array(
                    [getattr(o, name) for options in parameters.options for o in options], dtype=kind
                )
                for name, kind in OPTION_TYPES.items()
            },
            way=_by_cell(parameters, [o.ways for options in parameters.options for o in options], np.int64),
            latency_s=_by_cell(
                parameters,
                [
                    [ways[way].latency_s for way in option.ways]
                    for options, ways in zip(parameters.options, parameters.ways, strict=True)
                    for option in options
                ],
                np.float64,
            ),
        ),
    )


def _by_cell(parameters: Parameters, found: Iterable[Sequence[Any]], kind: Any) -> NDArray[Any]:
    """What is found of each option by cell; in cells that its group does not have that of the last one."""
    most = parameters.cells.most
    return np.array([[*of, *repeat(of[-1], most - len(of))] for of in found], dtype=kind).reshape(-1)


def _groups(parameters: Parameters) -> Groups:
    patience, breakers = parameters.patience, parameters.breakers
    backoff_s = np.zeros((len(patience), max(p.max_attempts for p in patience)))
    for row, p in zip(backoff_s, patience, strict=True):
        row[: len(p.backoff.steps)] = p.backoff.steps
    own = [price.parameters() if price else () for price in parameters.prices]
    of_prices = np.zeros((len(own), max(1, *map(len, own))))
    for row, one in zip(of_prices, own, strict=True):
        row[: len(one)] = one
    kinds, choices = kinds_of(parameters), choices_of(parameters)
    options = np.array(list(map(len, parameters.options)), dtype=np.int64)
    return Groups(
        timeout_s=np.array([p.timeout_s for p in patience], dtype=np.float64),
        deadline_s=np.array([p.deadline_s for p in patience], dtype=np.float64),
        max_attempts=np.array([p.max_attempts for p in patience], dtype=np.int64),
        is_limited=np.array([p.limited for p in patience], dtype=bool),
        earns=np.array([p.allowance for p in patience], dtype=np.int64),
        backoff_s=backoff_s,
        is_jittered=np.array([p.backoff.is_jittered for p in patience], dtype=bool),
        failures=np.array([b.failures or 1 if b else 0 for b in breakers], dtype=np.int64),
        window=np.array([b.window or 0 if b else 0 for b in breakers], dtype=np.int64),
        needed=np.array([b.needed if b else 0 for b in breakers], dtype=np.int64),
        probes=np.array([b.probes if b else 0 for b in breakers], dtype=np.int64),
        cooldown_s=np.array([b.cooldown_s if b else 0.0 for b in breakers], dtype=np.float64),
        decided_in_loop=parameters.decided_in_loop,
        price=np.array(
            [kinds.index(kind_of(price)) if price else -1 for price in parameters.prices], dtype=np.int64
        ),
        parameters=of_prices.reshape(-1),
        uses_feedback=parameters.uses_feedback,
        names_options=np.array([isinstance(price, PythonPolicy) for price in parameters.prices]),
        draws=np.array([policy.price.draws for policy in parameters.policies]),
        exploration=np.array([explored(policy, parameters.exploration) for policy in parameters.policies]),
        is_closed=np.array([think is not None for think in parameters.thinks]),
        at_once=np.array(parameters.at_once, dtype=np.int64),
        batch_size=np.array([batch.size if batch else 0 for batch in parameters.batches], dtype=np.int64),
        batches_sends=np.array([batch is not None and batch.of == "sends" for batch in parameters.batches]),
        batch_wait_s=parameters.batch_wait_s,
        inference_s=np.array(parameters.inference_s, dtype=np.float64),
        first_option=np.append(0, np.cumsum(options)[:-1]),
        options=options,
        scores=np.array([scores_of(parameters, g) for g in range(len(own))], dtype=np.int64),
        choose=np.array([choices.index(choice.rank) for choice in parameters.chooses], dtype=np.int64),
        takes_turns=np.array([choice.takes_turns for choice in parameters.chooses]),
        draws_options=np.array([choice.draws for choice in parameters.chooses]),
        goes_on=np.array([choice.goes_on for choice in parameters.chooses]),
        asks_others=np.array([p.asks_others for p in patience], dtype=bool),
        hedge_after_s=np.array([p.hedge_after_s for p in patience], dtype=np.float64),
        cancels=np.array([p.cancels for p in patience], dtype=bool),
        service_factor=parameters.service_factor,
        priority=np.array([p.priority for p in patience], dtype=np.float64),
    )


def kinds_of(parameters: Parameters) -> list[type[Price] | PythonPolicy]:
    """The kinds of prices that move in this fleet, in order of the groups."""
    return list(dict.fromkeys(kind_of(price) for price in parameters.prices if price))


def ranks_of(parameters: Parameters) -> list[Callable[[Waiting], float]]:
    """By which functions the disciplines of its servers rank, each once."""
    every = (DISCIPLINES[station.discipline].rank for station in parameters.stations)
    return list(dict.fromkeys(rank for rank in every if rank is not None))


def choices_of(parameters: Parameters) -> list[Callable[[Candidate], float]]:
    """By which functions its clients choose among options, each once."""
    return list(dict.fromkeys(choice.rank for choice in parameters.chooses))


def kind_of(price: Price | PythonPolicy) -> type[Price] | PythonPolicy:
    """Whose functions it is played by: a class, whatever its parameters, or a policy in plain Python."""
    return price if isinstance(price, PythonPolicy) else type(price)


def widths_of(parameters: Parameters) -> Widths:
    """The models of every server, in order."""
    every = [width for station in parameters.stations for width in station.widths]
    model, work, memory_bytes = (np.array(column) for column in zip(*every, strict=True))
    return Widths(model.astype(np.int64), work.astype(np.float64), memory_bytes.astype(np.float64))
