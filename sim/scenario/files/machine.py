"""How much memory this machine has: what rules and readers of files hold their needs against."""

from __future__ import annotations

import os


def installed_bytes() -> int:
    """The machine's physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def gib(count: float) -> str:
    """A number of bytes, in words."""
    return f"{count / 2**30:,.1f} GiB" if count < 2**50 else f"{count / 2**30:.1e} GiB"
