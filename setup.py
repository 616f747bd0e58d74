"""Builds the package as pyproject.toml says; what is built tells the commit that it was built from."""

import runpy
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

NOTE = "sim/results/commit.txt"


def note_commit(folder: str) -> None:
    """Leaves the commit in a built tree, unless a source archive brought it there."""
    commit = runpy.run_path("sim/results/commit.py")["commit"]()
    (Path(folder) / NOTE).write_text(f"{commit or ''}\n")


class BuildPy(build_py):
    """Copies the modules into an empty folder: what an earlier build left there is in no later wheel."""

    def run(self) -> None:
        if self.editable_mode:  # the tree itself, which git knows
            super().run()
            return
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        note_commit(self.build_lib)


class Sdist(sdist):
    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        note_commit(base_dir)


setup(cmdclass={"build_py": BuildPy, "sdist": Sdist})
