#!/usr/bin/env python
"""The command line in the tree, without an installation: python run_sim.py run outage"""

from commands.entry import enter

if __name__ == "__main__":
    enter()
