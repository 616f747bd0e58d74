"""What a run leaves behind: tables and their columns, the time line, checks of every law, checkpoints.
Reads the engine's columns after the fact; nothing here changes what happens.
A new column is declared in `columns` and filled in `table` or `timeline`."""
