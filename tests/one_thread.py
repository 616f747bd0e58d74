"""Linear algebra with one thread, as the command line has it; imported before whatever loads NumPy."""

from __future__ import annotations

import os

from commands.entry import ONE_THREAD

os.environ.setdefault(*ONE_THREAD)
