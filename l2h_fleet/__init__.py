"""The door for other people's code: what is here stays where it is; all else may move.
`import l2h_fleet` takes no time: whatever is heavy is loaded by who asks for it."""

from sim import __version__

__all__ = ["__version__"]
