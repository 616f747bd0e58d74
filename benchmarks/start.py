"""What users wait for: how long commands take to begin, and the pictures of a run; in CPU seconds.

The peer of a command is `import torch`, which it does without; that of the pictures the same figures saved as
matplotlib does it by itself, as SVG and PNG. Prints as its last line one JSON object.
`python -m benchmarks.start`
"""

from __future__ import annotations

import io
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl

from analysis.figures import drawings_of
from analysis.figures.style import SETTINGS, to_svg
from analysis.run_folder.run import load_run
from analysis.run_folder.traffic import traffic_of

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 5
COMMANDS = {
    "help": ("run_sim.py", "--help"),
    "check smoke": ("run_sim.py", "check", "smoke"),
    "import l2h_fleet": ("-c", "import l2h_fleet"),
    "import torch": ("-c", "import torch"),
}


def cpu_s(*words: str) -> float:
    """CPU seconds of Python with these words, the median of ROUNDS."""
    spent = []
    for _ in range(ROUNDS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(spent)


def pictures() -> dict[str, float]:
    """CPU seconds for the figures of `smoke`, drawn and saved: as a report does, and by `savefig` alone."""
    with tempfile.TemporaryDirectory() as place:
        words = ("run_sim.py", "run", "smoke", "--local", "--quiet", "--out", f"{place}/smoke")
        subprocess.run([sys.executable, *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        traffic = traffic_of(load_run(f"{place}/smoke"))
        drawings = drawings_of(traffic.run).values()
        for drawing in drawings:  # fonts and first calls are not timed
            to_svg(drawing.draw(traffic))
        began = time.process_time()
        for drawing in drawings:
            to_svg(drawing.draw(traffic))
        ours = time.process_time() - began
        began = time.process_time()
        for drawing in drawings:
            figure = drawing.draw(traffic)
            with mpl.rc_context(SETTINGS):
                figure.savefig(io.BytesIO(), format="svg")
                figure.savefig(io.BytesIO(), format="png", dpi=160)
        return {"ours_s": round(ours, 2), "savefig_s": round(time.process_time() - began, 2)}


def main() -> None:
    found: dict[str, Any] = {name: round(cpu_s(*words), 3) for name, words in COMMANDS.items()}
    drawn = pictures()
    ratios = {name: round(found["import torch"] / found[name], 2) for name in list(found)[:3]}
    ratios["pictures"] = round(drawn["savefig_s"] / drawn["ours_s"], 2)
    print(json.dumps({"benchmark": "start", "cpu_s": found, "pictures": drawn, "times_as_fast": ratios}))


if __name__ == "__main__":
    main()
