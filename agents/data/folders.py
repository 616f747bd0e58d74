"""Where the files of a data set lie: looks for them, has torchvision fetch them, or says what is expected.
Between the scenario's `data.root` and the readers of `agents.data.files`."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

from sim.errors import BadInput
from sim.registry.data_sets import DATA_SETS, Layout
from sim.scenario import Data

log = logging.getLogger(__name__)
DEBIAN = Path("/usr/share/datasets")  # where Debian's packages dataset-NAME put theirs


def data_files(data: Data) -> list[Path]:
    """The files of a scenario's data set, in the order of its layout; fetched first if it says `download`.

    A file that is not byte for byte the published one is used all the same, with a warning: it may be a part
    of the set that somebody cut out. Raises BadInput, saying what is expected where, if there are none.
    """
    layout, roots = layout_of(data.set), roots_of(data)
    files = _among(layout, roots)
    if files is None and data.download:
        _download(data.set, layout, roots[0])
        files = _among(layout, roots)
    if files is None:
        raise BadInput(_missing(data, layout, roots))
    for file, md5 in zip(files, layout.md5, strict=False):
        if _md5(file) != md5:
            log.warning("%s: is not the published file of %s (its checksum differs)", file, data.set)
    return files


def contents(data: Data) -> dict[str, str]:
    """The files of a scenario's data set, by name, with the MD5 of each; empty for one that is computed.
    Raises BadInput as `data_files` does.
    """
    if DATA_SETS[data.set].files is None:
        return {}
    return {file.name: _md5(file) for file in data_files(data)}


def layout_of(name: str) -> Layout:
    """Where the files of a data set lie; of one that has files."""
    layout = DATA_SETS[name].files
    assert layout is not None
    return layout


def roots_of(data: Data) -> list[Path]:
    """The folders to look in: `data.root` alone, else $L2H_DATA, data/ and where Debian has it."""
    if data.root is not None:
        return [Path(data.root).expanduser()]
    own = os.environ.get("L2H_DATA")
    packaged = layout_of(data.set).debian
    return [*([Path(own)] if own else []), Path("data"), *([DEBIAN / packaged] if packaged else [])]


def _among(layout: Layout, roots: list[Path]) -> list[Path] | None:
    for root in roots:
        for folder in (root / layout.folder, *([root] if layout.also_bare else [])):
            files = [_file(folder / name, layout.compressed) for name in layout.files]
            if None not in files:
                return [file for file in files if file is not None]
    return None


def _file(plain: Path, may_be_compressed: bool) -> Path | None:
    choices = [plain, plain.with_name(plain.name + ".gz")] if may_be_compressed else [plain]
    return next((choice for choice in choices if os.path.isfile(choice)), None)  # too long a name is none


def _download(name: str, layout: Layout, root: Path) -> None:
    """Has torchvision fetch the set into `root`; it shows its progress and checks the published checksums."""
    from agents.models.vision import torchvision  # noqa: PLC0415  (torch, for a download alone)

    try:
        for split in layout.splits:
            getattr(torchvision("datasets"), layout.kind)(str(root), download=True, **split)
    except (OSError, RuntimeError) as error:  # no network, a full disk, a checksum that differs
        why = " ".join(str(error).split())
        raise BadInput(
            f"data.download: {name} could not be fetched ({why}); "
            f"by other means, put {_expected(layout, root)}"
        ) from error


def _missing(data: Data, layout: Layout, roots: list[Path]) -> str:
    """What is said where nothing was found."""
    where = " nor in ".join(str(root) for root in roots)
    key = f"data.root: {data.root!r}" if data.root is not None else f"data.set: {data.set}"
    ways = ["set data.root to the folder that holds them"] if data.root is None else []
    ways += [] if data.download else ["data.download: true fetches them"]
    ways += [f"Debian's package dataset-{layout.debian} has them"] if layout.debian else []
    return f"{key}: not found in {where}: expected {_expected(layout, roots[0])}; {', or '.join(ways)}"


def _expected(layout: Layout, root: Path) -> str:
    or_compressed = " (or with .gz)" if layout.compressed else ""
    return f"in {root / layout.folder} the files {', '.join(layout.files)}{or_compressed}"


def _md5(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
