"""Reading a scenario: from a file or a shipped name to a checked `Scenario`, or a line for each mistake.
The first stage of every run; nothing is written and nothing is drawn here."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sim.errors import BadInput
from sim.scenario.library import locate
from sim.scenario.rules import checks
from sim.scenario.rules.advice import advice
from sim.scenario.schema.document import Scenario
from sim.scenario.text import complaints
from sim.scenario.text.draft import Draft, Origin, complaint, refusal
from sim.scenario.text.overrides import AFTER_EVERY_LINE, override, put
from sim.scenario.text.places import strays
from sim.scenario.text.wording import quote
from sim.scenario.text.yaml_text import parse

log = logging.getLogger(__name__)

LARGEST_BYTES = 2**20


def read(source: str | Path, overrides: Sequence[str] = (), seed: int | None = None) -> Scenario:
    """The scenario in the file `source`, or of that shipped name, with `path=value` overrides applied.

    A relative `file` begins in the folder of the scenario that names it, one in an override in the working
    folder; the scenario holds absolute ones, so that its copy in a run folder reads the same files. Which
    folders it may name, says `sim.scenario.text.places`.

    Raises `BadInput` with a line for each mistake, naming the place, the path, the value and the rule.
    """
    return check(changed_draft(source, overrides, seed))


def changed_draft(source: str | Path, overrides: Sequence[str] = (), seed: int | None = None) -> Draft:
    """What `read` judges: the draft of a file with its overrides, files made absolute."""
    draft = read_draft(source)
    if "policies" in draft.value and "fleet" not in draft.value:
        raise BadInput(f"{draft.origin(()).label}: is a study of policies: give it to the command study")
    for nth, written in enumerate(overrides):
        draft = override(draft, written, nth)
    draft = rooted(draft, Path.cwd())
    if seed is not None:
        draft = put(draft, ("seed",), seed, Origin(AFTER_EVERY_LINE + len(overrides), "--seed"))
    found = list(strays(draft, locate(source).parent))
    if found:
        raise BadInput(*complaint(draft, found))
    return draft


def check(draft: Draft) -> Scenario:
    """The scenario of a draft that obeys the schema, the rules across fields, and uses what there is."""
    try:
        scenario = Scenario.model_validate(draft.value)
    except ValidationError as error:
        raise BadInput(*complaint(draft, complaints.findings(error, draft.value))) from None
    found = list(checks.findings(scenario))
    if found:
        raise BadInput(*complaint(draft, found))
    for finding in advice(scenario):
        log.warning(*complaint(draft, [finding]))
    return scenario


def read_draft(source: str | Path) -> Draft:
    """What stands in a file, unchecked but for its outermost form: a mapping."""
    path = locate(source)
    label = str(path) if str(path).isprintable() else quote(str(path))
    text = read_text(path, label)
    draft = parse(text, lambda line: Origin(line, f"{label}:{line}"))
    if not isinstance(draft.value, dict):
        wrong = refusal((), draft.value, "must be a mapping of keys such as name, fleet and server")
        raise BadInput(*complaint(draft, [wrong]))
    return rooted(draft, path.parent)


def rooted(draft: Draft, folder: Path) -> Draft:
    """The draft with every `file` made absolute: a relative one begins in `folder`."""
    return Draft(_rooted(draft.value, folder.absolute()), draft.origins)


def _rooted(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {
            key: str(folder / entry) if key == "file" and isinstance(entry, str) else _rooted(entry, folder)
            for key, entry in value.items()
        }
    return tuple(_rooted(entry, folder) for entry in value) if isinstance(value, tuple) else value


def read_text(path: Path, label: str) -> str:
    """The text of a file, at most `LARGEST_BYTES` of UTF-8."""
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except IsADirectoryError:
        inside = path / "scenario.yaml"
        hint = f"; did you mean {inside}?" if inside.is_file() else ""
        raise BadInput(f"{label}: is a folder: must be a file{hint}") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "not a file name"
        raise BadInput(f"{label}: cannot be read: {why.lower()}") from None
    if len(content) > LARGEST_BYTES:
        raise BadInput(f"{label}: is larger than {LARGEST_BYTES // 2**20} MiB: too large for a scenario")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadInput(f"{label}:{line}: is not UTF-8 text") from None
