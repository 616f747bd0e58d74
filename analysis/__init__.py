"""Reads a finished run folder: numbers, figures, the report."""
