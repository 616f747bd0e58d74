"""Reads run folders: tables as frames, narrow columns for counting, and what is wrong with a folder.
The only modules of `analysis` that open a run's files."""
