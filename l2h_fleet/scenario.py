"""A scenario as a Python object: from a shipped name, a file or a mapping, and with changes.
It holds what the command line would be given, so both mean the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from math import isinf, isnan
from os import PathLike
from pathlib import Path
from typing import Any

from commands.plugins.loading import load_installed
from sim.errors import BadInput
from sim.results.cache_folder import cache_root
from sim.results.whole_files import write_whole
from sim.scenario import Scenario as Document
from sim.scenario import read, write
from sim.scenario.library import locate, question_of


@dataclass(frozen=True)
class Scenario:
    """A question put to a fleet. It never changes: `set` gives another one.

    source: the name of a shipped scenario, the path of a YAML file, or a mapping of the same keys; a relative
    `file` in a mapping begins in the working folder. changes: as after `--set`, in their order.
    Keys and units: docs/scenario_keys.md. What is wrong with it is told by `check`, and by whoever runs it.
    """

    source: str
    changes: tuple[str, ...] = ()

    def __init__(
        self, source: str | PathLike[str] | Mapping[str, Any] | Scenario, changes: Sequence[str] = ()
    ) -> None:
        before: tuple[str, ...] = ()
        if isinstance(source, Scenario):
            text, before = source.source, source.changes
        else:
            text = _written(source) if isinstance(source, Mapping) else str(source)
        object.__setattr__(self, "source", text)
        object.__setattr__(self, "changes", (*before, *changes))

    def set(self, path: str | Mapping[str, Any], value: Any = None) -> Scenario:
        """The same with another value at a path, such as `server.replicas` or `fleet.*.timeout_s`; or with
        several, as a mapping of paths. Values are plain Python: numbers, text, None, lists, mappings.
        """
        wanted = path if isinstance(path, Mapping) else {path: value}
        return Scenario(self, [f"{one}={as_yaml(other)}" for one, other in wanted.items()])

    @cached_property
    def document(self) -> Document:
        """The scenario, read and resolved: every key with its value. Raises BadInput, a line each mistake."""
        load_installed()
        return read(self.source, self.changes)

    @property
    def name(self) -> str:
        return self.document.name

    @property
    def question(self) -> str:
        """The comment that opens its file."""
        return question_of(locate(self.source))

    @property
    def yaml(self) -> str:
        """The resolved scenario as YAML."""
        return write(self.document)

    def check(self) -> Scenario:
        """Returns it if it can be run; trains and simulates nothing. Raises BadInput, a line each mistake."""
        from agents.checks import validate  # noqa: PLC0415  (torch takes seconds to load)

        validate(self.document)
        return self


def as_yaml(value: Any) -> str:
    """A plain value of Python or NumPy as YAML, in one line. Raises BadInput for anything else."""
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(k))}: {as_yaml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(as_yaml, value)) + "]"
    if isinstance(value, float) and (isinf(value) or isnan(value)):
        return ".nan" if isnan(value) else ".inf" if value > 0 else "-.inf"
    if isinstance(value, PathLike):
        value = str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return json.dumps(value)
    raise BadInput(f"{value!r}: is a {type(value).__name__}, which no scenario holds")


def _written(mapping: Mapping[str, Any]) -> str:
    """A file with this mapping, named by its content."""
    text = as_yaml(_rooted(mapping, Path.cwd())) + "\n"
    path = cache_root() / "scenarios" / f"{blake2b(text.encode(), digest_size=10).hexdigest()}.yaml"
    if not path.exists():
        write_whole(path, text.encode())
    return str(path)


def _rooted(value: Any, folder: Path) -> Any:
    if isinstance(value, Mapping):
        return {
            key: str(folder / entry)
            if key == "file" and isinstance(entry, str | PathLike)
            else _rooted(entry, folder)
            for key, entry in value.items()
        }
    return [_rooted(entry, folder) for entry in value] if isinstance(value, list | tuple) else value
