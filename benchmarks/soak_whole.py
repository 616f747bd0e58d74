"""A random world as a whole run by the command line, disturbed: killed, stopped, on a small disk, damaged.
Used by `benchmarks.soak` for some of its worlds."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.soak_documents import Table
from benchmarks.soak_played import Broken
from commands.interrupts import ENDING, EXIT_CODE

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 240.0  # wall time of one command
SIGNALS = (*ENDING, signal.SIGKILL)
DIVERGED = "a smaller learning rate may help"  # so ends the line of a run that cannot learn, exit code 1


def command(folder: Path, *words: str, at_most_bytes: int | None = None) -> subprocess.Popen[str]:
    def limited() -> None:
        if at_most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (at_most_bytes, at_most_bytes))

    places = {"L2H_CACHE": str(folder / "cache"), "TMPDIR": str(folder / "tmp")}
    (folder / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, str(ROOT / "run_sim.py"), *words],
        cwd=folder,
        env=os.environ | places | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=limited,  # noqa: PLW1509  (no thread is about)
    )


def ended(process: subprocess.Popen[str], *codes: int) -> int:
    """Its exit code, one of these; what it says must be lines without a traceback."""
    try:
        said = process.communicate(timeout=LIMIT_S)[1]
    except subprocess.TimeoutExpired:
        process.terminate()  # which takes along what it started
        process.communicate()
        raise Broken(f"does not end in {LIMIT_S:g} s") from None
    cannot_learn = process.returncode == 1 and said.rstrip().endswith(DIVERGED)
    if (process.returncode not in codes and not cannot_learn) or "Traceback" in said:
        raise Broken(f"exit code {process.returncode}: {' | '.join(said.splitlines()[-3:])}")
    return process.returncode


def results(folder: Path) -> dict[str, bytes]:
    """Every file that wall time does not enter."""
    hidden = [path.name for path in folder.rglob(".*")]
    if hidden:
        raise Broken(f"left behind: {', '.join(hidden)}")
    apart = {"timing.json", "report.html"}
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in apart
    }


def require_finite(value: Any, path: str = "") -> None:
    if isinstance(value, dict):
        for key, part in value.items():
            require_finite(part, f"{path}.{key}")
    elif isinstance(value, list):
        for part in value:
            require_finite(part, path)
    elif isinstance(value, float) and not math.isfinite(value):
        raise Broken(f"summary{path} is {value}")


def disturb(folder: Path, words: tuple[str, ...], draw: np.random.Generator, took_s: float) -> str:
    """Stops a run at a random instant by a random signal; nothing that it started may stay."""
    process = command(folder, *words)
    family = psutil.Process(process.pid)
    sent = SIGNALS[int(draw.integers(len(SIGNALS)))]
    try:
        process.communicate(timeout=float(draw.uniform(0.2, 1.0)) * took_s)
    except subprocess.TimeoutExpired:
        children = family.children(recursive=True)
        os.kill(process.pid, sent)
        said = process.communicate(timeout=LIMIT_S)[1]
        _, alive = psutil.wait_procs(children, timeout=20)
        if alive:
            raise Broken(f"stays alive: {', '.join(one.name() for one in alive)}") from None
        if "Traceback" in said or process.returncode not in (0, 2, -sent, EXIT_CODE):
            said = " | ".join(said.splitlines()[-3:])
            raise Broken(f"{sent.name} ends it with {process.returncode}: {said}") from None
    return sent.name


def damage(path: Path, draw: np.random.Generator) -> str:
    """Spoils a file in some way; gives which."""
    content, how = path.read_bytes(), int(draw.integers(4))
    at = int(draw.integers(max(1, len(content))))
    if how == 0:
        path.write_bytes(content[:at])
    elif how == 1 and content:
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << int(draw.integers(8))]) + content[at + 1 :])
    elif how == 2:
        path.unlink()
    else:
        path.unlink()
        path.mkdir()
    return ("cut short", "a flipped bit", "missing", "a folder")[how]


def try_whole(document: Table, folder: Path, draw: np.random.Generator) -> list[str]:
    """Promises of the command line: a run that is disturbed and gone on with is the undisturbed one. Gives
    what was done to it."""
    (folder / "soak.yaml").write_text(json.dumps(document))
    actors = int(draw.integers(1, 3)) if draw.random() < 0.1 else 0
    words = ("run", "soak.yaml", "--quiet", "--checkpoint-every", "0")
    began = time.monotonic()
    code = ended(command(folder, *words, "--local", "--out", "whole"), 0, 2)
    if code:  # by the learners, in one line
        return ["refused" if code == 2 else "diverged"]
    took_s, whole = time.monotonic() - began, results(folder / "whole")
    require_finite(json.loads(whole["summary.json"]))
    cut = (*words, *(("--workers", str(actors)) if actors else ("--local",)), "--out", "cut", "--resume")
    done = [disturb(folder, cut, draw, took_s + 15.0 * bool(actors)), "a small disk", f"workers {actors}"]
    limit = int(10 ** draw.uniform(3, 6))
    ended(command(folder, *cut, at_most_bytes=limit), 0, 1, 2)
    ended(command(folder, *cut), 0, 2)
    if results(folder / "cut") != whole:
        raise Broken("a run that was stopped and gone on with is another one")
    # torch makes an empty cache folder of its own where it is imported whole.
    left = [one.name for one in (folder / "tmp").iterdir() if not one.name.startswith("torchinductor_")]
    if left:
        raise Broken(f"left behind: {', '.join(left)}")
    files = sorted(path for path in (folder / "cut").rglob("*") if path.is_file())
    damaged = files[int(draw.integers(len(files)))]
    done.append(f"{damaged.suffix} {damage(damaged, draw)}")
    try:
        ended(command(folder, "report", "cut"), 0, 2)
    except Broken as error:
        raise Broken(f"report of {damaged.name}, {done[-1]}: {error}") from None
    return done
