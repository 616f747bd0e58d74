"""The example scenario of the design, and ways to spoil it and read what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sim.errors import BadInput
from sim.scenario import read

EXAMPLE = (Path(__file__).parent / "example.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def example_text() -> str:
    """The example, without the training during the run."""
    return EXAMPLE.partition("  online:")[0]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenarios")


@pytest.fixture(scope="session")
def example(folder: Path, example_text: str) -> Path:
    """A file with the example, called x.yaml."""
    path = folder / "x.yaml"
    path.write_text(example_text, encoding="utf-8")
    return path


@pytest.fixture
def complaint(tmp_path: Path) -> Callable[..., str]:
    """What `read` says about a text or bytes: a line for each mistake, which begins with the file's name,
    here x.yaml, or with an option."""

    def say(content: str | bytes, *overrides: str) -> str:
        path = tmp_path / "x.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(BadInput) as caught:
            read(path, overrides)
        said = str(caught.value)
        assert all(line.isprintable() for line in said.split("\n"))
        return said.replace(str(path), "x.yaml")

    return say


@pytest.fixture
def spoilt(complaint: Callable[..., str], example_text: str) -> Callable[[str, str], str]:
    """What `read` says about the example with one piece of text replaced."""

    def say(old: str, new: str) -> str:
        assert example_text.count(old) == 1, f"{old!r} must stand in the example once"
        return complaint(example_text.replace(old, new))

    return say


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives `case` each change to the example in the text beside the test: (old, new, what is said)."""
    if "case" in metafunc.fixturenames:
        text = Path(metafunc.module.__file__).with_suffix(".txt").read_text(encoding="utf-8")
        cases = [_case(block) for block in text.split("\n\n")[1:]]
        metafunc.parametrize("case", cases, ids=[new.partition("\n")[0] for _, new, _ in cases])


def _case(block: str) -> tuple[str, str, str]:
    lines = block.strip("\n").splitlines()
    marked = {mark: "\n".join(line[2:] for line in lines if line[0] == mark) for mark in "-+="}
    return marked["-"], marked["+"], marked["="]
