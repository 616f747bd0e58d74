"""How long a client waits: the timer of an attempt, what comes in time, and when it is too late to send.
Functions of plain numbers or of whole columns, for the engine's array operations and its handlers alike."""

from __future__ import annotations

from typing import Any

import numpy as np


def timer_of(sent: Any, timeout_s: Any, deadline: Any) -> Any:
    """When a client gives up an attempt: `timeout_s` after it is sent, its deadline at latest."""
    return np.minimum(sent + timeout_s, deadline)


def is_in_time(back: Any, timer: Any) -> Any:
    """Whether a word that is back at the client then is heard: at the timer's instant, too; NaN never is."""
    return back <= timer


def is_too_late(at: Any, deadline: Any) -> Any:
    """Whether a request is past its deadline: at that instant, too, nothing is sent or served any more."""
    return at >= deadline
