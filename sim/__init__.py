"""Virtual time: scenarios, keyed draws, the event loop and its request table. No torch, no Ray."""

__version__ = "0.2.0"  # of the whole project, and here alone; it rises with results

__all__ = ["__version__"]
