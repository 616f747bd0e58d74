"""Reads a finished run folder: numbers, figures, the report.
What is asked for most stands here and is loaded when it is asked for: who sums a run up needs no pictures."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.metrics.summary import summarise
    from analysis.reports.compare_report import comparison_table, write_comparison
    from analysis.reports.report import finish, write_report
    from analysis.reports.tables import summary_table
    from analysis.run_folder.integrity import integrity_of
    from analysis.run_folder.run import Run, load_run

__all__ = [
    "Run",
    "comparison_table",
    "finish",
    "integrity_of",
    "load_run",
    "summarise",
    "summary_table",
    "write_comparison",
    "write_report",
]

_STANDS_IN = {
    "Run": "run_folder.run",
    "comparison_table": "reports.compare_report",
    "finish": "reports.report",
    "integrity_of": "run_folder.integrity",
    "load_run": "run_folder.run",
    "summarise": "metrics.summary",
    "summary_table": "reports.tables",
    "write_comparison": "reports.compare_report",
    "write_report": "reports.report",
}


def __getattr__(name: str) -> Any:
    if name not in _STANDS_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_STANDS_IN[name]}"), name)
