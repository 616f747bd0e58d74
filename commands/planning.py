"""The command that plans who asks which option: admission and split points at the largest gain per cost.
Part of the command line; the plan itself is `commands.planned`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.interrupts import ending_at_once
from commands.options import Changes, ScenarioName
from commands.terminal import Terminal

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def plan(
    scenario: ScenarioName,
    service: Annotated[float, typer.Option(min=0, metavar="PRICE", help="Of a second of service.")] = 1.0,
    megabyte: Annotated[float, typer.Option(min=0, metavar="PRICE", help="Of a megabyte on its way.")] = 1.0,
    replica: Annotated[
        float, typer.Option(min=1e-9, metavar="PRICE", help="Of a second for which a replica stands there.")
    ] = 1.0,
    most_load: Annotated[
        float, typer.Option(min=0.01, max=0.99, metavar="SHARE", help="Of servers and shared links, at most.")
    ] = 0.8,
    changes: Changes = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the scenario with the plan in it.")
    ] = None,
) -> None:
    """Plans how many clients of each group ask which option.

    A linear program and rounding: the most requests answered in time per unit of cost, no server and no
    shared link loaded beyond --most-load, no answer behind its deadline. The rest asks nobody.
    """
    with ending_at_once():
        from rich.table import Table

        from commands.planned import Prices, plan_of, with_plan
        from sim.errors import BadInput
        from sim.results.whole_files import write_whole
        from sim.scenario import Scenario, read, write

    if out is not None and out.exists():
        raise BadInput(f"--out {out}: exists already")
    found = plan_of(read(scenario, changes or []), Prices(service, megabyte, replica), most_load)
    table = Table("group", "option", "clients", "of", "an answer takes, s")
    for (place, way), clients in zip(found.ways, found.clients.tolist(), strict=True):
        group = found.scenario.fleet[place]
        table.add_row(
            group.group, way.option.option, f"{clients:.0f}", str(group.clients), f"{way.answer_s:.3g}"
        )
    Terminal().print(table, crop=False)
    print(
        f"answers in time per unit of cost: {found.effectiveness:.4g}; no plan has more than "
        f"{found.bound.effectiveness:.4g}"
    )
    if out is not None:
        write_whole(out, write(Scenario.model_validate(with_plan(found))).encode())
        try:
            read(out)
        except BadInput:
            out.unlink()
            raise
        print(f"written: {out}")


@app.command("split-points")
def split_points(
    scenario: ScenarioName,
    bits: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="Of each number that is sent.")] = 8,
    changes: Changes = None,
) -> None:
    """Says where the servers' networks may be cut in two.

    Of each point the share of the work in front of it, and the bytes that pass it: `device_s`, `work` and
    `payload_bytes` of an option follow from them.
    """
    with ending_at_once():
        from rich.table import Table

        from agents.data.datasets import load
        from agents.models.split_points import points_of
        from sim.scenario import read

    asked = read(scenario, changes or [])
    data, table = load(asked), Table("model", "behind", "share of the work", "bytes")
    of_clients = {group.group: group.model for group in asked.fleet}
    for name, model in asked.server_models.items():
        if model.nested_in is not None:  # a part is cut where its whole is
            continue
        for point in points_of(
            name, of_clients.get(model.of_group or "", model), data.image_shape, data.classes, bits
        ):
            table.add_row(name, point.after or "(the picture)", f"{point.share:.4f}", str(point.bytes))
    Terminal().print(table, crop=False)
