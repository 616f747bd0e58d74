"""When requests arrive: the processes, the shapes laid over them, and how long closed loops think.
A group's process is drawn by keys alone, in whatever stretches it is asked for.
A new process is one class with `draw`, `state` and `restore`."""
