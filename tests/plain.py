"""Pictures for tests that do not look at them."""

from __future__ import annotations

from typing import Any

import pytest


def draw_plainly(patched: pytest.MonkeyPatch) -> None:
    """From here on figures are drawn as ever, but written as empty pictures: most of a report's time is their
    text."""
    from analysis.reports import page, partial_report, run_page  # noqa: PLC0415  (few tests draw)

    def plain(_figure: Any, _png: bool = False, _narrow: Any = None) -> page.Saved:
        return page.Saved(b"<svg/>", None, b"<svg/>")

    for place in (run_page, partial_report):
        patched.setattr(place, "saved", plain)
