"""Reads a finished run folder: numbers, figures, the report."""

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
