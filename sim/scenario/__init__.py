"""The scenario: the vocabulary in which a question to the fleet is written, and its reading from YAML."""

from sim.scenario.document import Scenario
from sim.scenario.fleet import Group
from sim.scenario.training import POOLS

__all__ = ["POOLS", "Group", "Scenario"]
