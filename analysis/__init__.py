"""Reads a finished run folder: numbers, figures, the report."""

from analysis.compare_report import comparison_table, write_comparison
from analysis.condition import condition_of
from analysis.metrics import summarise
from analysis.report import finish, write_report
from analysis.run import Run, load_run
from analysis.tables import summary_table

__all__ = [
    "Run",
    "comparison_table",
    "condition_of",
    "finish",
    "load_run",
    "summarise",
    "summary_table",
    "write_comparison",
    "write_report",
]
