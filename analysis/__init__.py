"""Reads a finished run folder: numbers, figures, the report."""

from analysis.metrics import summarise
from analysis.report import finish, write_report
from analysis.run import Run, load_run
from analysis.tables import summary_table

__all__ = ["Run", "finish", "load_run", "summarise", "summary_table", "write_report"]
