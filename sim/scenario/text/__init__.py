"""From YAML text and `--set` to a checked scenario, and back; complaints in one line of plain English.
Nothing is built, expanded or run that was not looked at first.
Words of messages are changed here."""
