"""What the kernel's modules need to be compiled. How that is done, `sim.engine.compiling` knows."""

from sim.engine.compiling.decorators import is_switched_off, leaf, part, whole
from sim.engine.compiling.kept import ready

__all__ = ["is_switched_off", "leaf", "part", "ready", "whole"]
