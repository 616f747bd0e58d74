"""Files of rows that a scenario names: traces, measured durations; read a batch at a time.
Checks and runs read through the same code, so what passed the check can be played.
A new format is one reader here."""
