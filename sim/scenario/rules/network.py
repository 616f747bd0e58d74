"""Rules about shared links: names that exist, links that somebody passes, bandwidths that let something pass.
Part of the table in `checks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any

from sim.scenario.files.bandwidth import bandwidth_of
from sim.scenario.files.rows import BadFile
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Group, Link
from sim.scenario.text.draft import Path
from sim.scenario.text.wording import nearest

Breach = tuple[Path, Any, str]


def ways(scenario: Scenario) -> Iterator[tuple[Path, Path, tuple[str, ...], Link]]:
    """Every way over shared links: where it is written, where its own link is, the links, and its own."""
    for index, group in enumerate(scenario.fleet):
        yield from ways_of(group, ("fleet", index))


def ways_of(group: Group, path: Path) -> Iterator[tuple[Path, Path, tuple[str, ...], Link]]:
    """Those of one group: of its options, or of its link where an option leaves that to it."""
    options = group.options or ()
    plain = [one.over_link(group.link) for one in options if one.over is None and one.link is None]
    if not options or plain:
        smallest = min(plain, key=lambda link: link.payload_bytes, default=group.link)
        yield (*path, "link", "over"), (*path, "link"), group.link.over, smallest
    for place, option in enumerate(options):
        here: Path = (*path, "options", place)
        own = (*here, "link") if option.link else (*path, "link")
        if option.over is not None:
            yield (*here, "over"), own, option.over, option.over_link(group.link)
        elif option.link is not None:
            yield (*here, "link", "over"), own, option.link.over, option.over_link(group.link)


def ways_lead_over_links_that_are_there(scenario: Scenario) -> Iterator[Breach]:
    names = [one.link for one in scenario.network]
    for path, own, over, link in ways(scenario):
        for place, name in enumerate(over):
            if name not in names:
                rule = f"there is no such link: {nearest(name, names)}" if names else "there is no network"
                yield (*path, place), name, rule
            elif name in over[:place]:
                yield (*path, place), name, "is named twice: a message passes a link once"
        if over and not link.payload_bytes:
            rule = "a request without bytes passes shared links at once: give its size"
            yield (*own, "payload_bytes"), 0, rule


def shared_links_are_passed(scenario: Scenario) -> Iterator[Breach]:
    used = {name for _, _, over, _ in ways(scenario) for name in over}
    for place, one in enumerate(scenario.network):
        if one.link not in used:
            rule = "nobody's way leads over this link: name it in some `over`"
            yield ("network", place, "link"), one.link, rule


def shared_links_let_something_pass(scenario: Scenario) -> Iterator[Breach]:
    for place, one in enumerate(scenario.network):
        path: Path = ("network", place)
        if (one.bandwidth_bps is None) == (one.bandwidth is None):
            yield (
                (*path, "bandwidth_bps"),
                one.bandwidth_bps,
                "give one of the two: bandwidth_bps, or bandwidth",
            )
        if one.bandwidth is not None:
            try:
                bandwidth_of(one.bandwidth.file, one.bandwidth.format)
            except BadFile as error:
                file = one.bandwidth.file
                yield (*path, "bandwidth", "file"), file, f"{PurePath(file).name}: {error}"


NETWORK_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (
    ways_lead_over_links_that_are_there,
    shared_links_are_passed,
    shared_links_let_something_pass,
)
