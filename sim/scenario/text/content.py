"""What a scenario is, whatever file said it: one canonical text, and its digest.
Two scenarios under one digest are the same question to the same fleet; files they name count by content."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

from sim.errors import BadInput
from sim.scenario.files.brought_sizes import files_below
from sim.scenario.files.rows import BadFile
from sim.scenario.schema.document import Scenario


def content_digest(scenario: Scenario, beside: Mapping[str, Any]) -> str:
    """20 hex digits over the resolved scenario and `beside`: what else decides the bytes of its run.

    Independent of the order of keys, of the way numbers are written and of where traces and measured
    durations lie. Pictures below `data.root` count by the folder's name alone. Raises BadInput for a file
    that is gone.
    """
    told = {"scenario": by_content(scenario.model_dump()), "beside": dict(beside)}
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return blake2b(canonical.encode(), digest_size=10).hexdigest()


def by_content(value: Any) -> Any:
    """The value with every `file` replaced by the digest of what lies there."""
    if isinstance(value, dict):
        return {
            key: _digest_of(part) if key == "file" and isinstance(part, str) else by_content(part)
            for key, part in value.items()
        }
    return [by_content(part) for part in value] if isinstance(value, tuple | list) else value


def names_files(value: Any) -> bool:
    """Whether a part of a dumped scenario names a file, whose content counts."""
    if isinstance(value, dict):
        names = any(key == "file" and isinstance(part, str) for key, part in value.items())
        return names or any(map(names_files, value.values()))
    return isinstance(value, tuple | list) and any(map(names_files, value))


def _digest_of(path: str) -> str:
    """Of a file's content; of a folder's files and their names below it."""
    if os.path.isdir(path):
        try:
            files = list(files_below(Path(path)))
        except BadFile as error:
            raise BadInput(f"{path}: {error}") from None
        below = {str(file.relative_to(path)): _digest_of(str(file)) for file in files}
        return blake2b(json.dumps(below, sort_keys=True).encode(), digest_size=20).hexdigest()
    try:
        with open(path, "rb") as file:
            return file_digest(file, lambda: blake2b(digest_size=20)).hexdigest()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None
